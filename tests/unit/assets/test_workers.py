"""Runs whose process was killed are ended, whoever launched them; what is alive or of others is left alone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from laionet_assets.assets import workers
from laionet_assets.assets.build import asset_key
from laionet_assets.assets.workers import DIED, ENDED_TAG, GROUP_TAG, bury_dead_runs, end_overdue_runs, holders
from laionet_assets.warehouse.processes import Process

ROOT = Path(__file__).parents[3]
TABLES = {"core.part", "core.after"}
WORKER = """
import sys, time
import dagster as dg
from laionet_assets.warehouse.resource import WarehouseResource

@dg.asset(key=["core", "part"], pool="models")
def part(warehouse: WarehouseResource) -> None:
    if sys.argv[1] == "deaf":
        import signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("holding", flush=True)
    time.sleep(120)

defs = dg.Definitions([part], resources={"warehouse": WarehouseResource(root="lake", docs="docs")})
job = defs.resolve_implicit_global_asset_job_def()
job.execute_in_process(instance=dg.DagsterInstance.get(), raise_on_error=False)
"""


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as opened:
        yield opened


@pytest.fixture
def worker(instance: dg.DagsterInstance, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """A process that works on a run, launched without any tag of ours, and holds the only slot of a pool."""
    mode = getattr(request, "param", "")
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", WORKER, mode], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "holding\n"
        yield process
        process.kill()


def only_run(instance: dg.DagsterInstance) -> dg.DagsterRun:
    (run,) = instance.get_runs()
    return run


def test_a_run_whose_worker_was_killed_is_ended_and_frees_its_pool(
    instance: dg.DagsterInstance, worker: subprocess.Popen[str]
) -> None:
    assert bury_dead_runs(instance, TABLES) == [], "it is alive"
    (holder,) = holders(instance, "models")
    assert holder.startswith("core.part (run ") and f"rocess {worker.pid} on " in holder
    worker.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
    dead = only_run(instance)
    assert dead.status == dg.DagsterRunStatus.STARTED and holders(instance, "models")
    assert bury_dead_runs(instance, TABLES) == [dead.run_id]
    assert only_run(instance).status == dg.DagsterRunStatus.FAILURE
    assert only_run(instance).tags[ENDED_TAG] == DIED
    assert holders(instance, "models") == []
    assert bury_dead_runs(instance, TABLES) == []


@pytest.mark.parametrize(
    ("worker", "end_seconds"), [("", workers.END_SECONDS), ("deaf", 1)], indirect=["worker"], ids=["heeds", "deaf"]
)
def test_what_hangs_ends_with_its_process(
    instance: dg.DagsterInstance, worker: subprocess.Popen[str], end_seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "END_SECONDS", end_seconds)
    now = time.time()
    assert end_overdue_runs(instance, TABLES, longest_hours=1, now=now) == []
    assert worker.poll() is None
    overdue = only_run(instance)
    assert end_overdue_runs(instance, TABLES, longest_hours=1, now=now + 3700) == [overdue.run_id]
    assert (worker.wait(5) == -signal.SIGKILL) == (end_seconds == 1), "killed where it is deaf, and only there"
    assert only_run(instance).status == dg.DagsterRunStatus.FAILURE
    assert "refresh.longest_run_hours (1)" in only_run(instance).tags[ENDED_TAG]
    assert holders(instance, "models") == []


def started(instance: dg.DagsterInstance, *, table: str | None = None, **tags: str) -> dg.DagsterRun:
    """A run in the state STARTED, in the books alone: of one table, or of a job that makes none."""

    @dg.asset(key=asset_key(table or "no.table"))
    def made() -> None: ...

    @dg.job
    def nothing() -> None: ...

    job = dg.Definitions([made]).resolve_implicit_global_asset_job_def() if table else nothing
    selection = frozenset({asset_key(table)}) if table else None
    run = instance.create_run_for_job(job, asset_selection=selection, tags=tags)
    instance.report_dagster_event(dg.DagsterEvent("PIPELINE_START", job.name, message="started"), run.run_id)
    return run


def test_of_other_hosts_and_other_projects_nothing_is_ended(instance: dg.DagsterInstance) -> None:
    gone = replace(Process.this(), number=1, started=-5.0)
    elsewhere = started(instance, **replace(gone, host="elsewhere").tags)
    foreign = started(instance, table="their.table")
    assert bury_dead_runs(instance, TABLES) == []
    here = started(instance, **gone.tags)
    assert bury_dead_runs(instance, TABLES) == [here.run_id]
    hours_later = time.time() + 7200
    assert end_overdue_runs(instance, TABLES, longest_hours=1, now=hours_later) == [elsewhere.run_id]
    assert instance.get_run_by_id(foreign.run_id).status == dg.DagsterRunStatus.STARTED  # type: ignore[union-attr]


@pytest.mark.parametrize(("table", "tags"), [(None, {GROUP_TAG: "web/a:0"}), ("core.part", {})])
def test_a_run_that_never_said_who_works_on_it_is_dead_after_a_while(
    instance: dg.DagsterInstance, table: str | None, tags: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started(instance, table=table, **tags)
    assert bury_dead_runs(instance, TABLES) == []
    later = time.time() + 400
    monkeypatch.setattr(time, "time", lambda: later)
    assert bury_dead_runs(instance, TABLES) == [run.run_id]


def test_a_cancelled_run_whose_process_is_gone_is_cancelled(instance: dg.DagsterInstance) -> None:
    run = started(instance, **replace(Process.this(), started=-5.0).tags)
    instance.report_run_canceling(run)
    assert bury_dead_runs(instance, TABLES) == [run.run_id]
    assert only_run(instance).status == dg.DagsterRunStatus.CANCELED


def test_slots_of_runs_that_are_over_or_deleted_are_freed(instance: dg.DagsterInstance) -> None:
    storage = instance.event_log_storage
    storage.set_concurrency_slots("models", 2)
    over = started(instance)
    storage.claim_concurrency_slot("models", over.run_id, "core__part")
    storage.claim_concurrency_slot("models", "deleted", "core__part")
    assert len(holders(instance, "models")) == 2
    instance.report_run_failed(over)
    bury_dead_runs(instance, TABLES)
    assert holders(instance, "models") == []
