"""Tombstones: what stays of something removed, beside the shards of the image store.

Belongs here: what a tombstone is, what stands in it for an address and for a sample, where they lie, reading and adding
them. Does not belong here: how they come about, and what they do (`removals`).
"""

import fcntl
import hashlib
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from laionet_assets.images.fetch.urls import BadUrl, parse_url
from laionet_assets.warehouse.lake import Lake, replace
from laionet_assets.warehouse.read_once import ReadOnce
from laionet_assets.warehouse.warehouse import digest

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["url_hash", "sha256", "sample"]
TOMBSTONES_FILE = "removals.parquet"


@dataclass(frozen=True, order=True)
class Tombstone:
    """What stays of something removed. `is_requested` is false where another removal led to it."""

    kind: Kind
    value: str
    reason: str
    is_requested: bool
    removed_at: datetime


def url_hash(url: str) -> str:
    """What stands for an address in a tombstone."""
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()


def url_hashes(url: str) -> set[str]:
    """What may stand for an address in a tombstone: of it as published, and as it is asked."""
    try:
        return {url_hash(url), url_hash(str(parse_url(url)))}
    except BadUrl:
        return {url_hash(url)}


def sample_key(source: str, sample_id: int) -> str:
    """What stands for a sample in a tombstone."""
    return f"{source}/{sample_id}"


def read_tombstones(lake: Lake) -> list[Tombstone]:
    """All tombstones of an image store (`ImageStore.lake`), sorted by kind and value. Those of a local store are read
    once a process, unless they change.
    """
    path = tombstones_path(lake)
    if not lake.is_local:
        lake.filesystem.invalidate_cache()
    if not lake.filesystem.exists(path):
        return []
    return list(_READ(Path(path))) if lake.is_local else _rows_of(lake.read_table(path))


def _rows_of(table: "pa.Table") -> list[Tombstone]:
    return [Tombstone(**row) for row in table.to_pylist()]


def _read(path: Path) -> list[Tombstone]:
    """All tombstones of a local file, read in the calling thread alone (`Lake.read_table`)."""
    return _rows_of(Lake(str(path.parent)).read_table(str(path)))


_READ = ReadOnce(_read)


def tombstones_digest(lake: Lake) -> str:
    """Digest of all tombstones of an image store: another one as soon as something is removed."""
    return digest(*(repr(tombstone) for tombstone in read_tombstones(lake)))


def removed_contents(lake: Lake) -> frozenset[str]:
    """sha256 of every content that must not come back."""
    return frozenset(tombstone.value for tombstone in read_tombstones(lake) if tombstone.kind == "sha256")


def tombstones_path(lake: Lake) -> str:
    """Path or URL of the file of all tombstones."""
    return f"{lake.root}/{TOMBSTONES_FILE}"


def tombstones_table(tombstones: Iterable[Tombstone]) -> "pa.Table":
    """Tombstones as rows, one a tombstone."""
    import pyarrow as pa

    rows = list(tombstones)
    return pa.table({field.name: [getattr(row, field.name) for row in rows] for field in fields(Tombstone)})


def add_tombstones(lake: Lake, added: Iterable[Tombstone]) -> tuple[Tombstone, ...]:
    """Add tombstones to those of an image store, and give all of them, sorted. One that is there keeps its reason and
    time.
    """
    with _locked(lake):
        old = read_tombstones(lake)
        merged = {(one.kind, one.value): one for one in (*added, *old)}
        new = tuple(sorted(merged.values()))
        if new != tuple(old):
            _write_tombstones(lake, new)
    return new


def _write_tombstones(lake: Lake, tombstones: Collection[Tombstone]) -> None:
    import pyarrow.parquet as pq

    path = tombstones_path(lake)
    with tempfile.TemporaryDirectory(dir=lake.root if lake.is_local else None, prefix=".removals.") as folder:
        staged = Path(folder) / TOMBSTONES_FILE
        pq.write_table(tombstones_table(tombstones), staged, compression="zstd")
        if lake.is_local:
            replace(staged, Path(path))
        else:
            lake.filesystem.put_file(str(staged), path)


@contextmanager
def _locked(lake: Lake) -> Iterator[None]:
    """One process of this host at a time adds tombstones of a store."""
    folder = Path(lake.root) if lake.is_local else Path(tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True)
    name = ".removals.lock" if lake.is_local else f"laionet-removals-{digest(lake.root)}.lock"
    with (folder / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
