"""The warehouse: the lake, the tables in it, and DuckDB connections that see them.

No process ever writes a shared database file. Work is done on private in-memory connections; `bind` gives such a
connection views of just the files that a piece of work reads.
"""

import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import duckdb

from laionet_assets.errors import UserError
from laionet_assets.warehouse.lake import Lake
from laionet_assets.warehouse.sql import identifier, literals
from laionet_assets.warehouse.table import PartKey, Table

VERSION_KEY = "laionet_version"
INPUTS_KEY = "laionet_inputs"
CODE_KEY = "laionet_code"

ConnectionFactory = Callable[[], AbstractContextManager[duckdb.DuckDBPyConnection]]


@dataclass(frozen=True)
class Code:
    """A piece of code that makes rows: its digest, and the label that it goes by in the rows, if any."""

    digest: str
    label: str = ""


@dataclass(frozen=True)
class Stamp:
    """What a file says of itself.

    `inputs` is what it was made from (settings, what is outside, versions read), `codes` what it was made by, by name.
    `version` is of both, and of `content` where more than that decides the rows. Files from before there were digests
    of code have no `codes`, and their `inputs` cover the code.
    """

    version: str
    inputs: str
    codes: tuple[tuple[str, Code], ...] = ()

    @classmethod
    def of(cls, inputs: str, codes: Mapping[str, Code] | None = None, *, content: str | None = None) -> "Stamp":
        """The stamp of a file made from these inputs by this code."""
        named = tuple(sorted((codes or {}).items(), key=lambda each: each[0]))
        version = digest(inputs, *(text for name, code in named for text in (name, code.digest))) if named else inputs
        return cls(digest(version, content) if content is not None else version, inputs, named)

    def with_content(self, content: str | None) -> "Stamp":
        """The stamp of a file made from the same by the same, whose rows are decided by `content` too."""
        return Stamp.of(self.inputs, dict(self.codes), content=content)

    @property
    def metadata(self) -> dict[str, str]:
        """As key-value metadata of a Parquet file."""
        codes = {name: [code.digest, code.label] for name, code in self.codes}
        return {
            VERSION_KEY: self.version,
            INPUTS_KEY: self.inputs,
            **({CODE_KEY: json.dumps(codes)} if codes else {}),
        }

    @classmethod
    def of_metadata(cls, metadata: Mapping[bytes, bytes]) -> "Stamp | None":
        """The inverse of `metadata`; None if there is no stamp in it."""
        version, inputs, codes = (metadata.get(key.encode()) for key in (VERSION_KEY, INPUTS_KEY, CODE_KEY))
        if version is None or inputs is None:
            return None
        named = {name: Code(*code) for name, code in json.loads(codes or b"{}").items()}
        return cls(version.decode(), inputs.decode(), tuple(sorted(named.items(), key=lambda each: each[0])))


_STAMPS: dict[tuple[str, int, int, int], Stamp | None] = {}
"""Stamps of local files by path, inode, time of change and size."""


class MissingTableError(UserError):
    """Something that has to be read is not published yet."""


SourceView = Callable[["Warehouse", Collection[PartKey] | None], str]
"""How a table whose rows stay in the sources is read: a SELECT of the rows of these parts (of all, with None).

Such a table has files too, one a part: without rows, stamped with the version at which its rows passed their audit.
"""


