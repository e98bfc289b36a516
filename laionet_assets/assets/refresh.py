"""What runs by itself: a sensor for parts, a nightly schedule, and the sensor of automation conditions.

The parts sensor sees new, changed and removed parts by their content and requests exactly the runs that they need.
The SQL layers follow by their automation condition (`build.FOLLOW_UPSTREAM`). The nightly schedule requests whatever
is still out of date (a new encoder, a new taxonomy); it ticks several times a night, because tables that read all parts
can only be asked for once the parts are made.
"""

from collections.abc import Collection, Iterator, Sequence

import dagster as dg

from laionet_assets.assets.build import asset_key
from laionet_assets.assets.ingestion import PARTS_TABLE
from laionet_assets.assets.partitions import PARTS
from laionet_assets.assets.parts import PartSync, load_register, retire_parts, sync_parts
from laionet_assets.assets.pipeline import Pipeline
from laionet_assets.assets.planning import stale_tasks
from laionet_assets.assets.steps import Step
from laionet_assets.assets.versions import Versions
from laionet_assets.errors import UserError
from laionet_assets.warehouse.resource import WarehouseResource
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse, digest

ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
RETIRE_JOB = "retire_parts"
RETIRE_OP = "retire"


def automation(pipeline: Pipeline) -> dg.Definitions:
    """Sensors, schedule and the job that retires parts."""
    refresh = pipeline.settings.refresh
    sensor_status = dg.DefaultSensorStatus.RUNNING if refresh.enabled else dg.DefaultSensorStatus.STOPPED
    schedule_status = dg.DefaultScheduleStatus.RUNNING if refresh.enabled else dg.DefaultScheduleStatus.STOPPED
    retire_job = _retire_job(pipeline)

    @dg.sensor(
        name="parts",
        description="Registers new parts and requests the runs of new and changed ones.",
        asset_selection=dg.AssetSelection.assets(*(asset_key(name) for name in _until_parts(pipeline.steps))),
        jobs=None,
        minimum_interval_seconds=refresh.interval_seconds,
        default_status=sensor_status,
    )
    def parts(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        return evaluate_parts(pipeline, context.instance)

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
        description="Requests every table and part that is out of date, one step of the pipeline a tick.",
        cron_schedule=refresh.nightly_cron,
        target=dg.AssetSelection.all(),
        default_status=schedule_status,
    )
    def nightly(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        yield from nightly_requests(pipeline, context.instance)

    follow = dg.AutomationConditionSensorDefinition(
        name="follow_upstream",
        description="Materializes the SQL layers once all that they read is there and has passed its blocking checks.",
        target=dg.AssetSelection.all(),
        default_status=sensor_status,
        minimum_interval_seconds=refresh.interval_seconds,
    )
    return dg.Definitions(jobs=[retire_job], sensors=[parts, removed_parts, follow], schedules=[nightly])


def evaluate_parts(pipeline: Pipeline, instance: dg.DagsterInstance) -> dg.SensorResult | dg.SkipReason:
    """Register what is there, and request the runs that stale parts need; first of the tables that every part reads."""
    synced = _synced(pipeline)
    warehouse = pipeline.warehouse
    register = [PARTS.build_add_request([part.key for part in synced.present])] if synced.present else []
    stale = stale_tasks(
        warehouse, pipeline.steps, synced.present, names=_until_parts(pipeline.steps), sealed=synced.kept
    )
    base = [task.name for task in stale if task.part is None]
    if base:
        requests = [_base_request(warehouse, pipeline.steps, base, after=_last_success(instance))]
    else:
        busy = _busy_parts(instance)
        requests = [
            _part_request(
                warehouse,
                pipeline.steps,
                part,
                [task.name for task in stale if task.part == part],
                after=_last_success(instance, part),
            )
            for part in sorted({task.part for task in stale if task.part is not None})
            if part.key not in busy
        ]
    read = set(warehouse.parts("raw.parts"))
    never_read = [part.key for part in synced.gone if part not in read]
    if known := [key for key in never_read if instance.has_dynamic_partition(PARTS.name or "", key)]:
        register.append(PARTS.build_delete_request(known))
    if not requests and not register:
        return dg.SkipReason("no source has a part")
    return dg.SensorResult(run_requests=requests, dynamic_partitions_requests=register)


def nightly_requests(pipeline: Pipeline, instance: dg.DagsterInstance) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """The next step of what is out of date: tables that parts read, then parts, then what reads all parts."""
    synced = _synced(pipeline)
    instance.add_dynamic_partitions(PARTS.name or "", [part.key for part in synced.present])
    result = evaluate_parts(pipeline, instance)
    requests = list(result.run_requests or []) if isinstance(result, dg.SensorResult) else []
    if not requests:
        stale = stale_tasks(pipeline.warehouse, pipeline.steps, synced.present, sealed=synced.kept)
        names = [task.name for task in stale if task.part is None]
        if any(task.part for task in stale):
            yield dg.SkipReason("parts are being made; what reads them all is asked for at a later tick")
            return
        if names:
            requests = [_base_request(pipeline.warehouse, pipeline.steps, names, after=_last_success(instance))]
    if requests:
        yield from requests
    else:
        yield dg.SkipReason("everything is up to date")


def _until_parts(steps: Sequence[Step]) -> list[str]:
    """Names of the partitioned tables and of the tables that they read."""
    by_name = {step.name: step for step in steps}
    names: set[str] = set()

    def visit(name: str) -> None:
        if name not in names:
            names.add(name)
            for dependency in by_name[name].model.dependencies:
                visit(dependency)

    for step in steps:
        if step.is_partitioned:
            visit(step.name)
    return [step.name for step in steps if step.name in names]


def _last_success(instance: dg.DagsterInstance, part: PartKey | None = None) -> str:
    """Id of the last run (of a part) that succeeded.

    Run keys hold it: what failed is not asked for again until something changed, and what was made once is asked for
    again if it is lost or goes back to an earlier content.
    """
    tags = {"dagster/partition": part.key} if part else {}
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS], tags=tags), limit=1)
    return runs[0].run_id if runs else ""


