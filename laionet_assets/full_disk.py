"""A disk without room, told so that a person can make some: which folder, how much is free, what may go or move.

Belongs here: telling such an error from others, and its one message. Does not belong here: catching it (`cli`,
`assets.failures`), nor the image store's own account of its room (`images`).
"""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ByteSize

from laionet_assets.errors import UserError, cause_of, with_causes

_WITHOUT_ROOM = (errno.ENOSPC, errno.EDQUOT)
_SAYS_SO = re.compile(r"No space left on device|Disk quota exceeded|database or disk is full|max_temp_directory_size")
"""By the system, by SQLite, and by DuckDB, which looks for room before it spills."""
_SPILLS = re.compile(r"max_temp_directory_size|/\.unfinished/spill/|/laionet-spill/")
_SQLITE = "database or disk is full"
_OWN_LIMIT = "max_temp_directory_size"
_PATH = re.compile(r"""["'](/[^"']+)["']""")


_OF_SPILLS = (
    "DuckDB spills there what does not fit into its memory. Free some of that disk; raise duckdb.memory_limit, so that "
    "less is spilled; or name another folder with `warehouse` in laionet.yaml"
)
_OF_DAGSTER = (
    "Dagster's state. Free some of that disk, keep fewer runs with refresh.keep_runs_days, or name another folder with "
    "the variable DAGSTER_HOME; the tables are not touched by that"
)
_OF_WAREHOUSES = (
    "the warehouse. Free some of that disk (files named .rejected.parquet may be deleted; what was superseded goes "
    "after a day of its own accord; pictures may lie elsewhere by images.location), or move the folder and name it "
    "with `warehouse` in laionet.yaml"
)
_OF_TEMPORARY_FILES = "temporary files. Free some of that disk, or name another folder with the variable TMPDIR"
_OF_OTHERS = (
    "Free some of that disk, or name another folder with the setting that this one comes from (`warehouse`, "
    "images.location)"
)


class FullDiskError(UserError):
    """A disk has no room. The message names the folder, what is free there, and what may be done."""


@dataclass(frozen=True)
class _Place:
    """A folder that is written to, and how to make room there."""

    folder: Path
    mend: str


def full_disk(error: BaseException, *, warehouse: str | None = None) -> FullDiskError | None:
    """What to tell of an error that a full disk caused, directly or through its causes; None for any other, and for
    one that tells the user what to do already. `warehouse`: its folder, where it is known.
    """
    errors = list(_with_causes(error))
    if any(isinstance(each, UserError) for each in errors) or not any(map(_is_of_a_full_disk, errors)):
        return None
    places = _places(errors, warehouse)
    listed = "; ".join(f"{free(place.folder)} in {place.folder}: {place.mend}" for place in places)
    return FullDiskError(
        f"a disk is full: {_first_line(error)}\nFound {listed}.\nExpected room for what is written. What was published "
        "before stands; make room and run again."
    )


def is_full(error: BaseException) -> bool:
    """Whether a disk has no room for whatever is written next. Not so where DuckDB keeps itself from spilling more than
    `max_temp_directory_size`: less at once may need less.
    """
    errors = list(_with_causes(error))
    told = [each for each in errors if isinstance(each, UserError)]
    is_one = all(isinstance(each, FullDiskError) for each in told) if told else any(map(_is_of_a_full_disk, errors))
    return is_one and not any(_OWN_LIMIT in str(each) for each in errors)


@contextmanager
def full_disk_told(warehouse: str) -> Iterator[None]:
    """Within the block, an error that a full disk caused becomes a FullDiskError."""
    try:
        yield
    except Exception as error:
        if (told := full_disk(error, warehouse=warehouse)) is None:
            raise
        raise told from error


def free(folder: Path) -> str:
    """`12.3MB free of 252.0GB`, of the disk that a folder lies on."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError as error:
        return f"an unknown room ({error.strerror})"
    return " free of ".join(ByteSize(size).human_readable(decimal=True) for size in (usage.free, usage.total))


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = cause_of(seen)


def _is_of_a_full_disk(error: BaseException) -> bool:
    return getattr(error, "errno", None) in _WITHOUT_ROOM or bool(_SAYS_SO.search(str(error)))


def _places(errors: list[BaseException], warehouse: str | None) -> list[_Place]:
    """Where there is no room, by what the errors say; else those of the folders written to that have least."""
    said = "\n".join(map(str, errors))
    known = _known(warehouse)
    if _SPILLS.search(said):
        folder = next((Path(path).parent for path in _PATH.findall(said) if _SPILLS.search(path)), None)
        return [_Place(folder or known[-1].folder, _OF_SPILLS)]
    if _SQLITE in said:
        return [place for place in known if place.mend == _OF_DAGSTER] or known
    named = [getattr(each, name, None) for each in errors for name in ("filename2", "filename")]
    paths = [str(path) for path in named if path] or _PATH.findall(said)
    if paths:
        return [_of_path(Path(paths[0]), known)]
    least = min(_free_bytes(place.folder) for place in known)
    return [place for place in known if _free_bytes(place.folder) == least]


def _of_path(path: Path, known: list[_Place]) -> _Place:
    """The place that a file lies in; where it is none that is known, its folder."""
    for place in known:
        if path.is_relative_to(place.folder):
            return place
    return _Place(path.parent, _OF_OTHERS)


def _known(warehouse: str | None) -> list[_Place]:
    """Folders that are written to, the innermost first."""
    places = []
    if home := os.environ.get("DAGSTER_HOME"):
        places.append(_Place(Path(home), _OF_DAGSTER))
    if warehouse is not None and "://" not in warehouse:
        places.append(_Place(Path(warehouse), _OF_WAREHOUSES))
    places.append(_Place(Path(tempfile.gettempdir()), _OF_TEMPORARY_FILES))
    return sorted(places, key=lambda place: -len(place.folder.parts))


def _free_bytes(folder: Path) -> float:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return float("inf")


def _first_line(error: BaseException) -> str:
    return with_causes(error).strip().splitlines()[0]
