"""The image store: every picture once, by content, in the shards of the part that first met it.

Belongs here: reading, deleting, the quota. Does not belong here: the index of all parts (`store_index`), where a part's
files lie (`part_folder`), how a shard is written (`shard_writer`), what is removed (`removals`), who asked for a
picture (core.images maps samples to contents by sha256).

    <location>/removals.parquet                              tombstones
    <location>/source=<source>/part=<part>/index.parquet     the pictures of the part, and shard-00000.tar ...

A picture that another part has is not stored again. What that costs: the index of all parts in memory (about 75 bytes
a picture), and a part's folder may hold what other parts need: never delete one by hand, call `ImageStore.discard`
with the contents that no table refers to. What it does not see: parts that are being written at the same moment; they
may both store the picture, and the first in order is read.
"""

import os
import stat
import tempfile
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from laionet_assets.images.part_folder import INDEX_FILE, PartFolder, forget_listings, is_part_folder
from laionet_assets.images.shard_writer import ShardWriter
from laionet_assets.images.shards import (
    SHARD_BYTES,
    CorruptShardError,
    PartBusyError,
    ShardEntry,
    StoreError,
    content_hash,
    damaged,
)
from laionet_assets.images.store_index import StoreIndex, read_index
from laionet_assets.images.tombstones import removed_contents
from laionet_assets.warehouse.lake import Lake, part_folders
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import digest


class MissingImageError(StoreError):
    """The store does not have the picture."""


@dataclass(frozen=True, slots=True)
class StoredImage:
    """A picture, its name and its format."""

    sha256: str
    extension: str
    data: bytes


@dataclass(frozen=True)
class Discarded:
    """What `ImageStore.discard` deleted, and the parts it could not touch because a process writes them."""

    images: int
    size_bytes: int
    busy: tuple[PartKey, ...]


