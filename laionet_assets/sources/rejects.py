"""Lines of a text file that are no rows: which, why, and how many there may be.

Belongs here: what DuckDB's reader sets apart, and pieces of lines that it takes for lines. Does not belong here: how a
file is read (`text_files`), a damaged CSV (`csv_lines`).
"""

import re
from collections.abc import Iterable, Sequence

import duckdb

from laionet_assets.sources.errors import SourceError
from laionet_assets.sources.file_format import Rejected

MAX_REJECTED = 100_000
SHOWN_CHARACTERS = 200
MALFORMED = "line_malformed"
NOT_UTF8 = "not_utf8"
_REASONS = {"INVALID ENCODING": NOT_UTF8, "LINE SIZE OVER MAXIMUM": "line_too_long"}
REJECTED_REASONS = (*_REASONS.values(), MALFORMED)
"""Why a line may be no row."""


def rejected_lines(connection: duckdb.DuckDBPyConnection, table: str, *, path: str) -> tuple[Rejected, ...]:
    """The lines of a file that DuckDB wrote to a table of rejects, in order; the table goes away.

    Raises SourceError if there are more than 100,000.
    """
    rows = connection.execute(
        f"select line, min(error_type::varchar), left(min(csv_line), {SHOWN_CHARACTERS}) from {table} "
        f"group by line order by line limit {MAX_REJECTED + 1}"
    ).fetchall()
    connection.execute(f"drop table {table}")
    connection.execute(f"drop table {scans_of(table)}")
    assert_few([line for line, *_ in rows], path=path)
    return tuple(Rejected(line, _REASONS.get(kind, MALFORMED), (text or "").strip("\r\n")) for line, kind, text in rows)


def assert_few(lines: Sequence[int], *, path: str) -> None:
    """Raises SourceError if more than 100,000 lines are no rows."""
    if len(lines) > MAX_REJECTED:
        shown = ", ".join(map(str, lines[:5]))
        raise SourceError(
            f"{path}: more than {MAX_REJECTED:,} lines cannot be read (the first: {shown}); expected UTF-8 and lines "
            "of equally many fields. Write the file again."
        )


def scans_of(table: str) -> str:
    """The table that DuckDB keeps beside a table of rejects."""
    return f"{table}_scans"


def cut_rows(chunks: Iterable[bytes], rejected: Sequence[Rejected], *, path: str) -> tuple[int, ...]:
    """Rows that are pieces of one line, because it has a carriage return in it, by the bytes of a file.

    Raises SourceError if there are more than 100,000.
    """
    lines = _cut_lines(chunks, path=path)
    if len(lines) > MAX_REJECTED:
        raise SourceError(
            f"{path}: more than {MAX_REJECTED:,} lines have a carriage return inside; expected lines that end in "
            "\\n or \\r\\n. Write the file again."
        )
    gone = sorted(each.line for each in rejected)
    rows, before = [], 0
    for line in lines:
        while before < len(gone) and gone[before] < line:
            before += 1
        if before == len(gone) or gone[before] != line:
            rows.append(line - 1 - before)
    return tuple(rows)


def _cut_lines(chunks: Iterable[bytes], *, path: str) -> list[int]:
    """Numbers, from 1, of the lines before and after a carriage return that no line feed follows.

    DuckDB takes such a one for the end of a line too, together with the byte after it. Raises SourceError for two of
    them in a row, after which it counts otherwise.
    """
    found: set[int] = set()
    line, rest = 1, b""
    for chunk in chunks:
        text = rest + chunk
        if b"\r\r" in text:
            raise SourceError(
                f"{path}: found two carriage returns in a row, expected lines that end in \\n or \\r\\n. "
                "Write the file again."
            )
        rest = b"\r" if text.endswith(b"\r") else b""
        for match in re.finditer(rb"(?s)\r.|\n", text[: len(text) - len(rest)]):
            if match[0] not in (b"\r\n", b"\n"):
                found |= {line, line + 1}
            line += 1
            if len(found) > MAX_REJECTED:
                return sorted(found)
    return sorted(found)
