"""Data Docs on disk: one site a table, the latest runs of each partition in it, an index over all sites.

    <root>/index.html                                       every table: latest status, link
    <root>/<table>/index.html                               every partition of the table: latest status, its kept runs
    <root>/<table>/expectations/<suite>.html                the rules
    <root>/<table>/validations/<suite>/<partition>/<run>/results.html

Here: where a page lies, publishing it whole, the two indexes, and forgetting old runs. Not here: what a page shows;
Great Expectations renders that (`gx_backend`), in the layout of its own sites so that its links hold. Its index pages
and site builder are not used: the index needs scripts from the network to show anything, and the builder reads every
stored run again for each new one.

Any number of processes may publish into one site. A page appears by one rename; indexes are rebuilt under a lock that
the system frees when its holder dies, from nothing but folder names, and replaced by one rename.
"""

import fcntl
import html
import json
import os
import re
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote

from laionet_assets.full_disk import full_disk
from laionet_assets.quality.expectations import QualityError

KEPT_RUNS = 3
PAGE = "results.html"
_STATUS = "status.json"

_RUN = re.compile(r"(?P<at>\d{8}T\d{6}\.\d{6}Z)-(?P<passed>\d+)-(?P<warned>\d+)-(?P<failed>\d+)-\d+")
_AT = "%Y%m%dT%H%M%S.%fZ"
_WHOLE = "~table"  # no encoded partition has a ~ before a letter beyond f
_STALE_SECONDS = 24 * 3600


@dataclass(frozen=True)
class DocsTarget:
    """Where the pages of a run go. root: the folder of all sites; table: `schema.table`; partition: the part, if it
    has parts.
    """

    root: Path
    table: str
    partition: str | None = None

    @property
    def site(self) -> Path:
        return self.root / self.table

    @property
    def slug(self) -> str:
        """The partition as one folder name that can be read back: percent-encoding with `~`, which needs no further
        encoding in URLs.
        """
        return _WHOLE if self.partition is None else _encoded(self.partition)


@dataclass(frozen=True)
class Tally:
    """Checks of one run, or of the latest runs of a table: passed, failed as a warning, failed."""

    passed: int
    warned: int
    failed: int

    @property
    def status(self) -> str:
        return "failed" if self.failed else "warnings" if self.warned else "passed"


def publish(
    target: DocsTarget,
    *,
    suite: str,
    tally: Tally,
    run_at: datetime,
    page: str,
    suite_page: Callable[[], str],
    suite_digest: str,
) -> Path:
    """Write the page of a run, forget all but the latest `KEPT_RUNS` of its partition, refresh both indexes. Returns
    the page's path.

    run_at: aware. suite_page: called only if the suite's page is missing or of another digest.
    Raises QualityError if the folder cannot be written.
    """
    runs = target.site.joinpath("validations", *suite.split("."), target.slug)
    run = runs / f"{run_at.astimezone(UTC).strftime(_AT)}-{tally.passed}-{tally.warned}-{tally.failed}-{os.getpid()}"
    try:
        runs.mkdir(parents=True, exist_ok=True)
        staged = runs / f".staged-{run.name}"
        staged.mkdir()
        (staged / PAGE).write_text(page, encoding="utf-8")
        staged.rename(run)
        with _locked(target.site):
            _publish_suite(target, suite=suite, page=suite_page, digest=suite_digest)
            _forget_old_runs(runs)
            _write_site_index(target, suite=suite)
        with _locked(target.root):
            _write_root_index(target.root)
    except OSError as error:
        if (full := full_disk(error, warehouse=str(target.root.parent))) is not None:
            raise full from error
        raise QualityError(
            f"Data Docs cannot be written to {target.root}: {error}. Make the folder writable, then run again."
        ) from error
    return run / PAGE


@dataclass(frozen=True)
class _Run:
    slug: str
    name: str
    at: datetime
    tally: Tally

    @property
    def partition(self) -> str:
        return "(whole table)" if self.slug == _WHOLE else _decoded(self.slug)


def _publish_suite(target: DocsTarget, *, suite: str, page: Callable[[], str], digest: str) -> None:
    *folders, name = suite.split(".")
    path = target.site.joinpath("expectations", *folders, f"{name}.html")
    mark = f"<!-- suite {digest} -->"
    if path.exists() and path.read_text(encoding="utf-8").endswith(mark):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, page() + mark)


def _forget_old_runs(runs: Path) -> None:
    kept = sorted((path for path in runs.iterdir() if _RUN.fullmatch(path.name)), key=lambda path: path.name)
    for path in kept[:-KEPT_RUNS]:
        shutil.rmtree(path)
    for path in runs.glob(".staged-*"):
        with suppress(FileNotFoundError):  # another process finished its page meanwhile: it renames without a lock
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:  # its process was killed
                shutil.rmtree(path, ignore_errors=True)


