"""Static checks of the models: do they bind, do they produce the columns that they document, can their checks run.

Everything is bound on a DuckDB that holds every table empty, with its documented columns: no data is needed.
"""

import re
from collections.abc import Sequence

import duckdb

from laionet_assets.quality.validate import validate
from laionet_assets.sqlmodels.loader import Macro, Model, Project
from laionet_assets.sqlmodels.parse import SqlModelError
from laionet_assets.warehouse.sql import identifier
from laionet_assets.warehouse.table import Table

_CREATE = re.compile(r"create\s+(or\s+replace\s+)?macro", re.IGNORECASE)


def create_macros(connection: duckdb.DuckDBPyConnection, macros: Sequence[Macro]) -> None:
    """Create macros in the order given, in place of any of these names."""
    for macro in macros:
        connection.execute(_CREATE.sub("create or replace macro", macro.statement, count=1))


def create_empty(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Create a table with its documented columns and no rows."""
    columns = ", ".join(f"{identifier(column.name)} {column.type}" for column in table.columns)
    connection.execute(f"create schema if not exists {identifier(table.schema)}")
    connection.execute(f"create or replace table {identifier(table.name)} ({columns})")


def produced_columns(connection: duckdb.DuckDBPyConnection, select: str) -> list[tuple[str, str]]:
    """Names and types of the columns of a SELECT, as DuckDB binds it."""
    rows = connection.execute(f"describe {select}").fetchall()
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


def check_columns(project: Project) -> list[str]:
    """Bind every SQL model against its documented inputs. Returns all problems, each with its file."""
    problems: list[str] = []
    with duckdb.connect(":memory:") as connection:
        create_all_empty(connection, project)
        for model in project.in_order():
            if model.select is not None:
                problems += _check_model(connection, project, model)
    return problems


def check_expectations(project: Project) -> list[str]:
    """Ask every check of its table without rows. Returns those that cannot run, each with its place."""
    problems: list[str] = []
    with duckdb.connect(":memory:") as connection:
        create_all_empty(connection, project)
        for model in project.in_order():
            create_macros(connection, model.check_macros)
            problems += [
                f"{outcome.expectation.where} ({outcome.expectation.name}): {' '.join(outcome.error.split())}"
                for outcome in validate(connection, model.name, model.expectations, suite=model.name)
                if outcome.error
            ]
    return problems


def create_all_empty(connection: duckdb.DuckDBPyConnection, project: Project) -> None:
    """Create every table of a project without rows."""
    for model in project.models.values():
        create_empty(connection, model.table)


def _check_model(connection: duckdb.DuckDBPyConnection, project: Project, model: Model) -> list[str]:
    try:
        create_macros(connection, project.macros_of(model))
        produced = produced_columns(connection, model.select or "")
    except duckdb.Error as error:
        return [f"{model.path.with_suffix('.sql').name}: {error}"]
    return [f"{model.documentation}: {problem}" for problem in column_differences(model.table, produced)]
