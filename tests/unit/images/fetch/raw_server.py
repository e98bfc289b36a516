"""A web server whose answers are the bytes that a test says, to see how the fetcher takes them."""

import contextlib
import io
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from PIL import Image

from laionet_assets.images.fetch.outcomes import FetchOutcome, FetchRequest
from laionet_assets.images.fetch.policy import FetchPolicy
from laionet_assets.images.fetch.run import fetch

Route = bytes | Callable[[int], bytes]
"""An answer, or what gives the answer to the nth request, from 1."""
NO_ROBOTS = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class RawServer:
    """Answers by target (as it stands in the request line), else `other`, and closes the connection.

    `asked` are the targets in order, without those of robots.txt.
    """

    def __init__(self, routes: Mapping[str, Route], *, other: Route = NO_ROBOTS, robots: Route = NO_ROBOTS) -> None:
        self._routes = {**routes, "/robots.txt": robots}
        self._other = other
        self._times: dict[str, int] = {}
        self._lock = threading.Lock()
        self.asked: list[str] = []
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            timeout = 10

            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    lines = iter(self.rfile.readline, b"\r\n")
                    request = next(lines, b"").decode("latin-1").split(" ")
                    for _ in lines:
                        pass
                    if len(request) == 3:
                        self.wfile.write(outer._answer(request[1]))

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address, daemon_threads, request_queue_size = True, True, 128

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def endpoint(self) -> str:
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, target: str) -> bytes:
        with self._lock:
            number = self._times[target] = self._times.get(target, 0) + 1
            if target != "/robots.txt":
                self.asked.append(target)
        route = self._routes.get(target, self._other)
        return route if isinstance(route, bytes) else route(number)


@contextlib.contextmanager
def raw_server(routes: Mapping[str, Route] | None = None, **options: Route) -> Iterator[RawServer]:
    """A `RawServer`, closed at the end."""
    server = RawServer(routes or {}, **options)
    try:
        yield server
    finally:
        server.close()


def answer(body: bytes = b"", *headers: str, status: str = "200 OK", length: bool = True) -> bytes:
    """An answer of HTTP/1.1, with its length unless told otherwise."""
    lines = [f"HTTP/1.1 {status}", "Connection: close", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def picture(kind: str = "JPEG", size: tuple[int, int] = (40, 30)) -> bytes:
    """A whole picture."""
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(buffer, kind)
    return buffer.getvalue()


def ask(server: RawServer, *urls: str, **settings: Any) -> list[FetchOutcome]:
    """What becomes of addresses at `*.test`, which the server answers for, in their order."""
    defaults = {
        "contact": "mailto:fetch@example.org",
        "min_interval": 0,
        "retries": 0,
        "backoff_base": 0.02,
        "allow_hosts": {"*.test": server.endpoint},
    }
    policy = FetchPolicy(**(defaults | settings))
    outcomes = fetch([FetchRequest(i, url) for i, url in enumerate(urls)], policy)
    return sorted(outcomes, key=lambda outcome: outcome.id)
