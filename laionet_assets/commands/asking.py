"""Questions to a warehouse from outside a run: ad-hoc SQL and the report.

Belongs here: reading what is published and printing it. Does not belong here: making tables.
"""

import csv
import decimal
import json
import sys
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console

from laionet_assets.assets.pipeline import build_pipeline
from laionet_assets.commands.summary import findings, open_console
from laionet_assets.errors import UserError
from laionet_assets.settings import load_settings
from laionet_assets.warehouse.catalog import open_catalog, refresh_catalog
from laionet_assets.warehouse.warehouse import Warehouse


def ask(query: str, *, config: Path | None = None, format: str = "table") -> None:
    """Run one query over the warehouse's views and print its rows as a table, JSON or CSV.

    Raises UserError if the query does not run, with what DuckDB says of it.
    """
    warehouse = build_pipeline(load_settings(config)).warehouse
    if not any(warehouse.is_published(name) for name in warehouse.tables):
        raise UserError(f"{warehouse.lake.root} holds no table yet; run first: laionet run")
    refresh_catalog(warehouse)
    with open_catalog(warehouse) as connection:
        try:
            cursor = connection.execute(query)
        except duckdb.Error as error:
            raise UserError(_explain(error, warehouse)) from None
        if cursor is None:
            raise UserError('nothing to ask; expected a SELECT, such as "from core.laionet limit 5"')
        names = [column[0] for column in cursor.description or []]
        rows = cursor.fetchall()
    {"table": _print_table, "json": _print_json, "csv": _print_csv}[format](names, rows)


def report(config: Path | None = None, *, console: Console | None = None) -> None:
    """Print what the published tables hold: the findings that end the summary of a run.

    Raises UserError if there is nothing to report yet.
    """
    pipeline = build_pipeline(load_settings(config))
    tables = findings(pipeline)
    if not tables:
        raise UserError(
            f"{pipeline.warehouse.lake.root} holds nothing to report yet; expected rows in marts.funnel, "
            "marts.image_outcomes or marts.accuracy. Run first: laionet run"
        )
    console = console or open_console()
    for table in tables:
        console.print(table)


def _explain(error: duckdb.Error, warehouse: Warehouse) -> str:
    unpublished = [name for name in sorted(warehouse.tables) if name in str(error) and not warehouse.is_published(name)]
    if unpublished:
        return f"{', '.join(unpublished)} is not there yet; run first: laionet run"
    return str(error)


def _print_table(names: list[str], rows: list[tuple[Any, ...]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(*names, header_style="bold")
    for row in rows:
        table.add_row(*(Text("" if value is None else _short(value)) for value in row))
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(table)
    console.print(f"{len(rows):,} {'row' if len(rows) == 1 else 'rows'}")


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    text = str(value)
    return text if len(text) <= 120 else text[:117] + "..."


def _print_json(names: list[str], rows: list[tuple[Any, ...]]) -> None:
    json.dump([dict(zip(names, row, strict=True)) for row in rows], sys.stdout, default=_plain, ensure_ascii=False)
    print()


def _print_csv(names: list[str], rows: list[tuple[Any, ...]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)


def _plain(value: Any) -> Any:
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, bytes):
        return value.hex()
    return str(value)
