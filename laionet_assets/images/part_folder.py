"""Where a part of the image store lies: its published shards and index, its staged shards and journal.

Belongs here: names, listing and publishing of a part's files. Does not belong here: what is in a shard (`shards`), who
writes one (`shard_writer`).
"""

import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from laionet_assets.images.shards import ShardEntry, contents_named, is_shard, shard_number
from laionet_assets.warehouse.lake import Lake, replace
from laionet_assets.warehouse.table import PartKey

INDEX_FILE = "index.parquet"
JOURNAL_FILE = ".journal.jsonl"
_FOLDER = re.compile(r"source=[^/]+/part=[^/]+")
_STAGED_NAME = re.compile(r"\.(shard-\d{5,}\.tar)\.(open|sealed)")


@dataclass(frozen=True)
class PartFolder:
    """The folder of a part: published files in the lake, staged ones in the local folder `staging`."""

    lake: Lake
    part: PartKey
    staging: Path

    def path(self, name: str) -> str:
        """Path or URL of a published file."""
        return f"{self.lake.root}/{self.part.folder}/{name}"

    def entries(self) -> list[ShardEntry]:
        """The published index, in shard order; empty where there is none."""
        forget_listings(self.lake)
        if not self.lake.filesystem.exists(self.path(INDEX_FILE)):
            return []
        table = self.lake.read_table(self.path(INDEX_FILE))
        columns = [table.column(name).to_pylist() for name in ShardEntry.__slots__]
        return [ShardEntry(*row) for row in zip(*columns, strict=True)]

    def shards(self) -> list[str]:
        """Names of the shards that lie there, listed by the index or not, in order."""
        forget_listings(self.lake)
        folder = self.path("").rstrip("/")
        if not self.lake.filesystem.isdir(folder):
            return []
        names = [path.rsplit("/", 1)[-1] for path in self.lake.filesystem.ls(folder, detail=False)]
        return sorted(filter(is_shard, names), key=shard_number)

    def staged(self) -> list[tuple[Path, str, bool]]:
        """Staged shards in order: path, name that a commit gives it, and whether it is still open."""
        found = [(path, _STAGED_NAME.fullmatch(path.name)) for path in self.staging.glob(".shard-*")]
        shards = [(path, match[1], match[2] == "open") for path, match in found if match]
        return sorted(shards, key=lambda shard: shard_number(shard[1]))

    def staged_path(self, shard: str, state: str) -> Path:
        """Where a shard lies that is open, sealed, partial (a copy under way) or a copy of a remote one."""
        return self.staging / f".{shard}.{state}"

    def publish(self, source: Path, name: str) -> None:
        """Put a staged file in place of the published one, at once. On object storage the staged file stays."""
        if self.lake.is_local:
            replace(source, Path(self.path(name)))
        else:
            self.lake.filesystem.put_file(str(source), self.path(name))

    def publish_index(self, entries: Sequence[ShardEntry]) -> None:
        """Make these the pictures of the part."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        count = len(entries)
        columns = {
            "source": pa.array([self.part.source] * count, pa.string()),
            "part": pa.array([self.part.part] * count, pa.string()),
            "sha256": pa.array([entry.sha256 for entry in entries], pa.string()),
            "extension": pa.array([entry.extension for entry in entries], pa.string()),
            "shard": pa.array([entry.shard for entry in entries], pa.string()),
            "byte_offset": pa.array([entry.byte_offset for entry in entries], pa.int64()),
            "size_bytes": pa.array([entry.size_bytes for entry in entries], pa.int64()),
        }
        staged = self.staging / f".{INDEX_FILE}.staged"
        pq.write_table(pa.table(columns), staged, compression="zstd")
        self.publish(staged, INDEX_FILE)
        staged.unlink(missing_ok=True)

    def delete(self, shard: str) -> None:
        """Delete a published shard."""
        self.lake.filesystem.rm_file(self.path(shard))

    def traces(self) -> Iterator[tuple[str, str]]:
        """Every content that a file here names, with where: shards, listed or not, staged; the index; the journal."""
        for entry in self.entries():
            yield self.path(INDEX_FILE), entry.sha256
        for row in read_journal(self.staging / JOURNAL_FILE):
            if row.get("sha256"):
                yield str(self.staging / JOURNAL_FILE), row["sha256"]
        for path in sorted(self.staging.glob(".shard-*")):
            yield from ((str(path), sha256) for sha256 in contents_named(path))
        for shard in self.shards():
            with tempfile.TemporaryDirectory() as folder:
                local = self.fetch(shard, Path(folder) / shard)
                yield from ((self.path(shard), sha256) for sha256 in contents_named(local))

    def fetch(self, shard: str, copy: Path) -> Path:
        """A local file with the bytes of a published shard: itself, or a download to `copy`."""
        if self.lake.is_local:
            return Path(self.path(shard))
        self.lake.filesystem.get_file(self.path(shard), str(copy))
        return copy


def is_part_folder(folder: str) -> bool:
    """Whether a folder within a store is one of a part; what else lies there is none of ours."""
    return _FOLDER.fullmatch(folder) is not None


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Whole lines of a journal: a process may have been killed in the middle of the last, and a machine that lost its
    power may have left others unwritten. What is not there is fetched again.
    """
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [row for line in lines if (row := _row_of(line)) is not None]


def _row_of(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def forget_listings(lake: Lake) -> None:
    """See object storage as it is now."""
    if not lake.is_local:
        lake.filesystem.invalidate_cache()
