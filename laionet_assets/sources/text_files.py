r"""Text files: tab-separated lines without a header, JSON lines, comma-separated with a header.

Belongs here: lines, fields, headers. Does not belong here: which lines are no rows (`rejects`), what a column means
(`adapters`).

Lines end in \n, in \r\n or in \r. A line that cannot be read at all (bytes that are no UTF-8, more than 2 MB, in a
CSV quotes and fields that do not add up) is no row: it is set apart, and the rows are those that are left. DuckDB does
that, but for a CSV with quotes that are not closed, fields of several lines, or ends of several kinds: see `csv_lines`.
"""

import csv
import json
import re
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import duckdb

from laionet_assets.sources.bounds import Bound, Columns
from laionet_assets.sources.csv_lines import Accounts, account, rows_sql
from laionet_assets.sources.errors import SourceError
from laionet_assets.sources.file_format import (
    ROW,
    Format,
    Reading,
    Rejected,
    SourceColumn,
    column_at,
    file_pattern,
    reading_file,
)
from laionet_assets.sources.rejects import MALFORMED, scans_of
from laionet_assets.warehouse.sql import literal, literals

CAPTION_NAMES = frozenset({"caption", "text", "title", "alt", "alt_text"})
URL_NAMES = frozenset({"url", "image_url", "image", "link"})
_LINE = "laionet_line"
_FIELDS = "laionet_fields"
_IS_WHOLE = "laionet_is_line_whole"
_ADDRESS = "^[A-Za-z][A-Za-z0-9+.-]*://"
_SAMPLED_LINES = 1000
_NO_DELIMITER = "\x1e\x1f\x1e\x1f"
_SEPARATOR = re.compile(r'^"?sep=(.)"?$', re.IGNORECASE)


@dataclass(frozen=True)
class _WholeLine(Bound):
    """A line has the fields of the layout, no more and no fewer, and is not a piece of one."""

    def applies(self, columns: Columns) -> bool:
        return True

    def holds(self, columns: Columns) -> str:
        return _IS_WHOLE

    def value(self, columns: Columns) -> str:
        return _LINE


@dataclass(frozen=True)
class _NoHeader(Bound):
    """A line is not the names of the columns: a header, wherever it stands (files that were joined have several)."""

    def applies(self, columns: Columns) -> bool:
        return columns.has("caption") and columns.has("url")

    def holds(self, columns: Columns) -> str:
        tests = " and ".join(
            f"coalesce(lower(trim({columns.text(column)})) in {literals(sorted(names))}, false)"
            for column, names in (("caption", CAPTION_NAMES), ("url", URL_NAMES))
        )
        return f"(not ({tests}))"

    def value(self, columns: Columns) -> str:
        return _LINE


class TextFormat(Format):
    """What text files share: lines, and those of them that are no rows."""

    modes = ("strict", "lenient", "loose")
    has_line_rows: bool

    def describe(self, connection: duckdb.DuckDBPyConnection, path: str) -> tuple[tuple[SourceColumn, ...], Reading]:
        with reading_file(path):
            first = connection.execute(
                f"select {_LINE} from {_lines(path, Reading('loose'))} limit {_SAMPLED_LINES}"
            ).fetchall()
        lines = [line for (line,) in first]
        text = "".join(line or "" for line in lines)
        if 3 * text.count("\x00") > len(text) > 0:
            raise SourceError(f"{path}: found UTF-16, expected UTF-8; convert it: iconv -f UTF-16 -t UTF-8")
        return self.described(lines, path)

    @abstractmethod
    def described(self, lines: Sequence[str | None], path: str) -> tuple[tuple[SourceColumn, ...], Reading]:
        """The columns by the first lines of a file, None for an empty one. Raises SourceError."""


class _Lines(TextFormat):
    """Formats whose rows are lines."""

    has_line_rows = True

    def bounds(self, reading: Reading) -> tuple[Bound, ...]:
        return (_WholeLine(MALFORMED, ()),)

    def relation(
        self,
        path: str,
        columns: Sequence[SourceColumn],
        reading: Reading,
        *,
        used: Sequence[int],
        rejects: str | None = None,
    ) -> str:
        # Rows are numbered above the fields: a condition on a field would else go below them, where DuckDB reads a line
        # again for every field that it mentions.
        fields, is_whole = self.fields(columns, used)
        # A list of numbers would be gone through for every row: there may be 100,000 of them.
        cut = f" and {ROW} not in (select unnest({list(reading.cut_rows)}))" if reading.cut_rows else ""
        selected = [f"{_FIELDS}[{i}] as {column_at(place)}" for i, place in enumerate(used, start=1)]
        return (
            f"(select {ROW}, {_LINE}, {', '.join((*selected, f'coalesce({is_whole}, false){cut} as {_IS_WHOLE}'))} "
            f"from (select row_number() over () - 1 as {ROW}, * "
            f"from (select {_LINE}, {fields} as {_FIELDS} from {_lines(path, reading, rejects)})))"
        )

    @abstractmethod
    def fields(self, columns: Sequence[SourceColumn], used: Sequence[int]) -> tuple[str, str]:
        """SQL of the fields of a line as a list, those used first, and of whether the line is a whole row."""


