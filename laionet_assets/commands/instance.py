"""The Dagster instance of a configuration, and its UI. The command line and the UI share one history."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from laionet_assets.assets.partitions import PARTS
from laionet_assets.assets.parts import sync_parts
from laionet_assets.assets.pipeline import build_pipeline
from laionet_assets.settings import CONFIG_VARIABLE, Settings, find_config, load_settings
from laionet_assets.warehouse.lake import is_alive

HOST_TAG = "laionet/host"
PROCESS_TAG = "laionet/process"


@contextmanager
def dagster_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance that this configuration's runs are recorded in: the same one that the UI shows."""
    os.environ["DAGSTER_HOME"] = str(dagster_home(settings))
    with dg.DagsterInstance.get() as instance:
        yield instance


def process_tags() -> dict[str, str]:
    """Tags of the runs of this process."""
    return {HOST_TAG: socket.gethostname(), PROCESS_TAG: str(os.getpid())}


def bury_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs of the command line whose process was killed as failed, and free the pool slots that they hold.

    Without it the next run would wait for a slot for ever.
    Returns the ids of the runs.
    """
    started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED], tags={HOST_TAG: socket.gethostname()})
    dead = [run for run in instance.get_runs(filters=started) if not is_alive(int(run.tags[PROCESS_TAG]))]
    for run in dead:
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        instance.report_run_failed(run, "The process of this run was killed. What it had published stands.")
    return [run.run_id for run in dead]


def dagster_home(settings: Settings) -> Path:
    """Folder of Dagster's state: $DAGSTER_HOME, else .dagster beside the configuration, with the dagster.yaml of the
    project.
    """
    if os.environ.get("DAGSTER_HOME"):
        return Path(os.environ["DAGSTER_HOME"])
    home = settings.home / ".dagster"
    home.mkdir(exist_ok=True)
    package = Path(__file__).resolve().parents[1]
    candidates = (settings.home / "dagster.yaml", package.parent / "dagster.yaml", package / "_dagster.yaml")
    target = next(path for path in candidates if path.is_file())
    link = home / "dagster.yaml"
    is_ours = link.is_symlink() or not link.exists()
    if is_ours and link.resolve() != target.resolve():
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    return home


def serve_ui(config: Path | None, *, host: str, port: int) -> int:
    """Register the parts that are there, then become `dagster dev`."""
    path = find_config(config)
    settings = load_settings(path)
    pipeline = build_pipeline(settings)
    synced = sync_parts(settings, pipeline.warehouse)
    with dagster_instance(settings) as instance:
        bury_dead_runs(instance)
        instance.add_dynamic_partitions(PARTS.name or "", [part.key for part in synced.present])
    os.environ[CONFIG_VARIABLE] = str(path)
    command = [
        "-W",
        "ignore",
        "-m",
        "dagster",
        "dev",
        "-m",
        "laionet_assets.definitions",
        "--host",
        host,
        "--port",
        str(port),
    ]
    workspace = settings.home / "workspace.yaml"
    if workspace.is_file():
        command[5:7] = ["-w", str(workspace)]
    print(f"Dagster UI: http://{host}:{port} (stop with Ctrl-C)", flush=True)
    os.execv(sys.executable, [sys.executable, *command])