class ImageStore:
    """All pictures under a folder or a URL of an fsspec filesystem.

    `quota_bytes` bounds the size of all shards; a writer counts again with each new shard, so writers at work at the
    same time may pass it together by up to one shard each. `staging` is a local folder, used on object storage only:
    it needs room for the pictures of a part until they are committed, and must outlive the process for a fetch to
    resume.
    What is visible is what was published when the store was opened, or at the last `refresh`.
    """

    def __init__(
        self,
        location: str,
        *,
        storage_options: Mapping[str, Any] | None = None,
        quota_bytes: int | None = None,
        staging: Path | None = None,
    ) -> None:
        self.lake = Lake(location, storage_options)
        self.quota_bytes = quota_bytes
        if self.lake.is_local:
            self._staging = Path(self.lake.root)
        else:
            self._staging = (staging or Path(tempfile.gettempdir()) / "laionet-images") / digest(self.lake.root)

    def parts(self) -> list[PartKey]:
        """Parts with a published index, sorted."""
        return list(self._index_files())

    def folder(self, part: PartKey) -> PartFolder:
        """Where a part lies."""
        return PartFolder(self.lake, part, self._staging / part.folder)

    def writer(self, part: PartKey, *, shard_bytes: int = SHARD_BYTES) -> ShardWriter:
        """The writer of a part: enter it to add pictures. See `ShardWriter`."""
        self.refresh()
        return self._writer(part, shard_bytes=shard_bytes)

    def contains(self, sha256: str) -> bool:
        """Whether the picture is stored, in any part."""
        return sha256 in self._index

    def __len__(self) -> int:
        """Pictures stored; one that two parts stored at the same time counts twice."""
        return len(self._index)

    def read(self, sha256: str) -> bytes:
        """The bytes of a picture: one seek, verified.

        Raises MissingImageError if it is not stored (any more), CorruptShardError if the bytes are not those that
        were stored.
        """
        row = self._index.find(sha256)
        try:
            if row is not None:
                return self._read(row)
        except FileNotFoundError:
            pass  # the shard was rewritten since the index was read
        self.refresh()
        row = self._index.find(sha256)
        if row is None:
            raise MissingImageError(f"{self.lake.root}: the picture {sha256} is not stored. Fetch it, or leave it out.")
        return self._read(row)

    def iterate(self, sha256s: Iterable[str] | None = None, *, part: PartKey | None = None) -> Iterator[StoredImage]:
        """Pictures in the order in which they lie: those asked for, those in the shards of `part`, or all; each once.

        What is not stored, or was removed meanwhile, is left out: whoever needs every one compares, or asks `missing`
        first.
        """
        index = self._index
        asked = index.hashes() if sha256s is None else sha256s
        rows = sorted({row for sha256 in asked if (row := index.find(sha256)) is not None})
        within = range(len(index)) if part is None else index.rows_of(part)
        for span in index.spans(row for row in rows if row in within):
            yield from self._read_span(index, span)

    def contents(self, sha256s: Iterable[str]) -> Iterator[tuple[str, bytes | StoreError]]:
        """Each content asked for and its bytes, in the order in which they lie; last those not to be had.

        What is damaged or not stored costs itself alone: an error that says why stands for its bytes.
        """
        left = dict.fromkeys(sha256s)
        try:
            for stored in self.iterate(list(left)):
                del left[stored.sha256]
                yield stored.sha256, stored.data
        except CorruptShardError:
            pass  # from here on one by one
        for sha256 in left:
            try:
                yield sha256, self.read(sha256)
            except (MissingImageError, CorruptShardError) as error:
                yield sha256, error

    def missing(self, sha256s: Iterable[str]) -> list[str]:
        """Those that are not stored, in the order given."""
        return [sha256 for sha256 in sha256s if not self.contains(sha256)]

    def discard(self, sha256s: Collection[str]) -> Discarded:
        """Delete pictures wherever they are, staged shards included. A part that a process writes is named as busy.

        Does not keep them from coming back: that is what `removals.remove` adds. To throw out what no table refers to,
        call it while nothing is fetched: a fetch may just have found such a picture known.
        """
        images = size_bytes = 0
        busy: list[PartKey] = []
        for part in self._written_parts():
            try:
                with self._writer(part, removed=sha256s) as writer:
                    gone, bytes_gone = writer.discard(sha256s)
                    images, size_bytes = images + gone, size_bytes + bytes_gone
            except PartBusyError:
                busy.append(part)
        self.refresh()
        return Discarded(images, size_bytes, tuple(busy))

    def used_bytes(self) -> int:
        """Size of all shards, published and staged."""
        total = sum(info["size"] for path, info in self.files().items() if ".tar" in path.rsplit("/", 1)[-1])
        if not self.lake.is_local:
            total += sum(path.stat().st_size for path in self._staging.rglob(".shard-*"))
        return total

    def refresh(self) -> None:
        """See what has been published since."""
        self.__dict__.pop("_index", None)

    def files(self) -> dict[str, dict[str, Any]]:
        """Every file at the location with its `size`, by relative path."""
        forget_listings(self.lake)
        filesystem = self.lake.filesystem
        root = filesystem._strip_protocol(self.lake.root).rstrip("/")
        found = filesystem.find(self.lake.root, detail=True)
        return {path[len(root) + 1 :]: info for path, info in sorted(found.items())}

    @cached_property
    def _index(self) -> StoreIndex:
        return read_index(self.lake, self._index_files(), lambda part: self.folder(part).path(INDEX_FILE))

    def _index_files(self) -> dict[PartKey, Hashable]:
        """What tells the published index of each part from other states of it, by part, sorted."""
        if not self.lake.is_local:
            seen = ((*path.rpartition("/"), repr(info)) for path, info in self.files().items())
            named: list[tuple[str, Hashable]] = [
                (folder, state) for folder, _, name, state in seen if name == INDEX_FILE and is_part_folder(folder)
            ]
        else:
            root = self.lake.root
            states = ((part, _state_of(f"{root}/{part}/{INDEX_FILE}")) for part in part_folders(root))
            named = [(part, state) for part, state in states if state is not None]
        return dict(sorted((PartKey.of_folder(folder), state) for folder, state in named))

    def _writer(self, part: PartKey, *, shard_bytes: int = SHARD_BYTES, removed: Collection[str] = ()) -> ShardWriter:
        return ShardWriter(
            folder=self.folder(part),
            known=self.contains,
            removed=lambda: removed_contents(self.lake).union(removed),
            room_bytes=self._room_bytes,
            shard_bytes=shard_bytes,
        )

    def _read(self, row: int) -> bytes:
        part, entry = self._index.entry(row)
        path = self.folder(part).path(entry.shard)
        return _verified(path, entry, _read_range(self.lake, path, entry.byte_offset, entry.size_bytes))

    def _read_span(self, index: StoreIndex, rows: Sequence[int]) -> Iterator[StoredImage]:
        """Pictures that lie one behind the other, in one read."""
        places = [index.entry(row) for row in rows]
        part, first = places[0]
        last = places[-1][1]
        path = self.folder(part).path(first.shard)
        try:
            span = _read_range(
                self.lake, path, first.byte_offset, last.byte_offset + last.size_bytes - first.byte_offset
            )
        except FileNotFoundError:
            yield from self._read_moved([entry for _, entry in places])
            return
        for _, entry in places:
            at = entry.byte_offset - first.byte_offset
            yield StoredImage(entry.sha256, entry.extension, _verified(path, entry, span[at : at + entry.size_bytes]))

    def _read_moved(self, entries: Iterable[ShardEntry]) -> Iterator[StoredImage]:
        """Pictures whose shard was rewritten since its index was read; some are gone for good."""
        for entry in entries:
            try:
                yield StoredImage(entry.sha256, entry.extension, self.read(entry.sha256))
            except MissingImageError:
                continue

    def traces(self) -> Iterator[tuple[str, str]]:
        """Every content that a file of the store names, with where: shards, listed or not, staged; indexes; journals.

        Shards on object storage are downloaded one by one to be read.
        """
        for part in self._written_parts():
            yield from self.folder(part).traces()

    def _written_parts(self) -> list[PartKey]:
        """Parts with anything in them, published or staged."""
        folders = {folder for path in self.files() if is_part_folder(folder := path.rpartition("/")[0])}
        if not self.lake.is_local:
            folders |= {str(path.parent.relative_to(self._staging)) for path in self._staging.glob("*/*/.lock")}
        return sorted(PartKey.of_folder(folder) for folder in folders)

    def _room_bytes(self) -> int | None:
        return None if self.quota_bytes is None else self.quota_bytes - self.used_bytes()


def _verified(path: str, entry: ShardEntry, data: bytes) -> bytes:
    if content_hash(data) != entry.sha256:
        raise CorruptShardError(damaged(path, entry))
    return data


def _read_range(lake: Lake, path: str, offset: int, size_bytes: int) -> bytes:
    if not lake.is_local:
        return lake.filesystem.cat_file(path, start=offset, end=offset + size_bytes) if size_bytes else b""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.pread(descriptor, size_bytes, offset)
    finally:
        os.close(descriptor)


def _state_of(path: str) -> Hashable | None:
    """What tells one state of a local file from another; None where there is no such file."""
    try:
        seen = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return (seen.st_ino, seen.st_mtime_ns, seen.st_size) if stat.S_ISREG(seen.st_mode) else None
