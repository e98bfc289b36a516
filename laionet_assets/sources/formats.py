"""File formats: how DuckDB reads one, which columns it has, and the number of each row in its file.

Belongs here: Parquet, comma-separated with a header, tab-separated without. Does not belong here: what a column means
(`adapters`).

A relation has the columns of the file and `laionet_row`, the row's number in the file from 0. Nothing is copied: it
streams, and reads only the columns that are asked for.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb

from laionet_assets.sources.bounds import Bound, Columns
from laionet_assets.sources.errors import SourceError
from laionet_assets.warehouse.sql import identifier, literal

ROW = "laionet_row"
FILE = "laionet_file"
_FILE_IN_DUCKDB = "filename"
_LINE = "laionet_line"
_IS_LINE_WHOLE = "laionet_is_line_whole"
_GLOB_CHARACTERS = re.compile(r"([*?\[])")
_ADDRESS = "^[A-Za-z][A-Za-z0-9+.-]*://"
_SAMPLED_LINES = 1000
_SAYS_CONTENT = re.compile("No files found|GZIP|ZSTD", re.IGNORECASE)
_NO_DELIMITER = "\x1e\x1f\x1e\x1f"


@dataclass(frozen=True)
class SourceColumn:
    """A column of a source file. `type` is DuckDB's name of the type."""

    name: str
    type: str


class Format(ABC):
    """A file format."""

    name: str
    endings: tuple[str, ...]
    bounds: tuple[Bound, ...] = ()

    @abstractmethod
    def relation(self, path: str, columns: Sequence[SourceColumn]) -> str:
        """What to select from: the columns of the file and `laionet_row`."""

    @abstractmethod
    def describe(self, connection: duckdb.DuckDBPyConnection, path: str) -> tuple[SourceColumn, ...]:
        """The columns of a file, in its order. Raises SourceError if it cannot be read."""


class Parquet(Format):
    """Parquet files: columns and their types are in the footer."""

    name = "parquet"
    endings = (".parquet",)

    def relation(self, path: str, columns: Sequence[SourceColumn]) -> str:
        return f"(select *, file_row_number as {ROW} from {self._scan(file_pattern(path), 'file_row_number = true')})"

    def relation_of_many(self, paths: Sequence[str], columns: Sequence[SourceColumn]) -> str:
        """Files of the same columns as one relation, with the path of each row's file as `laionet_file`."""
        is_taken = any(column.name.lower() == _FILE_IN_DUCKDB for column in columns)
        name = FILE if is_taken else _FILE_IN_DUCKDB  # DuckDB 1.5 leaves files unopened by that name alone
        files = ", ".join(file_pattern(path) for path in paths)
        scan = self._scan(f"[{files}]", "file_row_number = true", f"filename = {literal(name)}")
        renamed = "" if is_taken else f", {name} as {FILE}"
        return f"(select *, file_row_number as {ROW}{renamed} from {scan})"

    def describe(self, connection: duckdb.DuckDBPyConnection, path: str) -> tuple[SourceColumn, ...]:
        with reading(path):
            described = connection.execute(f"describe select * from {self._scan(file_pattern(path))}").fetchall()
        return tuple(SourceColumn(name, kind) for name, kind, *_ in described)

    def path_in_relations(self, connection: duckdb.DuckDBPyConnection, path: str) -> str:
        """How DuckDB itself names the file, in `laionet_file`."""
        with reading(path):
            rows = connection.execute(f"select file_name from parquet_file_metadata({file_pattern(path)})").fetchall()
        return rows[0][0]

    @staticmethod
    def _scan(files: str, *options: str) -> str:
        # Parquet's statistics leave NaN out: without can_have_nan, DuckDB takes a test for it to be false unseen.
        return f"read_parquet({', '.join((files, 'hive_partitioning = false', 'can_have_nan = true', *options))})"


@dataclass(frozen=True)
class _WholeLine(Bound):
    """A line has the fields of the layout, no more and no fewer."""

    def applies(self, columns: Columns) -> bool:
        return True

    def holds(self, columns: Columns) -> str:
        return _IS_LINE_WHOLE

    def value(self, columns: Columns) -> str:
        return _LINE


