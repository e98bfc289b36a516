"""One HTTP exchange: ask one URL once, look at the answer's head, read its body within bounds.

Belongs here: the wire, and what each way of failing on it is called. Does not belong here: redirects and retries (`run`
decides on them), pictures (`pictures`).

Cookies are off, nothing is decompressed unasked, certificates are checked, no proxy is taken from the environment.
"""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

import aiohttp
from yarl import URL

from laionet_assets.images.fetch.address import NOT_PUBLIC, AddressPolicy, CheckedResolver, ForbiddenAddress, Lookup
from laionet_assets.images.fetch.codings import CodingError, Decoder, codings_of
from laionet_assets.images.fetch.connection import Connection
from laionet_assets.images.fetch.outcomes import ErrorClass
from laionet_assets.images.fetch.policy import FetchPolicy
from laionet_assets.images.fetch.robots import MAX_ROBOTS_BYTES, opted_out_directive
from laionet_assets.pictures.formats import is_read, sniff

_SMALL_LENGTH_BYTES = 64 * 2**10
"""A body declared to be at most this long is read in one go."""
_LARGE_BYTES = 2**20
"""A longer body needs a share of the memory for large bodies."""
_SNIFF_BYTES = 512
_DRAIN_BYTES, _DRAIN_SECONDS = 16 * 2**10, 0.5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_ACCEPT = "image/avif,image/webp,image/png,image/jpeg,image/gif;q=0.9,image/*;q=0.5,*/*;q=0.1"
_DNS_CACHE_SECONDS, _DNS_CACHE_HOSTS = 300, 100_000
_KEEP_ALIVE_SECONDS = 5.0


@dataclass(slots=True)
class Answer:
    """What came back. One of `error`, `location` and `body` is set."""

    error: ErrorClass | None = None
    detail: str | None = None
    http_status: int | None = None
    location: str | None = None
    """Where a redirect leads, as the server wrote it."""
    body: bytes | None = None
    content_type: str | None = None
    retry_after: float | None = None
    """Seconds that the server asks us to wait (429 and 503)."""
    mime_type: str | None = None
    """Media type by the first bytes, where they were looked at already."""
    blocked_hash: str | None = None
    """The hash found on a block list."""
    holds_permit: bool = False
    """The body has a share of the memory for large bodies, until `Client.forget`."""


_Reader = Callable[[Answer, aiohttp.ClientResponse, asyncio.Timeout], Awaitable[None]]


