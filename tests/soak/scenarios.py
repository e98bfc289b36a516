"""What is done to a warehouse. Each scenario says what it did; what was not as it should be is among the faults."""

import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pydantic import ByteSize

from tests.soak.project import Disturbed

FAKETIME = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/local/lib/faketime/libfaketimeMT.so.1")
JUMPS = ("-5y", "+3y", "-400d", "+30y")
LONGEST_SECONDS = 300
EARLY = 0.15
"""Of kills, the share that comes before a table's turn: while sources are looked at and the plan is made."""


def key(name: str) -> str:
    """A table in Dagster's syntax."""
    return f'key:"{name.replace(".", "/")}"'


def _made_tables(project: Disturbed, tables: Sequence[str]) -> dict[str, list[str]]:
    """Tables that a run makes, by stage."""
    stages: dict[str, list[str]] = {}
    for step in project.pipeline.steps:
        if step.name in project.expected and step.write is not None and (not tables or step.name in tables):
            stages.setdefault(step.model.group, []).append(step.name)
    return stages


def kills(project: Disturbed, number: int, *, tables: Sequence[str] = (), until: float = float("inf")) -> str:
    """So many times: a table of some stage is made again, and its run is killed at a random moment. Each stage has its
    turn; which of its tables, and when, is drawn. Stops early at `until` (by time.monotonic).
    """
    stages = _made_tables(project, tables)
    killed: Counter[str] = Counter()
    names, survived = set(), 0
    while killed.total() < number and time.monotonic() < until:
        stage = sorted(stages)[(killed.total() + survived) % len(stages)]
        name = project.draw.choice(stages[stage])
        run = project.start([key(name)], force=True)
        if project.draw.random() < EARLY:
            time.sleep(project.draw.uniform(0, 1.5))
        elif run.wait_for(name):
            time.sleep(project.draw.uniform(0, 1.1 * max(project.seconds.get(name, 1.0), 0.3)))
        if run.kill():
            killed[stage] += 1
            names.add(name)
        else:
            survived += 1
    project.settle("kills")
    stages_told = ", ".join(f"{stage} {n}" for stage, n in sorted(killed.items()))
    return f"{killed.total()} kills of {len(names)} tables ({stages_told}); {survived} runs ended before their kill"


def from_nothing(project: Disturbed, number: int, *, until: float = float("inf")) -> str:
    """A warehouse of the same settings is made from nothing, and killed again and again; then left in peace."""
    folder = project.folder.parent / f"{project.folder.name}-again"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copy(project.config, folder)
    again = Disturbed(folder, project.seed + 1, project.selected)
    again.expected = project.expected
    killed = 0
    while killed < number and time.monotonic() < until:
        run = again.start_whole()
        run.process.join(project.draw.uniform(0.5, 12))
        if run.is_over:
            break
        killed += run.kill()
    again.settle("kills from nothing")
    project.faults += again.faults
    shutil.rmtree(folder)
    return f"{killed} kills while a warehouse was made from nothing"


def two_at_once(project: Disturbed, number: int, *, tables: Sequence[str] = ()) -> str:
    """So many times: two runs make tables again at once, now and then the same one; one of them may be killed."""
    names = [name for stage in _made_tables(project, tables).values() for name in stage]
    same, killed = 0, 0
    for _ in range(number):
        pair = [project.draw.choice(names), project.draw.choice(names)]
        if project.draw.random() < 0.3:
            pair[1] = pair[0]
        same += pair[0] == pair[1]
        runs = [project.start([key(name)], force=True) for name in pair]
        if project.draw.random() < 0.3 and runs[0].wait_for(pair[0]):
            time.sleep(project.draw.uniform(0, 0.5))
            killed += runs.pop(0).kill()
        for run in runs:
            if (code := run.ended()) != 0:
                project.faults.append(f"two at once ({', '.join(pair)}): one ended with {code}: {run.printed[-2000:]}")
    project.settle("two runs at once")
    return f"{number} pairs, {same} of them on the same table, {killed} with one of the two killed"


