"""Tombstones: what stays of something removed, beside the shards of the image store.

Belongs here: what a tombstone is, where they lie, reading them. Does not belong here: how they come about, and what
they do (`removals`).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from laionet_assets.warehouse.lake import Lake
from laionet_assets.warehouse.warehouse import digest

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


def read_tombstones(lake: Lake) -> list[Tombstone]:
    """All tombstones of an image store (`ImageStore.lake`), sorted by kind and value."""
    path = tombstones_path(lake)
    if not lake.is_local:
        lake.filesystem.invalidate_cache()
    if not lake.filesystem.exists(path):
        return []
    return [Tombstone(**row) for row in lake.read_table(path).to_pylist()]


def tombstones_digest(lake: Lake) -> str:
    """Digest of all tombstones of an image store: another one as soon as something is removed."""
    return digest(*(repr(tombstone) for tombstone in read_tombstones(lake)))


def removed_contents(lake: Lake) -> frozenset[str]:
    """sha256 of every content that must not come back."""
    return frozenset(tombstone.value for tombstone in read_tombstones(lake) if tombstone.kind == "sha256")


def tombstones_path(lake: Lake) -> str:
    """Path or URL of the file of all tombstones."""
    return f"{lake.root}/{TOMBSTONES_FILE}"