def _write_site_index(target: DocsTarget, *, suite: str) -> None:
    """Index of a table, and beside it what the index of all tables shows of it."""
    folder = target.site.joinpath("validations", *suite.split("."))
    by_slug: dict[str, list[_Run]] = defaultdict(list)
    for run in _runs_in(folder):
        by_slug[run.slug].append(run)
    prefix = "/".join(["validations", *suite.split(".")])
    rows = []
    for slug in sorted(by_slug):
        runs = sorted(by_slug[slug], key=lambda run: run.name, reverse=True)
        links = " ".join(_link(f"{prefix}/{slug}/{run.name}/{PAGE}", _time(run.at)) for run in runs)
        rows.append([html.escape(runs[0].partition), _badge(runs[0].tally), *_counts(runs[0].tally), links])
    rules = _link("/".join(["expectations", *suite.split(".")]) + ".html", "the rules")
    body = f"<p>{_link('../index.html', 'all tables')} · {rules}</p>" + _html_table(
        ["part", "status", "passed", "warnings", "failed", "runs, latest first"], rows
    )
    _replace(target.site / "index.html", _html_page(f"{target.table}: data quality", body))
    latest = [max(runs, key=lambda run: run.name) for runs in by_slug.values()]
    tally = Tally(*(sum(getattr(run.tally, name) for run in latest) for name in ("passed", "warned", "failed")))
    status = {"parts": len(latest), "at": max(run.at for run in latest).isoformat(), **asdict(tally)}
    _replace(target.site / _STATUS, json.dumps(status))


def _write_root_index(root: Path) -> None:
    rows = []
    for path in sorted(root.glob(f"*/{_STATUS}")):
        status = json.loads(path.read_text(encoding="utf-8"))
        tally = Tally(status["passed"], status["warned"], status["failed"])
        table = path.parent.name
        at = _time(datetime.fromisoformat(status["at"]))
        rows.append([_link(f"{table}/index.html", table), _badge(tally), *_counts(tally), str(status["parts"]), at])
    head = ["table", "status", "passed", "warnings", "failed", "parts", "latest run"]
    _replace(root / "index.html", _html_page("Data quality", _html_table(head, rows)))


def _runs_in(folder: Path) -> Iterator[_Run]:
    for path in folder.glob("*/*"):
        if found := _RUN.fullmatch(path.name):
            tally = Tally(int(found["passed"]), int(found["warned"]), int(found["failed"]))
            yield _Run(path.parent.name, path.name, datetime.strptime(found["at"], _AT).replace(tzinfo=UTC), tally)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _replace(path: Path, text: str) -> None:
    """Under a lock: the file that a killed process, or a full disk, left half written is written again."""
    staged = path.with_name(f".{path.name}.staged")
    staged.write_text(text, encoding="utf-8")
    os.replace(staged, path)


def _encoded(partition: str) -> str:
    return quote(partition, safe="=").replace("~", "%7E").replace("%", "~")


def _decoded(slug: str) -> str:
    return unquote(slug.replace("~", "%"))


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _link(href: str, text: str) -> str:
    return f'<a href="{html.escape(href)}">{html.escape(text)}</a>'


def _badge(tally: Tally) -> str:
    return f'<span class="{tally.status}">{tally.status}</span>'


def _counts(tally: Tally) -> list[str]:
    return [str(tally.passed), str(tally.warned), str(tally.failed)]


def _html_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    header = "".join(f"<th>{cell}</th>" for cell in head)
    body = "\n".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>\n<tr>{header}</tr>\n{body}\n</table>"


def _html_page(title: str, body: str) -> str:
    style = (
        ":root{color-scheme:light dark}body{font-family:system-ui,sans-serif;margin:2rem}"
        "table{border-collapse:collapse}"
        "th,td{padding:.3rem .8rem;border-bottom:1px solid #8884;text-align:left}"
        ".passed{color:#2e7d32}.warnings{color:#e65100}.failed{color:#c62828;font-weight:bold}"
        "@media(max-width:40rem){body{margin:.5rem}th,td{padding:.3rem}td:first-child{overflow-wrap:anywhere}}"
        "@media(prefers-color-scheme:dark){.passed{color:#81c784}.warnings{color:#ffb74d}.failed{color:#ef9a9a}}"
    )
    heading = html.escape(title)
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{heading}</title>\n'
        f"<style>{style}</style></head>\n"
        f"<body><h1>{heading}</h1>\n{body}\n</body></html>\n"
    )
