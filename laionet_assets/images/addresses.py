"""Where an address is among the Parquet files of a folder: looked up, so that not every part reads all of them.

Belongs here: the index of a folder, which is made once and kept while its files stay as they are. Does not belong here:
the layout of the folder (`sets.img2dataset`), what becomes of a picture that is found (`downloaded`).

Of LAION-400M a folder has 41,000 files and a part asks for some hundred addresses of it. The index is a Parquet file,
sorted: a number a row made of the address, and the number of the file. Of it those row groups are read that may hold
what is asked for.
"""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from laionet_assets.warehouse.sql import literal
from laionet_assets.warehouse.warehouse import ConnectionFactory, digest

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

ROW_GROUP = 20_480
_FILES_AT_ONCE = 64
_NUMBER = "(md5_number_lower(url) >> 1)::bigint"


@dataclass(frozen=True)
class AddressIndex:
    """The index of some files, in `path`."""

    path: Path
    connect: ConnectionFactory

    @classmethod
    def of(
        cls,
        folder: Path,
        files: Sequence[Path],
        read: "Callable[[Path], pa.ChunkedArray]",
        *,
        place: Path,
        connect: ConnectionFactory,
    ) -> "AddressIndex":
        """The index of the files of a folder, in the folder `place`; made unless it is there. `read` gives the
        addresses of a file; what it raises is raised.
        """
        states = ((file, file.stat()) for file in files)
        state = digest(*(f"{file} {seen.st_size} {seen.st_mtime_ns}" for file, seen in states))
        path = place / f"{digest(str(folder))}-{state}.parquet"
        index = cls(path, connect)
        if not path.is_file():
            place.mkdir(parents=True, exist_ok=True)
            index._write(files, read)
            for other in place.glob(f"{digest(str(folder))}-*.parquet"):
                if other != path:
                    other.unlink(missing_ok=True)
        return index

    def _write(self, files: Sequence[Path], read: "Callable[[Path], pa.ChunkedArray]") -> None:
        import pyarrow as pa

        numbered = iter(enumerate(files))
        building = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        with self.connect() as connection:
            connection.execute("create temp table addresses (address bigint, file integer)")
            while some := list(islice(numbered, _FILES_AT_ONCE)):
                read_now = ((number, read(file).cast(pa.string())) for number, file in some)
                tables = [pa.table({"url": urls, "file": pa.repeat(number, len(urls))}) for number, urls in read_now]
                connection.register("read_now", pa.concat_tables(tables))
                connection.execute(f"insert into addresses select {_NUMBER}, file from read_now where url is not null")
                connection.unregister("read_now")
            connection.execute(
                f"copy (from addresses order by all) to {literal(str(building))} "
                f"(format parquet, compression zstd, row_group_size {ROW_GROUP})"
            )
        os.replace(building, self.path)

    def files_with(self, urls: Collection[str]) -> set[int]:
        """Numbers of files that may have one of these addresses: all that have, and seldom another."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.parquet as pq

        with self.connect() as connection:
            connection.register("asked", pa.table({"url": pa.array(list(urls), pa.string())}))
            asked = connection.execute(f"select distinct {_NUMBER} as address from asked order by 1").fetchnumpy()
        addresses = np.asarray(asked["address"], np.int64)
        found: set[int] = set()
        with pq.ParquetFile(self.path) as file:
            for group in _groups_with(file, addresses):
                rows = file.read_row_group(group)
                is_asked = np.isin(rows["address"].to_numpy(), addresses)
                found.update(rows["file"].to_numpy()[is_asked].tolist())
        return found


def _groups_with(file: "pq.ParquetFile", addresses: "np.ndarray") -> Iterator[int]:
    """Row groups, sorted by address, within whose bounds one of these addresses (sorted) lies."""
    import numpy as np

    groups = (file.metadata.row_group(number).column(0).statistics for number in range(file.metadata.num_row_groups))
    for number, bounds in enumerate(groups):
        first = int(np.searchsorted(addresses, bounds.min))
        if first < len(addresses) and addresses[first] <= bounds.max:
            yield number
