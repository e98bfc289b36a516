"""Unit tests of SQL models: `given` rows in, `expect` rows out, on an in-memory DuckDB."""

from collections.abc import Mapping
from typing import Any

import duckdb

from laionet_assets.sqlmodels.binding import create_empty, create_macros
from laionet_assets.sqlmodels.loader import Model, Project, UnitTest
from laionet_assets.sqlmodels.parse import SqlModelError
from laionet_assets.warehouse.sql import identifier


def run_unit_test(project: Project, model: Model, test: UnitTest) -> list[str]:
    """Run one unit test of a model; returns the differences, none when it passes.

    Columns that the test does not name are null in `given` and not compared in `expect`. Rows are compared as a
    multiset. Raises SqlModelError if the test names a table or a column that is not there.
    """
    where = f"{model.documentation}: unit test {test.name!r}"
    unknown = sorted(test.given.keys() - model.dependencies)
    if unknown:
        raise SqlModelError(f"{where}: given {', '.join(unknown)}, which the model does not read")
    connection = duckdb.connect(":memory:")
    try:
        for name in sorted(model.dependencies):
            create_empty(connection, project.models[name].table)
            for row in test.given.get(name, []):
                _insert(connection, project.models[name], row, where)
        create_macros(connection, project.macros_of(model))
        connection.execute(f"create schema if not exists {identifier(model.table.schema)}")
        create_empty(connection, model.table)
        columns = sorted({name for row in test.expect for name in row}, key=model.table.column_names.index)
        if not columns:
            columns = list(model.table.column_names)
        selected = ", ".join(identifier(name) for name in columns)
        found = connection.execute(f"select {selected} from ({model.select}\n) where {test.where}").fetchall()
        for row in test.expect:
            full = {name: row.get(name) for name in columns}
            _insert(connection, model, full, where)
        wanted = connection.execute(f"select {selected} from {identifier(model.name)}").fetchall()
    except ValueError as error:
        raise SqlModelError(f"{where}: expect: {error}") from None
    finally:
        connection.close()
    return _differences(columns, _rounded(found), _rounded(wanted))


def _insert(connection: duckdb.DuckDBPyConnection, model: Model, row: Mapping[str, Any], where: str) -> None:
    unknown = sorted(row.keys() - set(model.table.column_names))
    if unknown:
        raise SqlModelError(f"{where}: {model.name} has no column {', '.join(unknown)}")
    types = {column.name: column.type for column in model.table.columns}
    values = ", ".join(f"${i + 1}::{types[name]}" for i, name in enumerate(row))
    names = ", ".join(identifier(name) for name in row)
    connection.execute(f"insert into {identifier(model.name)} ({names}) select {values}", list(row.values()))


def _rounded(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [tuple(float(f"{value:.9g}") if isinstance(value, float) else value for value in row) for row in rows]


def _differences(columns: list[str], found: list[tuple[Any, ...]], wanted: list[tuple[Any, ...]]) -> list[str]:
    missing, extra = list(wanted), []
    for row in found:
        if row in missing:
            missing.remove(row)
        else:
            extra.append(row)
    names = ", ".join(columns)
    return [f"expected, not found: ({names}) = {row!r}" for row in missing] + [
        f"found, not expected: ({names}) = {row!r}" for row in extra
    ]
