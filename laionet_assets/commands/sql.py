"""`laionet sql`: one question to the published tables, answered as a table, as JSON or as CSV.

The connection sees the catalog's views and nothing else: it cannot write, attach a database, install an extension, or
read a file outside the warehouse and its sources, unless the user allows files. JSON and CSV are DuckDB's own, so that
every type comes out as DuckDB reads it back.
"""

import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, BinaryIO

import duckdb

from laionet_assets.assets.parts import load_register
from laionet_assets.commands.published import open_published, published_views
from laionet_assets.commands.terminal import open_console
from laionet_assets.errors import UserError
from laionet_assets.inert import inert
from laionet_assets.warehouse.sql import literal, literals
from laionet_assets.warehouse.warehouse import Warehouse

SHOWN_ROWS = 1_000
SHOWN_CHARACTERS = 120
_ASKING = frozenset(
    {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN, duckdb.StatementType.MULTI}  # MULTI: holds a PIVOT
)
"""Statements that may only ask."""
_ASKING_WORDS = (
    *("select", "from", "with", "values", "table"),
    *("describe", "desc", "show", "summarize", "pivot", "pivot_wider", "unpivot", "pivot_longer"),
)
"""What such a statement begins with, if it does no more than ask."""
_PLAN_OPTIONS = ("analyze", "format")
_COPIES = {"csv": "format csv, header true", "json": "format json, array true"}
_NO_TABLE = re.compile(r'Table with name "?(?P<name>.+?)"? does not exist')
_JSON_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b')


def ask(query: str, *, config: Path | None = None, format: str = "table", allow_files: bool = False) -> None:
    """Run one query over the warehouse's views and print its rows as a table, JSON or CSV.

    Without `allow_files` the query can only read, and only the warehouse and its sources. Raises UserError if the
    query does not run, with what DuckDB says of it, or is not exactly one question.
    """
    warehouse = open_published(config)
    question = _question(query, format, allow_files=allow_files)
    with _pipe() as (reader, writer), published_views(warehouse) as connection:
        if not allow_files:
            _lock(connection, warehouse, writable=_path(writer))
        try:
            if format == "table":
                _print_table(connection, question)
            else:
                _copy(connection, question, format, reader, writer)
        except duckdb.Error as error:
            said = _explain(error, question, warehouse, allow_files=allow_files)
            raise UserError(said) from None


def _question(query: str, format: str, *, allow_files: bool) -> str:
    """The one statement of a query. Raises UserError if there is none, several, one that does more than ask, or one
    whose answer has not the format.
    """
    try:
        statements = duckdb.extract_statements(query)
    except duckdb.Error as error:
        raise UserError(inert(str(error), keep="\n")) from None
    if len(statements) != 1:
        found = f"found {len(statements)} statements" if statements else "nothing to ask"
        raise UserError(f'{found}, expected one SELECT, such as "from core.laionet limit 5"')
    question = statements[0].query.strip().removesuffix(";")
    word = _first_word(question)
    if not allow_files and (statements[0].type not in _ASKING or word not in _ASKING_WORDS):
        raise UserError(
            f"found {word.upper()}, expected a SELECT: laionet sql only reads. "
            "To write files or attach databases of your own, say --allow-files"
        )
    if statements[0].type == duckdb.StatementType.EXPLAIN and format != "table":
        raise UserError(f"found EXPLAIN with --format {format}, expected --format table: a plan is a drawing")
    return question


def _first_word(statement: str) -> str:
    """What a statement begins with; of a plan that is asked for, what the planned statement does.

    DuckDB's type does not tell: EXPLAIN ANALYZE of a COPY is an EXPLAIN, and a COPY of a PIVOT is as much a MULTI as
    the PIVOT itself. Both write files.
    """
    text, tokens = statement.encode(), duckdb.tokenize(statement)  # which counts bytes
    ends = [start for start, _ in tokens[1:]] + [len(text)]
    pieces = [
        text[start:end].decode()
        for (start, kind), end in zip(tokens, ends, strict=True)
        if kind != duckdb.token_type.comment
    ]
    words = re.findall(r"\w+|\S", " ".join(pieces).lower())
    if words[0] == "explain":
        words = words[2:] if words[1] == "analyze" else words[1:]
        if words[0] == "(" and words[1] in _PLAN_OPTIONS:
            words = words[words.index(")") + 1 :]
    return next(word for word in words if word != "(")


def _lock(connection: duckdb.DuckDBPyConnection, warehouse: Warehouse, *, writable: str) -> None:
    """From here on the connection reads the warehouse and the sources' files, writes to `writable` alone, and cannot be
    told otherwise.
    """
    root = warehouse.lake.root
    sources = [part.path for part in load_register(warehouse).values() if part.is_present]
    connection.execute(f"set allowed_directories = [{literal(root + '/')}]")
    connection.execute(f"set allowed_paths = {literals([*sources, writable])}")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")


