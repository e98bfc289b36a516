"""Static checks of the models: do they bind, and do they produce the columns that they document.

Every model is bound on a DuckDB that holds every table empty, with its documented columns: no data is needed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from laionet_assets.sqlmodels.loader import Macro, Model, Project
from laionet_assets.sqlmodels.parse import SqlModelError
from laionet_assets.warehouse.sql import identifier
from laionet_assets.warehouse.table import Table


def create_macros(connection: duckdb.DuckDBPyConnection, macros: Sequence[Macro]) -> None:
    """Create macros in the order given."""
    for macro in macros:
        connection.execute(macro.statement)


def create_empty(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Create a table with its documented columns and no rows."""
    columns = ", ".join(f"{identifier(column.name)} {column.type}" for column in table.columns)
    connection.execute(f"create schema if not exists {identifier(table.schema)}")
    connection.execute(f"create or replace table {identifier(table.name)} ({columns})")


def produced_columns(
    connection: duckdb.DuckDBPyConnection, select: str, parameters: Mapping[str, Any] | None = None
) -> list[tuple[str, str]]:
    """Names and types of the columns of a SELECT, as DuckDB binds it."""
    rows = connection.execute(f"describe {select}", dict(parameters) if parameters else None).fetchall()
    return [(row[0], row[1]) for row in rows]


def column_differences(table: Table, produced: Sequence[tuple[str, str]]) -> list[str]:
    """What differs between documented and produced columns, one sentence each; the order of columns does not count."""
    documented = {column.name: column.type for column in table.columns}
    found = dict(produced)
    problems = [f"column {name}: documented, but not produced" for name in documented if name not in found]
    problems += [
        f"column {name} ({type_}): produced, but not documented"
        for name, type_ in found.items()
        if name not in documented
    ]
    problems += [
        f"column {name}: documented as {documented[name]}, produced as {type_}"
        for name, type_ in found.items()
        if name in documented and documented[name].upper() != type_.upper()
    ]
    return problems


def assert_columns(table: Table, produced: Sequence[tuple[str, str]], *, where: str) -> None:
    """Raise SqlModelError listing every difference between documented and produced columns."""
    problems = column_differences(table, produced)
    if problems:
        raise SqlModelError("\n".join(f"{where}: {problem}" for problem in problems))


def check_columns(project: Project, parameters: Mapping[str, Any]) -> list[str]:
    """Bind every SQL model against its documented inputs. Returns all problems, each with its file."""
    problems: list[str] = []
    connection = duckdb.connect(":memory:")
    try:
        for model in project.models.values():
            if model.table.columns:
                create_empty(connection, model.table)
        for model in project.in_order():
            if model.select is None:
                continue
            problems += _check_model(connection, project, model, parameters)
    finally:
        connection.close()
    return problems


def _check_model(
    connection: duckdb.DuckDBPyConnection, project: Project, model: Model, parameters: Mapping[str, Any]
) -> list[str]:
    unknown = sorted(model.reads.parameters - parameters.keys())
    if unknown:
        return [f"{model.documentation}: parameters without a value: {', '.join('$' + name for name in unknown)}"]
    chosen = {name: parameters[name] for name in model.reads.parameters}
    try:
        for macro in project.macros_of(model):
            connection.execute(f"drop macro if exists {identifier(macro.name)}")
            connection.execute(macro.statement)
        produced = produced_columns(connection, model.select or "", chosen)
    except duckdb.Error as error:
        return [f"{model.path.with_suffix('.sql').name}: {error}"]
    return [f"{model.documentation}: {problem}" for problem in column_differences(model.table, produced)]