class Tsv(Format):
    """Tab-separated lines without a header, quoting off: a quote is a character like any other.

    The columns have no names. `describe` names two columns by what they hold, `url` where most lines have an address
    and `caption` beside it, or column1, column2 ... where that does not tell.
    """

    name = "tsv"
    endings = (".tsv", ".tsv.gz", ".tsv.zst")
    bounds = (_WholeLine("line_malformed", ()),)
    _hint = "Lines end in \\n or \\r\\n; a carriage return inside a line is not allowed."

    def relation(self, path: str, columns: Sequence[SourceColumn]) -> str:
        fields = "".join(f", fields[{i}] as {identifier(column.name)}" for i, column in enumerate(columns, start=1))
        return (
            f"(select {ROW}, {_LINE}, coalesce(len(fields) = {len(columns)}, false) as {_IS_LINE_WHOLE}{fields} "
            f"from (select row_number() over () - 1 as {ROW}, {_LINE}, string_split({_LINE}, chr(9)) as fields "
            f"from {self._lines(path)}))"
        )

    def describe(self, connection: duckdb.DuckDBPyConnection, path: str) -> tuple[SourceColumn, ...]:
        with reading(path, hint=self._hint):
            rows = connection.execute(
                f"select fields from (select string_split({_LINE}, chr(9)) as fields "
                f"from {self._lines(path)} limit {_SAMPLED_LINES}) where fields is not null"
            ).fetchall()
        if not rows:
            raise SourceError(f"{path}: found no lines, expected tab-separated rows")
        widths = [len(fields) for (fields,) in rows]
        width = max(set(widths), key=lambda each: (widths.count(each), each))
        whole = [fields for (fields,) in rows if len(fields) == width]
        is_url = [2 * sum(bool(re.match(_ADDRESS, fields[i])) for fields in whole) > len(whole) for i in range(width)]
        if width == 2 and sum(is_url) == 1:
            names = ["url" if each else "caption" for each in is_url]
        else:
            names = [f"column{i}" for i in range(1, width + 1)]
        return tuple(SourceColumn(name, "VARCHAR") for name in names)

    @staticmethod
    def _lines(path: str) -> str:
        return (
            f"read_csv({file_pattern(path)}, columns = {{'{_LINE}': 'VARCHAR'}}, header = false, auto_detect = false, "
            f"delim = {literal(_NO_DELIMITER)}, quote = '', escape = '', comment = '', hive_partitioning = false)"
        )


class Csv(Format):
    """Comma-separated with a header, quoted as RFC 4180 says. Everything is text until an adapter reads it."""

    name = "csv"
    endings = (".csv", ".csv.gz", ".csv.zst")

    def relation(self, path: str, columns: Sequence[SourceColumn]) -> str:
        named = ", ".join(f"{literal(column.name)}: 'VARCHAR'" for column in columns)
        scan = self._scan(path, f"columns = {{{named}}}, auto_detect = false")
        return f"(select *, row_number() over () - 1 as {ROW} from {scan})"

    def describe(self, connection: duckdb.DuckDBPyConnection, path: str) -> tuple[SourceColumn, ...]:
        with reading(path):
            described = connection.execute(
                f"describe select * from {self._scan(path, 'all_varchar = true')}"
            ).fetchall()
        return tuple(SourceColumn(name, kind) for name, kind, *_ in described)

    @staticmethod
    def _scan(path: str, options: str) -> str:
        return (
            f"read_csv({file_pattern(path)}, header = true, delim = ',', quote = '\"', escape = '\"', comment = '', "
            f"allow_quoted_nulls = false, hive_partitioning = false, {options})"
        )


PARQUET = Parquet()
TSV = Tsv()
CSV = Csv()
FORMATS: tuple[Format, ...] = (PARQUET, TSV, CSV)


def format_of(path: str) -> Format | None:
    """The format that a file name's ending says; None if none does."""
    return next((each for each in FORMATS if path.lower().endswith(each.endings)), None)


def file_pattern(path: str) -> str:
    """SQL text of a path that DuckDB takes for this one file, whatever characters are in it."""
    return literal(_GLOB_CHARACTERS.sub(r"[\1]", path))


@contextmanager
def reading(path: str, *, hint: str = "") -> Iterator[None]:
    """Turn DuckDB's complaint about the content of a file into a SourceError. Faults of the disk or network stay as
    they are: a retry may help.
    """
    try:
        yield
    except (duckdb.InterruptException, duckdb.InternalException):
        raise
    except duckdb.OperationalError as error:
        if not isinstance(error, duckdb.IOException) or not _SAYS_CONTENT.search(str(error)):
            raise
        raise SourceError(_unreadable(path, error, hint)) from None
    except duckdb.Error as error:
        raise SourceError(_unreadable(path, error, hint)) from None


def _unreadable(path: str, error: duckdb.Error, hint: str) -> str:
    said = re.split(r"LINE 1:|This can happen|Possible (?:fixes|solution)", str(error))[0]
    said = " ".join(said.split()).removeprefix("Invalid Input Error: ").removeprefix("IO Error: ")[:300]
    return f"{path}: cannot be read ({said}). {hint or 'Copy the file again, or take it out of the source.'}"
