"""The lake: where the Parquet file of a table lies, and the one way to put it there.

A file is written to a hidden staged file, audited there, and published at once. Until then readers see the file that
was there before; a killed process leaves a staged file that the next writer sweeps away.

    <root>/<schema>/<table>/data.parquet                                  a link to the generation that counts
    <root>/<schema>/<table>/.data.<digest of its bytes>.parquet           a generation: never written again
    <root>/<schema>/<table>/.audit-<digest of rows and rules>.json        what its audit found
    <root>/<schema>/<table>/source=<source>/part=<part>/data.parquet ...  the same for each part

DuckDB opens a Parquet file once to plan a query and again to scan it. Who reads by the name of the generation
(`current`) never meets two files under one name; a generation stays for a day after it was superseded, for queries and
shells that have read its name before. On object storage there are no links: `data.parquet` is the file itself,
replaced by one put.
"""

import fcntl
import glob
import hashlib
import os
import re
import shutil
import socket
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import fsspec

from laionet_assets.references import opened
from laionet_assets.warehouse.table import PartKey, Table

if TYPE_CHECKING:
    import pyarrow as pa

DATA_FILE = "data.parquet"
REJECTED_FILE = ".rejected.parquet"
NOTE_FILES = ".audit-*.json"
SUPERSEDED_SECONDS = 86_400.0
STAGED_SUFFIX = ".staged"
HOST = socket.gethostname().replace(".", "-")
_STAGED_FILES = f".{DATA_FILE}.*{STAGED_SUFFIX}*"
_STAGED = re.compile(rf"\.{DATA_FILE}\.(?P<host>[^.]+)\.(?P<process>\d+)\.[0-9a-f]{{8}}{STAGED_SUFFIX}(\.link)?")


@dataclass(frozen=True)
class Staged:
    """A file being written. `path` is always local, so that any library can write and audit it."""

    path: Path
    target: str