@dataclass(frozen=True)
class Warehouse:
    """Everything that reads or writes tables goes through one of these.

    `docs` is the local folder of Data Docs. Parts of sources that are not among `sources` (they were taken out of the
    settings) are set aside: their files stay, nothing reads them. None admits every source. `connect_with_more` gives
    connections that may take more memory, for tables that do not fit into what `connect` gives; None if there is no
    more.
    """

    lake: Lake
    tables: Mapping[str, Table]
    connect: ConnectionFactory
    docs: Path
    views: Mapping[str, SourceView] = field(default_factory=dict)
    sources: frozenset[str] | None = None
    connect_with_more: ConnectionFactory | None = None

    def table(self, name: str) -> Table:
        """The table of that name. Raises UserError naming the known ones."""
        try:
            return self.tables[name]
        except KeyError:
            known = ", ".join(sorted(self.tables))
            raise UserError(f"found table {name!r}, expected one of: {known}") from None

    def parts(self, name: str) -> list[PartKey]:
        """Parts of a partitioned table that can be read now, sorted."""
        return [part for part in self.lake.parts(self.table(name)) if self._admits(part)]

    def has_part(self, name: str, part: PartKey) -> bool:
        """Whether this part of a partitioned table can be read now."""
        return self._admits(part) and self.lake.exists(self.table(name), part)

    def set_aside(self) -> set[str]:
        """Sources whose parts are in the lake and that the settings no longer name."""
        tables = [table for table in self.tables.values() if table.is_partitioned]
        return {part.source for table in tables for part in self.lake.parts(table)} - (self.sources or set())

    def select(self, name: str, part: PartKey | None = None) -> str:
        """A SELECT over the published rows: of one part, or of all. Raises MissingTableError."""
        table = self.table(name)
        parts = self._published(table, part)
        if not parts:
            where = f"{name} for the part {part.key}" if part else name
            raise MissingTableError(f"{where} is not there yet. Materialize it first: {how_to_make(name)}")
        if name in self.views:
            return self.views[name](self, [part] if part else None)
        files = [self.lake.current(table, each) for each in parts]
        return f"select * from read_parquet({literals(files)}, hive_partitioning = false)"

    def is_published(self, name: str) -> bool:
        """Whether there is anything to read."""
        table = self.table(name)
        return bool(self.parts(name)) if table.is_partitioned else self.lake.exists(table)

    @contextmanager
    def with_one_connection(self) -> Iterator["Warehouse"]:
        """The same warehouse, whose connections are cursors of one that is opened when it is asked for: that costs ten
        times as much as a look at a small file. Who breaks it (an internal error of DuckDB) breaks it for nobody else.
        """
        with ExitStack() as stack:
            opened: list[duckdb.DuckDBPyConnection] = []

            @contextmanager
            def connect() -> Iterator[duckdb.DuckDBPyConnection]:
                if not opened:
                    opened.append(stack.enter_context(self.connect()))
                with opened[0].cursor() as cursor:
                    try:
                        yield cursor
                    except (duckdb.InternalException, duckdb.FatalException):
                        opened.clear()
                        raise

            yield replace(self, connect=connect)

    def bind(self, connection: duckdb.DuckDBPyConnection, names: Iterable[str], part: PartKey | None = None) -> None:
        """Give the connection a view of each table: of `part` alone where the table is partitioned and a part is
        given.
        """
        for name in sorted(names):
            table = self.table(name)
            select = self.select(name, part if table.is_partitioned else None)
            connection.execute(f"create schema if not exists {identifier(table.schema)}")
            connection.execute(f"create or replace view {identifier(name)} as {select}")

    def stamps(self, name: str, parts: Collection[PartKey] | None = None) -> dict[PartKey | None, Stamp]:
        """Stamps of every published file of a table, by part (None for a table that is not partitioned).

        With `parts`, of a partitioned table those alone are looked at.
        """
        table = self.table(name)
        published: Sequence[PartKey | None]
        if parts is None or not table.is_partitioned:
            published = self._published(table, None)
        else:
            published = [part for part in parts if self.has_part(name, part)]
        files = {self.lake.current(table, each): each for each in published}
        found = self.stamps_of_files(files)
        return {part: found[path] for path, part in files.items() if path in found}

    def stamps_of_files(self, files: Iterable[str]) -> dict[str, Stamp]:
        """Stamps of Parquet files by path; of those that have one. A local file is read once a process, unless it
        changes.
        """
        stamps = {path: self._stamp_of_file(path) for path in files}
        return {path: stamp for path, stamp in stamps.items() if stamp is not None}

    def _stamp_of_file(self, path: str) -> Stamp | None:
        if "://" in path:
            with self.lake.filesystem.open(path, "rb") as file:
                return _stamp_in(file)
        seen = os.stat(path)
        known = (path, seen.st_ino, seen.st_mtime_ns, seen.st_size)
        if known not in _STAMPS:
            with open(path, "rb") as file:
                _STAMPS[known] = _stamp_in(file)
        return _STAMPS[known]

    def _admits(self, part: PartKey) -> bool:
        return self.sources is None or part.source in self.sources

    def _published(self, table: Table, part: PartKey | None) -> Sequence[PartKey | None]:
        """The files of a table that can be read now: of `part`, of every part, or None for a whole table's one."""
        if part is None and table.is_partitioned:
            return self.parts(table.name)
        is_there = self.has_part(table.name, part) if part else self.lake.exists(table)
        return [part] if is_there else []

    @property
    def scratch(self) -> Path:
        """Local folder of unfinished work that can be taken up again."""
        return scratch_folder(self.lake, self.docs)

    @property
    def catalog_path(self) -> str:
        """The database of views that anyone may open read-only at any time."""
        return f"{self.lake.root}/laionet.duckdb"


def scratch_folder(lake: Lake, docs: Path) -> Path:
    """Local folder of unfinished work: in the lake, or beside Data Docs if the lake is remote."""
    return Path(lake.root) / ".unfinished" if lake.is_local else docs.parent / ".unfinished"


def _stamp_in(file: BinaryIO) -> Stamp | None:
    """The stamp in the footer of a Parquet file."""
    from pyarrow import parquet

    return Stamp.of_metadata(parquet.read_metadata(file).metadata or {})


def how_to_make(*names: str) -> str:
    """The command that makes tables."""
    selection = " or ".join(f'key:"{name.replace(".", "/")}"' for name in names)
    return f"laionet run --select '{selection}'"


def digest(*values: str) -> str:
    """Short stable digest of texts: what versions are made of."""
    import hashlib

    joined = "\x00".join(values).encode()
    return hashlib.blake2b(joined, digest_size=8).hexdigest()


@contextmanager
def memory_connection(config: Mapping[str, Any] | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A private in-memory DuckDB, closed whatever happens."""
    with open_in_memory(config or {}) as connection:
        yield connection


def open_in_memory(config: Mapping[str, Any]) -> duckdb.DuckDBPyConnection:
    """A private in-memory DuckDB. It draws no bars of its own into what a run prints."""
    connection = duckdb.connect(":memory:", config=dict(config))
    connection.execute("set enable_progress_bar = false")
    return connection
