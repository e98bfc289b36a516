"""Waiting for a pool: said with its holder, without using a core, and given up when the command is told to end."""

import time
from collections.abc import Callable, Collection

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._utils.interrupts import check_captured_interrupt

from laionet_assets.assets.workers import bury_dead_runs, holders

LOOK_SECONDS = 0.5
BURY_SECONDS = 5.0


def wait_for_pool(
    instance: dg.DagsterInstance,
    pool: str,
    *,
    run_id: str,
    step: str,
    tables: Collection[str],
    say: Callable[[str], None],
) -> None:
    """Return as soon as a blocked step of a run may claim a slot of a pool. A holder that dies meanwhile is buried.

    Dagster's own loop would look again and again without a pause, say nothing, and heed no signal. Raises
    DagsterExecutionInterruptedError if a signal comes: the run then ends.
    """
    said, buried_at = "", time.monotonic()
    while not _is_assigned(instance, pool, run_id, step) and (found := holders(instance, pool)):
        if (holder := ", ".join(found)) != said:
            say(f"waiting for the pool {pool}, held by {holder}")
            said = holder
        if check_captured_interrupt():
            raise DagsterExecutionInterruptedError
        if time.monotonic() - buried_at >= BURY_SECONDS:
            bury_dead_runs(instance, tables)
            buried_at = time.monotonic()
        time.sleep(LOOK_SECONDS)


def _is_assigned(instance: dg.DagsterInstance, pool: str, run_id: str, step: str) -> bool:
    """Whether a slot is kept for a step that waits."""
    return any(
        pending.run_id == run_id and pending.step_key == step and pending.assigned_timestamp is not None
        for pending in instance.event_log_storage.get_concurrency_info(pool).pending_steps
    )
