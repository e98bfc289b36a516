"""The Dagster instance of a configuration, and its UI. The command line and the UI share one history."""

import errno
import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from sqlalchemy.exc import DatabaseError

from laionet_assets.assets.housekeeping import keep_house
from laionet_assets.assets.partitions import PARTS
from laionet_assets.assets.parts import sync_parts
from laionet_assets.assets.pipeline import build_pipeline, dagster_yaml
from laionet_assets.commands.interrupting import heed_signals
from laionet_assets.errors import UserError
from laionet_assets.full_disk import free, full_disk
from laionet_assets.inert import inert
from laionet_assets.settings import CONFIG_VARIABLE, Settings, find_config, load_settings
from laionet_assets.warehouse.processes import Process


@contextmanager
def dagster_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance that this configuration's runs are recorded in: the same one that the UI shows.

    Raises UserError if its state cannot be read or written.
    """
    home = os.environ["DAGSTER_HOME"] = str(dagster_home(settings))
    try:
        with dg.DagsterInstance.get() as instance:
            yield instance
    except DatabaseError as error:
        raise full_disk(error) or UserError(
            f"Dagster's state in {home} cannot be read or written: {error.orig}; {free(Path(home))} there. Make the "
            "folder writable, with room on its disk, or name another one with DAGSTER_HOME; the tables are not touched "
            "by that"
        ) from error


def dagster_home(settings: Settings) -> Path:
    """Folder of Dagster's state: $DAGSTER_HOME, else .dagster beside the configuration. Without a dagster.yaml of its
    own it gets the project's: telemetry, pools and limits would fall back to Dagster's otherwise.

    Raises UserError if DAGSTER_HOME is no folder.
    """
    given = os.environ.get("DAGSTER_HOME")
    home = Path(given) if given else settings.home / ".dagster"
    if given and not (home.is_absolute() and home.is_dir()):
        raise UserError(
            f"DAGSTER_HOME is {given!r}, expected the absolute path of a folder that is there. Create it, or unset the "
            f"variable: then Dagster's state is kept in {settings.home / '.dagster'}"
        )
    home.mkdir(exist_ok=True)
    target = dagster_yaml(settings)
    link = home / "dagster.yaml"
    is_ours = not link.exists() or (link.is_symlink() and not given)
    if is_ours and link.resolve() != target.resolve():
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    return home


def serve_ui(config: Path | None, *, host: str, port: int) -> int:
    """Register the parts that are there, then become `dagster dev`.

    Raises UserError if the port is taken, or another UI with its daemon works on the warehouse.
    """
    heed_signals()
    path = find_config(config)
    settings = load_settings(path)
    pipeline = build_pipeline(settings)
    _assert_port_is_free(host, port)
    if pipeline.warehouse.lake.is_local:
        _be_the_only_one(pipeline.warehouse.scratch / "ui.lock", f"{Process.this()}, http://{host}:{port}, {path}")
    synced = sync_parts(settings, pipeline.warehouse)
    with dagster_instance(settings) as instance:
        instance.add_dynamic_partitions(PARTS.name or "", [part.key for part in synced.present])
        for done in keep_house(pipeline, instance):
            print(f"note: {inert(done)}", flush=True)
    os.environ[CONFIG_VARIABLE] = str(path)
    command = [
        "-W",
        "ignore",
        "-m",
        "dagster",
        "dev",
        "-m",
        "laionet_assets.definitions",
        "-d",
        str(Path(sys.executable).parent),  # else the code of the working directory comes before all libraries
        "--host",
        host,
        "--port",
        str(port),
    ]
    workspace = settings.home / "workspace.yaml"
    if workspace.is_file():
        command[5:9] = ["-w", str(workspace)]
    print(f"Dagster UI: http://{host}:{port} (stop with Ctrl-C)", flush=True)
    os.execv(sys.executable, [sys.executable, *command])


def _assert_port_is_free(host: str, port: int) -> None:
    """Raise UserError if nothing can listen there: the page under that address is somebody else's."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        taken = "is taken, perhaps by another `laionet ui`" if error.errno == errno.EADDRINUSE else str(error)
        raise UserError(f"port {port} of {host}: {taken}. Choose another: laionet ui --port {port + 1}") from None


def _be_the_only_one(path: Path, who: str) -> None:
    """Hold a lock that the system frees when this process (or what it becomes) ends, however it ends.

    Raises UserError, which says who holds it. A warehouse that cannot be written to needs no lock.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            return
        raise
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(lock, 4096).decode(errors="replace").strip()
        raise UserError(
            f"another `laionet ui`, with its daemon, works on this warehouse: {holder}. Use its page, or end it first: "
            "two daemons would ask for the same runs"
        ) from None
    os.set_inheritable(lock, True)
    os.truncate(lock, 0)
    os.write(lock, who.encode())