class Lake:
    """A folder, or a URL of an fsspec filesystem, full of Parquet tables."""

    def __init__(self, root: str, storage_options: Mapping[str, Any] | None = None) -> None:
        self.root = root.rstrip("/")
        self.storage_options = dict(storage_options or {})
        self.is_local = "://" not in self.root or self.root.startswith("file://")
        if self.is_local:
            self.root = os.path.abspath(self.root.removeprefix("file://"))

    @cached_property
    def filesystem(self) -> fsspec.AbstractFileSystem:
        """The filesystem of the root."""
        return opened(self.root, self.storage_options)[0]

    def folder(self, table: Table, part: PartKey | None = None) -> str:
        """Folder of a table, or of one part of it."""
        base = f"{self.root}/{table.name.replace('.', '/')}"
        return f"{base}/{part.folder}" if part else base

    def path(self, table: Table, part: PartKey | None = None) -> str:
        """Path or URL under which the published file is found, whatever its generation."""
        self._check_partitioning(table, part)
        return f"{self.folder(table, part)}/{DATA_FILE}"

    def current(self, table: Table, part: PartKey | None = None) -> str:
        """Path or URL of the published file by a name that will never have other bytes (on object storage: `path`)."""
        path = self.path(table, part)
        return (_generation(path) if self.is_local else None) or path

    def parts(self, table: Table) -> list[PartKey]:
        """Published parts of a partitioned table, sorted."""
        if self.is_local:
            return sorted(map(PartKey.of_folder, _local_parts(self.folder(table))))
        self._forget_listings()
        found = self.filesystem.glob(f"{self.folder(table)}/source=*/part=*/{DATA_FILE}")
        return sorted(PartKey.of_folder("/".join(path.split("/")[-3:-1])) for path in found)

    def exists(self, table: Table, part: PartKey | None = None) -> bool:
        """Whether the file is published."""
        self._forget_listings()
        return self.filesystem.exists(self.path(table, part))

    @contextmanager
    def stage(self, table: Table, part: PartKey | None = None) -> Iterator[Staged]:
        """A local file to write to. It is gone at the end of the block unless `publish` or `reject` took it."""
        target = self.path(table, part)
        name = f".{DATA_FILE}.{HOST}.{os.getpid()}.{uuid.uuid4().hex[:8]}{STAGED_SUFFIX}"
        if self.is_local:
            folder = Path(self.folder(table, part))
            folder.mkdir(parents=True, exist_ok=True)
            _sweep(_staged_files(folder))
        else:
            folder = Path(tempfile.mkdtemp(prefix="laionet-"))
        staged = Staged(folder / name, target)
        try:
            yield staged
        finally:
            staged.path.unlink(missing_ok=True)
            if not self.is_local:
                shutil.rmtree(folder, ignore_errors=True)

    def publish(self, staged: Staged) -> None:
        """Put the staged file in place of the published one, at once, and forget the file rejected before, if any."""
        aside = staged.target.removesuffix(DATA_FILE) + REJECTED_FILE
        if self.is_local:
            target = Path(staged.target)
            generation = target.with_name(f".data.{_content_digest(staged.path)}.parquet")
            with self.turn("publish"):
                before = _generation(staged.target)
                replace(staged.path, generation)
                if before is not None and before != str(generation):
                    os.utime(before)
                link = target.with_name(f"{staged.path.name}.link")
                link.symlink_to(generation.name)
                os.replace(link, target)
                _forget_superseded(target, older_than=SUPERSEDED_SECONDS)
            Path(aside).unlink(missing_ok=True)
            return
        self.filesystem.put_file(str(staged.path), staged.target)
        if self.filesystem.exists(aside):
            self.filesystem.rm_file(aside)

    def reject(self, staged: Staged) -> str:
        """Keep the staged file aside for inspection, unseen by readers. Returns where."""
        aside = staged.target.removesuffix(DATA_FILE) + REJECTED_FILE
        if self.is_local:
            os.replace(staged.path, aside)
        else:
            self.filesystem.put_file(str(staged.path), aside)
        return aside

    def forget_superseded(self) -> None:
        """Delete all superseded generations now: for what must be gone. Queries that have begun may fail."""
        if self.is_local:
            with self.turn("publish"):
                for target in Path(self.root).glob(f"*/*/**/{DATA_FILE}"):
                    _forget_superseded(target, older_than=0)

    def sweep(self) -> None:
        """Delete what killed processes of this host have staged, of every table. The next writer would, of its own."""
        if self.is_local:
            _sweep(sorted(Path(self.root).glob(f"*/*/**/{_STAGED_FILES}")))

    def write_note(self, table: Table, part: PartKey | None, name: str, text: str) -> None:
        """Keep a small text beside a published file, whole, in place of the one before, whatever its name was."""
        folder, path = self.folder(table, part), self._note(table, part, name)
        if self.is_local:
            with self.stage(table, part) as staged:
                staged.path.write_text(text, encoding="utf-8")
                replace(staged.path, Path(path))
            for note in Path(folder).glob(NOTE_FILES):
                if note != Path(path):
                    note.unlink(missing_ok=True)
            return
        self.filesystem.pipe_file(path, text.encode())
        for other in self.filesystem.glob(f"{folder}/{NOTE_FILES}"):
            if not other.endswith(f"/{path.rsplit('/', 1)[-1]}"):
                self.filesystem.rm_file(other)

    def has_note(self, table: Table, part: PartKey | None, name: str) -> bool:
        """Whether a text of that name is kept beside a published file."""
        path = self._note(table, part, name)
        return os.path.exists(path) if self.is_local else self.filesystem.exists(path)

    def read_note(self, table: Table, part: PartKey | None, name: str) -> str | None:
        """The text of that name kept beside a published file, None without one."""
        try:
            return self.filesystem.cat_file(self._note(table, part, name)).decode()
        except FileNotFoundError:
            return None

    def _note(self, table: Table, part: PartKey | None, name: str) -> str:
        return f"{self.folder(table, part)}/{NOTE_FILES.replace('*', name)}"

    @contextmanager
    def turn(self, name: str) -> Iterator[None]:
        """One process of this machine at a time for whatever `name` stands for."""
        folder = Path(self.root) if self.is_local else Path(tempfile.gettempdir()) / f"laionet-{_digest(self.root)}"
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / f".{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def read_small(self, name: str) -> str | None:
        """Text of a small file at the root, or None if it is not there."""
        self._forget_listings()
        path = f"{self.root}/{name}"
        return self.filesystem.cat_file(path).decode() if self.filesystem.exists(path) else None

    def write_small(self, name: str, text: str) -> None:
        """Write a small file at the root, whole."""
        if not self.is_local:
            self.filesystem.pipe_file(f"{self.root}/{name}", text.encode())
            return
        write_whole(Path(self.root) / name, lambda file: file.write(text.encode()))

    def read_table(self, path: str, columns: Sequence[str] | None = None) -> "pa.Table":
        """All rows of a small Parquet file, by its path or URL; without `columns`, with all of them.

        In the calling thread alone: reading a Python file in pyarrow's threads, as `pyarrow.parquet.read_table` does,
        now and then aborts a process that ends right after (a thread asks for the interpreter when it is gone).
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = pq.ParquetFile(pa.BufferReader(self.filesystem.cat_file(path)))
        return file.read(columns, use_threads=False)

    def _forget_listings(self) -> None:
        if not self.is_local:
            self.filesystem.invalidate_cache()

    @staticmethod
    def _check_partitioning(table: Table, part: PartKey | None) -> None:
        if table.is_partitioned != (part is not None):
            expected = "one part at a time" if table.is_partitioned else "as a whole"
            raise ValueError(f"{table.name} is stored {expected}")


def _local_parts(folder: str) -> Iterator[str]:
    """The folders `source=.../part=...` of a table that have a published file."""
    return (part for part in part_folders(folder) if os.path.exists(f"{folder}/{part}/{DATA_FILE}"))


def part_folders(folder: str) -> Iterator[str]:
    """The folders `source=.../part=...` within a local folder; none where it is not there."""
    for source in _folders(folder, "source="):
        for part in _folders(f"{folder}/{source}", "part="):
            yield f"{source}/{part}"


def _folders(folder: str, prefix: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.name.startswith(prefix)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def replace(source: Path, target: Path) -> None:
    """Flush `source` to disk and put it in place of `target` with one rename."""
    descriptor = os.open(source, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(source, target)


def _content_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()


def _generation(target: str) -> str | None:
    """The file that a link leads to; None where there is no link."""
    try:
        return os.path.join(os.path.dirname(target), os.readlink(target))
    except OSError:
        return None


def _forget_superseded(target: Path, *, older_than: float) -> None:
    """Delete the generations beside a link that it does not lead to, superseded before that many seconds."""
    current = _generation(str(target))
    for path in target.parent.glob(".data.*.parquet"):
        if str(path) != current and time.time() - path.stat().st_mtime >= older_than:
            path.unlink(missing_ok=True)


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a local file whole or not at all: what `write` puts into a hidden file beside it then takes its name. What
    killed processes of this host have left of that file is swept.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    before = f".{path.name}.{HOST}."
    for left in path.parent.glob(f"{glob.escape(before)}*{STAGED_SUFFIX}"):
        process = left.name.removeprefix(before).removesuffix(STAGED_SUFFIX)
        if process.isdigit() and not is_alive(int(process)):
            left.unlink(missing_ok=True)
    staged = path.with_name(f"{before}{os.getpid()}{STAGED_SUFFIX}")
    try:
        with staged.open("wb") as file:
            write(file)
        replace(staged, path)
    finally:
        staged.unlink(missing_ok=True)


def _sweep(paths: Iterable[Path]) -> None:
    """Of staged files, and links, delete those of processes of this host that are gone."""
    for path in paths:
        match = _STAGED.fullmatch(path.name)
        if match and match["host"] == HOST and not is_alive(int(match["process"])):
            path.unlink(missing_ok=True)


def _staged_files(folder: Path) -> Sequence[Path]:
    return sorted(folder.glob(_STAGED_FILES))


def is_alive(process: int) -> bool:
    """Whether a process of this host runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
