"""Finished chunks of a long piece of work, kept on this machine until the table is published.

Belongs here: how a chunk is named by what it depends on, is there whole or not at all, and goes. Does not belong here:
what is in a chunk, and where the folder of a table lies (`assets.steps.Work.checkpoint`).
"""

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from laionet_assets.warehouse.lake import write_whole
from laionet_assets.warehouse.sql import literals

if TYPE_CHECKING:
    import pyarrow as pa


def chunk_name(model: str, items: Iterable[str]) -> str:
    """Name of the chunk that a model makes of these items, in this order."""
    digest = hashlib.sha256(model.encode())
    for item in items:
        encoded = item.encode()
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return digest.hexdigest()[:32]


def remove_checkpoint(folder: Path) -> None:
    """Remove all chunks; nothing happens if there are none."""
    if folder.is_dir():
        shutil.rmtree(folder)


class Chunks:
    """Rows that were finished, in files that are there whole or not at all.

    `rows_version` is that of the rows' meaning and columns: chunks of another version are not seen.
    """

    def __init__(self, folder: Path, *, rows_version: str) -> None:
        self._folder = folder / f"rows-{rows_version}"

    @property
    def files(self) -> list[Path]:
        """The chunks, in the order in which they were finished."""
        return sorted(self._folder.glob("chunk-*.parquet"))

    def add(self, rows: "pa.Table") -> None:
        """Keep a chunk."""
        import pyarrow.parquet as pq

        path = self._folder / f"chunk-{len(self.files):06d}.parquet"
        write_whole(path, lambda file: pq.write_table(rows, file, compression="zstd"))

    def select(self) -> str | None:
        """A SELECT of all rows; None if there are none."""
        files = [str(path) for path in self.files]
        return f"select * from read_parquet({literals(files)}, hive_partitioning = false)" if files else None
