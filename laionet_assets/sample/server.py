"""The synthetic web over HTTP on loopback: pictures drawn when they are asked for, from hosts with the usual faults.

Belongs here: sockets, headers, the index of addresses. Does not belong here: which address has which fault (`manners`;
its table says how each host behaves), what a picture looks like (`web_pictures`).

Nothing is resolved by DNS: a client sends the requests for every host of `SampleWebServer.hosts` to the address given
there and names the host in its Host header, as HTTP clients do that map host names.
"""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from laionet_assets.errors import UserError
from laionet_assets.sample import manners
from laionet_assets.sample.manners import ALL_HOSTS, Address, Fault, fault
from laionet_assets.sample.rows import DEAD_DOMAIN, LIVE_DOMAIN, Picture
from laionet_assets.sample.web import truth_path
from laionet_assets.sample.web_pictures import VERSION, is_tiny, web_picture

LOOPBACK = "127.0.0.1"
PAGE = """<!doctype html>
<html><head><title>{title}</title></head>
<body><h1>{title}</h1><p>This page belongs to a synthetic web.</p></body></html>
"""
_IDLE_SECONDS = 30
_MAGIC = {b"\xff\xd8": "image/jpeg", b"\x89P": "image/png", b"GI": "image/gif", b"RI": "image/webp"}


