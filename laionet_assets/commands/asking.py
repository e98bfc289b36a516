"""Questions to a warehouse from outside a run: the report.

Belongs here: reading what is published and printing it. Does not belong here: making tables.
"""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from laionet_assets.assets.pipeline import build_pipeline, project_of
from laionet_assets.assets.same_rows import accepted_list
from laionet_assets.commands.published import open_published
from laionet_assets.commands.summary import accepted_edits, declared_edits, findings
from laionet_assets.commands.terminal import open_console
from laionet_assets.errors import UserError
from laionet_assets.settings import Settings, load_settings
from laionet_assets.warehouse.warehouse import Warehouse


def report(config: Path | None = None, *, console: Console | None = None) -> None:
    """Print what the published tables hold: the findings that end the summary of a run.

    The warehouse alone has to be there, also on a read-only mount. Raises UserError if there is nothing to report yet.
    """
    settings = load_settings(config, check_files=False)
    warehouse = open_published(config)
    tables = [*findings(warehouse, project_of(settings).in_order()), *_edits(settings, warehouse)]
    if not tables:
        raise UserError(
            f"{warehouse.lake.root} holds nothing to report yet; expected rows in marts.funnel, "
            "marts.image_outcomes or marts.accuracy. Run first: laionet run"
        )
    console = console or open_console()
    for table in tables:
        console.print(table)


def _edits(settings: Settings, warehouse: Warehouse) -> list[Table]:
    """Edits that tables are current by; where what tables are made from is not there, all that were declared."""
    try:
        return accepted_edits(build_pipeline(settings))
    except (UserError, OSError) as error:
        return declared_edits(
            accepted_list(warehouse), caption=f"whether they still count cannot be told here: {error}"
        )
