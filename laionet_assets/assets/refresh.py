"""What runs by itself: a sensor for what is out of date, a schedule for what is due, a sensor for removed parts, and
one that keeps house.

The sensor `parts` sees new, changed and removed files, settings and code, and asks phase by phase for the runs that
follow from them. The schedule `nightly` asks for what wants to be tried again: fetches whose time has come, and what
failed; it ticks several times a night, a phase a tick. The two never ask for the same table.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import dagster as dg

from laionet_assets.assets.build import asset_key
from laionet_assets.assets.housekeeping import housekeeping_sensor
from laionet_assets.assets.ingestion import PARTS_TABLE
from laionet_assets.assets.partitions import PARTS
from laionet_assets.assets.parts import PartSync, retire_parts, sync_parts
from laionet_assets.assets.pipeline import Pipeline
from laionet_assets.assets.planning import Task, stale_tasks
from laionet_assets.assets.requesting import Plan, requests_for
from laionet_assets.errors import UserError
from laionet_assets.warehouse.resource import WarehouseResource
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import digest

SENSOR = "parts"
NIGHT_SECONDS = 12 * 3600
"""What failed longer ago than that is tried again by the nightly schedule."""
RETIRE_JOB = "retire_parts"
RETIRE_OP = "retire"
_Registration = dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest


def automation(pipeline: Pipeline) -> dg.Definitions:
    """Sensors, schedule and the job that retires parts."""
    refresh = pipeline.settings.refresh
    sensor_status = dg.DefaultSensorStatus.RUNNING if refresh.enabled else dg.DefaultSensorStatus.STOPPED
    schedule_status = dg.DefaultScheduleStatus.RUNNING if refresh.enabled else dg.DefaultScheduleStatus.STOPPED
    retire_job = _retire_job(pipeline)

    @dg.sensor(
        name=SENSOR,
        description="Registers new parts, and requests the runs of whatever is out of date, phase by phase.",
        asset_selection=dg.AssetSelection.all(),
        minimum_interval_seconds=refresh.interval_seconds,
        default_status=sensor_status,
    )
    def parts(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        return evaluate_parts(pipeline, context.instance, log=context.log.warning)

    @dg.sensor(
        name="removed_parts",
        description="Retires parts whose file is gone, of sources with `when_removed: drop`.",
        job_name=RETIRE_JOB,
        minimum_interval_seconds=refresh.interval_seconds,
        default_status=sensor_status,
    )
    def removed_parts(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        synced = _synced(pipeline)
        if not synced.to_retire:
            yield dg.SkipReason("no part to retire")
            return
        keys = [part.key.key for part in synced.to_retire]
        yield dg.RunRequest(
            run_key=f"retire:{digest(*(f'{part.key.key}={part.departures}' for part in synced.to_retire))}",
            run_config={"ops": {RETIRE_OP: {"config": {"parts": keys}}}},
        )

    @dg.schedule(
        name="nightly",
        description="Requests what wants to be tried again: fetches whose time has come, and what failed. Where the "
        "sensor `parts` is switched off, all that is out of date too. One phase of the pipeline a tick.",
        cron_schedule=refresh.nightly_cron,
        target=dg.AssetSelection.all(),
        default_status=schedule_status,
    )
    def nightly(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        now = context.scheduled_execution_time.timestamp()
        yield from nightly_requests(pipeline, context.instance, now=now)

    return dg.Definitions(
        jobs=[retire_job], sensors=[parts, removed_parts, housekeeping_sensor(pipeline)], schedules=[nightly]
    )


def evaluate_parts(pipeline: Pipeline, instance: dg.DagsterInstance, *, log: Callable[[str], None]) -> dg.SensorResult:
    """Register what is there, and ask for the runs that what is out of date needs. Why nothing is asked for is the
    reason of the tick; what is kept back while other things are asked for is logged.
    """
    synced = _synced(pipeline)
    for problem in synced.problems:
        log(problem)
    registrations = _registrations(pipeline, synced, instance)
    known = _known_then(instance, registrations)
    found = requests_for(pipeline, instance, _plan(pipeline, synced), known=known)
    reason = found.reason(instance)
    if found.runs and found.kept_back:
        log(reason)
    return dg.SensorResult(
        run_requests=found.runs,
        skip_reason=None if found.runs else reason,
        dynamic_partitions_requests=registrations,
    )


def nightly_requests(
    pipeline: Pipeline, instance: dg.DagsterInstance, *, now: float
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """The runs of what is due, and of what failed before tonight (`now` in seconds since 1970).

    Of what else is out of date too if the sensor is switched off; if it is on, that is the sensor's to ask for.
    """
    synced = _synced(pipeline)
    instance.add_dynamic_partitions(PARTS.name or "", [part.key for part in synced.present])
    known = instance.get_dynamic_partitions(PARTS.name or "")
    leave: list[Task] = []
    if _is_on(instance, SENSOR):
        plan = _plan(pipeline, synced)
        kept_back = requests_for(pipeline, instance, plan, known=known).kept_back.values()
        failed = {task for tasks in kept_back for task in tasks}
        leave = [task for task in plan() if task not in failed]
    plan = _plan(pipeline, synced, with_due=True)
    found = requests_for(pipeline, instance, plan, known=known, leave=leave, failed_since=now - NIGHT_SECONDS)
    if found.runs:
        yield from found.runs
    else:
        yield dg.SkipReason(found.reason(instance))


def _plan(pipeline: Pipeline, synced: PartSync, *, with_due: bool = False) -> Plan:
    return partial(
        stale_tasks, pipeline.warehouse, pipeline.steps, synced.present, sealed=synced.sealed, with_due=with_due
    )


def _known_then(instance: dg.DagsterInstance, registrations: Sequence[_Registration]) -> list[str]:
    """The partition keys that Dagster has after these requests, in its order."""
    known = list(instance.get_dynamic_partitions(PARTS.name or ""))
    for request in registrations:
        if isinstance(request, dg.AddDynamicPartitionsRequest):
            known += request.partition_keys
        else:
            known = [key for key in known if key not in request.partition_keys]
    return known


def _registrations(pipeline: Pipeline, synced: PartSync, instance: dg.DagsterInstance) -> list[_Registration]:
    """Dagster learns of new parts, and forgets those that went away before they were read."""
    known = set(instance.get_dynamic_partitions(PARTS.name or ""))
    new = [part.key for part in synced.present if part.key not in known]
    never_read = [
        part.key for part in synced.gone if part.key in known and not pipeline.warehouse.has_part(PARTS_TABLE, part)
    ]
    add = [PARTS.build_add_request(new)] if new else []
    return [*add, *([PARTS.build_delete_request(never_read)] if never_read else [])]


def _is_on(instance: dg.DagsterInstance, sensor: str) -> bool:
    """Whether a sensor was switched on, by a person or by the settings."""
    return any(
        state.name == sensor and state.status.value in ("RUNNING", "DECLARED_IN_CODE")
        for state in instance.all_instigator_state()
    )


def _synced(pipeline: Pipeline) -> PartSync:
    try:
        return sync_parts(pipeline.settings, pipeline.warehouse)
    except UserError as error:
        raise dg.Failure(str(error), allow_retries=False) from error


def _retire_job(pipeline: Pipeline) -> dg.JobDefinition:
    @dg.op(
        name=RETIRE_OP,
        config_schema={"parts": [str]},
        description="Empties every table of these parts and forgets them.",
    )
    def retire(context: dg.OpExecutionContext, warehouse: WarehouseResource) -> None:
        opened = pipeline.open_warehouse(warehouse)
        chosen = [PartKey.parse(key) for key in context.op_config["parts"]]
        for part, tables in retire_parts(opened, chosen).items():
            context.log.info(f"{part.key}: emptied {', '.join(tables)}")
            for name in tables:
                context.log_event(dg.AssetMaterialization(asset_key(name), description="emptied", partition=part.key))
            context.instance.delete_dynamic_partition(PARTS.name or "", part.key)

    @dg.job(name=RETIRE_JOB, description="Retires parts whose file is gone.")
    def retire_parts_job() -> None:
        retire()

    return retire_parts_job
