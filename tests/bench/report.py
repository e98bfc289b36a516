"""The report: what the stages measured, as Markdown.

Belongs here: sections, tables, targets, how numbers are written, the machine and the versions. Does not belong here:
measuring.
"""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

PREFACE = """\
# Benchmarks

Written by `make bench` (`tests/bench`): do not edit, run it again. Every stage runs the product's own code (the steps of a run: SQL, staged file,
publish) beside *the published way*: the method's own procedure in plain Python and pandas, restated in `tests/bench/published.py`, on the same work in
the same run.

* **cpu-s** are user + system seconds of the process and its children: what a machine that others use too can still measure. Wall seconds are given
  where a person waits; here they depend on who else was at work (see the load below). Of repetitions, the one with the fewest cpu-s counts.
* A **floor** is what the work cannot do without on this machine, measured in the same run; *x floor* is the distance to it.
* **checks** are Great Expectations' audit of the staged file, which the published way does not have; they are a column of their own, and no ratio
  includes them. Importing Great Expectations (once a process) is in neither, but in every time of `laionet run`.
* Pages of their own: how much memory a whole run takes, [memory.md](memory.md); what a warehouse stands (kills, two runs at once, full disks, clocks),
  [soak.md](soak.md).
"""

PACKAGES = (
    "duckdb",
    "pyarrow",
    "pandas",
    "numpy",
    "torch",
    "transformers",
    "sentence-transformers",
    "timm",
    "pillow",
    "aiohttp",
    "great_expectations",
    "dagster",
)


LATER = "Measured by itself, after the rest of this page:"
_TARGETS = "Targets"
_VERDICT = re.compile(r"^\* Target (.+): wanted (.+), found (.+): (met|\*\*missed\*\*)\.$", re.MULTILINE)


@dataclass(frozen=True)
class Target:
    """Something wanted of a stage, and what was found."""

    what: str
    wanted: str
    found: str
    is_met: bool

    @property
    def verdict(self) -> str:
        return "met" if self.is_met else "**missed**"


@dataclass(frozen=True)
class Table:
    """Rows of cells under columns; the first column is text, the others are numbers."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Section:
    """What a stage has to say: paragraphs and tables in order, and its targets."""

    title: str
    body: Sequence[str | Table]
    targets: Sequence[Target] = ()


def page(sections: Sequence[Section], measured: str) -> str:
    """The whole page, of stages that one run measured; `measured` says when and on what."""
    return _page([PREFACE, measured], ["\n\n".join(_blocks(section)) for section in sections])


def updated(text: str, sections: Sequence[Section], measured: str, *, when: str = LATER) -> str:
    """A page with some sections measured again: each takes the place of the one of its title, or comes last, and says
    by itself when and on what it was measured, behind `when`. The table of targets is made anew from what all sections
    say.
    """
    before, *known = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    by_title = {_title(section): section for section in known if _title(section) != _TARGETS}
    for section in sections:
        heading, *rest = _blocks(section)
        by_title[section.title] = "\n\n".join([heading, *filter(None, [when]), measured, *rest])
    return _page([before], list(by_title.values()))


def _page(before: Sequence[str], sections: Sequence[str]) -> str:
    found = [match.groups() for section in sections for match in _VERDICT.finditer(section)]
    summary = Table(("target", "wanted", "found", ""), found)
    blocks = [*before, f"## {_TARGETS}", markdown_table(summary, numbers_right=False), *sections]
    return "\n\n".join(block.strip("\n") for block in blocks) + "\n"


def _title(section: str) -> str:
    return section.splitlines()[0].removeprefix("## ")


def machine(*, captions: str, wall_seconds: float, load_before: Sequence[float]) -> str:
    """What it was measured on, and with what."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    load = ", ".join(f"{each:.1f}" for each in load_before)
    cores = len(os.sched_getaffinity(0))
    return "\n".join(
        [
            f"* Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC at commit {_commit()}, in {wall_seconds / 60:.1f} minutes;"
            f" load averages before it {load} on {cores} cores.",
            f"* Machine: {cores} cores of {_processor()}, {_memory_gib():.0f} GiB, {platform.system()} {platform.machine()}.",
            f"* Versions: Python {platform.python_version()}, {versions}.",
            f"* Captions: {captions}.",
        ]
    )


def markdown_table(table: Table, *, numbers_right: bool = True) -> str:
    """A Markdown table; columns but the first are aligned to the right. Raises ValueError for a row of another width."""
    for row in table.rows:
        if len(row) != len(table.columns):
            raise ValueError(f"found a row of {len(row)} cells, expected {len(table.columns)}: {row}")
    others = "---:" if numbers_right else "---"
    lines = [table.columns, ["---", *[others] * (len(table.columns) - 1)], *table.rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def number(value: float, *, digits: int = 3) -> str:
    """A number to so many significant digits, with commas between thousands, never in powers of ten."""
    if value == 0:
        return "0"
    magnitude = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    if magnitude >= digits:
        return f"{round(value, digits - magnitude):,.0f}"
    text = f"{value:.{digits}g}"
    return text if "e" not in text else f"{value:.{digits + 6}f}".rstrip("0")


def times(value: float) -> str:
    """A ratio."""
    return f"{number(value)} x"


def gigabytes(size_bytes: int) -> str:
    """Bytes in GB of 10^9."""
    return f"{size_bytes / 1e9:.2f} GB"


def percent(share: float) -> str:
    """A share in [0, 1]."""
    return f"{100 * share:.1f}%"


def _blocks(section: Section) -> list[str]:
    body = [markdown_table(block) if isinstance(block, Table) else block for block in section.body]
    verdicts = [f"* Target {t.what}: wanted {t.wanted}, found {t.found}: {t.verdict}." for t in section.targets]
    return [f"## {section.title}", *body, *(["\n".join(verdicts)] if verdicts else [])]


def _commit() -> str:
    root = Path(__file__).resolve().parents[2]
    try:
        found = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "-C", str(root), "status", "--porcelain", "laionet_assets", "sql"], capture_output=True, text=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown (no git here)"
    return f"{found} with changes not committed" if changed else found


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            flags = Path("/proc/cpuinfo").read_text()
            return f"{line.split(':', 1)[1].strip()} ({'AVX-512' if 'avx512f' in flags else 'no AVX-512'})"
    return platform.processor() or sys.platform


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
