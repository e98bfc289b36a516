"""Stage planning: how long it takes to find out what a run has to make, with many parts.

The tables are published without being made: files without rows (raw.parts has its records), stamped with the versions
that a run would give them, so that the planner finds what it finds after a run.
"""

from collections.abc import Sequence
from pathlib import Path

from laionet_assets.assets.parts import load_register, sync_parts
from laionet_assets.assets.pipeline import Pipeline
from laionet_assets.assets.planning import Task, phases, stale_tasks
from laionet_assets.assets.steps import Step
from laionet_assets.assets.versions import Versions
from laionet_assets.sources import fingerprint, inspect_part, records_sql
from laionet_assets.warehouse.table import PartKey, Table
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
    """Plans of a warehouse of many tiny parts: all of it current, one part new, every part new."""
    count = QUICK_PARTS if options.quick else PARTS
    config = tiny_parts(options.folder / "planning", count)
    fresh = apart(plan, config)
    apart(publish_everything, config)
    current = apart(plan_twice, config)
    add_part(config, count)
    one_new = apart(plan, config)
    found = {
        "nothing is made yet": fresh.value,
        "everything is current, in a fresh process": current.value[0],
        "... once more in the same process": current.value[1],
        "one part is new, in a fresh process": one_new.value,
    }
    slowest = max(cost.wall_seconds for cost, _ in found.values())
    return Section(
        title="Planning",
        body=[
            f"`stale_tasks` and `phases` over {count:,} parts of one row each and every table of the pipeline"
            f" ({count * found['nothing is made yet'][1] // max(count, 1):,} tables and parts when nothing is made):"
            " what `laionet run` and the sensor do before anything is made, the look at the sources and imports not"
            " included.",
            ReportTable(
                ("the warehouse", "wall s", "cpu-s", "to make"),
                [
                    (what, number(cost.wall_seconds), number(cost.cpu_seconds), f"{tasks:,}")
                    for what, (cost, tasks) in found.items()
                ],
            ),
        ],
        targets=[
            Target(
                f"planning of {count:,} parts x all tables",
                f"under {SECONDS:.0f} s",
                f"{number(slowest)} s",
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


def _plan(pipeline: Pipeline) -> tuple[Cost, int]:
    synced = sync_parts(pipeline.settings, pipeline.warehouse)
    tasks: Sequence[Task] = ()
    with stopwatch() as cost:
        tasks = stale_tasks(pipeline.warehouse, pipeline.steps, synced.present, sealed=synced.kept)
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
    import pyarrow.parquet as pq

    lake, table = pipeline.warehouse.lake, step.model.table
    with lake.stage(table, part) as staged:
        if step.name == "raw.parts" and part is not None:
            _write_record(pipeline, part, staged.path, stamp)
        else:
            stamps = {key.encode(): value.encode() for key, value in stamp.metadata.items()}
            pq.write_table(_empty(pipeline, table).replace_schema_metadata(stamps), staged.path)
        lake.publish(staged)


def _write_record(pipeline: Pipeline, part: PartKey, path: Path, stamp: Stamp) -> None:
    warehouse = pipeline.warehouse
    registered = load_register(warehouse)[part]
    with warehouse.connect() as connection:
        record = inspect_part(
            connection,
            registered.file,
            adapter=ADAPTER,
            ordinal=registered.ordinal,
            fingerprint=fingerprint(registered.file),
        )
        warehouse.write_sql(
            connection, path, records_sql([record]), order_by=warehouse.table("raw.parts").grain, stamp=stamp
        )


_EMPTY: dict[str, object] = {}


def _empty(pipeline: Pipeline, table: Table) -> "object":
    """A pyarrow Table of the columns of a table, without rows."""
    if table.name not in _EMPTY:
        columns = ", ".join(f"null::{column.type} as {column.name}" for column in table.columns)
        with pipeline.warehouse.connect() as connection:
            _EMPTY[table.name] = connection.sql(f"select {columns} limit 0").to_arrow_table()
    return _EMPTY[table.name]
