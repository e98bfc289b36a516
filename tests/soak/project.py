"""A warehouse to be disturbed: its settings, what an undisturbed run made of it, and runs in processes of their own."""

import json
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import TextIO

from laionet_assets.assets.pipeline import Pipeline, build_pipeline
from laionet_assets.settings import load_settings
from tests.soak.content import Content, content, differences

ROOT = Path(__file__).parents[2]
LEFT_BEHIND = ("*.staged", "*.building", "*.partial", "*.open", "unsorted-*")
PRELOADED = ["laionet_assets.cli", "laionet_assets.commands.running", "laionet_assets.quality.gx_backend"]
_SECONDS = re.compile(r"(?m)^│ ((?:raw|staging|core|marts)\.\w+) .* (\d+\.\d) +│$")


@dataclass
class Run:
    """A `laionet run` under way."""

    process: ForkServerProcess
    log: Path

    @property
    def printed(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    @property
    def is_over(self) -> bool:
        return not self.process.is_alive()

    def ended(self, *, seconds: float = 900) -> int:
        """Its exit code. Raises TimeoutError."""
        self.process.join(seconds)
        if self.process.exitcode is None:
            self.kill()
            raise TimeoutError(f"a run takes longer than {seconds} s:\n{self.printed}")
        return self.process.exitcode

    def wait_for(self, name: str, *, seconds: float = 300) -> bool:
        """Whether a table's turn came before the run was over."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.is_over:
            if re.search(rf"(?m)^ +{re.escape(name)}( |$)", self.printed):
                return True
            time.sleep(0.01)
        return False

    def kill(self) -> bool:
        """Kill it and all that it started. Returns whether it was still under way."""
        was_under_way = not self.is_over
        try:
            os.killpg(self.process.pid or 0, signal.SIGKILL)
        except ProcessLookupError:
            was_under_way = False
        self.process.join()
        return was_under_way


@dataclass
class Disturbed:
    """A project whose warehouse is whole, and what it holds. `selected`: in Dagster's syntax, what of it is made; all
    without it. `faults`: what was not as it should be.
    """

    folder: Path
    seed: int
    selected: str = ""
    faults: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    """How long each table took in the undisturbed run."""

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)
        self._runs = 0
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)

    @property
    def config(self) -> Path:
        return self.folder / "laionet.yaml"

    @cached_property
    def pipeline(self) -> Pipeline:
        return build_pipeline(load_settings(self.config))

    @property
    def warehouse(self) -> Path:
        return Path(self.pipeline.warehouse.lake.root)

    @property
    def catalog(self) -> Path:
        return self.warehouse / "laionet.duckdb"

    def make(self) -> None:
        """The undisturbed run: its content is what is expected from then on. Raises RuntimeError if it fails."""
        run = self.start_whole()
        if run.ended() != 0:
            raise RuntimeError(f"the undisturbed run failed:\n{run.printed}")
        self.seconds = {name: float(seconds) for name, seconds in _SECONDS.findall(run.printed)}
        self.expected = content(self.catalog)

    @cached_property
    def expected(self) -> Content:
        """What the warehouse holds when it is first asked for."""
        return content(self.catalog)

    def start(self, select: Sequence[str] = (), *, force: bool = False) -> Run:
        """`laionet run`, with these tables selected, in a process group of its own."""
        self._runs += 1
        log = self.folder / "logs" / f"{self._runs}.txt"
        log.parent.mkdir(exist_ok=True)
        arguments = ["run", "--config", str(self.config), *(["--force"] if force else [])]
        if select:
            arguments += ["--select", " or ".join(select)]
        process = self._context.Process(target=_laionet, args=(arguments, str(log)), daemon=False)
        process.start()
        return Run(process, log)

    def start_whole(self) -> Run:
        """A run of all that is made."""
        return self.start([self.selected] if self.selected else [])

    def command(
        self, *arguments: str, out: TextIO, environment: Mapping[str, str] | None = None
    ) -> "subprocess.Popen[str]":
        """`laionet` in a fresh process, which prints into a file."""
        laionet = [sys.executable, "-c", "from laionet_assets.cli import app; app()"]
        return subprocess.Popen(
            [*laionet, *arguments, "--config", str(self.config)],
            env={**_environment(), **(environment or {})}, stdout=out, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def settle(self, after: str) -> None:
        """Run once more, undisturbed: all is as it was, and nothing is left behind."""
        run = self.start_whole()
        if (code := run.ended()) != 0:
            self.faults.append(f"after {after}: laionet run ended with {code}: {run.printed[-2000:]}")
        self.compare(after)
        left = [path.name for pattern in LEFT_BEHIND for path in self.warehouse.rglob(pattern)]
        self.faults += [f"after {after}: {name} is left behind" for name in left]

    def compare(self, after: str) -> None:
        """What is published is what it was."""
        self.faults += [f"after {after}: {each}" for each in differences(content(self.catalog), self.expected)]

    @contextmanager
    def readers(self, number: int, *, at_least: int = 0) -> Iterator[list[int]]:
        """Within the block, so many processes read all the time; it ends when each has read `at_least` so often.
        Afterwards the list has the reads of each.
        """
        stop, expected, reads = self.folder / "stop", self.folder / "expected.json", list[int]()
        stop.unlink(missing_ok=True)
        expected.write_text(json.dumps(self.expected))
        command = [sys.executable, "-m", "tests.soak.content", str(self.catalog), str(expected), str(stop)]
        processes = [
            subprocess.Popen(
                [*command, str(i), str(at_least)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
            )
            for i in range(number)
        ]
        try:
            yield reads
        finally:
            stop.touch()
            for process in processes:
                out, err = process.communicate(timeout=1800)
                if process.returncode != 0:
                    self.faults.append(f"a reader ended with {process.returncode}: {err[-2000:]}")
                    continue
                found = json.loads(out)
                reads.append(found["reads"])
                self.faults += [f"a reader: {each}" for each in found["wrong"]]


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key not in ("DAGSTER_HOME", "LAIONET_CONFIG")}


def _laionet(arguments: Sequence[str], log: str) -> None:
    """In the child: `laionet`, as a shell starts it."""
    os.setsid()
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    sys.stdout = os.fdopen(1, "w", buffering=1)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    for name in ("DAGSTER_HOME", "LAIONET_CONFIG"):
        os.environ.pop(name, None)
    sys.argv = ["laionet", *arguments]
    from laionet_assets.cli import app

    app()
