"""`python -m tests.soak`: disturb a warehouse of the synthetic web for a while, and write docs/soak.md."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from tests.bench.report import Table, machine, markdown_table
from tests.soak import scenarios
from tests.soak.project import Disturbed

PAGE = Path(__file__).resolve().parents[2] / "docs" / "soak.md"
PREFACE = """\
# Soak

Written by `make soak` (`tests/soak`): do not edit, run it again. A warehouse of the synthetic web (two
parts, pictures, models of every kind) is made once undisturbed. Then everything below happens to it,
drawn by a seed, while readers ask every view all the time. What is published has to stay what the
undisturbed run made, to the row; columns that say when something was done are left out."""
READERS = 2
READS = 10_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it all. Exit 1 if anything was not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=45, help="kills end after so long, even if they are fewer")
    parser.add_argument("--seed", type=int, default=20230627)
    parser.add_argument("--folder", type=Path, help="where the warehouse is made; without it, a temporary folder")
    parser.add_argument("--no-page", action="store_true", help="only print")
    chosen = parser.parse_args(arguments)
    page = None if chosen.no_page else PAGE
    with tempfile.TemporaryDirectory(prefix="laionet-soak-") as temporary:
        folder = (chosen.folder or Path(temporary)) / "project"
        faults = soak(folder, kills=chosen.kills, minutes=chosen.minutes, seed=chosen.seed, page=page)
    print("\n".join(faults) or "everything is as undisturbed")
    sys.exit(1 if faults else 0)


def configure(folder: Path) -> None:
    """The settings of this repository, with a smaller web and one model of each kind."""
    settings = yaml.safe_load((Path(__file__).resolve().parents[2] / "laionet.yaml").read_text())
    settings["sources"] = [{"name": "sample", "adapter": "laion400m", "path": "sample://web?parts=2&rows=200"}]
    settings["predictors"] = settings["predictors"][:1]
    settings["image_encoders"] = settings["image_encoders"][:1]
    settings["image_sets"] = [
        {
            "name": "curated",
            "layout": "imagefolder",
            "path": "sample://curated?per_class=2",
            "captions": "sample://curated",
        }
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "laionet.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))


def soak(folder: Path, *, kills: int, minutes: float, seed: int, page: Path | None) -> list[str]:
    """What was not as it should be. The page is written after each scenario: one that is ended early says how far it
    came.
    """
    load_before, began = os.getloadavg(), time.monotonic()
    configure(folder)
    project = Disturbed(folder, seed)
    project.make()
    until = time.monotonic() + minutes * 60
    rows: list[tuple[str, str, str]] = []

    def write() -> None:
        if page is None:
            return
        blocks = [
            PREFACE,
            machine(captions="a synthetic web", wall_seconds=time.monotonic() - began, load_before=load_before),
            f"Seed {seed}; {len(project.expected)} views; {len(project.faults)} faults.",
            markdown_table(Table(("what", "done", "found"), rows), numbers_right=False),
            *([f"```\n{chr(10).join(project.faults[:50])}\n```"] if project.faults else []),
        ]
        page.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")

    def happens(what: str, scenario: Callable[[], str]) -> None:
        before, started = len(project.faults), time.monotonic()
        told = scenario()
        found = "as undisturbed" if len(project.faults) == before else f"{len(project.faults) - before} faults"
        rows.append((what, told, found if not told.startswith("not tried") else ""))
        print(f"{what}: {told}: {found} ({time.monotonic() - started:.0f} s)", flush=True)
        write()

    before = len(project.faults)
    with project.readers(READERS, at_least=-(-READS // READERS)) as reads:
        happens("kill -9, again and again", lambda: scenarios.kills(project, kills * 9 // 10, until=until))
        happens("two runs at once", lambda: scenarios.two_at_once(project, max(kills // 20, 2)))
        happens("a clock that jumps", lambda: scenarios.jumping_clock(project))
        happens("a read-only warehouse", lambda: scenarios.read_only(project))
    wrong = [fault for fault in project.faults[before:] if fault.startswith("a reader")]
    found = f"{len(wrong)} faults" if wrong else "as undisturbed"
    rows.append(("reads meanwhile", f"{sum(reads):,} by {READERS} processes", found))
    print(f"reads meanwhile: {sum(reads):,}: {found}", flush=True)
    happens("a full disk", lambda: scenarios.full_disk(project))
    happens("kill -9 from nothing on", lambda: scenarios.from_nothing(project, kills - kills * 9 // 10, until=until))
    return project.faults


if __name__ == "__main__":
    main()
