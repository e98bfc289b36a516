"""What a file format is: how DuckDB reads a file, which columns it has, the number of each row, and what of it cannot
be read.

Belongs here: the shape of a format, and what all of them share. The formats are `parquet` and `text_files`.

A relation has the columns that are asked for, by their place (`laionet_column_0`, so that no name in a file can take
the place of one of ours), and `laionet_row`, the row's number in the file from 0. Nothing is copied: it streams.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import duckdb

from laionet_assets.sources.bounds import Bound
from laionet_assets.sources.errors import DamagedRowsError, SourceError
from laionet_assets.warehouse.sql import literal

ROW = "laionet_row"
_GLOB_CHARACTERS = re.compile(r"([*?\[])")
_SAYS_CONTENT = re.compile("No files found|GZIP|ZSTD|Could not read enough bytes", re.IGNORECASE)
_SAYS_ROWS = re.compile(
    "CSV Error on Line|Parallel CSV Reader|state machine reached an invalid state|not valid UTF|string encoding|"
    "not utf-8 encoded",
    re.IGNORECASE,
)

Mode = Literal["strict", "lenient", "loose"]


@dataclass(frozen=True)
class SourceColumn:
    """A column of a source file. `type` is DuckDB's name of the type; `read_as` is what DuckDB calls the column, which
    differs from its name where the file has that name twice.
    """

    name: str
    type: str
    read_as: str


@dataclass(frozen=True)
class Reading:
    """How a file is read.

    `mode`: `strict` where all of it is sound; `lenient` sets apart lines that do not parse and text that is not UTF-8;
    `loose` also takes lines that end in different ways. `skipped_lines`: lines before the header of a CSV;
    `delimiter`: between its fields. `cut_rows`: rows of text files that are pieces of a line with a carriage return in
    it.
    """

    mode: Mode = "strict"
    skipped_lines: int = 0
    delimiter: str = ","
    cut_rows: tuple[int, ...] = ()


STRICT = Reading()


@dataclass(frozen=True)
class Rejected:
    """A line of a text file that is no row: its number in the file, from 1, why, and its text, cut short."""

    line: int
    reason: str
    text: str


class Format(ABC):
    """A file format. `modes`: the ways to read a file of it, the strictest first. `can_miss`: whether it can say that a
    value is missing; where it cannot, every word is the text that was published.
    """

    name: str
    endings: tuple[str, ...]
    modes: tuple[Mode, ...]
    can_miss: bool = True

    @abstractmethod
    def bounds(self, reading: Reading) -> tuple[Bound, ...]:
        """What every row of a file read in this way must keep."""

    @abstractmethod
    def describe(self, connection: duckdb.DuckDBPyConnection, path: str) -> tuple[tuple[SourceColumn, ...], Reading]:
        """The columns of a file, in its order, and how it is to be read. Raises SourceError if it cannot be."""

    @abstractmethod
    def relation(
        self,
        path: str,
        columns: Sequence[SourceColumn],
        reading: Reading,
        *,
        used: Sequence[int],
        rejects: str | None = None,
    ) -> str:
        """What to select from: the columns in the places `used`, and `laionet_row`.

        `rejects`: a temporary table that DuckDB writes the lines of text files to that are no rows.
        """


def column_at(place: int) -> str:
    """What a relation calls the column in this place of the file."""
    return f"laionet_column_{place}"


def file_pattern(path: str) -> str:
    """SQL text of a path that DuckDB takes for this one file, whatever characters are in it."""
    return literal(_GLOB_CHARACTERS.sub(r"[\1]", path))


@contextmanager
def reading_file(path: str) -> Iterator[None]:
    """Turn DuckDB's complaint about the content of a file into a SourceError: a DamagedRowsError where rows, and not
    the file, are to blame. Faults of the disk or network stay as they are: a retry may help.
    """
    try:
        yield
    except (duckdb.InterruptException, duckdb.InternalException):
        raise
    except (duckdb.InvalidInputException, duckdb.NotImplementedException) as error:
        kind = DamagedRowsError if _SAYS_ROWS.search(str(error)) else SourceError
        raise kind(unreadable(path, str(error))) from None
    except duckdb.OperationalError as error:
        if not isinstance(error, duckdb.IOException) or not _SAYS_CONTENT.search(str(error)):
            raise
        raise SourceError(unreadable(path, str(error))) from None
    except duckdb.Error as error:
        raise SourceError(unreadable(path, str(error))) from None


def unreadable(path: str, error: str) -> str:
    """What a user is told of a file that cannot be read, by what a library says."""
    said = re.split(r"LINE 1:|This can happen|Possible (?:fixes|solution)", error)[0]
    said = " ".join(said.split()).removeprefix("Invalid Input Error: ").removeprefix("IO Error: ")[:300]
    return f"{path}: cannot be read ({said}). Copy the file again, or take it out of the source."
