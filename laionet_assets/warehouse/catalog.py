"""The catalog: a database of views that people open read-only, also while runs write; and the release, a database of
native tables.

Both are built in a file of their own and swapped in whole. The views of the catalog name the generations of files that
were current when it was built, so whoever has it open sees one state of all tables and never a torn file; whenever a
table is published, a copy of it gets the views that changed and takes its place.
"""

import os
import shutil
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
    """Make the catalog say what is published. Returns whether it said something else.

    Processes take turns on one machine; what is published is read inside the turn, so nobody's table is lost.
    """
    with warehouse.lake.turn("catalog"), warehouse.connect() as connection:
        selects = _catalog_selects(warehouse, connection)
        signatures = {name: _signature(warehouse.table(name), select) for name, select in selects.items()}
        known = _signatures_of(warehouse.catalog_path, connection)
        if known == signatures:
            return False
        start = warehouse.catalog_path if known is not None else None
        with _database(warehouse, warehouse.catalog_path, connection, start=start) as database:
            statements = ["begin"]
            for name in sorted((known or {}).keys() - signatures):
                statements.append(f"drop view {database}.{identifier(name)}")
            for name, select in selects.items():
                if known is not None and known.get(name) == signatures[name]:
                    continue
                table = warehouse.table(name)
                statements.append(f"create schema if not exists {database}.{identifier(table.schema)}")
                statements.append(f"create or replace view {database}.{identifier(name)} as {select}")
                statements += _comments(database, table, "view")
            said = ", ".join(f"({literal(name)}, {literal(each)})" for name, each in signatures.items())
            catalog = f"{database}.main.catalog"
            statements.append(f"create or replace table {catalog} (view_name varchar, signature varchar)")
            statements += [f"insert into {catalog} values {said}"] if said else []
            statements.append(f"comment on table {catalog} is {literal(CATALOG_COMMENT)}")
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


def _signature(table: Table, select: str) -> str:
    """Digest of a view and of its columns with their documentation: what is published has the documented ones."""
    columns = [f"{column.name} {column.type}: {column.description}" for column in table.columns]
    return digest(select, table.description, *columns)


def _signatures_of(path: str, connection: duckdb.DuckDBPyConnection) -> dict[str, str] | None:
    """Signatures of the views of the catalog at `path`; None if it has to be built from nothing."""
    if "://" in path or not Path(path).is_file():
        return None
    try:
        connection.execute(f"attach {literal(path)} as known (read_only)")
    except duckdb.Error:
        return None
    try:
        return dict(connection.execute("select view_name, signature from known.main.catalog").fetchall())
    except (duckdb.CatalogException, duckdb.BinderException):
        return None
    finally:
        connection.execute("detach known")


@contextmanager
def _database(
    warehouse: Warehouse, target: str, connection: duckdb.DuckDBPyConnection, *, start: str | None = None
) -> Iterator[str]:
    """Attach a new database file, or a copy of `start`, under a name to write to; at the end put it in place of
    `target` whole.
    """
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
        if start is not None:
            shutil.copyfile(start, building)
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
