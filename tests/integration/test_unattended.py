"""Nothing waits for the dead: `laionet run` beside killed, living and hanging runs; lost and wiped state of Dagster."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError

from laionet_assets.assets.build import asset_key
from laionet_assets.assets.housekeeping import FOUND, forget_old_runs
from laionet_assets.assets.similarity import ENCODER_POOL
from laionet_assets.commands.instance import dagster_instance
from laionet_assets.commands.safe_path import safe_path
from laionet_assets.errors import UserError
from laionet_assets.settings import load_settings
from laionet_assets.warehouse.processes import Process
from tests.integration.conftest import Project

pytestmark = pytest.mark.integration

LAIONET = str(Path(sys.executable).with_name("laionet"))
QUERIES = '+key:"core/query_embeddings"'
LEMMAS = '+key:"staging/lemmas"'
TAKEN_FOR_A_LIBRARY = "raise SystemExit('a file of the working directory was taken for a library')"


@contextmanager
def opened(project: Project) -> Iterator[dg.DagsterInstance]:
    """The project's Dagster instance."""
    with dagster_instance(load_settings(project.config)) as instance:
        yield instance
    del os.environ["DAGSTER_HOME"]


def hold(instance: dg.DagsterInstance, process: Process) -> str:
    """A started run of a process, which holds the only slot of the encoders' pool."""

    @dg.job
    def nothing() -> None: ...

    run = instance.create_run_for_job(nothing, tags=process.tags)
    instance.report_dagster_event(dg.DagsterEvent("PIPELINE_START", nothing.name, message="started"), run.run_id)
    instance.event_log_storage.set_concurrency_slots(ENCODER_POOL, 1)
    claim = instance.event_log_storage.claim_concurrency_slot(ENCODER_POOL, run.run_id, "core__query_embeddings")
    assert claim.is_claimed
    return run.run_id


def command(project: Project, *arguments: str) -> subprocess.Popen[str]:
    """`laionet` in a process of its own, as a script starts it in the background: INT is ignored."""
    environment = {key: value for key, value in os.environ.items() if key not in ("DAGSTER_HOME", "LAIONET_CONFIG")}
    return subprocess.Popen(
        ["/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh", LAIONET, *arguments, "--config", str(project.config)],
        env={**environment, "PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        cwd=project.folder,
    )  # fmt: skip


def read_until(process: subprocess.Popen[str], text: str, *, seconds: float = 120) -> str:
    """What a process prints, up to a line with a text."""
    assert process.stdout is not None
    said, until = "", time.monotonic() + seconds
    for line in process.stdout:
        said += line
        if text in line:
            return said
        assert time.monotonic() < until, said
    raise AssertionError(f"ended without {text!r}: {said}")


@pytest.mark.slow
@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_waiting_for_a_pool_is_said_with_its_holder_and_can_be_interrupted(
    bare_project: Project, told: signal.Signals
) -> None:
    bare_project.add_part(0, rows=100)
    with opened(bare_project) as instance:
        held_by = hold(instance, Process.this())
        run = command(bare_project, "run", "--select", QUERIES)
        try:
            said = read_until(run, "waiting for the pool")
            assert f"core.query_embeddings (run {held_by[:8]}, Process {os.getpid()} on " in said
            started = time.monotonic()
            run.send_signal(told)
            rest = run.communicate(timeout=20)[0]
        finally:
            run.kill()
        assert time.monotonic() - started < 10
        assert run.returncode == 128 + told, rest
        assert "interrupted; what was published stands" in rest and "Traceback" not in rest
        waited = [each for each in instance.get_runs() if each.run_id != held_by]
        assert waited and all(each.is_finished for each in waited)
        pending = instance.event_log_storage.get_concurrency_info(ENCODER_POOL).pending_steps
        assert {step.run_id for step in pending} <= {held_by}


@pytest.mark.slow
def test_a_holder_that_dies_while_it_is_waited_for_is_buried(bare_project: Project) -> None:
    bare_project.add_part(0, rows=100)
    with (
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other,
        opened(bare_project) as instance,
    ):
        time.sleep(0.2)
        process = psutil.Process(other.pid)
        held_by = hold(
            instance,
            replace(Process.this(), number=other.pid, started=process.create_time() - psutil.boot_time()),
        )
        run = command(bare_project, "run", "--select", QUERIES)
        try:
            read_until(run, "waiting for the pool")
            other.kill()
            other.wait()
            read_until(run, "done ", seconds=280)
            assert run.wait(30) == 0
        finally:
            run.kill()
        assert instance.get_run_by_id(held_by).status == dg.DagsterRunStatus.FAILURE  # type: ignore[union-attr]


def known(project: Project, instance: dg.DagsterInstance, name: str) -> tuple[str | None, object]:
    """Version and status that Dagster knows of a table."""
    event = instance.get_latest_materialization_event(asset_key(name))
    if event is None or event.asset_materialization is None:
        return None, None
    made = event.asset_materialization
    return (made.tags or {}).get("dagster/data_version"), getattr(made.metadata.get("status"), "value", None)


def test_lost_wiped_and_false_state_of_dagster_is_put_right(bare_project: Project) -> None:
    project = bare_project
    project.add_part(0, rows=100)
    assert project.run(select=f'{LEMMAS} or key:"raw/parts"') == 0, project.printed[-1]
    version = project.pipeline.warehouse.stamps("staging.lemmas")[None].version
    with opened(project) as instance:
        assert known(project, instance, "staging.lemmas") == (version, "made")

    shutil.rmtree(project.folder / ".dagster")
    assert project.run(select=LEMMAS) == 0
    assert "up to date" in project.printed[-1] and "were not known to Dagster so: reported" in project.printed[-1]
    with opened(project) as instance:
        assert known(project, instance, "staging.lemmas") == (version, FOUND)
        assert instance.get_materialized_partitions(asset_key("raw.parts")) == {"web/part-00000"}
        instance.wipe_assets([asset_key("staging.lemmas")])
        instance.report_runless_asset_event(dg.AssetMaterialization(asset_key("raw.synsets")))
    assert project.run(select=LEMMAS) == 0
    assert "note 2 tables and parts are published" in project.printed[-1]
    with opened(project) as instance:
        assert known(project, instance, "staging.lemmas") == (version, FOUND)
        assert known(project, instance, "raw.synsets")[1] == FOUND
    assert project.run(select=LEMMAS) == 0
    assert "note" not in project.printed[-1]


def test_what_is_reported_but_not_there_is_made(bare_project: Project) -> None:
    bare_project.add_part(0, rows=100)
    with opened(bare_project) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization(asset_key("raw.synsets")))
    assert bare_project.run(select='key:"raw/synsets"') == 0
    assert bare_project.made() == {"raw.synsets"}