def _base_request(warehouse: Warehouse, steps: Sequence[Step], names: Collection[str], *, after: str) -> dg.RunRequest:
    versions = Versions(warehouse)
    wanted = [f"{step.name}={versions.next_of(step, None)}" for step in steps if step.name in names]
    return dg.RunRequest(
        run_key=f"tables:{digest(after, *wanted)}", asset_selection=[asset_key(name) for name in names]
    )


def _part_request(
    warehouse: Warehouse, steps: Sequence[Step], part: PartKey, names: Collection[str], *, after: str
) -> dg.RunRequest:
    """Its key says what the part's tables are to become, so that one file asks for one run however often it is seen.

    The file is known by its signature here: new files are read in the run, not in the tick of the sensor.
    """
    versions = Versions(warehouse)
    file = load_register(warehouse)[part]
    wanted = [f"{file.path}={file.signature}"]
    for step in steps:
        if step.is_partitioned:
            read = [
                f"{name}={versions.of(name)}"
                for name in sorted(step.model.dependencies)
                if not _is_partitioned(steps, name)
            ]
            outside = "" if step.name == PARTS_TABLE else step.outside(warehouse, part)
            wanted.append(f"{step.name}={step.code_version}:{outside}:{','.join(read)}")
    return dg.RunRequest(
        run_key=f"part:{part.key}:{digest(after, *wanted)}",
        partition_key=part.key,
        asset_selection=[asset_key(name) for name in names],
    )


def _is_partitioned(steps: Sequence[Step], name: str) -> bool:
    return next(step.is_partitioned for step in steps if step.name == name)


def _busy_parts(instance: dg.DagsterInstance) -> set[str]:
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=ACTIVE))
    return {run.tags["dagster/partition"] for run in runs if "dagster/partition" in run.tags}


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
