"""The catalog: a database of views that people open read-only, also while runs write.

Its views name the generations of files that were current when it was built, so whoever has it open sees one state of
all tables and never a torn file; whenever a table is published, a copy of it gets the views that changed and takes its
place.
"""

import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import duckdb

from laionet_assets.warehouse.database import comments, new_database
from laionet_assets.warehouse.sql import identifier, literal
from laionet_assets.warehouse.table import Table
from laionet_assets.warehouse.warehouse import MissingTableError, Warehouse, digest

CATALOG_COMMENT = "laionet catalog"


def refresh_catalog(
    warehouse: Warehouse,
    names: Collection[str] | None = None,
    *,
    connection: duckdb.DuckDBPyConnection | None = None,
) -> bool:
    """Make the catalog say what is published of the tables `names` (of all, without it). Returns whether it said
    something else.

    `connection` is used if it is given: opening one costs as much as all the rest. Processes take turns on one machine;
    what is published is read inside the turn, so nobody's table is lost.
    """
    opened = nullcontext(connection) if connection is not None else warehouse.connect()
    with warehouse.lake.turn("catalog"), opened as connection:
        known = _signatures_of(warehouse.catalog_path, connection)
        looked_at = warehouse.tables.keys() if names is None or known is None else set(names)
        selects = _catalog_selects(warehouse, connection, looked_at)
        signatures = {name: _signature(warehouse.table(name), select) for name, select in selects.items()}
        if known is not None:
            kept = known.keys() - looked_at if names is not None else set()
            signatures.update({name: known[name] for name in kept})
        if known == signatures:
            return False
        start = warehouse.catalog_path if known is not None else None
        with new_database(warehouse, warehouse.catalog_path, connection, start=start) as database:
            statements = ["begin"]
            for name in sorted((known or {}).keys() - signatures):
                statements.append(f"drop view {database}.{identifier(name)}")
            for name, select in selects.items():
                if known is not None and known.get(name) == signatures[name]:
                    continue
                table = warehouse.table(name)
                statements.append(f"create schema if not exists {database}.{identifier(table.schema)}")
                statements.append(f"create or replace view {database}.{identifier(name)} as {select}")
                statements += comments(connection, database, table, "view", select=select)
            said = ", ".join(f"({literal(name)}, {literal(each)})" for name, each in sorted(signatures.items()))
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


def _catalog_selects(
    warehouse: Warehouse, connection: duckdb.DuckDBPyConnection, names: Collection[str]
) -> dict[str, str]:
    """What each of these views selects. A view over source files that are gone since the last look is left out."""
    selects = {}
    for name in sorted(names):
        table = warehouse.table(name)
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