class Tsv(_Lines):
    """Tab-separated lines without a header, quoting off: a quote is a character like any other.

    The columns have no names. `described` names two columns by what they hold, `url` where most lines have an address
    and `caption` beside it, or column1, column2 ... where that does not tell. A line of names is none.
    """

    name = "tsv"
    endings = (".tsv", ".tsv.gz", ".tsv.zst")
    can_miss = False

    def bounds(self, reading: Reading) -> tuple[Bound, ...]:
        return (*super().bounds(reading), _NoHeader("line_of_names", ()))

    def fields(self, columns: Sequence[SourceColumn], used: Sequence[int]) -> tuple[str, str]:
        split = f"string_split({_LINE}, chr(9))"
        picked = ", ".join(f"{split}[{place + 1}]" for place in used)
        return f"[{picked}]", f"len({split}) = {len(columns)}"

    def described(self, lines: Sequence[str | None], path: str) -> tuple[tuple[SourceColumn, ...], Reading]:
        rows = [line.split("\t") for line in lines if line is not None]
        if not rows:
            raise SourceError(f"{path}: found no lines, expected tab-separated rows")
        widths = [len(fields) for fields in rows]
        width = max(set(widths), key=lambda each: (widths.count(each), each))
        whole = [fields for fields in rows if len(fields) == width and not _is_header(fields)]
        is_url = [2 * sum(bool(re.match(_ADDRESS, fields[i])) for fields in whole) > len(whole) for i in range(width)]
        if width == 2 and sum(is_url) == 1:
            names = ["url" if each else "caption" for each in is_url]
        else:
            names = [f"column{i}" for i in range(1, width + 1)]
        return _texts(names), Reading()


class JsonLines(_Lines):
    """An object a line. Values are text until an adapter reads them; the columns are the keys of the first lines."""

    name = "jsonl"
    endings = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".ndjson", ".ndjson.gz", ".ndjson.zst")

    def fields(self, columns: Sequence[SourceColumn], used: Sequence[int]) -> tuple[str, str]:
        keys = [columns[place].name.replace("~", "~0").replace("/", "~1") for place in used]
        is_object = f"coalesce(json_type(try_cast({_LINE} as json)) = 'OBJECT', false)"
        paths = literals(f"/{key}" for key in keys)
        picked = f"case when {is_object} then json_extract_string({_LINE}, {paths}) end"
        return picked, f"{_FIELDS} is not null"

    def described(self, lines: Sequence[str | None], path: str) -> tuple[tuple[SourceColumn, ...], Reading]:
        keys: dict[str, None] = {}
        for line in lines:
            try:
                row = json.loads(line or "")
            except ValueError:
                continue
            if isinstance(row, dict):
                keys.update(dict.fromkeys(row))
        if not keys:
            raise SourceError(f'{path}: found no objects, expected JSON lines such as {{"url": ..., "caption": ...}}')
        return _texts(list(keys)), Reading()


