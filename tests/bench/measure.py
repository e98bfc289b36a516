"""Measuring: cpu-seconds, wall seconds and peak memory of a block, of a function in a process of its own, of a command.

Belongs here: clocks and processes. Does not belong here: what is measured, and how it is reported.
"""

import multiprocessing
import os
import resource
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any


@dataclass
class Cost:
    """What a piece of work took. cpu_seconds: user + system, of all threads and finished child processes."""

    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.cpu_seconds + other.cpu_seconds, self.wall_seconds + other.wall_seconds)

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(self.cpu_seconds - other.cpu_seconds, self.wall_seconds - other.wall_seconds)


@dataclass(frozen=True)
class Measured:
    """What a function in a process of its own gave, and the most memory that the process ever had in use."""

    value: Any
    peak_bytes: int


@dataclass(frozen=True)
class Finished:
    """A command that came to its end."""

    exit_code: int
    cost: Cost
    peak_bytes: int


@contextmanager
def stopwatch() -> Iterator[Cost]:
    """The cost of the block, complete when the block ends."""
    cost = Cost()
    cpu, wall = _cpu_seconds(), time.perf_counter()
    try:
        yield cost
    finally:
        cost.cpu_seconds += _cpu_seconds() - cpu
        cost.wall_seconds += time.perf_counter() - wall


def cost_of(work: Callable[[], Any]) -> Cost:
    """The cost of a call."""
    with stopwatch() as cost:
        work()
    return cost


def since_start() -> Cost:
    """What this process took since it was started: interpreter and imports included, finished children too."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return Cost(_cpu_seconds(), time.clock_gettime(time.CLOCK_BOOTTIME) - started)


def best_of(repeats: int, work: Callable[[], Cost]) -> Cost:
    """The repetition with the fewest cpu-seconds: noise only ever adds."""
    return cheapest(work() for _ in range(repeats))


def cheapest(costs: Iterator[Cost] | Sequence[Cost]) -> Cost:
    """The cost with the fewest cpu-seconds. Raises ValueError without costs."""
    return min(costs, key=lambda cost: cost.cpu_seconds)


def apart(function: Callable[..., Any], *arguments: Any, threads: int | None = None) -> Measured:
    """Call a module's function in a fresh process: nothing is warm, and its memory is its own.

    With `threads`, OpenMP (torch, numpy) is held to that many. Raises RuntimeError with the traceback of what the
    function raised.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    if threads is not None:
        os.environ.update({name: str(threads) for name in _THREAD_VARIABLES})
    try:
        process = context.Process(target=_answer, args=(sender, function, arguments))
        process.start()
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)
    sender.close()
    try:
        value, error, peak_bytes = receiver.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"{function.__qualname__}: its process ended with exit code {process.exitcode}") from None
    process.join()
    if error is not None:
        raise RuntimeError(f"{function.__qualname__} failed:\n{error}")
    return Measured(value, peak_bytes)


def run_command(
    command: Sequence[str], *, cwd: Path, environment: Mapping[str, str | None] | None = None, log: Path
) -> Finished:
    """Run a command to its end. `environment` adds to this process's own, None removes; output goes to `log`."""
    merged = {**os.environ, **(environment or {})}
    with log.open("ab") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            list(command),
            cwd=cwd,
            env={name: value for name, value in merged.items() if value is not None},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    cost = Cost(usage.ru_utime + usage.ru_stime, wall)
    return Finished(process.returncode, cost, usage.ru_maxrss * 1024)


def peak_memory_bytes() -> int:
    """The most memory that this process ever had in use (resident).

    Not getrusage's ru_maxrss: that one begins with what the parent process had when it started this one.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmHWM in /proc/self/status; expected Linux")


_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def _answer(sender: Connection, function: Callable[..., Any], arguments: Sequence[Any]) -> None:
    value, error = None, None
    _silence(1)  # DuckDB draws a progress bar wherever a query takes long
    try:
        value = function(*arguments)
    except Exception:
        error = traceback.format_exc()
    sender.send((value, error, peak_memory_bytes()))
    sender.close()
    _silence(2)  # what libraries have to say at the end of a process


def _silence(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _cpu_seconds() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
