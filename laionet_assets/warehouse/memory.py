"""How much memory a DuckDB connection may take, and where it spills what is more.

DuckDB alone would take 80% of the machine for each connection, whatever a container allows and however many runs go at
once.
"""

import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from laionet_assets.warehouse.lake import HOST, is_alive

SHARE = 0.125
"""Of the memory that there is, for DuckDB in all runs together: models, pictures and the system need the rest."""
MOST = 0.5
"""The same, for tables that do not fit into the first."""
LEAST_BYTES = 2**30
"""No connection gets less: DuckDB needs some memory for each thread before it can spill."""
_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")
_SPILL = re.compile(r"(?P<host>.+)\.(?P<process>\d+)\.[0-9a-f]{8}")


def default_memory_limit(runs_at_once: int, *, share: float = SHARE) -> str:
    """What one run's connection may take, as DuckDB reads it."""
    return f"{max(LEAST_BYTES, int(available_bytes() * share / runs_at_once)) // 2**20}MiB"


def available_bytes(*, cgroups: Path = _CGROUPS, own: Path = _OWN_CGROUP) -> int:
    """Memory of the machine, or of the container (cgroup v1 or v2) if that is less."""
    limits = [psutil.virtual_memory().total]
    for line in own.read_text().splitlines() if own.is_file() else ():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root, name = cgroups, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = cgroups / "memory", "memory.limit_in_bytes"
        else:
            continue
        here = root / path.lstrip("/")
        for folder in (here, *here.parents):  # every group above limits too
            if (file := folder / name).is_file() and (text := file.read_text().strip()).isdigit():
                limits.append(int(text))
            if folder == root:
                break
    return min(limits)


@contextmanager
def spill_folder(scratch: Path) -> Iterator[Path]:
    """A folder for one connection to spill to; DuckDB makes it when it needs it. What killed processes of this host
    left is swept. A warehouse that is not there, or cannot be written to, has it among the temporary files.
    """
    parent = scratch / "spill"
    try:
        if not scratch.parent.is_dir():
            raise FileNotFoundError
        parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        parent = Path(tempfile.gettempdir()) / "laionet-spill"
        parent.mkdir(exist_ok=True)
    for left in parent.iterdir():
        found = _SPILL.fullmatch(left.name)
        if found and found["host"] == HOST and not is_alive(int(found["process"])):
            shutil.rmtree(left, ignore_errors=True)
    folder = parent / f"{HOST}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
