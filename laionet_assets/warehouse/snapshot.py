"""Snapshots: published tables as one self-contained DuckDB database of native tables, to copy and keep.

Belongs here: writing the file whole or not at all, and never in place of anything but an older snapshot. Does not
belong here: which tables and rows leave the warehouse (`commands.snapshot`).
"""

import re
from collections.abc import Mapping
from pathlib import Path

import duckdb

from laionet_assets.errors import UserError
from laionet_assets.warehouse.database import comments, new_database
from laionet_assets.warehouse.sql import identifier, literal
from laionet_assets.warehouse.warehouse import Warehouse

SNAPSHOT_COMMENT = "laionet snapshot"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def write_snapshot(warehouse: Warehouse, target: str, selects: Mapping[str, str]) -> dict[str, int]:
    """Write the rows of these SELECTs, by the name of their table, to a local file. Returns the rows of each table.

    Raises UserError if the target is a URL, is there and is no snapshot, or cannot be written.
    """
    path = _writable(target)
    rows: dict[str, int] = {}
    with warehouse.connect() as connection:
        try:
            with new_database(warehouse, str(path), connection) as database:
                for name, select in sorted(selects.items()):
                    table = warehouse.table(name)
                    connection.execute(f"create schema if not exists {database}.{identifier(table.schema)}")
                    order = ", ".join(identifier(column) for column in table.grain)
                    rows_of = f"select * from ({select})" + (f" order by {order}" if order else "")
                    connection.execute(f"create table {database}.{identifier(name)} as {rows_of}")
                    connection.execute(";\n".join(comments(connection, database, table, "table", select=select)))
                    row = connection.execute(f"select count(*) from {database}.{identifier(name)}").fetchone()
                    rows[name] = row[0] if row else 0
                told = ", ".join(f"({literal(name)}, {count})" for name, count in rows.items())
                listed = f"{database}.main.snapshot"
                connection.execute(f"create table {listed} (table_name varchar, rows bigint)")
                connection.execute(f"insert into {listed} values {told}")
                connection.execute(f"comment on table {listed} is {literal(SNAPSHOT_COMMENT)}")
        except (OSError, duckdb.IOException) as error:
            raise UserError(
                f"{path} cannot be written: {str(error).splitlines()[0]}. "
                "Choose a folder that you may write to and that has room"
            ) from error
    return rows


def _writable(target: str) -> Path:
    """The file that a snapshot may be written to. Raises UserError for a URL and for whatever would be lost."""
    if _URL.match(target):
        raise UserError(f"found the URL {target}, expected a local file: write the snapshot here, then copy it there")
    path = Path(target).expanduser().absolute().resolve()
    if path.exists() and not _is_snapshot(path):
        raise UserError(
            f"{path} is there and is no snapshot of this project, so it is not replaced; choose another name, or move "
            "it away first"
        )
    return path


def _is_snapshot(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        connection = duckdb.connect(str(path), read_only=True)
    except duckdb.Error:
        return False
    try:
        query = "select comment from duckdb_tables() where schema_name = 'main' and table_name = 'snapshot'"
        return connection.execute(query).fetchall() == [(SNAPSHOT_COMMENT,)]
    finally:
        connection.close()
