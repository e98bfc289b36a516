"""Work of hours that can be taken up again: its folder, chunks of finished rows, and lines that say how far it is.

Belongs here: what every such step shares. Does not belong here: what the rows are, and whether they are still right.
"""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from laionet_assets.assets.steps import Work
from laionet_assets.warehouse.lake import write_whole
from laionet_assets.warehouse.sql import literals

if TYPE_CHECKING:
    import pyarrow as pa

LOG_EVERY_SECONDS = 10.0


def unfinished_folder(work: Work) -> Path:
    """Folder of what is finished of a table, or of one part of it, that is under way: on this machine."""
    return work.warehouse.scratch / work.model.name / (work.part.folder if work.part else "")


def forget_unfinished(work: Work) -> None:
    """Remove it, once the table is published; nothing happens if there is none."""
    shutil.rmtree(unfinished_folder(work), ignore_errors=True)


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


def progress_log(log: Callable[[str], None], what: str) -> Callable[[int, int], None]:
    """A function of (done, total) that logs how far something is and how long it still takes, every ten seconds.

    `what` is what is done to what, such as `texts embedded`.
    """
    started = last = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LOG_EVERY_SECONDS or done == total:
            last = now
            rate = done / max(now - started, 1e-9)
            remaining = (total - done) / max(rate, 1e-9)
            log(f"{done:,} of {total:,} {what}, {rate:.0f} a second, {remaining:.0f} s to go")

    return show
