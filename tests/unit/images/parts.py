"""A part of an image store: its writer, pictures for it, and what lies there."""

import random
from collections.abc import Callable, Collection
from pathlib import Path

from laionet_assets.images.part_folder import PartFolder
from laionet_assets.images.shard_writer import ShardWriter
from laionet_assets.images.shards import content_hash
from laionet_assets.warehouse.table import PartKey

PART = PartKey("web", "part-0")


def picture(number: int, size_bytes: int = 3000) -> bytes:
    """Bytes that no other number gives."""
    return random.Random(number).randbytes(size_bytes)


def writer(
    folder: PartFolder,
    *,
    known: Collection[str] = (),
    removed: Callable[[], Collection[str]] = frozenset,
    room_bytes: int | None = None,
    shard_bytes: int = 20_000,
) -> ShardWriter:
    return ShardWriter(
        folder,
        known=lambda sha256: sha256 in known or any(entry.sha256 == sha256 for entry in folder.entries()),
        removed=removed,
        room_bytes=lambda: room_bytes,
        shard_bytes=shard_bytes,
    )


def stored(folder: PartFolder) -> dict[str, bytes]:
    """What the index promises, read from the shards."""
    return {
        entry.sha256: Path(folder.path(entry.shard)).read_bytes()[entry.byte_offset :][: entry.size_bytes]
        for entry in folder.entries()
    }


def as_stored(*numbers: int) -> dict[str, bytes]:
    return {content_hash(picture(number)): picture(number) for number in numbers}


def hidden(folder: PartFolder) -> list[str]:
    return sorted(path.name for path in folder.staging.glob(".shard-*"))
