"""Stage planning: how long it takes to find out what a run has to make, with many parts.

The tables are published without being made: files without rows (raw.parts has its records), stamped with the versions
that a run would give them, so that the planner finds what it finds after a run.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from laionet_assets.assets.audits import Audit, keep_audit
from laionet_assets.assets.parts import load_register, sync_parts
from laionet_assets.assets.pipeline import Pipeline
from laionet_assets.assets.planning import Task, phases, stale_tasks
from laionet_assets.assets.steps import Step
from laionet_assets.assets.versions import Versions
from laionet_assets.sources import fingerprint, inspect_part
from laionet_assets.warehouse.rows import write_table
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Stamp
from tests.bench.measure import Cost, apart, stopwatch
from tests.bench.options import Options
from tests.bench.report import Section, Target, number
from tests.bench.report import Table as ReportTable
from tests.bench.workspace import open_pipeline, prepare, write_config

PARTS = 1_000
QUICK_PARTS = 50
SECONDS = 5.0
ADAPTER = "relaion"
REMOVALS = "core.removals"


def planning(options: Options) -> Section:
    """Plans of a warehouse of many tiny parts: nothing made, all of it current, one part new."""
    count = QUICK_PARTS if options.quick else PARTS
    config = tiny_parts(options.folder / "planning", count)
    fresh = apart(plan, config).value
    apart(publish_everything, config)
    first, second = apart(plan_twice, config).value
    add_part(config, count)
    found = {
        "nothing is made yet": fresh,
        "everything is current": first,
        "everything is current, once more in the same process": second,
        "one part is new": apart(plan, config).value,
        "one part is new: a tick of the sensor": apart(tick, config).value,
    }
    slowest = max(cost.cpu_seconds for cost, _ in found.values())
    return Section(
        title="Planning",
        body=[
            f"What `laionet run`, the sensor and the schedule do before anything is made, over {count:,} parts of one"
            f" row each and every table of the pipeline ({fresh[1]:,} tables and parts). Each in a fresh process but one;"
            " imports and, but for the sensor, the look at the sources are not included.",
            ReportTable(
                ("the warehouse", "wall s", "cpu-s", "tables and parts to make, or asked for"),
                [
                    (what, number(cost.wall_seconds), number(cost.cpu_seconds), f"{tasks:,}")
                    for what, (cost, tasks) in found.items()
                ],
            ),
        ],
        targets=[
            Target(
                f"planning of {count:,} parts x all tables",
                f"under {SECONDS:.0f} cpu-s",
                f"{number(slowest)} cpu-s",
                slowest < SECONDS,
            )
        ],
    )


def tiny_parts(folder: Path, count: int) -> Path:
    """A configuration whose source is a folder of so many parts of one row. Returns its path."""
    config = write_config(folder, str(folder / "parts" / "*.parquet"), adapter=ADAPTER)
    (folder / "parts").mkdir()
    for number_of_part in range(count):
        add_part(config, number_of_part)
    return config


def add_part(config: Path, number_of_part: int) -> None:
    """One more part of one row."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = pa.table({"url": [f"http://x.invalid/{number_of_part}"], "caption": ["a photo of a goldfish"]})
    pq.write_table(rows, config.parent / "parts" / f"part-{number_of_part:05d}.parquet")


def plan(config: Path) -> tuple[Cost, int]:
    """What a plan costs, and how many tables and parts it finds to make."""
    return _plan(open_pipeline(config))


def plan_twice(config: Path) -> tuple[tuple[Cost, int], tuple[Cost, int]]:
    """The first plan of a process and the next one."""
    pipeline = open_pipeline(config)
    return _plan(pipeline), _plan(pipeline)


def tick(config: Path) -> tuple[Cost, int]:
    """What a tick of the sensor costs, and how many tables and parts it asks for."""
    import dagster as dg

    from laionet_assets.assets.refresh import evaluate_parts

    pipeline = open_pipeline(config)
    with dg.DagsterInstance.ephemeral() as instance, stopwatch() as cost:
        result = evaluate_parts(pipeline, instance, log=print)
    return cost, sum(len(run.asset_selection or ()) for run in result.run_requests or [])


def _plan(pipeline: Pipeline) -> tuple[Cost, int]:
    synced = sync_parts(pipeline.settings, pipeline.warehouse)
    tasks: Sequence[Task] = ()
    with stopwatch() as cost:
        tasks = stale_tasks(pipeline.warehouse, pipeline.steps, synced.present, sealed=synced.sealed)
        phases(tasks, pipeline.steps)
    return cost, len(tasks)


def publish_everything(config: Path) -> None:
    """Publish every table and part as current, without making it. Raises RuntimeError if the planner disagrees."""
    pipeline = open_pipeline(config)
    parts = sync_parts(pipeline.settings, pipeline.warehouse).present
    for step in pipeline.steps:
        if step.name == REMOVALS:  # its version says what it found
            prepare(pipeline, [REMOVALS], None)
            continue
        versions = Versions(pipeline.warehouse)
        for part in parts if step.is_partitioned else [None]:
            _publish(pipeline, step, part, versions.next_stamp(step, part))
    left = stale_tasks(pipeline.warehouse, pipeline.steps, parts)
    if left:
        raise RuntimeError(f"{len(left)} are not current though they were published so, such as {left[0]}")


def _publish(pipeline: Pipeline, step: Step, part: PartKey | None, stamp: Stamp) -> None:
    lake, table = pipeline.warehouse.lake, step.model.table
    with lake.stage(table, part) as staged:
        rows = [_record(pipeline, part)] if step.name == "raw.parts" and part is not None else []
        write_table(staged.path, table, rows, stamps=stamp.metadata)
        lake.publish(staged)
    keep_audit(pipeline.warehouse, step.model, part, Audit(stamp.version, len(rows), outcomes=()))


def _record(pipeline: Pipeline, part: PartKey) -> dict[str, object]:
    registered = load_register(pipeline.warehouse)[part]
    with pipeline.warehouse.connect() as connection:
        record = inspect_part(
            connection,
            registered.file,
            adapter=ADAPTER,
            ordinal=registered.ordinal,
            fingerprint=fingerprint(registered.file),
        )
    return asdict(record)
