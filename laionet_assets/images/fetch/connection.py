"""A connection: checked once more when it stands, and as lenient with what a server sends as browsers are.

Belongs here: the bytes between the socket and aiohttp's parser. Does not belong here: what an answer means
(`exchange`).

aiohttp's parser ends an exchange for two faults that browsers overlook: bytes behind a body, and a length that is
declared twice with the same value. Both are put right here; the connection is not used again after
bytes that nobody asked for.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Any

from aiohttp.client_proto import ResponseHandler

from laionet_assets.images.fetch.address import ForbiddenAddress

_MOST_HEAD_BYTES = 64 * 2**10
"""A longer head goes to the parser as it is, which refuses it."""
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"(?im)^content-length[ \t]*:[ \t]*([^\r\n]*?)[ \t]*\r?\n")
_LENGTH_VALUE = re.compile(rb"\d{1,18}")
_CHUNKED = re.compile(rb"(?im)^transfer-encoding[ \t]*:[ \t]*chunked[ \t]*\r?\n")
_MOST_LINE_BYTES = 4 * 2**10
_STATUS_WITHOUT_BODY = re.compile(rb"HTTP/1\.\d (204|304)\b")
_STATUS_INTERIM = re.compile(rb"HTTP/1\.\d 1\d\d\b")


class Connection(ResponseHandler):
    """What aiohttp makes for every connection. `permits(ip, port)` is asked of the other end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, permits: Callable[[str, int], bool]) -> None:
        super().__init__(loop)
        self._permits = permits
        self._is_forbidden = False
        self._head: bytearray | None = None
        """What has come of a head that is not whole; None while there is none to come."""
        self._body: _Length | _Chunks | None = None
        """Where the body ends; None if its end is that of the connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self._is_forbidden = peer is None or not self._permits(str(peer[0]), int(peer[1]))
        if self._is_forbidden:
            self.force_close()
            assert isinstance(transport, asyncio.Transport)
            transport.abort()

    def set_response_params(self, **options: Any) -> None:
        """A request is about to be sent. Raises ForbiddenAddress if it must not be, to this end."""
        if self._is_forbidden:
            raise ForbiddenAddress("address is not public")
        self._head, self._body = bytearray(), None
        super().set_response_params(**options)

    def data_received(self, data: bytes) -> None:
        if not data or (self._head is None and self._body is None):  # b"" resumes the parser
            super().data_received(data)
            return
        head = b""
        while self._head is not None and data:
            taken, data = self._take_head(data)
            head += taken
        if self._body is not None and (own := self._body.take(data)) < len(data):
            data = data[:own]
            self.force_close()
        if head or data:
            super().data_received(head + data)

    def _take_head(self, data: bytes) -> tuple[bytes, bytes]:
        """A head with what is wrong put right, and what came behind it; nothing while it is not whole."""
        assert self._head is not None
        seen = max(len(self._head) - len(b"\r\n\r"), 0)
        self._head += data
        end = _END_OF_HEAD.search(self._head, seen)
        if end is None and len(self._head) <= _MOST_HEAD_BYTES:
            return b"", b""
        whole = bytes(self._head)
        if end is None:
            self._head = None
            return whole, b""
        head, rest = whole[: end.end()], whole[end.end() :]
        self._head = bytearray() if _STATUS_INTERIM.match(head) else None
        if self._head is not None:
            return head, rest
        lengths = [value.strip() for values in _LENGTH.findall(head) for value in values.split(b",")]
        if _STATUS_WITHOUT_BODY.match(head):
            self._body = _Length(0)
        elif _CHUNKED.search(head):
            self._body = _Chunks()
        elif len(set(lengths)) == 1 and _LENGTH_VALUE.fullmatch(lengths[0]):
            self._body = _Length(int(lengths[0]))
            if len(lengths) > 1:
                head = _with_one_length(head, lengths[0])
        return head, rest


class _Length:
    """A body of a declared length."""

    def __init__(self, size_bytes: int) -> None:
        self._left = size_bytes

    def take(self, data: bytes) -> int:
        """How many of the next bytes belong to the body."""
        own = min(len(data), self._left)
        self._left -= own
        return own


class _Chunks:
    """A body in chunks (RFC 9112, 7.1). What is not framed so is left to the parser, all of it."""

    def __init__(self) -> None:
        self._line = b""
        self._skip = 0
        self._is_trailer = self._is_over = self._is_wrong = False

    def take(self, data: bytes) -> int:
        """How many of the next bytes belong to the body."""
        at = 0
        while at < len(data) and not self._is_over:
            if self._is_wrong:
                return len(data)
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip, at = self._skip - step, at + step
                continue
            end = data.find(b"\n", at)
            self._line += data[at : end if end >= 0 else len(data)]
            at = end + 1 if end >= 0 else len(data)
            self._is_wrong = len(self._line) > _MOST_LINE_BYTES
            if end >= 0:
                self._read_line(self._line.rstrip(b"\r"))
                self._line = b""
        return at

    def _read_line(self, line: bytes) -> None:
        if self._is_trailer:
            self._is_over = not line
            return
        try:
            size_bytes = int(line.partition(b";")[0].strip(), 16)
        except ValueError:
            size_bytes = -1
        self._is_wrong = self._is_wrong or size_bytes < 0
        self._is_trailer = size_bytes == 0
        self._skip = size_bytes + len(b"\r\n") if size_bytes > 0 else 0


def _with_one_length(head: bytes, length: bytes) -> bytes:
    status, line, fields = head.partition(b"\n")
    return status + line + b"Content-Length: " + length + b"\r\n" + _LENGTH.sub(b"", fields)
