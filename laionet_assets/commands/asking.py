"""Questions to a warehouse from outside a run: the report.

Belongs here: reading what is published and printing it. Does not belong here: making tables.
"""

from pathlib import Path

from rich.console import Console

from laionet_assets.assets.pipeline import build_pipeline
from laionet_assets.commands.summary import findings
from laionet_assets.commands.terminal import open_console
from laionet_assets.errors import UserError
from laionet_assets.settings import load_settings


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
