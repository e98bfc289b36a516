"""The one writer of a part: adds pictures to shards and makes them visible at once; a killed process loses nothing.

Belongs here: staging, sealing, the journal, the commit, and taking over what an earlier writer left. Does not belong
here: the bytes of a shard (`shards`), where a part lies and finding a picture among all parts (`part_folder`,
`store`), whose turn it is (`part_lock`), which pictures are removed and why (`removals`).

    source=<source>/part=<part>/
        shard-00000.tar            pictures and their metadata
        index.parquet              one row a picture. A picture that it does not list is not stored
        .shard-00001.tar.sealed    complete and flushed to disk, waits for the commit
        .shard-00002.tar.open      grows by one write a picture
        .journal.jsonl             what the caller recorded, one line each
        .lock                      held by the process that writes this part (`part_lock`)

A commit gives the sealed shards their names and then puts the new index in place with one rename, so a part changes
at once. A process may be killed at any point: whatever `add` returned from is in the kernel's hands, and the next
writer takes it over. It reads the headers of the staged shards, verifies the open one picture by picture and cuts off
a torn end, and takes back shards that no index lists. What a writer on another host left is taken over ten minutes
after its last write: locks of a shared folder may be those of one host alone.

On object storage the hidden files lie in a local folder, and the commit puts the shards and then the index.
"""

import errno
import json
import os
import re
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from laionet_assets.full_disk import free
from laionet_assets.images.part_folder import JOURNAL_FILE, PartFolder, read_journal
from laionet_assets.images.part_lock import lock_part, unlock_part
from laionet_assets.images.sets.tars import BLOCK_BYTES
from laionet_assets.images.shards import (
    END_OF_TAR,
    SHARD_BYTES,
    RemovedContentError,
    ShardEntry,
    StoreFullError,
    content_hash,
    copy_shard,
    pack,
    shard_entries,
    shard_number,
    shard_order,
)

_EXTENSION = re.compile(r"(?!json$)[a-z0-9]{1,8}")


@dataclass(frozen=True, slots=True)
class Added:
    """What became of a picture given to `ShardWriter.add`. `is_new` is false where the store had it already."""

    sha256: str
    is_new: bool


@dataclass(frozen=True)
class Committed:
    """What a commit added to the part. `removed`: contents removed since the writer was entered, staged or not."""

    shards: int
    images: int
    size_bytes: int
    removed: frozenset[str]


