"""The lock of a part: one process writes it at a time, whatever host it runs on.

Belongs here: taking the lock, giving it back, and when what another host left may be taken over. Does not belong here:
what is written (`shard_writer`).

The kernel drops a lock with the process that holds it. Locks of a shared folder may be those of one host alone, so the
file names the host that writes.
"""

import fcntl
import os
import time
from pathlib import Path

from laionet_assets.images.part_folder import JOURNAL_FILE, PartFolder
from laionet_assets.images.shards import PartBusyError
from laionet_assets.warehouse.lake import HOST

FOREIGN_SECONDS = 600.0
"""How long what another host left unfinished is left alone after its last write."""
LOCK_FILE = ".lock"


def lock_part(folder: PartFolder) -> int:
    """The descriptor of the lock, for `unlock_part`. Raises PartBusyError where another process has it."""
    descriptor = os.open(folder.staging / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise PartBusyError(
            f"images of the part {folder.part.key}: another process writes them. "
            "Wait until it is done, or stop it, and run again."
        ) from None
    host = os.pread(descriptor, 4_096, 0).decode("utf-8", "replace")
    if host not in ("", HOST) and (silent := _silent_seconds(folder.staging)) < FOREIGN_SECONDS:
        os.close(descriptor)
        raise PartBusyError(
            f"images of the part {folder.part.key}: the host {host} wrote them {silent:.0f} seconds ago and is not "
            "done, and locks of a shared folder may not reach from there to here. Wait until it is done; what it "
            f"leaves is taken over {FOREIGN_SECONDS / 60:.0f} minutes after its last write."
        )
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, HOST.encode(), 0)
    return descriptor


def unlock_part(descriptor: int) -> None:
    """Give back a lock that `lock_part` took."""
    os.ftruncate(descriptor, 0)
    os.close(descriptor)


def _silent_seconds(staging: Path) -> float:
    """Seconds since anything unfinished of a part was written."""
    unfinished = (*staging.glob(".shard-*"), staging / JOURNAL_FILE, staging / LOCK_FILE)
    times = [path.stat().st_mtime for path in unfinished if path.exists()]
    return max(time.time() - max(times, default=0.0), 0.0)
