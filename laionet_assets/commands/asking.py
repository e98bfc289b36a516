"""Questions to a warehouse from outside a run: the report and snapshots.

Belongs here: reading what is published and printing it. Does not belong here: making tables.
"""

from pathlib import Path

from rich.console import Console

from laionet_assets.assets.pipeline import build_pipeline
from laionet_assets.assets.release import release_version, released_select, released_tables
from laionet_assets.commands.summary import findings
from laionet_assets.commands.terminal import open_console
from laionet_assets.errors import UserError
from laionet_assets.settings import load_settings
from laionet_assets.warehouse.catalog import write_release


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


def write_snapshot(file: Path, *, config: Path | None = None) -> None:
    """Write the published tables to `file` as one DuckDB database."""
    pipeline = build_pipeline(load_settings(config))
    names = released_tables(pipeline)
    if not any(pipeline.warehouse.is_published(name) for name in names):
        raise UserError(f"{pipeline.warehouse.lake.root} holds no table yet; run first: laionet run")
    warehouse = pipeline.warehouse
    version = release_version(warehouse, names)
    rows = write_release(warehouse, str(file.absolute()), version=version, select=released_select(warehouse))
    print(f"{file}: {len(rows)} tables, {sum(rows.values()):,} rows")