class ShardWriter:
    """The one writer of a part: a context manager that adds pictures, and makes them visible with `commit`.

    Leaving the block without `commit` keeps everything staged for the next writer of the part; `abandon` drops it.
    `add` and `record` may be called from any thread. `ImageStore.writer` makes one.
    """

    def __init__(
        self,
        folder: PartFolder,
        *,
        known: Callable[[str], bool],
        removed: Callable[[], Collection[str]],
        room_bytes: Callable[[], int | None],
        shard_bytes: int = SHARD_BYTES,
    ) -> None:
        """`known` says whether a content is stored, in this part or another. `removed` gives the contents that must not
        come back, and is asked on entering and at the commit. `room_bytes` is what the quota leaves, None without one.
        """
        self.folder = folder
        self.shard_bytes = shard_bytes
        self.recorded: list[dict[str, Any]] = []
        """Rows of the journal as it was on entering, without those whose picture is neither stored nor staged."""
        self._ask_known, self._ask_removed, self._ask_room = known, removed, room_bytes
        self._mutex = threading.RLock()
        self._open: _OpenShard | None = None
        self._staged: dict[str, ShardEntry] = {}
        self._is_committed = False

    def __enter__(self) -> "ShardWriter":
        """Take the part and what an earlier writer left staged. Raises PartBusyError where another process has it."""
        self.folder.staging.mkdir(parents=True, exist_ok=True)
        self._lock = lock_part(self.folder)
        try:
            self._removed = frozenset(self._ask_removed())
            self._published = self.folder.entries()
            self._recover()
            self._room_bytes = self._ask_room()
            if self._open and self._room_bytes is not None:
                self._room_bytes -= len(END_OF_TAR)
            self._journal = self._open_journal()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._journal)
        self._close()

    def __contains__(self, sha256: str) -> bool:
        """Whether a picture is staged, or stored in any part."""
        return sha256 in self._staged or self._ask_known(sha256)

    def __len__(self) -> int:
        """Pictures staged, not yet committed."""
        return len(self._staged)

    def add(self, data: bytes, extension: str, metadata: Mapping[str, Any] | None = None) -> Added:
        """Append a picture, unless the store has it.

        `extension` is the format's, sniffed from the bytes (jpg, png, webp ...). `metadata` becomes the member
        <sha256>.json. When this returns, killing the process does not lose the picture.
        Raises RemovedContentError, StoreFullError; in both cases nothing was written.
        """
        if not _EXTENSION.fullmatch(extension):
            raise ValueError(f"found extension {extension!r}, expected letters and digits such as jpg")
        sha256 = content_hash(data)
        if sha256 in self._removed:
            raise RemovedContentError(f"the picture {sha256} was removed before: it is not stored again")
        with self._mutex:
            if self._is_committed:
                raise ValueError("committed: open another writer to add more")
            if sha256 in self:
                return Added(sha256, is_new=False)
            packed = pack(sha256, extension, data, metadata)
            shard = self._shard_with_room(len(packed))
            at = shard.append(packed) + BLOCK_BYTES
            self._staged[sha256] = ShardEntry(sha256, extension, shard.name, at, len(data))
        return Added(sha256, is_new=True)

    def record(self, row: Mapping[str, Any]) -> None:
        """Append a row to the part's journal: an outcome that a resumed run need not find out again.

        It outlives the commit, until `forget_journal`. A row with a `sha256` comes back in `recorded` only while that
        picture is stored or staged. Values must survive JSON. Record no address: it would outlive its removal.
        """
        with self._mutex:
            _write_all(self._journal, _line(row))

    def commit(self) -> Committed:
        """Make the staged pictures visible at once. The writer takes no more pictures afterwards."""
        with self._mutex:
            self._seal()
            removed = frozenset(self._ask_removed())
            since, self._removed = removed - self._removed, removed
            if not since.isdisjoint(self._staged):
                self._staged = {}
                self._take_over_staged()
            if since:
                self._sweep_journal()
                os.close(self._journal)
                self._journal = self._open_journal()
            added = sorted(self._staged.values(), key=shard_order)
            shards = list(dict.fromkeys(entry.shard for entry in added))
            self._publish(shards, [*self._published, *added])
            self._staged = {}
            self._is_committed = True
        return Committed(len(shards), len(added), sum(entry.size_bytes for entry in added), since)

    def discard(self, sha256s: Collection[str]) -> tuple[int, int]:
        """Delete committed pictures of this part: rewrite the shards that hold them. Returns how many, and their bytes.

        Staged pictures that are removed went on entering. Readers see the part with all of them or with none.
        """
        with self._mutex:
            gone = [entry for entry in self._published if entry.sha256 in sha256s]
            old_shards = list(dict.fromkeys(entry.shard for entry in gone))
            kept = [entry for entry in self._published if entry.shard not in old_shards]
            new_shards: list[str] = []
            for old in old_shards:
                survivors = [entry for entry in self._published if entry.shard == old and entry.sha256 not in sha256s]
                if survivors:
                    new_shards.append(self._next_name())
                    copy = self.folder.staged_path(old, "copy")
                    kept += self._rewrite(self.folder.fetch(old, copy), new_shards[-1], survivors)
                    copy.unlink(missing_ok=True)
            if gone:
                self._publish(new_shards, kept)
                for old in old_shards:
                    self.folder.delete(old)
        return len(gone), sum(entry.size_bytes for entry in gone)

    def abandon(self) -> None:
        """Drop everything staged, and the journal."""
        with self._mutex:
            if self._open:
                self._open.close()
                self._open = None
            for path, _, _ in self.folder.staged():
                path.unlink()
            self._staged = {}
            self.forget_journal()

    def forget_journal(self) -> None:
        """Empty the journal: call it once what it records is published in a table."""
        with self._mutex:
            os.ftruncate(self._journal, 0)
            self.recorded = []

    @property
    def _journal_path(self) -> Path:
        return self.folder.staging / JOURNAL_FILE

    def _open_journal(self) -> int:
        return os.open(self._journal_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def _close(self) -> None:
        if self._open:
            self._open.close()
        unlock_part(self._lock)

    def _recover(self) -> None:
        for leftover in (*self.folder.staging.glob(".shard-*.partial"), *self.folder.staging.glob(".shard-*.copy")):
            leftover.unlink()
        listed = {entry.shard for entry in self._published}
        for shard in self.folder.shards():
            if shard not in listed:
                self._take_back(shard)
        self._take_over_staged()
        self._sweep_journal()

    def _sweep_journal(self) -> None:
        """Leave out of the journal what is no longer true, and a torn last line."""
        self.recorded = [row for row in read_journal(self._journal_path) if self._is_true(row)]
        lines = b"".join(map(_line, self.recorded))
        if self._journal_path.exists() and self._journal_path.stat().st_size != len(lines):
            partial = self._journal_path.with_suffix(".partial")
            partial.write_bytes(lines)
            os.replace(partial, self._journal_path)

    def _take_back(self, shard: str) -> None:
        """A shard that no index lists: a commit, or a rewrite, was cut short around its last step."""
        if self.folder.lake.is_local:
            os.replace(self.folder.path(shard), self.folder.staged_path(shard, "sealed"))
        else:
            self.folder.delete(shard)

    def _take_over_staged(self) -> None:
        published = {entry.sha256 for entry in self._published}
        for path, shard, is_open in self.folder.staged():
            entries, end = shard_entries(path, shard, verify=is_open)
            unwanted = self._removed | published | self._staged.keys()
            wanted = [entry for entry in entries if entry.sha256 not in unwanted]
            if len(wanted) < len(entries) or not entries:
                wanted = self._rewrite(path, shard, wanted) if wanted else []
                if is_open or not wanted:
                    path.unlink()
            elif is_open:
                self._seal()
                os.truncate(path, end)
                self._open = _OpenShard(shard, path)
            self._staged.update((entry.sha256, entry) for entry in wanted)

    def _rewrite(self, source: Path, shard: str, keep: Sequence[ShardEntry]) -> list[ShardEntry]:
        partial = self.folder.staged_path(shard, "partial")
        entries = copy_shard(source, partial, keep, shard)
        os.replace(partial, self.folder.staged_path(shard, "sealed"))
        return entries

    def _publish(self, shards: Sequence[str], entries: Sequence[ShardEntry]) -> None:
        for shard in shards:
            self.folder.publish(self.folder.staged_path(shard, "sealed"), shard)
        if shards or len(entries) != len(self._published):
            self.folder.publish_index(sorted(entries, key=shard_order))
        for shard in shards:
            self.folder.staged_path(shard, "sealed").unlink(missing_ok=True)
        self._published = sorted(entries, key=shard_order)

    def _shard_with_room(self, size_bytes: int) -> "_OpenShard":
        if self._open and self._open.length and self._open.length + size_bytes > self.shard_bytes:
            self._seal()
            self._room_bytes = self._ask_room()
        if self._room_bytes is not None:
            needed = size_bytes + (0 if self._open else len(END_OF_TAR))
            if needed > self._room_bytes:
                raise StoreFullError(
                    f"{self.folder.lake.root}: the picture needs {needed} bytes, the quota leaves "
                    f"{max(self._room_bytes, 0)}. Raise the quota of the image store or ask for fewer images; "
                    "what is stored stays.",
                    mend="raise images.quota",
                )
            self._room_bytes -= needed
        if not self._open:
            name = self._next_name()
            self._open = _OpenShard(name, self.folder.staged_path(name, "open"))
        return self._open

    def _seal(self) -> None:
        if not self._open:
            return
        self._open.append(END_OF_TAR)
        os.fsync(self._open.descriptor)
        self._open.close()
        os.replace(self._open.path, self.folder.staged_path(self._open.name, "sealed"))
        self._open = None

    def _next_name(self) -> str:
        staged = [shard for _, shard, _ in self.folder.staged()]
        numbers = [shard_number(name) for name in (*self.folder.shards(), *staged)]
        return f"shard-{max(numbers, default=-1) + 1:05d}.tar"

    def _is_true(self, row: Mapping[str, Any]) -> bool:
        sha256 = row.get("sha256")
        return sha256 is None or (sha256 in self and sha256 not in self._removed)


class _OpenShard:
    """A shard that grows: one write a picture, whole or not at all."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.length = os.fstat(self.descriptor).st_size

    def append(self, data: bytes) -> int:
        """Returns the offset at which `data` begin. Leaves the file as it was where the disk has no room."""
        at = self.length
        try:
            _write_all(self.descriptor, data)
        except OSError as error:
            os.ftruncate(self.descriptor, at)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreFullError(
                    f"{self.path}: {error.strerror}: {free(self.path.parent)}. Free some of that disk, or name another "
                    "store with images.location, and run again; what is stored stays.",
                    mend="free some of its disk, or name another store with images.location",
                ) from None
            raise
        self.length += len(data)
        return at

    def close(self) -> None:
        os.close(self.descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
