"""Databases that are built aside and swapped in whole: what the catalog and snapshots have in common."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from laionet_assets.warehouse.lake import HOST, is_alive, replace
from laionet_assets.warehouse.sql import identifier, literal
from laionet_assets.warehouse.table import Table
from laionet_assets.warehouse.warehouse import Warehouse

STORAGE_VERSION = "v1.5.0"  # files written so open in DuckDB 1.5 and later; 2.0's own format does not
DATABASE = "building"


@contextmanager
def new_database(
    warehouse: Warehouse, target: str, connection: duckdb.DuckDBPyConnection, *, start: str | None = None
) -> Iterator[str]:
    """Attach a new database file, or a copy of `start`, under a name to write to; at the end put it in place of
    `target` whole.
    """
    is_local = "://" not in target
    name = target.rsplit("/", 1)[-1]
    place = nullcontext(str(Path(target).parent)) if is_local else TemporaryDirectory(prefix="laionet-")
    with place as folder, _building(Path(folder), name, connection, start=start) as building:
        yield DATABASE
        connection.execute(f"detach {DATABASE}")
        if is_local:
            replace(building, Path(target))
        else:
            warehouse.lake.filesystem.put_file(str(building), target)


def comments(
    connection: duckdb.DuckDBPyConnection, database: str, table: Table, kind: str, *, select: str
) -> list[str]:
    """Statements that document a table or view of the rows of a SELECT, and its columns. What was published before a
    column was documented lacks it until it is made again.
    """
    found = {row[0] for row in connection.execute(f"describe {select}").fetchall()}
    name = f"{database}.{identifier(table.name)}"
    return [
        f"comment on {kind} {name} is {literal(table.description)}",
        *(
            f"comment on column {name}.{identifier(column.name)} is {literal(column.description)}"
            for column in table.columns
            if column.name in found
        ),
    ]


@contextmanager
def _building(folder: Path, name: str, connection: duckdb.DuckDBPyConnection, *, start: str | None) -> Iterator[Path]:
    """An attached database in a hidden file of a folder, gone at the end of the block unless it was taken away.

    What killed processes of this host left there under that name is swept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    leftover = re.compile(rf"\.{re.escape(name)}\.{re.escape(HOST)}\.(\d+)\.building(\.wal)?")
    for path in folder.iterdir():
        if (match := leftover.fullmatch(path.name)) and not is_alive(int(match[1])):
            path.unlink(missing_ok=True)
    building = folder / f".{name}.{HOST}.{os.getpid()}.building"
    building.unlink(missing_ok=True)
    try:
        if start is not None:
            shutil.copyfile(start, building)
        connection.execute(
            f"attach {literal(str(building))} as {DATABASE} (storage_version {literal(STORAGE_VERSION)})"
        )
        yield building
    except BaseException:
        with suppress(duckdb.TransactionException):  # none is open
            connection.execute("rollback")
        raise
    finally:
        connection.execute(f"detach database if exists {DATABASE}")
        building.unlink(missing_ok=True)
