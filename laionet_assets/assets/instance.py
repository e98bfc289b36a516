"""The Dagster instance of a configuration, and its UI. The command line and the UI share one history."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from laionet_assets.assets.partitions import PARTS
from laionet_assets.assets.parts import sync_parts
from laionet_assets.assets.pipeline import build_pipeline
from laionet_assets.settings import CONFIG_VARIABLE, Settings, find_config, load_settings


@contextmanager
def dagster_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance that this configuration's runs are recorded in: the same one that the UI shows."""
    os.environ["DAGSTER_HOME"] = str(dagster_home(settings))
    with dg.DagsterInstance.get() as instance:
        yield instance


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
    if not link.exists() or link.resolve() != target.resolve():
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
