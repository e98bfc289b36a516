"""Keeping house: what lets the Dagster instance of a warehouse run for months unattended.

Runs whose process is gone and runs that hang are ended, old runs are forgotten, and Dagster is told of tables that are
published and that it does not know of. The sensor `housekeeping` does so, and `laionet run` and `laionet ui` when they
start.

Belongs here: what is done, and how often. Does not belong here: finding the process of a run (`workers`).
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from sqlalchemy import delete, func, select

from laionet_assets.assets.batches import version_of_lot
from laionet_assets.assets.build import asset_key, table_name
from laionet_assets.assets.pipeline import Pipeline
from laionet_assets.assets.steps import Step
from laionet_assets.assets.workers import UNFINISHED, bury_dead_runs, end_overdue_runs
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Stamp

SENSOR_SECONDS = 30
PURGE_RUNS = 200
"""So many old runs are forgotten at a time: a tick of a sensor must end within a minute."""
FOUND = "found published"
"""What the metadata `status` of a materialization says that no run reported."""


def keep_house(pipeline: Pipeline, instance: dg.DagsterInstance, *, now: float | None = None) -> list[str]:
    """Do all of it, as it has to be done at `now` (seconds since 1970). Returns what was done, a sentence each."""
    refresh, names = pipeline.settings.refresh, {step.name for step in pipeline.steps}
    now, done = time.time() if now is None else now, list[str]()
    buried = bury_dead_runs(instance, names)
    if buried:
        pipeline.warehouse.lake.sweep()
    for run_id in buried:
        done.append(
            f"run {run_id[:8]} was under way, but its process is gone: ended; what it did not make is made again"
        )
    for run_id in end_overdue_runs(instance, names, longest_hours=refresh.longest_run_hours, now=now):
        done.append(f"run {run_id[:8]} took longer than refresh.longest_run_hours: ended")
    if reported := report_published(pipeline, instance):
        done.append(f"{reported} tables and parts are published and were not known to Dagster so: reported to it")
    if forgotten := forget_old_runs(instance, older_than=now - refresh.keep_runs_days * 86_400):
        done.append(f"{forgotten} runs older than refresh.keep_runs_days ({refresh.keep_runs_days}): forgotten")
    return done


def housekeeping_sensor(pipeline: Pipeline) -> dg.SensorDefinition:
    """The sensor that keeps house. It is on whatever the settings say: without it, the dead hold what others need."""

    @dg.sensor(
        name="housekeeping",
        description="Ends runs whose process is gone or that hang, forgets old runs, and reports published tables that "
        "Dagster does not know of.",
        minimum_interval_seconds=SENSOR_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def housekeeping(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        return dg.SkipReason("\n".join(keep_house(pipeline, context.instance)) or "nothing to do")

    return housekeeping


def report_published(pipeline: Pipeline, instance: dg.DagsterInstance) -> int:
    """Report tables, and parts of them, as they are published, where Dagster's last materialization is none or another
    one: its state was lost, an asset was wiped, or somebody reported something else. Returns how many.

    What an unfinished run is to make is left to it.
    """
    under_way = {
        table_name(key)
        for run in instance.get_runs(filters=dg.RunsFilter(statuses=UNFINISHED))
        for key in run.asset_selection or ()
    }
    reported = 0
    steps = [step for step in pipeline.steps if step.name not in under_way]
    whole = instance.get_latest_materialization_events(
        [asset_key(step.name) for step in steps if not step.is_partitioned]
    )
    for step in steps:
        stamps = pipeline.warehouse.stamps(step.name)
        known: Mapping[PartKey | None, str | None] = (
            _known_parts(instance, step)
            if step.is_partitioned
            else {None: _known_version(whole.get(asset_key(step.name)))}
        )
        known_together = _told_together(stamps, known)
        for part, stamp in sorted(stamps.items(), key=lambda item: item[0] or PartKey("", "")):
            if known.get(part) != stamp.version and part not in known_together:
                instance.report_runless_asset_event(_materialization(pipeline, step, part, stamp))
                reported += 1
    return reported


def forget_old_runs(instance: dg.DagsterInstance, *, older_than: float, limit: int = PURGE_RUNS) -> int:
    """Forget runs that ended before (in seconds since 1970): what they logged, and their output. Returns how many.

    The history of materializations stays, and the newest result of every check.
    """
    forgotten = 0
    for record in _ended_before(instance, older_than, limit):
        run_id = record.dagster_run.run_id
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        _forget_events(instance, run_id)
        instance.run_storage.delete_run(run_id)
        forgotten += 1
    return forgotten


def _ended_before(instance: dg.DagsterInstance, moment: float, limit: int) -> list[dg.RunRecord]:
    """The oldest runs that ended before a moment."""
    from datetime import UTC, datetime

    filters = dg.RunsFilter(statuses=FINISHED_STATUSES, updated_before=datetime.fromtimestamp(moment, UTC))
    return list(instance.get_run_records(filters=filters, limit=limit, ascending=True))


def _forget_events(instance: dg.DagsterInstance, run_id: str) -> None:
    """Delete what a run logged. Of a storage that is no SQL database, all of it."""
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        storage.delete_events(run_id)
        return
    events, checks = SqlEventLogStorageTable, AssetCheckExecutionsTable
    newest = select(func.max(checks.c.id)).group_by(checks.c.asset_key, checks.c.check_name, checks.c.partition)
    with storage.index_connection() as connection:
        kept = events.c.dagster_event_type == dg.DagsterEventType.ASSET_MATERIALIZATION.value
        connection.execute(delete(events).where(events.c.run_id == run_id, ~func.coalesce(kept, False)))
        connection.execute(delete(checks).where(checks.c.run_id == run_id, checks.c.id.not_in(newest)))
    storage.free_concurrency_slots_for_run(run_id)
    if isinstance(storage, SqliteEventLogStorage):  # one database a run
        path = Path(storage.path_for_shard(run_id))
        for each in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
            each.unlink(missing_ok=True)


def _known_parts(instance: dg.DagsterInstance, step: Step) -> Mapping[PartKey | None, str | None]:
    """Versions of a partitioned table that Dagster was told last, by part."""
    event_type = dg.DagsterEventType.ASSET_MATERIALIZATION
    told = instance.event_log_storage.get_latest_tags_by_partition(asset_key(step.name), event_type, [DATA_VERSION_TAG])
    return {PartKey.parse(part): tags.get(DATA_VERSION_TAG) for part, tags in told.items()}


def _told_together(
    stamps: Mapping[PartKey | None, Stamp], known: Mapping[PartKey | None, str | None]
) -> set[PartKey | None]:
    """Parts that one run made together, as they are published: Dagster gives all of them one version, that of the lot.

    Once one of them is made alone, the others are reported, each with its own.
    """
    lots: dict[str | None, list[PartKey]] = {}
    for part, version in known.items():
        if part is not None:
            lots.setdefault(version, []).append(part)
    return {
        part
        for version, parts in lots.items()
        if len(parts) > 1 and all(part in stamps for part in parts)
        if version == version_of_lot({part: stamps[part].version for part in parts})
        for part in parts
    }


def _known_version(event: dg.EventLogEntry | None) -> str | None:
    """The version that a materialization told Dagster."""
    materialization = event.asset_materialization if event is not None else None
    return (materialization.tags or {}).get(DATA_VERSION_TAG) if materialization is not None else None


def _materialization(pipeline: Pipeline, step: Step, part: PartKey | None, stamp: Stamp) -> dg.AssetMaterialization:
    """What Dagster is told of a table that is published."""
    metadata: dict[str, Any] = {"status": FOUND, "version": stamp.version}
    if step.write is not None:
        metadata["path"] = dg.MetadataValue.path(pipeline.warehouse.lake.path(step.model.table, part))
    return dg.AssetMaterialization(
        asset_key(step.name),
        description="Published, and not known to Dagster so: reported as it is.",
        metadata=metadata,
        partition=part.key if part else None,
        tags={DATA_VERSION_TAG: stamp.version},
    )