@contextmanager
def _pipe() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """The two ends of a pipe: DuckDB writes to the second under its name in /dev/fd."""
    readable, writable = os.pipe()
    with os.fdopen(readable, "rb") as reader, os.fdopen(writable, "wb") as writer:
        yield reader, writer


def _path(writer: BinaryIO) -> str:
    return f"/dev/fd/{writer.fileno()}"


def _copy(
    connection: duckdb.DuckDBPyConnection, question: str, format: str, reader: BinaryIO, writer: BinaryIO
) -> None:
    """Write the rows to standard output as DuckDB writes them; what is no JSON (NaN, infinity) becomes null."""
    failures: list[BaseException] = []

    def forward() -> None:
        try:
            _forward(reader, sys.stdout, is_json=format == "json")
        except BaseException as error:
            failures.append(error)
            reader.close()  # DuckDB's next write fails, instead of waiting for a reader

    thread = threading.Thread(target=forward)
    thread.start()
    try:
        connection.execute(f"copy (\n{question}\n) to {literal(_path(writer))} ({_COPIES[format]})")
    except duckdb.Error:
        if not failures:
            raise
    finally:
        writer.close()
        thread.join()
    if failures:
        raise failures[0]


def _forward(reader: BinaryIO, output: Any, *, is_json: bool) -> None:
    """Copy lines to the output as they come. On a terminal, what it would obey is written as an escape."""
    is_terminal = output.isatty()
    for line in reader:
        if is_json:
            line = _JSON_TOKEN.sub(lambda token: token[0] if token[0].startswith(b'"') else b"null", line)
        if is_terminal:
            output.write(inert(line.decode("utf-8", "backslashreplace"), keep="\n\t"))
        else:
            output.buffer.write(line)
    output.flush()


def _print_table(connection: duckdb.DuckDBPyConnection, question: str) -> None:
    from rich.table import Table
    from rich.text import Text

    cursor = connection.execute(question)
    names = [column[0] for column in cursor.description or []]
    rows = cursor.fetchmany(SHOWN_ROWS + 1)
    table = Table(header_style="bold")
    for name in names:
        table.add_column(Text(inert(name)))
    for row in rows[:SHOWN_ROWS]:
        table.add_row(*(Text("NULL", style="dim") if value is None else Text(_short(value)) for value in row))
    console = open_console(width=200)
    console.print(table)
    if len(rows) > SHOWN_ROWS:
        console.print(f"the first {SHOWN_ROWS:,} rows of more; --format csv or --format json prints them all")
    else:
        console.print(f"{len(rows):,} {'row' if len(rows) == 1 else 'rows'}")


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = inert(str(value), keep="\n" if "\u2500" in str(value) else "")  # query plans are drawn over lines
    return text if len(text) <= SHOWN_CHARACTERS or "\n" in text else text[: SHOWN_CHARACTERS - 3] + "..."


def _explain(
    error: duckdb.Error,
    question: str,
    warehouse: Warehouse,
    *,
    allow_files: bool,
) -> str:
    said = inert(str(error), keep="\n")
    missing = _NO_TABLE.search(str(error))
    if isinstance(error, duckdb.CatalogException) and missing:
        written = _as_written(missing["name"], question)
        where = said.partition("\n\n")[2]
        return f"{_unknown_table(written, warehouse)}\n{where}".rstrip()
    if isinstance(error, duckdb.PermissionException) and not allow_files:
        return f"{said}\nlaionet sql reads the warehouse alone; to use files of your own, say --allow-files"
    return said


def _as_written(name: str, question: str) -> str:
    """The table of a question that DuckDB calls `name`, with its schema, which the error leaves out."""
    try:
        with duckdb.connect() as blank:  # where the question is read, and no view is looked into
            asked = blank.get_table_names(question, qualified=True)
    except duckdb.Error:  # of a PIVOT it cannot tell
        return name
    plain = sorted(re.sub(r" AS \w+$", "", each).replace('"', "") for each in asked)
    return next((each for each in plain if f".{each}".lower().endswith(f".{name}".lower())), name)


def _unknown_table(written: str, warehouse: Warehouse) -> str:
    """What to say of a table that is not published: it is documented and not made, or which are called alike."""
    name = ".".join(written.lower().split(".")[-2:])
    if name in warehouse.tables:
        return f"{name} is not there yet; run first: laionet run (it is documented, and nothing made it so far)"
    by_name = {table if "." in name else table.partition(".")[2]: table for table in sorted(warehouse.tables)}
    near = [by_name[each] for each in get_close_matches(name, by_name, n=3, cutoff=0.75)]
    near += [table for table in sorted(warehouse.tables) if table.endswith("." + name.rpartition(".")[2])]
    said = [
        table if warehouse.is_published(table) else f"{table} (documented, but not there yet)"
        for table in dict.fromkeys(near)
    ]
    advice = f"did you mean {', '.join(said)}?" if said else 'the tables there are: laionet sql "show all tables"'
    return f"there is no table {inert(written)}; {advice}"