class Csv(TextFormat):
    """Separated by commas (or what a first line `sep=;` says) with a header, quoted as RFC 4180 says. Everything is
    text until an adapter reads it. Empty lines are no rows. Read loosely it is made of its lines.
    """

    name = "csv"
    endings = (".csv", ".csv.gz", ".csv.zst")
    has_line_rows = False

    def bounds(self, reading: Reading) -> tuple[Bound, ...]:
        return ()

    def relation(
        self,
        path: str,
        columns: Sequence[SourceColumn],
        reading: Reading,
        *,
        used: Sequence[int],
        rejects: str | None = None,
    ) -> str:
        if reading.mode == "loose":
            lines = f"(select {_LINE} as line from {_lines(path, reading, rejects)})"
            return rows_sql(lines, delimiter=reading.delimiter, used=used, cut_rows=reading.cut_rows)
        typed = ", ".join(f"{literal(column_at(i))}: 'VARCHAR'" for i in range(len(columns)))
        names = ", ".join(map(column_at, used))
        scan = (
            f"read_csv({file_pattern(path)}, columns = {{{typed}}}, header = true, skip = {reading.skipped_lines}, "
            f"delim = {literal(reading.delimiter)}, quote = '\"', escape = '\"', comment = '', auto_detect = false, "
            f"allow_quoted_nulls = false, hive_partitioning = false{_options(reading, rejects)})"
        )
        return (
            f"(select {names}, row_number() over () - 1 as {ROW} from {scan}{_all_read(map(column_at, used), reading)})"
        )

    def described(self, lines: Sequence[str | None], path: str) -> tuple[tuple[SourceColumn, ...], Reading]:
        skipped, delimiter = 0, ","
        for line in lines:
            separator = _SEPARATOR.match(line or "")
            if separator is None and (line or "").strip():
                break
            delimiter = separator[1] if separator else delimiter
            skipped += 1
        text = "\n".join(line or "" for line in lines[skipped:])
        names = _header(text, delimiter, path=path)
        if not names:
            raise SourceError(f"{path}: found no header, expected the names of the columns in the first line")
        return _texts([name.strip() for name in names]), Reading(skipped_lines=skipped, delimiter=delimiter)

    def accounts(
        self, chunks: Iterable[bytes], columns: Sequence[SourceColumn], reading: Reading, rejected: Sequence[Rejected]
    ) -> Accounts:
        """What every line of the file is. `rejected`: the lines that DuckDB sets apart, in order."""
        return account(
            chunks,
            delimiter=reading.delimiter,
            width=len(columns),
            skipped_lines=reading.skipped_lines,
            gone=[each.line for each in rejected],
            is_by_lines=reading.mode == "loose",
        )

    def count_lines(self, connection: duckdb.DuckDBPyConnection, path: str, reading: Reading, *, rejects: str) -> int:
        """Lines of a file that DuckDB can read; it writes the others to a table of rejects."""
        with reading_file(path):
            return int(connection.execute(f"select count(*) from {_lines(path, reading, rejects)}").fetchall()[0][0])


def _lines(path: str, reading: Reading, rejects: str | None = None) -> str:
    scan = (
        f"read_csv({file_pattern(path)}, columns = {{'{_LINE}': 'VARCHAR'}}, header = false, auto_detect = false, "
        f"delim = {literal(_NO_DELIMITER)}, quote = '', escape = '', comment = '', hive_partitioning = false"
        f"{_line_ends(reading)}{_options(reading, rejects)})"
    )
    return f"(select {_LINE} from {scan}{_all_read([_LINE], reading)})"


def _line_ends(reading: Reading) -> str:
    """Where lines end in different ways, DuckDB must not take the first end for all, or it finds empty lines between
    the two characters of others.
    """
    return ", new_line = '\\r\\n'" if reading.mode == "loose" else ""


def _options(reading: Reading, rejects: str | None) -> str:
    """DuckDB loses rows where several threads read a file and errors are passed over: one reads what has some."""
    if reading.mode == "strict":
        return ""
    stored = (
        f", store_rejects = true, rejects_table = {literal(rejects)}, rejects_scan = {literal(scans_of(rejects))}"
        if rejects
        else ""
    )
    strictness = ", strict_mode = false" if reading.mode == "loose" else ""
    return f", ignore_errors = true, parallel = false{strictness}{stored}"


def _all_read(columns: Iterable[str], reading: Reading) -> str:
    """DuckDB passes over a line with bad bytes only if it reads the column that has them: it reads all of them always,
    so that every query finds the same rows.
    """
    return "" if reading.mode == "strict" else f" where coalesce(strlen(concat({', '.join(columns)})), 0) >= 0"


def _header(text: str, delimiter: str, *, path: str) -> list[str]:
    """The fields of the header of a CSV, none where there is no text. Raises SourceError for one that goes on in
    further lines because a quote in it is not closed: those would be lost with it.
    """
    lines = text.splitlines(keepends=True)
    reader = csv.reader(lines, delimiter=delimiter)
    names: list[str] = []
    try:
        names = next(reader, [])
        if reader.line_num > 1:
            next(csv.reader(lines, delimiter=delimiter, strict=True))
        is_closed = reader.line_num <= 1 or not any("\n" in name and "://" in name for name in names)
    except csv.Error:  # or a field of more than 128 KiB
        is_closed = False
    if not is_closed:
        raise SourceError(
            f"{path}: found a header with a quote that is not closed, expected the names of the columns in the "
            "first line. Close it, or take the quote out."
        )
    return names


def _is_header(fields: Sequence[str]) -> bool:
    names = {field.strip().lower() for field in fields}
    return bool(names & CAPTION_NAMES and names & URL_NAMES)


def _texts(names: Sequence[str]) -> tuple[SourceColumn, ...]:
    return tuple(SourceColumn(name, "VARCHAR", column_at(place)) for place, name in enumerate(names))
