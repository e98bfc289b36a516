"""The catalog: a database of views that people open read-only, also while runs write; and the release, a database of
native tables.

Both are built in a file of their own and swapped in whole. The views of the catalog name the generations of files that
were current when it was built, so whoever has it open sees one state of all tables and never a torn file; it is built
anew whenever a table is published.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from laionet_assets.warehouse.lake import is_alive, replace
from laionet_assets.warehouse.sql import identifier, literal
from laionet_assets.warehouse.table import Table
from laionet_assets.warehouse.warehouse import MissingTableError, Warehouse, digest

STORAGE_VERSION = "v1.5.0"  # files written so open in DuckDB 1.5 and later; 2.0's own format does not
CATALOG_COMMENT = "laionet catalog"


def refresh_catalog(warehouse: Warehouse) -> bool:
    """Make the catalog say what is published. Returns whether it had to be rebuilt.

    Processes take turns on one machine; what is published is read inside the turn, so nobody's table is lost.
    """
    with warehouse.lake.turn("catalog"), warehouse.connect() as connection:
        selects = _catalog_selects(warehouse, connection)
        signature = _signature(warehouse, selects)
        if _signature_of(warehouse.catalog_path) == signature:
            return False
        with _database(warehouse, warehouse.catalog_path, connection) as database:
            statements = ["begin"]
            for name, select in selects.items():
                table = warehouse.table(name)
                statements.append(f"create schema if not exists {database}.{identifier(table.schema)}")
                statements.append(f"create view {database}.{identifier(name)} as {select}")
                statements += _comments(database, table, "view")
            statements.append(f"create table {database}.main.catalog as select {literal(signature)} as signature")
            statements.append(f"comment on table {database}.main.catalog is {literal(CATALOG_COMMENT)}")
            connection.execute(";\n".join([*statements, "commit"]))
    return True


@contextmanager
def open_catalog(warehouse: Warehouse) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that sees the catalog's views under their own names, as anyone does who opens it read-only."""
    local = warehouse.catalog_path
    with warehouse.connect() as connection, tempfile.TemporaryDirectory() as folder:
        if "://" in local:
            local = f"{folder}/laionet.duckdb"
            warehouse.lake.filesystem.get_file(warehouse.catalog_path, local)
        connection.execute(f"attach {literal(local)} as laionet (read_only)")
        connection.execute("use laionet")
        yield connection


def write_release(
    warehouse: Warehouse, target: str, *, version: str, select: Callable[[str], str] | None = None
) -> dict[str, int]:
    """Write every published table, but for vectors and views over sources, as one self-contained database.

    `select` gives the SELECT of a table by its name; without it, all of its rows as published. Returns the rows of
    each table. The file appears whole or not at all.
    """
    select_of = select or warehouse.select
    rows: dict[str, int] = {}
    with warehouse.connect() as connection, _database(warehouse, target, connection) as database:
        for name, table in sorted(warehouse.tables.items()):
            if table.is_view or not table.is_in_release or not warehouse.is_published(name):
                continue
            connection.execute(f"create schema if not exists {database}.{identifier(table.schema)}")
            order = ", ".join(identifier(column) for column in table.grain)
            rows_of = f"select * from ({select_of(name)})" + (f" order by {order}" if order else "")
            connection.execute(f"create table {database}.{identifier(name)} as {rows_of}")
            connection.execute(";\n".join(_comments(database, table, "table")))
            row = connection.execute(f"select count(*) from {database}.{identifier(name)}").fetchone()
            rows[name] = row[0] if row else 0
        connection.execute(f"create table {database}.main.release as select {literal(version)} as version")
    return rows


def _catalog_selects(warehouse: Warehouse, connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """What each view of the catalog selects. A view over source files that are gone since the last look is left out."""
    selects = {}
    for name, table in sorted(warehouse.tables.items()):
        if not warehouse.is_published(name):
            continue
        try:
            select = warehouse.select(name)
        except MissingTableError:
            continue
        if not table.is_view or _can_be_read(connection, select):
            selects[name] = select
    return selects


def _can_be_read(connection: duckdb.DuckDBPyConnection, select: str) -> bool:
    try:
        connection.execute(f"describe {select}")
    except duckdb.IOException:
        return False
    return True


def _signature(warehouse: Warehouse, selects: dict[str, str]) -> str:
    """Digest of the views and of their columns with their documentation: what is published has the documented ones."""
    said = []
    for name, select in selects.items():
        table = warehouse.table(name)
        said += [name, select, table.description]
        said += [f"{column.name} {column.type}: {column.description}" for column in table.columns]
    return digest(*said)


def _signature_of(path: str) -> str | None:
    """Signature that the catalog at `path` was built for; None if it has to be built."""
    if "://" in path or not Path(path).is_file():
        return None
    try:
        connection = duckdb.connect(path, read_only=True)
    except duckdb.Error:
        return None
    try:
        row = connection.execute("select signature from main.catalog").fetchone()
    except duckdb.CatalogException:
        return None
    finally:
        connection.close()
    return row[0] if row else None


@contextmanager
def _database(warehouse: Warehouse, target: str, connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """Attach a new database file under a name to write to; at the end put it in place of `target` whole."""
    is_local = "://" not in target
    folder = Path(target).parent if is_local else Path(tempfile.mkdtemp(prefix="laionet-"))
    folder.mkdir(parents=True, exist_ok=True)
    name = target.rsplit("/", 1)[-1]
    building = folder / f".{name}.{os.getpid()}.building"
    for leftover in folder.glob(f".{name}.*.building*"):
        if not is_alive(int(leftover.name.removeprefix(f".{name}.").split(".")[0])):
            leftover.unlink(missing_ok=True)
    building.unlink(missing_ok=True)
    try:
        connection.execute(f"attach {literal(str(building))} as building (storage_version {literal(STORAGE_VERSION)})")
        try:
            yield "building"
        finally:
            connection.execute("detach building")
        if is_local:
            replace(building, Path(target))
        else:
            warehouse.lake.filesystem.put_file(str(building), target)
    finally:
        building.unlink(missing_ok=True)


def _comments(database: str, table: Table, kind: str) -> list[str]:
    """Statements that document a table or view and its columns."""
    name = f"{database}.{identifier(table.name)}"
    return [
        f"comment on {kind} {name} is {literal(table.description)}",
        *(
            f"comment on column {name}.{identifier(column.name)} is {literal(column.description)}"
            for column in table.columns
        ),
    ]
