"""Processes: which one works on something, and whether it is still there.

A number alone does not say that: numbers are given again, machines start again, clocks jump, and a killed child stays
in the list until its parent looks.
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SAME_START_SECONDS = 1.0


@dataclass(frozen=True)
class Process:
    """A process of some host. `boot` names the time that the host has been up; `started` is in seconds since then."""

    host: str
    boot: str
    number: int
    started: float

    @classmethod
    def this(cls) -> "Process":
        """The process that asks."""
        return cls(socket.gethostname(), _boot(), os.getpid(), _started(psutil.Process()))

    @classmethod
    def of_tags(cls, tags: Mapping[str, str]) -> "Process | None":
        """The inverse of `tags`; None where there are none."""
        try:
            number, started = int(tags["laionet/process"]), float(tags["laionet/process_started"])
            return cls(tags["laionet/host"], tags["laionet/boot"], number, started)
        except (KeyError, ValueError):
            return None

    @property
    def tags(self) -> dict[str, str]:
        """As tags of a Dagster run."""
        return {
            "laionet/host": self.host,
            "laionet/boot": self.boot,
            "laionet/process": str(self.number),
            "laionet/process_started": f"{self.started:.2f}",
        }

    @property
    def is_of_this_host(self) -> bool:
        """Whether it can be looked for here."""
        return self.host == socket.gethostname()

    @property
    def is_gone(self) -> bool:
        """Whether it has surely ended. Of another host nobody here can say."""
        return self.is_of_this_host and (self.boot != _boot() or self.running() is None)

    def running(self) -> psutil.Process | None:
        """The process itself, to be waited for or ended; None if it is not here."""
        try:
            found = psutil.Process(self.number)
            is_same = abs(_started(found) - self.started) <= _SAME_START_SECONDS
            return found if is_same and found.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD) else None
        except psutil.NoSuchProcess:
            return None

    def __str__(self) -> str:
        return f"process {self.number} on {self.host}"


def _started(process: psutil.Process) -> float:
    """Seconds from the start of the host to that of a process: both times are by the clock of now."""
    return process.create_time() - psutil.boot_time()


@cache
def _boot() -> str:
    return _BOOT_ID.read_text().strip() if _BOOT_ID.is_file() else ""