def full_disk(project: Disturbed, *, table: str = "core.caption_matches") -> str:
    """On a disk that is full a run says which and what may be done, and nothing that is published changes; with room
    again, the run makes what it could not. Twice: where the catalog has no room, and where it is current and the table
    has none.
    """
    disk = project.folder.parent / "disk"
    size = sum(path.stat().st_size for path in project.warehouse.rglob("*") if path.is_file() and not path.is_symlink())
    codes = []
    with _mounted("-t", "tmpfs", "-o", f"size={2 * size + 2**26}", "tmpfs", on=disk) as is_mounted:
        if not is_mounted:
            return "not tried: a small disk cannot be mounted here"
        moved = _moved_to(project, disk / "warehouse")
        for what in ("the catalog", table):
            filler = disk / "filler"
            filler.write_bytes(bytes(max(shutil.disk_usage(disk).free - 8_192, 0)))
            run = moved.start([key(table)], force=True)
            codes.append(code := run.ended())
            wanted = (f"free of {_size(disk)} in {disk}/warehouse: the warehouse.", "No space left")
            if code == 0 or any(text not in run.printed for text in wanted) or "Traceback" in run.printed:
                moved.faults.append(f"no room for {what}: laionet run ended with {code}: {run.printed[-2000:]}")
            moved.compare(f"no room for {what}")
            filler.unlink()
            again = moved.start([key(table)], force=True)
            if (ended := again.ended()) != 0:
                moved.faults.append(f"with room again: laionet run ended with {ended}: {again.printed[-2000:]}")
            moved.settle(f"no room for {what}")
        project.faults += moved.faults
    told = " and ".join(map(str, codes))
    return f"8 KB left, for the catalog and for {table}: exit {told}, nothing published changed; made with room again"


def read_only(project: Disturbed, *, table: str = "staging.lemmas") -> str:
    """On a warehouse that may not be written, a run says so in one message, and questions are answered."""
    root = str(project.warehouse)
    with _mounted("--bind", root, on=project.warehouse) as is_mounted:
        if not is_mounted:
            return "not tried: nothing can be mounted here"
        subprocess.run(["mount", "-o", "remount,ro,bind", root], check=True)
        run = project.start([key(table)], force=True)
        code = run.ended()
        if code == 0 or "Read-only file system" not in run.printed or "Traceback" in run.printed:
            project.faults.append(f"a read-only warehouse: laionet run ended with {code}: {run.printed[-2000:]}")
        project.compare("a read-only mount")
        said = project.folder / "logs" / "sql.txt"
        with said.open("w") as out:
            asked = project.command("sql", "select count(*) as n from staging.lemmas", out=out)
        if (ended := asked.wait(LONGEST_SECONDS)) != 0:
            project.faults.append(f"a read-only warehouse: laionet sql ended with {ended}: {said.read_text()}")
    project.settle("a read-only mount")
    return f"laionet run: exit {code}, one message; laionet sql answers"


def jumping_clock(project: Disturbed, *, table: str = "core.caption_matches") -> str:
    """The clock jumps years ahead and back while a table is made, and stands elsewhere in the next run."""
    found = [path for pattern in FAKETIME for path in sorted(Path("/").glob(pattern.lstrip("/")))]
    if not found:
        return "not tried: libfaketime is not here (Debian: faketime)"
    clock = project.folder / "clock"
    environment = {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    for i, jump in enumerate(JUMPS):
        clock.write_text("+0\n" if i % 2 else f"{JUMPS[i - 1]}\n")
        said, told = project.folder / "logs" / f"clock-{i}.txt", ""
        with said.open("w") as out:
            run = project.command("run", "--select", key(table), "--force", environment=environment, out=out)
        until = time.monotonic() + LONGEST_SECONDS
        while run.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
            told = said.read_text()
            if table in told:
                clock.write_text(f"{jump}\n")
        run.kill()
        if (code := run.wait()) != 0:
            project.faults.append(f"the clock jumped by {jump}: laionet run ended with {code}: {told[-2000:]}")
        project.compare(f"a jump of the clock by {jump}")
    project.settle("jumps of the clock")
    return f"jumps by {', '.join(JUMPS)} while {table} was made"


def _size(disk: Path) -> str:
    return ByteSize(shutil.disk_usage(disk).total).human_readable(decimal=True)


def _moved_to(project: Disturbed, warehouse: Path) -> Disturbed:
    """A copy of the project whose warehouse lies elsewhere."""
    folder = project.folder.parent / f"{project.folder.name}-moved"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copytree(project.warehouse, warehouse, symlinks=True)
    lines = project.config.read_text().splitlines()
    lines = [f"warehouse: {warehouse}" if line.startswith("warehouse:") else line for line in lines]
    (folder / project.config.name).write_text("\n".join(lines) + "\n")
    moved = replace(project, folder=folder, faults=[])
    moved.expected = project.expected
    return moved


@contextmanager
def _mounted(*arguments: str, on: Path) -> Iterator[bool]:
    """Within the block something is mounted; false where that is not allowed."""
    on.mkdir(exist_ok=True)
    is_mounted = (
        os.geteuid() == 0 and not subprocess.run(["mount", *arguments, str(on)], capture_output=True).returncode
    )
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", "--lazy", str(on)], check=True)