class SampleWebServer:
    """Serves the synthetic web in `folder` (see `web.sample_web_folder`) while its `with` block runs.

    Drawn pictures are kept in `cache` where one is given. One server can be entered once. Raises UserError where the
    folder holds no part with its truth.
    """

    def __init__(self, folder: Path, *, cache: Path | None = None) -> None:
        self._pages = _index(folder)
        self._cache = cache / f"v{VERSION}" if cache is not None else None
        self._seen_once: set[Address] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._http = _Http(self)
        self._painters = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="painter")
        self._refusing = socket.socket()
        self._refusing.bind((LOOPBACK, 0))
        threading.Thread(target=self._http.serve_forever, args=(0.05,), name="synthetic-web", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()
        self._painters.shutdown(cancel_futures=True)
        self._refusing.close()

    def hosts(self) -> dict[str, tuple[str, int]]:
        """Every host of the web and the (ip, port) that its requests go to; one of them refuses connections."""
        here, nobody = (LOOPBACK, self._http.server_port), (LOOPBACK, int(self._refusing.getsockname()[1]))
        return {host: nobody if host == manners.REFUSING_HOST else here for host in ALL_HOSTS}

    def expected_outcome(self, url: str) -> str:
        """How a fetch of a row's URL ends: `success`, or the name of its error (see `manners.outcome`).

        An address of no row is `http_404`. Raises ValueError if the host is not of this web.
        """
        address = Address.of(url)
        picture = self._pages.get(address)
        if picture is None and address.host != manners.REFUSING_HOST:
            return "http_404"
        return manners.outcome(address, is_tiny=picture is not None and is_tiny(picture.style, picture.seed))

    def picture_at(self, address: Address) -> Picture | None:
        """What an address has, or had."""
        return self._pages.get(address)

    def drawn(self, picture: Picture) -> bytes:
        """The file of a picture, from the cache if it is there."""
        if self._cache is None:
            return self._draw(picture)
        name = f"{picture.seed:08x}-{picture.style}-{picture.depicted}"
        path = self._cache / name[:2] / name
        try:
            return path.read_bytes()
        except FileNotFoundError:
            data = self._draw(picture)
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(f".{name}.{os.getpid()}.{threading.get_ident()}")
        staged.write_bytes(data)
        os.replace(staged, path)
        return data

    def is_first_try(self, address: Address) -> bool:
        """True the first time that an address is asked about, False ever after."""
        with self._lock:
            if address in self._seen_once:
                return False
            self._seen_once.add(address)
            return True

    def _draw(self, picture: Picture) -> bytes:
        """Draw in one of few threads: connections are many, and each thread that draws keeps memory for it."""
        return self._painters.submit(web_picture, picture.style, picture.depicted, picture.seed).result()


def _index(folder: Path) -> dict[Address, Picture]:
    """Every address that the parts in a folder link to, and what is, or was, there."""
    import pyarrow.parquet as pq

    pages: dict[Address, Picture] = {}
    for part in sorted(folder.glob("part-?????.snappy.parquet")):
        truth = truth_path(folder, int(part.name[5:10]))
        if not truth.exists():
            continue
        urls = pq.read_table(part, columns=["URL"])["URL"].to_pylist()
        facts = pq.read_table(truth, columns=["style", "depicted", "picture_seed"]).to_pylist()
        if len(urls) != len(facts):
            raise UserError(
                f"{part} has {len(urls)} rows, its truth {truth} has {len(facts)}; expected as many."
                " Remove both: they are drawn again with the next run of the sample."
            )
        for url, fact in zip(urls, facts, strict=True):
            if url is not None:
                pages[Address.of(url)] = Picture(fact["style"], fact["depicted"], fact["picture_seed"])
    if not pages:
        raise UserError(
            f"{folder} holds no part of the synthetic web with its truth; expected files such as"
            " part-00000.snappy.parquet and truth/part-00000.parquet. Name the folder that sample_web_folder returns."
        )
    return pages


class _Http(ThreadingHTTPServer):
    """A thread for each connection; `close` ends them all."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, web: SampleWebServer) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.web = web
        self._open: set[socket.socket] = set()
        self._is_closed = False

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error, nor is an answer that the end of the server cuts short."""
        if not self._is_closed and not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def close(self) -> None:
        self._is_closed = True
        self.shutdown()
        self.server_close()
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "synthetic-web", ""
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = _IDLE_SECONDS
    server: _Http

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        try:
            address = Address.of(f"http://{self.headers.get('Host', '')}{path}")
        except ValueError:
            self._send(421, b"not a host of this web", "text/plain")
            return
        time.sleep(manners.delay(address))
        if path == "/robots.txt" and address.host in manners.ROBOTS:
            self._send(200, manners.ROBOTS[address.host].encode(), "text/plain")
        elif path == "/" and not address.is_dead:
            self._page(200, address.host)
        elif (picture := self.server.web.picture_at(address)) is not None:
            self._answer(address, picture)
        else:
            self._elsewhere(address)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: addresses are never logged."""

    def _answer(self, address: Address, picture: Picture) -> None:
        """Answer for an address that has, or had, a picture."""
        found = fault(address)
        moves = _MOVES.get(found)
        status = _STATUSES.get(found)
        if moves is not None:
            self._redirect(*moves(address))
        elif status is not None:
            self._page(status, found)
        elif found in (Fault.BUSY_ONCE, Fault.UNAVAILABLE_ONCE) and self.server.web.is_first_try(address):
            self._page(429 if found is Fault.BUSY_ONCE else 503, found, {"Retry-After": "1"})
        elif found is Fault.HANG_UP:
            self.close_connection = True
        elif found is Fault.EMPTY:
            self._send(200, b"", "image/jpeg")
        else:
            self._picture(address, picture, found)

    def _picture(self, address: Address, picture: Picture, found: Fault = Fault.NONE) -> None:
        data = self.server.web.drawn(picture)
        kind = "application/octet-stream" if address.host == manners.VAGUE_HOST else _MAGIC[data[:2]]
        headers = {"X-Robots-Tag": manners.opt_out(address)} if found is Fault.OPTED_OUT else {}
        half = data[: len(data) // 2]
        if found is Fault.CUT_OFF:
            self._send(200, half, kind, headers, length=len(data))
            self.close_connection = True
        elif found is Fault.TRUNCATED and not is_tiny(picture.style, picture.seed):
            self._send(200, half, kind, headers)
        else:
            self._send(200, data, kind, headers)

    def _elsewhere(self, address: Address) -> None:
        """Answer for an address that others moved to, or for one that nobody has."""
        start, _, rest = address.path.removeprefix("/").partition("/")
        owner, _, path = rest.partition("/")
        origin = Address(f"{owner}.{LIVE_DOMAIN}", f"/{path}")
        picture = self.server.web.picture_at(origin)
        has_come = fault(origin) in _COMERS.get(start, ()) and address.host == manners.other_host(origin)
        if picture is None or not has_come:
            self._page(404, "not found")
        elif start == "moved":
            self._picture(address, picture)
        elif start == "moving":
            self._redirect(301, _url(address.host, "moved", origin))
        else:
            self._redirect(302, f"http://{origin.host}{origin.path}")

    def _redirect(self, status: int, location: str) -> None:
        self._page(status, "moved", {"Location": location})

    def _page(self, status: int, title: str, headers: dict[str, str] | None = None) -> None:
        self._send(status, PAGE.format(title=title).encode(), "text/html; charset=utf-8", headers)

    def _send(
        self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None, *, length: int | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _url(host: str, start: str, origin: Address) -> str:
    """Where an address moved to: `/<start>/<its host's first label>/<its path>` on another host."""
    return f"http://{host}/{start}/{origin.host.partition('.')[0]}{origin.path}"


_MOVES: dict[Fault, Callable[[Address], tuple[int, str]]] = {
    Fault.MOVED: lambda at: (301, _url(manners.other_host(at), "moved", at)),
    Fault.MOVED_TWICE: lambda at: (302, _url(manners.other_host(at), "moving", at)),
    Fault.MOVED_AWAY: lambda at: (301, _url(f"photos.{DEAD_DOMAIN}", "moved", at)),
    Fault.LOOP: lambda at: (302, _url(manners.other_host(at), "back", at)),
    Fault.HOME_PAGE: lambda at: (302, "/"),
}
_COMERS = {"moved": (Fault.MOVED, Fault.MOVED_TWICE), "moving": (Fault.MOVED_TWICE,), "back": (Fault.LOOP,)}
"""Which addresses lead to the paths that begin so."""
_STATUSES = {
    Fault.PLACEHOLDER: 200,
    Fault.BROKEN: 500,
    Fault.FORBIDDEN: 403,
    Fault.NOT_FOUND: 404,
    Fault.GONE: 410,
}
