"""What was read of a local file, kept in memory while the file is the same: lists that every part asks for.

A file is the same while its inode, its size and the times of its last change are. Who writes it twice within a tick of
the clock could leave all of these as they were: what changed a moment ago is read again each time.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

Read = TypeVar("Read")

SETTLED_SECONDS = 2.0
"""A file that changed more recently is not kept."""
MOST_FILES = 8


@dataclass
class ReadOnce(Generic[Read]):
    """Reads files by `read`, each once unless it changes. What is given is shared: nobody may write to it."""

    read: Callable[[Path], Read]
    _kept: dict[Path, tuple[tuple[int, ...], Read]] = field(default_factory=dict)

    def __call__(self, path: Path) -> Read:
        """What `read` gives of the file as it is now. Raises what `read` raises; of that nothing is kept."""
        before = _state(path)
        known = self._kept.get(path)
        if known is not None and before is not None and known[0] == before:
            return known[1]
        found = self.read(path)
        self._kept.pop(path, None)
        if before is not None and before == _state(path) and max(before[3:]) < time.time_ns() - SETTLED_SECONDS * 1e9:
            while len(self._kept) >= MOST_FILES:
                self._kept.pop(next(iter(self._kept)), None)
            self._kept[path] = (before, found)
        return found


def _state(path: Path) -> tuple[int, ...] | None:
    """What tells one state of a file from another, the times of its last change last; None where there is none."""
    try:
        with path.open("rb") as file:  # on NFS a name may be known from before, what is open is looked at
            seen = os.fstat(file.fileno())
    except OSError:
        return None
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns
