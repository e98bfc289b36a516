"""nginx on loopback with a configuration, a port and a pid of its own, for as long as a block lasts.

Belongs here: finding, starting and stopping it. Does not belong here: what is served, and who asks.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
MISSING = "nginx is not installed (Debian: apt-get install nginx-light)"
_PLACES = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
_READY_SECONDS = 10.0


@dataclass(frozen=True)
class Server:
    """A server at work. `root` is the folder that it serves."""

    root: Path
    port: int
    version: str

    def url(self, path: str, *, host: str = HOST) -> str:
        """The address of a file under `root`; `host` is a name that leads here."""
        return f"http://{host}:{self.port}/{path}"


def find_nginx() -> Path | None:
    """Nginx as installed, also where only root's PATH has it; None if it is not."""
    found = shutil.which("nginx", path=_PLACES)
    return Path(found) if found else None


def nginx_config(folder: Path, root: Path, port: int, *, is_root: bool) -> str:
    """A configuration that serves the files of `root` and writes nothing outside `folder`.

    `is_root`: the workers stay root, or they could not read a folder that is root's alone.
    """
    scratch = "\n".join(
        f"    {kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""\
{"user root;" if is_root else ""}
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
{scratch}
    types {{ image/jpeg jpg; text/plain txt; }}
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    server {{
        listen {HOST}:{port} backlog=4096;
        root {root};
    }}
}}
"""


@contextmanager
def serving(root: Path, folder: Path) -> Iterator[Server]:
    """Serve the files of `root`; `folder` keeps what nginx writes. Raises RuntimeError if nginx is missing or does not
    answer within ten seconds, with what it had to say.
    """
    nginx = find_nginx()
    if nginx is None:
        raise RuntimeError(MISSING)
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    config = folder / "nginx.conf"
    config.write_text(nginx_config(folder, root, port, is_root=os.geteuid() == 0), encoding="utf-8")
    log = folder / "error.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(nginx), "-p", str(folder), "-e", str(log), "-c", str(config)], stdout=output, stderr=output
        )
    try:
        _wait_until_ready(process, port, log)
        yield Server(root, port, _version(nginx))
    finally:
        process.terminate()
        process.wait(timeout=_READY_SECONDS)


def _wait_until_ready(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"nginx does not answer on {HOST}:{port}:\n{log.read_text()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return listener.getsockname()[1]


def _version(nginx: Path) -> str:
    said = subprocess.run([str(nginx), "-v"], capture_output=True, text=True, check=True).stderr
    return said.strip().rpartition("/")[2]
