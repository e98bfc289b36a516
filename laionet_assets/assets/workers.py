"""Runs and the processes that work on them: what a killed worker leaves behind is ended, so that nothing waits for it.

Dagster's own launcher cannot say whether the process of a run is still there. So every run says which process works on
it, in its tags, as soon as its resources are set up (`WarehouseResource`), whoever launched it.

Belongs here: finding and ending runs. Does not belong here: when to look (`housekeeping`), making again what they
should have made (`requesting`).
"""

import time
from collections.abc import Collection

import dagster as dg
import psutil

from laionet_assets.assets.build import table_name
from laionet_assets.warehouse.processes import Process

GROUP_TAG = "laionet/group"
"""Tag of a run that the sensor or the schedule asked for: its part and phase."""
ENDED_TAG, DIED = "laionet/ended", "its process was gone"
"""Tag of a run that was ended here: why. What died is made again; what failed waits until something changes."""
START_SECONDS = 300
"""A run that started longer ago and does not say which process works on it has none."""
END_SECONDS = 10
"""How long a process that is told to end is waited for, before it is killed."""
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_AT_WORK = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def bury_dead_runs(instance: dg.DagsterInstance, tables: Collection[str]) -> list[str]:
    """End the runs of these tables whose process is gone, whoever launched them, and free the slots of pools that they
    hold; those of runs that are over, too. Returns the ids of the runs that were ended, the oldest first.

    Runs of processes on other hosts, and those of other projects in the same Dagster instance, are left alone.
    """
    buried = []
    for record in reversed(instance.get_run_records(filters=dg.RunsFilter(statuses=_AT_WORK))):
        run = record.dagster_run
        if _is_dead(record, tables):
            _end(instance, run, DIED, f"{_worker_of(run)} is gone: killed, or its machine restarted.")
            buried.append(run.run_id)
    for run_id in sorted(instance.event_log_storage.get_concurrency_run_ids()):
        holder = instance.get_run_by_id(run_id)
        if holder is None or holder.is_finished:
            instance.event_log_storage.free_concurrency_slots_for_run(run_id)
    return buried


def end_overdue_runs(
    instance: dg.DagsterInstance, tables: Collection[str], *, longest_hours: float, now: float
) -> list[str]:
    """End the runs of these tables that have worked longer than they may (`now` in seconds since 1970): with their
    process where it is on this host, in Dagster's books where it is not. Returns the ids of the runs.
    """
    ended = []
    for record in reversed(instance.get_run_records(filters=dg.RunsFilter(statuses=_AT_WORK))):
        run = record.dagster_run
        if record.start_time is None or now - record.start_time <= longest_hours * 3600 or not _is_ours(run, tables):
            continue
        why = f"longer than refresh.longest_run_hours ({longest_hours:g})"
        message = f"Ended after {(now - record.start_time) / 3600:.1f} hours: {why}."
        instance.add_run_tags(run.run_id, {ENDED_TAG: why})
        instance.report_engine_event(message, run)
        process = Process.of_tags(run.tags)
        if process is not None and process.is_of_this_host and (running := process.running()) is not None:
            _end_process(running)
        _end(instance, run, why, message)
        ended.append(run.run_id)
    return ended


def holders(instance: dg.DagsterInstance, pool: str) -> list[str]:
    """Who holds the slots of a pool, in words; nobody if one is free."""
    info = instance.event_log_storage.get_concurrency_info(pool)
    steps = [(slot.run_id, slot.step_key) for slot in info.claimed_slots]
    if len(steps) < info.slot_count:
        return []
    found = []
    for run_id, step in steps:
        run = instance.get_run_by_id(run_id)
        part = run.tags.get("dagster/partition") if run is not None else None
        task = step.replace("__", ".") + (f" {part}" if part else "")
        found.append(f"{task} (run {run_id[:8]}, {_worker_of(run) if run is not None else 'deleted'})")
    return found


def _is_dead(record: dg.RunRecord, tables: Collection[str]) -> bool:
    run = record.dagster_run
    process = Process.of_tags(run.tags)
    if process is not None:
        return process.is_gone
    since = record.start_time or record.create_timestamp.timestamp()
    return _is_ours(run, tables) and time.time() - since > START_SECONDS


def _is_ours(run: dg.DagsterRun, tables: Collection[str]) -> bool:
    """Whether a run is of this project: it says so, or makes tables of it and nothing else."""
    if GROUP_TAG in run.tags or "laionet/host" in run.tags:
        return True
    return bool(run.asset_selection) and all(table_name(key) in tables for key in run.asset_selection or ())


def _worker_of(run: dg.DagsterRun) -> str:
    process = Process.of_tags(run.tags)
    return f"{str(process)[0].upper()}{str(process)[1:]}" if process is not None else "Its process"


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun, why: str, message: str) -> None:
    """Mark a run as over, unless it is by now."""
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    current = instance.get_run_by_id(run.run_id)
    if current is None or current.is_finished:
        return
    instance.add_run_tags(run.run_id, {ENDED_TAG: why})
    message = f"{message} What it had published stands."
    if current.status == dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(current, message)
    else:
        instance.report_run_failed(current, message)


def _end_process(process: psutil.Process) -> None:
    """Tell a process to end; kill it, with its children, if it does not."""
    try:
        family = [process, *process.children(recursive=True)]
        process.terminate()
        process.wait(END_SECONDS)
    except psutil.NoSuchProcess:
        return
    except psutil.TimeoutExpired:
        for each in family:
            try:
                each.kill()
            except psutil.NoSuchProcess:
                continue