def test_old_runs_are_forgotten_and_the_history_of_tables_is_not(bare_project: Project) -> None:
    project = bare_project
    project.add_part(0, rows=100)
    for _ in range(3):
        assert project.run(select=LEMMAS, force=True) == 0, project.printed[-1]
    home = project.folder / ".dagster"
    with opened(project) as instance:
        runs = [run.run_id for run in instance.get_runs()]
        before, files = size(home), sum(path.is_file() for path in home.rglob("*"))
        key = dg.AssetCheckKey(asset_key("raw.synsets"), "grain_is_unique")
        (checked,) = instance.event_log_storage.get_latest_asset_check_execution_by_key([key]).values()
        assert forget_old_runs(instance, older_than=time.time() - 3600) == 0
        assert forget_old_runs(instance, older_than=time.time() + 60) == len(runs) >= 3
        assert instance.get_runs() == []
        assert not [path for path in home.rglob("*") if any(run in str(path) for run in runs)]
        assert size(home) < before / 2 and sum(path.is_file() for path in home.rglob("*")) < files / 2
        assert known(project, instance, "staging.lemmas")[1] == "made"
        history = instance.fetch_materializations(asset_key("staging.lemmas"), limit=10).records
        assert len(history) == 3
        (still,) = instance.event_log_storage.get_latest_asset_check_execution_by_key([key]).values()
        assert still == checked and still.status.value == "SUCCEEDED"
    assert project.run(select=LEMMAS) == 0
    assert "up to date" in project.printed[-1]