class Client:
    """An HTTP client under a policy. Made and used within one event loop, through `open_client`."""

    def __init__(self, session: aiohttp.ClientSession, policy: FetchPolicy) -> None:
        self._session = session
        self._policy = policy
        self._large_bodies = asyncio.Semaphore(max(1, policy.buffer_bytes // policy.max_bytes))

    async def ask(self, url: URL, *, seconds: float, keep_alive: bool) -> Answer:
        """GET a picture: its body whole and at most `max_bytes`, decoded if it came as gzip or deflate.

        X-Robots-Tag is looked at before the body. A body beyond 64 KiB that is no picture by its first bytes is left
        unread. `seconds` bounds all of it.
        """
        return await self._exchange(url, self._read_picture, seconds=seconds, keep_alive=keep_alive)

    async def ask_robots(self, url: URL, *, seconds: float) -> Answer:
        """GET a robots.txt: the first 500 KiB of its body."""
        return await self._exchange(url, _read_robots, seconds=seconds, keep_alive=True, is_picture=False)

    def forget(self, answer: Answer) -> None:
        """Give back the memory of a body that is not used any more."""
        answer.body = None
        if answer.holds_permit:
            answer.holds_permit = False
            self._large_bodies.release()

    async def _exchange(
        self, url: URL, read: _Reader, *, seconds: float, keep_alive: bool, is_picture: bool = True
    ) -> Answer:
        headers = None if keep_alive else {"Connection": "close"}
        answer = Answer()
        try:
            async with (
                asyncio.timeout(seconds) as limit,
                self._session.get(url, allow_redirects=False, headers=headers) as response,
            ):
                answer.http_status = response.status
                answer.content_type = _short(response.headers.get("Content-Type"))
                if not self._judge_head(answer, response, is_picture=is_picture):
                    await read(answer, response, limit)
                elif answer.error is not ErrorClass.OPTED_OUT:
                    await _drain(response)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            answer.error, answer.detail = classify(error)
        if answer.error is not None:
            self.forget(answer)
            await asyncio.sleep(0)  # a connection that was given up closes now, before the host's next request
        return answer

    def _judge_head(self, answer: Answer, response: aiohttp.ClientResponse, *, is_picture: bool) -> bool:
        """Whether status and headers settle the answer; it is filled in if so."""
        status, headers = response.status, response.headers
        if is_picture and status < 400:
            directive = opted_out_directive(
                headers.getall("X-Robots-Tag", ()), tokens=self._policy.opt_out_tokens, product=self._policy.product
            )
            if directive is not None:
                answer.error, answer.detail = ErrorClass.OPTED_OUT, f"X-Robots-Tag {directive}"
                return True
        if status in _REDIRECTS and "Location" in headers:
            answer.location = headers["Location"]
            return True
        if not 200 <= status < 300:
            answer.error = error_of_status(status)
            if status in (429, 503):
                answer.retry_after = parse_retry_after(headers.get("Retry-After"), now=datetime.now(UTC))
            return True
        return False

    async def _read_picture(self, answer: Answer, response: aiohttp.ClientResponse, limit: asyncio.Timeout) -> None:
        length, most = _declared_length(response), self._policy.max_bytes
        if length is not None and length > most:
            answer.error, answer.detail = ErrorClass.TOO_LARGE, "by its declared length"
            return
        if length is not None and length <= _SMALL_LENGTH_BYTES and "Content-Encoding" not in response.headers:
            answer.body = await response.content.read()
            return
        body = bytearray()
        is_sniffed = False
        async for piece in _decoded(response, limit=most):
            body += piece
            if len(body) > most:
                answer.error, answer.detail = ErrorClass.TOO_LARGE, "by what was sent"
                return
            if not is_sniffed and len(body) >= _SNIFF_BYTES:
                is_sniffed = True
                answer.mime_type = sniff(bytes(body))
                if not is_read(answer.mime_type):
                    answer.error = ErrorClass.NOT_AN_IMAGE
                    return
            if not answer.holds_permit and len(body) > _LARGE_BYTES:
                await self._permit_large(limit)
                answer.holds_permit = True
        answer.body = bytes(body)

    async def _permit_large(self, limit: asyncio.Timeout) -> None:
        """Wait for a share of the memory for large bodies; the wait does not count."""
        if not self._large_bodies.locked():
            await self._large_bodies.acquire()
            return
        loop, deadline = asyncio.get_running_loop(), limit.when()
        left = deadline - loop.time() if deadline is not None else None
        limit.reschedule(None)
        await self._large_bodies.acquire()
        limit.reschedule(None if left is None else loop.time() + left)


class _Connector(aiohttp.TCPConnector):
    """A connector whose connections are `Connection`s."""

    def __init__(self, *, permits: Callable[[str, int], bool], **options: Any) -> None:
        super().__init__(**options)
        self._factory = partial(Connection, loop=self._loop, permits=permits)  # type: ignore[assignment]  # a handler


@contextlib.asynccontextmanager
async def open_client(policy: FetchPolicy, addresses: AddressPolicy, *, lookup: Lookup) -> AsyncIterator[Client]:
    """A `Client` whose connections all pass the address policy; closed with its connections at the end."""
    threads = ThreadPoolExecutor(policy.dns_threads, thread_name_prefix="fetch-dns")
    connector = _Connector(
        permits=addresses.permits_peer,
        limit=0,
        resolver=CheckedResolver(addresses, threads, lookup=lookup),
        socket_factory=addresses.open_socket,
        ttl_dns_cache=_DNS_CACHE_SECONDS,
        dns_cache_max_size=_DNS_CACHE_HOSTS,
        keepalive_timeout=_KEEP_ALIVE_SECONDS,
    )
    timeout = aiohttp.ClientTimeout(total=None, connect=policy.connect_timeout, sock_connect=policy.connect_timeout)
    headers = {"User-Agent": policy.user_agent, "Accept": _ACCEPT, "Accept-Encoding": "identity"}
    try:
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        ) as session:
            yield Client(session, policy)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def error_of_status(status: int) -> ErrorClass:
    """The error class of an HTTP status that is neither a redirect nor a success."""
    if status in (404, 410, 451):
        return ErrorClass.HTTP_404
    if status == 429:
        return ErrorClass.HTTP_429
    if 400 <= status < 500:
        return ErrorClass.HTTP_4XX
    return ErrorClass.HTTP_5XX if 500 <= status < 600 else ErrorClass.PROTOCOL


def classify(error: BaseException) -> tuple[ErrorClass, str]:
    """Error class and a short reason, without URL or host, of what was raised on the wire."""
    cause = getattr(error, "os_error", None) or error
    if isinstance(error.__cause__, ForbiddenAddress):
        cause = error.__cause__
    match cause:
        case ForbiddenAddress():
            return ErrorClass.FORBIDDEN_ADDRESS, NOT_PUBLIC
        case ssl.SSLError() | ssl.CertificateError() | aiohttp.ClientSSLError():
            return ErrorClass.TLS, str(getattr(cause, "reason", None) or type(cause).__name__)
        case socket.gaierror(errno=socket.EAI_AGAIN):
            return ErrorClass.DNS_TEMPORARY, "no answer from the name server"
        case socket.gaierror():
            return ErrorClass.DNS, "no such host"
        case aiohttp.ConnectionTimeoutError():
            return ErrorClass.TIMEOUT, "while connecting"
        case TimeoutError():
            return ErrorClass.TIMEOUT, "over the time limit"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            return ErrorClass.CONNECT, "connection closed early"
        case aiohttp.InvalidURL():
            return ErrorClass.BAD_URL, "not a URL"
        case OSError():
            return ErrorClass.CONNECT, os.strerror(cause.errno) if cause.errno else type(cause).__name__
        case CodingError():
            return ErrorClass.PROTOCOL, str(cause)
        case aiohttp.ClientResponseError():
            return ErrorClass.PROTOCOL, "not HTTP, or headers beyond bounds"
        case _:
            return ErrorClass.PROTOCOL, type(cause).__name__


def parse_retry_after(value: str | None, *, now: datetime) -> float | None:
    """Seconds from now that a Retry-After header asks for: a number, or a date. None if it says nothing readable."""
    value = (value or "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:10])
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max((at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds(), 0.0)


async def _read_robots(answer: Answer, response: aiohttp.ClientResponse, _: asyncio.Timeout) -> None:
    body = bytearray()
    async for piece in _decoded(response, limit=MAX_ROBOTS_BYTES):
        body += piece
        if len(body) > MAX_ROBOTS_BYTES:
            break
    answer.body = bytes(body[:MAX_ROBOTS_BYTES])


def _declared_length(response: aiohttp.ClientResponse) -> int | None:
    """Bytes that will follow at most; None if the server does not bind itself (a length beside chunks says nothing)."""
    return None if "Transfer-Encoding" in response.headers else response.content_length


async def _decoded(response: aiohttp.ClientResponse, *, limit: int) -> AsyncIterator[bytes]:
    """Pieces of the body, decompressed; a piece takes the sum at most one byte past the limit. Raises CodingError."""
    codings = codings_of(",".join(response.headers.getall("Content-Encoding", ())))
    decoder = Decoder(codings) if codings else None
    total = 0
    while piece := await response.content.readany():
        if decoder is not None:
            piece = decoder.decode(piece, limit + 1 - total)
        total += len(piece)
        yield piece


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Read a small body that nobody wants, so that the connection can be used again; a slow one is left."""
    length = _declared_length(response)
    if length is not None and length <= _DRAIN_BYTES:
        with contextlib.suppress(aiohttp.ClientError, OSError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                await response.content.read()


def _short(text: str | None) -> str | None:
    return None if text is None else text[:200]
