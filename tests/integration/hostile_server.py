"""A web server that does to a fetcher what the web does: hangs, resets, lies, bombs, redirects and opt-outs.

Run as a script: it binds loopback only, prints one line of JSON with its ports, and stops when its standard input
closes (or after `LIFETIME` seconds). It behaves as `hostile_content.KINDS` names at `/<kind>/<anything>`; `GET /` with
`Host: stats` tells what it saw. Any host name may be served; names decide about robots.txt only.
"""

import asyncio
import contextlib
import gzip
import json
import socket
import struct
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from hostile_content import pictures

LIFETIME = 150
BUSY_SECONDS = 5
SETTLE_SECONDS = 0.02
TLS_HANDSHAKE = b"\x16"

DISALLOWED = "/private/"
ROBOTS = f"User-agent: *\nAllow: /\nDisallow: {DISALLOWED}\n"


@dataclass(frozen=True)
class Ask:
    """One request and its connection."""

    path: str
    host: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class HostileServer:
    """The behaviours and the counters."""

    def __init__(self) -> None:
        self.pictures = pictures()
        self.gzip_bomb = gzip.compress(bytes(256 * 2**20), compresslevel=1)
        self.requests: Counter[str] = Counter()
        self.hosts: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.active: Counter[str] = Counter()
        self.most_active: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.robots_seen: set[str] = set()
        self.busy_until: dict[str, float] = defaultdict(float)
        self.forbidden_port = 0

    def stats(self) -> bytes:
        names = ("requests", "hosts", "most_active", "faults")
        return json.dumps({name: dict(getattr(self, name)) for name in names}).encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError, asyncio.CancelledError):
            while True:
                first = await reader.readexactly(1)
                if first == TLS_HANDSHAKE:
                    await _send(writer, 400, b"plain HTTP here", "text/plain")
                    break
                head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                path, host, agent = self._read_head(head)
                if host == "stats":
                    await _send(writer, 200, self.stats(), "application/json")
                    continue
                for name in (host, "all hosts"):
                    self.active[name] += 1
                    asyncio.get_running_loop().call_later(SETTLE_SECONDS, self._count_active, name)
                try:
                    if "+mailto:fetch@example.org" not in agent:
                        self.faults["dishonest user agent"] += 1
                    if not await self._answer(path, host, reader, writer):
                        break
                finally:
                    self.active.subtract((host, "all hosts"))
        writer.close()

    async def serve_forbidden(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.faults["connection to a forbidden address"] += 1
        writer.close()

    def _count_active(self, name: str) -> None:
        """Some time after a request came, so that connections just given up by the other side are not counted."""
        self.most_active[name] = max(self.most_active[name], self.active[name])

    def _read_head(self, head: str) -> tuple[str, str, str]:
        lines = head.split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
        if "cookie" in fields or "authorization" in fields:
            self.faults["cookie or credentials sent"] += 1
        return lines[0].split(" ")[1], fields.get("host", ""), fields.get("user-agent", "")

    async def _answer(self, path: str, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Do what the path says; False if the connection cannot be used any more."""
        self.hosts[host] += 1
        kind = path.split("/")[1]
        self.requests[kind] += 1
        if time.monotonic() < self.busy_until[host]:
            self.faults["request while told to wait"] += 1
        if path == "/robots.txt":
            self.robots_seen.add(host)
            return await self._robots(host, reader, writer)
        if host not in self.robots_seen:
            self.faults["request before robots.txt"] += 1
        if path.startswith(DISALLOWED) or host.startswith(("closed", "broken-robots", "silent-robots")):
            self.faults["request for what robots.txt disallows"] += 1
        self.asked[host + path] += 1
        if kind in self.pictures:
            return await _send(writer, 200, self.pictures[kind], "image/jpeg")
        behave = getattr(self, "_do_" + kind.replace("-", "_"), None)
        if behave is None:
            return await self._simple(kind, path, host, writer)
        return await behave(Ask(path, host, reader, writer))

    async def _robots(self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        name = host.split(".")[0].rstrip("0123456789")
        if name == "broken-robots":
            return await _send(writer, 500, b"", "text/plain")
        if name == "silent-robots":
            await asyncio.wait_for(reader.read(1), 30)
            return False
        if name == "no-robots":
            return await _send(writer, 404, b"", "text/plain")
        if name == "moved-robots":
            return await _send(writer, 301, b"", "text/plain", f"Location: http://closed0.{_domain(host)}/robots.txt")
        if name == "closed":
            return await _send(writer, 200, b"User-agent: laionet-assets\nDisallow: /\n", "text/plain")
        if name == "huge-robots":
            names = "".join(f"User-agent: bot{i}\n" for i in range(12_000))
            rules = "".join(f"Disallow: /{i}\n" for i in range(30_000))
            beyond = "User-agent: *\nDisallow: /\n"
            return await _send(writer, 200, (ROBOTS + names + rules + beyond).encode(), "text/plain")
        return await _send(writer, 200, ROBOTS.encode(), "text/plain")

    async def _simple(self, kind: str, path: str, host: str, writer: asyncio.StreamWriter) -> bool:
        """Behaviours that are one whole answer."""
        good, png, html = self.pictures["good"], self.pictures["png"], b"<!DOCTYPE html><title>no picture</title>"
        to = f"Location: http://other.{_domain(host)}/"
        answers: dict[str, tuple[int, bytes, str, str]] = {
            "called-text": (200, good, "text/plain", ""),
            "gzip-coded": (200, gzip.compress(good), "image/jpeg", "Content-Encoding: gzip"),
            "google-only-tag": (200, good, "image/jpeg", "X-Robots-Tag: googlebot: noindex, noai"),
            "html": (200, html, "image/jpeg", ""),
            "svg": (200, b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "image/svg+xml", ""),
            "text": (200, b"no picture here", "image/png", ""),
            "empty": (200, b"", "image/jpeg", ""),
            "big-html": (200, html + b" " * 500_000, "image/jpeg", ""),
            "truncated": (200, good[: len(good) // 2], "image/jpeg", ""),
            "truncated-png": (200, png[: len(png) // 2], "image/png", ""),
            "corrupt-png": (200, png[:60] + bytes(40) + png[100:], "image/png", ""),
            "brotli": (200, good, "image/jpeg", "Content-Encoding: br"),
            "bad-gzip": (200, good, "image/jpeg", "Content-Encoding: gzip"),
            "bomb-gzip": (200, self.gzip_bomb, "image/jpeg", "Content-Encoding: gzip"),
            "redirect": (302, b"", "text/plain", to + "good/x"),
            "redirect-loop": (301, b"", "text/plain", f"Location: {path.split('?')[0]}?{int('?' not in path)}"),
            "redirect-chain": (307, b"", "text/plain", f"Location: {path}x"),
            "redirect-forbidden": (302, b"", "text/plain", f"Location: http://127.0.0.2:{self.forbidden_port}/secret"),
            "redirect-metadata": (302, b"", "text/plain", "Location: http://169.254.169.254/latest/meta-data/"),
            "redirect-mapped-v6": (302, b"", "text/plain", "Location: http://[::ffff:127.0.0.1]/secret"),
            "redirect-localhost": (302, b"", "text/plain", f"Location: http://localhost:{self.forbidden_port}/secret"),
            "redirect-file": (302, b"", "text/plain", "Location: file:///etc/passwd"),
            "redirect-credentials": (302, b"", "text/plain", "Location: http://a:b@other.hostile.test/good/x"),
            "redirect-disallowed": (302, b"", "text/plain", to + DISALLOWED[1:] + "x"),
            "redirect-noai": (302, b"", "text/plain", to + "noai/x"),
        }
        if kind.isdigit():
            return await _send(writer, int(kind), b"<h1>error</h1>", "text/html", "Set-Cookie: a=b")
        status, body, content_type, extra = answers[kind]
        return await _send(writer, status, body, content_type, extra)

    async def _do_flaky(self, ask: Ask) -> bool:
        status = 502 if self.asked[ask.host + ask.path] == 1 else 200
        return await _send(ask.writer, status, self.pictures["good"], "image/jpeg")

    async def _do_slow_good(self, ask: Ask) -> bool:
        await asyncio.sleep(0.1)
        return await _send(ask.writer, 200, self.pictures["good"], "image/jpeg")

    async def _do_later(self, ask: Ask) -> bool:
        return await _send(ask.writer, 429, b"", "text/plain", "Retry-After: 7200")

    async def _do_busy(self, ask: Ask) -> bool:
        if self.asked[ask.host + ask.path] > 1:
            return await _send(ask.writer, 200, self.pictures["good"], "image/jpeg")
        await _send(ask.writer, 429, b"", "text/plain", f"Retry-After: {BUSY_SECONDS}")
        asyncio.get_running_loop().call_later(0.7 * BUSY_SECONDS, self._mark_busy, ask.host, time.monotonic())
        return True

    def _mark_busy(self, host: str, since: float) -> None:
        """Requests that were under way when the host said to wait have come by now; others must not come yet."""
        self.busy_until[host] = max(self.busy_until[host], since + 0.9 * BUSY_SECONDS)

    async def _opt_out(self, tag: str, ask: Ask) -> bool:
        """Send the head with the tag, and the body only if the client is still there a while later."""
        body = self.pictures["good"]
        ask.writer.write(_head(200, "image/jpeg", f"Content-Length: {len(body)}\r\n{tag}"))
        await ask.writer.drain()
        with contextlib.suppress(TimeoutError):
            if await asyncio.wait_for(ask.reader.read(1), 5) == b"":
                return False
        self.faults["waited for the body of what is opted out"] += 1
        return False

    async def _do_noai(self, ask: Ask) -> bool:
        return await self._opt_out("X-Robots-Tag: all\r\nX-Robots-Tag: noarchive, NoAI", ask)

    async def _do_noimageai_named(self, ask: Ask) -> bool:
        return await self._opt_out("X-Robots-Tag: otherbot: all, Laionet-Assets: noimageai", ask)

    async def _do_none(self, ask: Ask) -> bool:
        return await self._opt_out("X-Robots-Tag: unavailable_after: 25 Jun 2090 15:00:00 PST, none", ask)

    async def _do_chunked(self, ask: Ask) -> bool:
        ask.writer.write(_head(200, "image/jpeg", "Transfer-Encoding: chunked"))
        body = self.pictures["good"]
        for start in range(0, len(body), 700):
            piece = body[start : start + 700]
            ask.writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        ask.writer.write(b"0\r\n\r\n")
        await ask.writer.drain()
        return True

    async def _do_unknown_length(self, ask: Ask) -> bool:
        ask.writer.write(_head(200, "image/jpeg", "Connection: close") + self.pictures["good"])
        await ask.writer.drain()
        return False

    async def _do_shorter_length(self, ask: Ask) -> bool:
        body = self.pictures["good"]
        ask.writer.write(_head(200, "image/jpeg", f"Content-Length: {len(body) // 2}") + body)
        await ask.writer.drain()
        return True

    async def _do_longer_length(self, ask: Ask) -> bool:
        body = self.pictures["good"]
        ask.writer.write(_head(200, "image/jpeg", f"Content-Length: {len(body) * 2}") + body)
        await ask.writer.drain()
        return False

    async def _endless(self, ask: Ask, head: bytes, piece: bytes) -> bool:
        ask.writer.write(head)
        for _ in range(64):
            ask.writer.write(piece)
            await ask.writer.drain()
        self.faults["took all of an endless answer"] += 1
        return False

    async def _do_endless_chunks(self, ask: Ask) -> bool:
        piece = b"%x\r\n%s\r\n" % (2**20, bytes(2**20))
        head = _head(200, "image/jpeg", "Transfer-Encoding: chunked") + b"3\r\n\xff\xd8\xff\r\n"
        return await self._endless(ask, head, piece)

    async def _do_endless_both(self, ask: Ask) -> bool:
        piece = b"%x\r\n%s\r\n" % (2**20, bytes(2**20))
        head = _head(200, "image/jpeg", "Content-Length: 3\r\nTransfer-Encoding: chunked") + b"3\r\n\xff\xd8\xff\r\n"
        return await self._endless(ask, head, piece)

    async def _do_endless_close(self, ask: Ask) -> bool:
        return await self._endless(ask, _head(200, "image/png", "") + self.pictures["png"], bytes(2**20))

    async def _do_declared_huge(self, ask: Ask) -> bool:
        return await self._endless(ask, _head(200, "image/jpeg", f"Content-Length: {10**11}"), bytes(2**20))

    async def _do_endless_headers(self, ask: Ask) -> bool:
        return await self._endless(ask, b"HTTP/1.1 200 OK\r\n", b"X-Filler: abcdefghijklmnopqrstuvwxyz\r\n" * 20_000)

    async def _do_huge_header(self, ask: Ask) -> bool:
        return await _send(ask.writer, 200, self.pictures["good"], "image/jpeg", "X-Filler: " + "x" * 1_000_000)

    async def _do_garbage(self, ask: Ask) -> bool:
        ask.writer.write(b"220 mail.hostile.test ESMTP\r\n\r\n")
        await ask.writer.drain()
        return False

    async def _do_reset(self, ask: Ask) -> bool:
        return _reset(ask.writer)

    async def _do_reset_in_body(self, ask: Ask) -> bool:
        ask.writer.write(_head(200, "image/jpeg", "Content-Length: 100000") + self.pictures["good"])
        await ask.writer.drain()
        return _reset(ask.writer)

    async def _do_close(self, ask: Ask) -> bool:
        return False

    async def _slowly(self, ask: Ask, at_once: bytes, then: bytes) -> bool:
        """Send a part at once and the rest a byte a second, for longer than anyone should wait."""
        ask.writer.write(at_once)
        for byte in then[:30].ljust(30):
            await ask.writer.drain()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ask.reader.read(1), 1)
                return False
            ask.writer.write(bytes([byte]))
        self.faults["waited to the end for a slow answer"] += 1
        return False

    async def _do_hang(self, ask: Ask) -> bool:
        await asyncio.wait_for(ask.reader.read(1), 30)
        return False

    async def _do_hang_in_body(self, ask: Ask) -> bool:
        ask.writer.write(_head(200, "image/jpeg", "Content-Length: 100000") + self.pictures["good"])
        await asyncio.wait_for(ask.reader.read(1), 30)
        return False

    async def _do_drip(self, ask: Ask) -> bool:
        body = self.pictures["good"]
        return await self._slowly(ask, _head(200, "image/jpeg", f"Content-Length: {len(body)}"), body)

    async def _do_drip_headers(self, ask: Ask) -> bool:
        return await self._slowly(ask, b"HTTP/1.1 200 OK\r\n", b"Content-Type: image/jpeg\r\n\r\n")

    async def _do_404_drip(self, ask: Ask) -> bool:
        return await self._slowly(ask, _head(404, "text/html", "Content-Length: 5000"), bytes(30))


def _domain(host: str) -> str:
    return host.partition(".")[2]


def _head(status: int, content_type: str, extra: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {content_type}", *([extra] if extra else [])]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


async def _send(writer: asyncio.StreamWriter, status: int, body: bytes, content_type: str, extra: str = "") -> bool:
    length = f"Content-Length: {len(body)}"
    writer.write(_head(status, content_type, f"{length}\r\n{extra}" if extra else length) + body)
    await writer.drain()
    return True


def _reset(writer: asyncio.StreamWriter) -> bool:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False


async def main() -> None:
    server = HostileServer()
    web = await asyncio.start_server(server.serve, "127.0.0.1", 0, limit=2**20, backlog=1_024)
    forbidden = await asyncio.start_server(server.serve_forbidden, "127.0.0.2", 0)
    server.forbidden_port = forbidden.sockets[0].getsockname()[1]
    ports = {"port": web.sockets[0].getsockname()[1], "forbidden_port": server.forbidden_port}
    print(json.dumps(ports), flush=True)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.to_thread(sys.stdin.read), LIFETIME)


if __name__ == "__main__":
    asyncio.run(main())
