"""Shards: pictures in tar files that webdataset can read, whole or recognisably torn.

Belongs here: the bytes of a shard, its name, and what can be said of one file. Does not belong here: which shards a
part has (`part_folder`), writing them so that a kill loses nothing (`shard_writer`).

    shard-00000.tar            <sha256>.jpg, <sha256>.json, <sha256>.png, <sha256>.json, ...
"""

import hashlib
import json
import os
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from laionet_assets.errors import UserError
from laionet_assets.images.sets.tars import BLOCK_BYTES, UnusualTarError, header_size, is_header, padded, walk_tar

SHARD_BYTES = 256 * 1024 * 1024
END_OF_TAR = bytes(2 * BLOCK_BYTES)
_SHARD_NAME = re.compile(r"shard-(\d{5,})\.tar")
_MEMBER_NAME = re.compile(r"[0-9a-f]{64}\.")


class StoreError(UserError):
    """The image store cannot do what was asked of it."""


class PartBusyError(StoreError):
    """Another process writes this part."""


class StoreFullError(StoreError):
    """The quota, or the disk, has no room for the picture. Nothing of it was written."""

    def __init__(self, text: str, *, mend: str) -> None:
        """`mend` says what makes room: a setting to raise, or the disk."""
        super().__init__(text)
        self.mend = mend


class CorruptShardError(StoreError):
    """A shard does not hold what the index says."""


class RemovedContentError(StoreError):
    """The picture was removed before, and is not taken in again."""


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """Where a picture lies: a row of the index."""

    sha256: str
    extension: str
    shard: str
    byte_offset: int
    size_bytes: int


def content_hash(data: bytes) -> str:
    """sha256 in hexadecimal: the name of a picture."""
    return hashlib.sha256(data).hexdigest()


def pack(sha256: str, extension: str, data: bytes, metadata: Mapping[str, Any] | None = None) -> bytes:
    """A picture and its metadata as two members of a tar; the data begin at byte 512. Same input, same bytes."""
    described = json.dumps({**(metadata or {}), "sha256": sha256}, sort_keys=True, ensure_ascii=False).encode()
    chunks: list[bytes] = []
    for name, content in ((f"{sha256}.{extension}", data), (f"{sha256}.json", described)):
        header = tarfile.TarInfo(name)
        header.size = len(content)
        chunks += [header.tobuf(tarfile.USTAR_FORMAT), content, bytes(padded(len(content)) - len(content))]
    return b"".join(chunks)


def shard_entries(path: Path, shard: str, *, verify: bool) -> tuple[list[ShardEntry], int]:
    """Pictures of a shard with their metadata behind them, and the offset behind the last whole pair.

    `verify` compares each picture with its name and ends at the first that differs: for a shard that was never flushed.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        members, _ = walk_tar(descriptor)
        entries: list[ShardEntry] = []
        end = 0
        for picture, described in zip(members[::2], members[1::2], strict=False):
            sha256, _, extension = picture.name.partition(".")
            if described.name != f"{sha256}.json":
                break
            if verify and content_hash(os.pread(descriptor, picture.size_bytes, picture.byte_offset)) != sha256:
                break
            entries.append(ShardEntry(sha256, extension, shard, picture.byte_offset, picture.size_bytes))
            end = described.byte_offset + padded(described.size_bytes)
    except UnusualTarError as error:
        raise CorruptShardError(f"{path}: {error}; expected a shard of this store. Move the file away.") from None
    finally:
        os.close(descriptor)
    return entries, end


def contents_named(path: Path) -> list[str]:
    """sha256 of every picture that a shard names, whole or torn; also where metadata are all that is there."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        members, end = walk_tar(descriptor)
        torn = os.pread(descriptor, BLOCK_BYTES, end)
    finally:
        os.close(descriptor)
    names = [member.name for member in members] + [torn[:100].decode("ascii", "replace")]
    return list(dict.fromkeys(name[:64] for name in names if _MEMBER_NAME.match(name)))


def copy_shard(source: Path, target: Path, keep: Sequence[ShardEntry], shard: str) -> list[ShardEntry]:
    """Write a complete shard, to be called `shard`, of some of another's pictures, verified. Returns its entries.

    Raises CorruptShardError if a picture is not what its name says.
    """
    entries: list[ShardEntry] = []
    with source.open("rb") as old, target.open("wb") as new:
        for entry in keep:
            old.seek(entry.byte_offset)
            data = old.read(entry.size_bytes)
            old.seek(entry.byte_offset + padded(entry.size_bytes))
            header = old.read(BLOCK_BYTES)
            if content_hash(data) != entry.sha256 or not is_header(header):
                raise CorruptShardError(damaged(str(source), entry))
            metadata = json.loads(old.read(header_size(header)))
            entries.append(ShardEntry(entry.sha256, entry.extension, shard, new.tell() + BLOCK_BYTES, entry.size_bytes))
            new.write(pack(entry.sha256, entry.extension, data, metadata))
        new.write(END_OF_TAR)
        new.flush()
        os.fsync(new.fileno())
    return entries


def is_shard(name: str) -> bool:
    """Whether a file is called as a published shard is."""
    return _SHARD_NAME.fullmatch(name) is not None


def shard_number(shard: str) -> int:
    """The number in a shard's name."""
    return int(_SHARD_NAME.fullmatch(shard)[1])  # type: ignore[index]  # callers have asked `is_shard`


def shard_order(entry: ShardEntry) -> tuple[int, int]:
    """Sort key: the order in which pictures lie in a part."""
    return shard_number(entry.shard), entry.byte_offset


def damaged(where: str, entry: ShardEntry) -> str:
    """What is wrong with a picture whose bytes are not those that were stored."""
    return (
        f"{where}: {entry.size_bytes} bytes at {entry.byte_offset} are not the picture {entry.sha256} that was "
        "stored there. Restore the shard from a copy, or discard the picture and fetch it again."
    )
