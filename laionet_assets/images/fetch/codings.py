"""Content codings: bodies that come compressed although that was not asked for, read as browsers read them.

Belongs here: what a Content-Encoding means, decompression within a limit. Does not belong here: the wire (`exchange`).
"""

import zlib
from collections.abc import Sequence

_DEFLATED = frozenset({"gzip", "x-gzip", "deflate"})
_UNREADABLE = frozenset({"br", "zstd", "compress", "x-compress", "dcb", "dcz"})
_MOST_CODINGS = 3
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP, _ZLIB, _RAW = 31, 15, -15
"""`wbits` of zlib."""


class CodingError(ValueError):
    """A body that cannot be decoded as its headers say."""


def codings_of(header: str) -> tuple[str, ...]:
    """The codings that a Content-Encoding header names, in the order in which they were applied.

    Names of no coding (identity, none, utf-8, binary ...) mean nothing, as in browsers. Raises CodingError for one that
    is not read here, or too many.
    """
    names = [name.strip().lower() for name in header.split(",")]
    if unreadable := _UNREADABLE.intersection(names):
        raise CodingError(f"content-encoding that was not asked for: {', '.join(sorted(unreadable))}")
    found = tuple(name for name in names if name in _DEFLATED)
    if len(found) > _MOST_CODINGS:
        raise CodingError("too many content-encodings")
    return found


class Decoder:
    """Takes off codings piece by piece. A piece is never longer than `limit`, whatever is in it."""

    def __init__(self, codings: Sequence[str]) -> None:
        self._stages = [_Inflation(coding == "deflate") for coding in reversed(codings)]

    def decode(self, piece: bytes, limit: int) -> bytes:
        """The decoded bytes of the next piece, the first `limit` of them. Raises CodingError."""
        for stage in self._stages:
            piece = stage.inflate(piece, limit)
        return piece


class _Inflation:
    """One coding. Its kind is told by its first bytes: old servers send raw deflate where they should send zlib.

    Gzip may have several members (RFC 1952); what lies behind the last is ignored.
    """

    def __init__(self, may_be_raw: bool) -> None:
        self._may_be_raw = may_be_raw
        self._head = b""
        self._inflater: zlib._Decompress | None = None
        self._is_gzip = False

    def inflate(self, piece: bytes, limit: int) -> bytes:
        if self._inflater is None:
            self._head += piece
            if len(self._head) < len(_GZIP_MAGIC):
                return b""
            piece, self._head = self._head, b""
            self._is_gzip = piece.startswith(_GZIP_MAGIC)
            self._inflater = zlib.decompressobj(self._kind(piece))
        found = bytearray()
        try:
            while piece and len(found) < limit:
                if self._inflater.eof:
                    rest = self._head + piece
                    self._head = b""
                    if not self._is_gzip or not _GZIP_MAGIC.startswith(rest[: len(_GZIP_MAGIC)]):
                        break
                    if len(rest) < len(_GZIP_MAGIC):
                        self._head = rest
                        break
                    self._inflater, piece = zlib.decompressobj(_GZIP), rest
                found += self._inflater.decompress(piece, limit - len(found))
                piece = self._inflater.unused_data
        except zlib.error:
            raise CodingError("corrupt content-encoding") from None
        return bytes(found)

    def _kind(self, head: bytes) -> int:
        if self._is_gzip:
            return _GZIP
        is_zlib = head[0] & 0x0F == 8 and int.from_bytes(head[:2]) % 31 == 0
        return _RAW if self._may_be_raw and not is_zlib else _ZLIB