def size(folder: Path) -> int:
    """Bytes of the files of single runs below a folder, and of what they logged."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.name != "index.db")


def test_homes_of_dagster(bare_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare_project.add_part(0, rows=100)
    for wrong in ("relative/home", str(tmp_path / "missing")):
        monkeypatch.setenv("DAGSTER_HOME", wrong)
        with pytest.raises(UserError, match=f"DAGSTER_HOME is '{wrong}', expected the absolute path of a folder"):
            bare_project.run(select=LEMMAS)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(foreign))
    with dagster_instance(load_settings(bare_project.config)) as instance:
        assert not instance.telemetry_enabled and not instance.nux_enabled
        assert instance.global_op_concurrency_default_limit == 1
    (foreign / "dagster.yaml").unlink()
    (foreign / "dagster.yaml").write_text("telemetry: {enabled: true}")
    with dagster_instance(load_settings(bare_project.config)) as instance:
        assert instance.telemetry_enabled, "a dagster.yaml of its own is kept"


def test_an_event_log_that_cannot_be_written_is_one_message(bare_project: Project) -> None:
    bare_project.add_part(0, rows=100)
    with opened(bare_project):
        pass
    home = str(bare_project.folder / ".dagster")
    if subprocess.run(["mount", "--bind", home, home], check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting wants root")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", home], check=True)
        with pytest.raises(UserError, match=re.escape(f"Dagster's state in {home} cannot be read or written: ")):
            bare_project.run(select=LEMMAS)
    finally:
        subprocess.run(["umount", home], check=True)
    assert bare_project.run(select='key:"raw/synsets"') == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_ui_and_its_daemon(bare_project: Project) -> None:
    """Its sensor buries the dead; a second one, and one whose port is taken, says so and ends; it ends when told. A
    file of the working directory is no library, whatever its name.
    """
    project = bare_project
    for library in ("gql", "duckdb"):
        (project.folder / f"{library}.py").write_text(TAKEN_FOR_A_LIBRARY)
    project.add_part(0, rows=100)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for told in (signal.SIGINT, signal.SIGTERM):
        ui = command(project, "ui", "--port", str(port))
        family: list[psutil.Process] = []
        try:
            read_until(ui, "Serving dagster-webserver", seconds=240)
            family = psutil.Process(ui.pid).children(recursive=True)
            assert len(family) >= 3
            with command(project, "ui", "--port", str(port + 1)) as second:
                said, _ = second.communicate(timeout=120)
                assert second.returncode == 2
                assert f"another `laionet ui`, with its daemon, works on this warehouse: process {ui.pid} on" in said
                assert f"http://127.0.0.1:{port}" in said and "Traceback" not in said
            with command(project, "ui", "--port", str(port)) as taken:
                said, _ = taken.communicate(timeout=120)
                assert taken.returncode == 2
                assert f"port {port} of 127.0.0.1: is taken" in said and "Traceback" not in said
            if told == signal.SIGINT:
                with opened(project) as instance:
                    dead = hold(instance, replace(Process.this(), started=-5.0))
                    until = time.monotonic() + 120
                    while not instance.get_run_by_id(dead).is_finished:  # type: ignore[union-attr]
                        assert time.monotonic() < until, "the sensor did not bury it"
                        time.sleep(1)
                    assert instance.event_log_storage.get_concurrency_info(ENCODER_POOL).claimed_slots == []
            ui.send_signal(told)
            ui.wait(60)
            _, alive = psutil.wait_procs(family, timeout=30)
            assert alive == []
        finally:
            for each in [ui, *family]:
                with suppress(psutil.NoSuchProcess, ProcessLookupError):
                    each.kill()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_dagster_dev_from_another_folder_makes_a_table(bare_project: Project, tmp_path: Path) -> None:
    """As docs/running.md says how, in a folder with a file that is called like a library of the web server."""
    project, elsewhere = bare_project, tmp_path / "elsewhere"
    project.add_part(0, rows=100)
    elsewhere.mkdir()
    for library in ("gql", "duckdb"):
        (elsewhere / f"{library}.py").write_text(TAKEN_FOR_A_LIBRARY)
    (project.folder / ".dagster").mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    scripts = Path(sys.executable).parent
    told = {"LAIONET_CONFIG": project.config, "DAGSTER_HOME": project.folder / ".dagster", **safe_path(os.environ)}
    dev = subprocess.Popen(
        [scripts / "dagster", "dev", "-m", "laionet_assets.definitions", "-d", scripts, "--port", str(port)],
        env={**os.environ, "PYTHONUNBUFFERED": "1", **{key: str(value) for key, value in told.items()}},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=elsewhere,
    )  # fmt: skip
    family: list[psutil.Process] = []
    try:
        read_until(dev, "Serving dagster-webserver", seconds=400)
        family = psutil.Process(dev.pid).children(recursive=True)
        client = DagsterGraphQLClient("127.0.0.1", port_number=port)
        until = time.monotonic() + 60
        while True:  # it listens a moment after it says so
            try:
                run = client.submit_job_execution("__ASSET_JOB", asset_selection=[asset_key("raw.synsets")])
                break
            except DagsterGraphQLClientError:
                assert time.monotonic() < until
                time.sleep(1)
        while (status := client.get_run_status(run)) not in FINISHED_STATUSES:
            time.sleep(1)
        assert status == dg.DagsterRunStatus.SUCCESS
    finally:
        dev.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            dev.wait(60)
        for each in [dev, *family]:
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                each.kill()
    assert project.count("select count(*) from raw.synsets") == 1000
    assert project.run(select='key:"raw/synsets"') == 0 and "up to date" in project.printed[-1], "made by other code"
