"""`laionet accept`: declare that an edit of code keeps the rows of a table."""

import getpass
import socket
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from laionet_assets.assets.build import asset_key
from laionet_assets.assets.pipeline import Pipeline, build_pipeline
from laionet_assets.assets.same_rows import ACCEPTED_FILE, Accepted, accept
from laionet_assets.assets.steps import Step
from laionet_assets.assets.versions import Edit, Versions
from laionet_assets.commands.instance import dagster_instance
from laionet_assets.errors import UserError
from laionet_assets.settings import load_settings


def accept_edits(table: str, *, because: str, config: Path | None = None) -> list[Accepted]:
    """Call the published files of a table current that differ from what would be made now in their code alone.

    What is declared holds between the code of these files and the code of today; a later edit is another matter.
    Returns the declarations, which the warehouse keeps. Raises UserError if there is nothing to accept, and why.
    """
    settings = load_settings(config)
    pipeline = build_pipeline(settings)
    step = _step(pipeline, table)
    if not because.strip():
        raise UserError("--because: found no reason; say in one sentence why the rows stay the same")
    edits, files, others = _edits(pipeline, step)
    if not edits:
        raise UserError(_nothing_to_accept(step, others))
    now = datetime.now(UTC).isoformat(timespec="seconds")
    by = f"{getpass.getuser()}@{socket.gethostname()}"
    made = [Accepted(step.name, edit.code, edit.before, edit.after, because.strip(), now, by) for edit in sorted(edits)]
    accept(pipeline.warehouse, made)
    with dagster_instance(settings) as instance:
        instance.report_runless_asset_event(
            dg.AssetObservation(
                asset_key(step.name),
                description="An edit of its code was accepted as keeping the rows.",
                metadata={"accepted_because": because.strip(), "accepted_by": by, "accepted_at": now},
            )
        )
    of_parts = f" of {files} parts" if step.is_partitioned else ""
    print(f"{step.name}: accepted, the rows{of_parts} are current; recorded in {ACCEPTED_FILE} of the warehouse")
    if others:
        print(f"{others} other parts are made from something that changed: laionet run makes them again")
    return made


def _step(pipeline: Pipeline, table: str) -> Step:
    steps = {step.name: step for step in pipeline.steps}
    name = table.replace("/", ".")
    if name not in steps:
        raise UserError(f"found table {table!r}, expected one of: {', '.join(sorted(steps))}")
    return steps[name]


def _edits(pipeline: Pipeline, step: Step) -> tuple[set[Edit], int, int]:
    """Edits that keep published files from being current, of how many files, and how many other files are not current
    for another reason.
    """
    versions, warehouse = Versions(pipeline.warehouse), pipeline.warehouse
    if not warehouse.is_published(step.name):
        raise UserError(f"{step.name} is not there yet; run first: laionet run")
    parts = warehouse.parts(step.name) if step.is_partitioned else [None]
    found = [versions.edits(step, part) for part in parts]
    edited = [edits for edits in found if edits]
    return {edit for edits in edited for edit in edits}, len(edited), found.count(None)


def _nothing_to_accept(step: Step, others: int) -> str:
    if others:
        return (
            f"{step.name} is out of date because what it is made from changed (data, settings, or the tables that it "
            "reads), not its code: that cannot be accepted. Run: laionet run"
        )
    return f"{step.name} is current: there is nothing to accept"
