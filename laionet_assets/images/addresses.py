"""Where an address is among the Parquet files of a folder: looked up, so that not every part reads all of them.

Belongs here: the index of a folder, which is made once and kept while its files stay as they are. Does not belong here:
the layout of the folder (`sets.img2dataset`), what becomes of a picture that is found (`downloaded`).

Of LAION-400M a folder has 41,000 files and a part asks for some hundred addresses of it. The index is a Parquet file,
sorted: a number a row made of the address, and the number of the file. Of it those row groups are read that may hold
what is asked for.
"""

import os
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from laionet_assets.warehouse.lake import replace
from laionet_assets.warehouse.sql import literal
from laionet_assets.warehouse.warehouse import ConnectionFactory, digest

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

ROW_GROUP = 20_480
KEPT_DAYS = 30
"""An index that nobody looked into for so long goes, when another is made; and what a killed process left."""
_FILES_AT_ONCE = 64
_NUMBER = "(md5_number_lower(url) >> 1)::bigint"


@dataclass(frozen=True)
class AddressIndex:
    """Where addresses are among the Parquet `files` of a folder, kept in the folder `place`. `read` gives the addresses
    of a file; what it raises is raised.
    """

    folder: Path
    files: Sequence[Path]
    read: "Callable[[Path], pa.ChunkedArray]"
    place: Path
    connect: ConnectionFactory

    @property
    def path(self) -> Path:
        """The index of the files as they are now."""
        return self.place / f"{digest(str(self.folder))}-{digest(*map(_state, self.files))}.parquet"

    def files_with(self, urls: Collection[str]) -> set[int]:
        """Numbers of files that may have one of these addresses: all that have, and seldom another.

        The index is made if it is not there, was cut off, or went while it was looked into.
        """
        import pyarrow as pa

        addresses, path = self._numbers(urls), self.path
        try:
            found = _files_in(path, addresses)
        except (OSError, pa.ArrowInvalid):
            self._write(path)
            found = _files_in(path, addresses)
        os.utime(path)
        return found

    def _numbers(self, urls: Collection[str]) -> "np.ndarray":
        import numpy as np
        import pyarrow as pa

        with self.connect() as connection:
            connection.register("asked", pa.table({"url": pa.array(list(urls), pa.string())}))
            asked = connection.execute(f"select distinct {_NUMBER} as address from asked order by 1").fetchnumpy()
        return np.asarray(asked["address"], np.int64)

    def _write(self, path: Path) -> None:
        import pyarrow as pa

        self.place.mkdir(parents=True, exist_ok=True)
        numbered = iter(enumerate(self.files))
        building = self.place / f".{uuid.uuid4().hex}"
        try:
            with self.connect() as connection:
                connection.execute("create temp table addresses (address bigint, file integer)")
                while some := list(islice(numbered, _FILES_AT_ONCE)):
                    read_now = ((number, self.read(file)) for number, file in some)
                    tables = [
                        pa.table({"url": urls, "file": pa.repeat(number, len(urls))}) for number, urls in read_now
                    ]
                    connection.register("read_now", pa.concat_tables(tables))
                    connection.execute(
                        f"insert into addresses select {_NUMBER}, file from read_now where url is not null"
                    )
                    connection.unregister("read_now")
                connection.execute(
                    f"copy (from addresses order by all) to {literal(str(building))} "
                    f"(format parquet, compression zstd, row_group_size {ROW_GROUP})"
                )
            replace(building, path)
        finally:
            building.unlink(missing_ok=True)
        self._forget_others(path)

    def _forget_others(self, path: Path) -> None:
        """Keep the last index of other states of the folder, into which another process may be looking, and what was
        used lately of other folders.
        """
        used: dict[Path, float] = {}
        for other in self.place.iterdir():
            with suppress(FileNotFoundError):  # gone since
                used[other] = other.stat().st_mtime
        of_folder = [each for each in used if each.name.startswith(path.name.partition("-")[0]) and each != path]
        old = [each for each in used if used[each] < time.time() - KEPT_DAYS * 86_400]
        for other in (*sorted(of_folder, key=used.__getitem__)[:-1], *old):
            other.unlink(missing_ok=True)


def _state(file: Path) -> str:
    try:
        seen = file.stat()
    except OSError:  # which who reads it is told
        return f"{file} is gone"
    return f"{file} {seen.st_size} {seen.st_mtime_ns}"


def _files_in(path: Path, addresses: "np.ndarray") -> set[int]:
    import numpy as np
    import pyarrow.parquet as pq

    found: set[int] = set()
    metadata, first, last = _bounds(path)
    with pq.ParquetFile(path, metadata=metadata) as file:
        for group in _groups_with(first, last, addresses):
            rows = file.read_row_group(group)
            is_asked = np.isin(rows["address"].to_numpy(), addresses)
            found.update(rows["file"].to_numpy()[is_asked].tolist())
    return found


def _groups_with(first: "np.ndarray", last: "np.ndarray", addresses: "np.ndarray") -> list[int]:
    """Row groups, sorted by address, within whose bounds one of these addresses (sorted) lies."""
    import numpy as np

    place = np.searchsorted(addresses, first)
    is_within = place < len(addresses)
    is_within[is_within] = addresses[place[is_within]] <= last[is_within]
    return np.flatnonzero(is_within).tolist()


def _bounds(path: Path) -> "tuple[pq.FileMetaData, np.ndarray, np.ndarray]":
    """The footer of an index and the bounds of its row groups: of LAION-400M there are 20,000, and every part asks."""
    seen = path.stat()
    return _bounds_of(path, seen.st_ino, seen.st_size)


@lru_cache(maxsize=4)
def _bounds_of(path: Path, inode: int, size_bytes: int) -> "tuple[pq.FileMetaData, np.ndarray, np.ndarray]":
    import numpy as np
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        metadata = file.metadata
    groups = [metadata.row_group(number).column(0).statistics for number in range(metadata.num_row_groups)]
    first, last = (np.array([getattr(each, side) for each in groups], np.int64) for side in ("min", "max"))
    return metadata, first, last
