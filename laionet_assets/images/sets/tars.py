"""Tars as random-access files: where each member's data begin.

Belongs here: the headers of a tar. What the members mean is the business of `webdataset` and of the image store's
shards.
"""

import os
import tarfile
from dataclasses import dataclass

BLOCK_BYTES = tarfile.BLOCKSIZE
_REGULAR, _FOLDER = b"0\x00", b"5"


class UnusualTarError(ValueError):
    """A tar has members that `walk_tar` does not read: long names, sparse files, sizes above 8 GiB."""


@dataclass(frozen=True, slots=True)
class TarMember:
    """A file in a tar: `byte_offset` is where its data begin."""

    name: str
    byte_offset: int
    size_bytes: int


def walk_tar(descriptor: int) -> tuple[list[TarMember], int]:
    """Regular files of an uncompressed tar that are wholly there, and the offset behind the last of them.

    Only headers are read. A tar that ends early gives what comes before the tear. Raises UnusualTarError where only
    the whole format (`tarfile`) will do. Source: the ustar header of POSIX.1-1988.
    """
    length = os.fstat(descriptor).st_size
    members: list[TarMember] = []
    at = 0
    while at + BLOCK_BYTES <= length:
        header = os.pread(descriptor, BLOCK_BYTES, at)
        if not is_header(header):
            break
        kind = header[156:157]
        if kind not in _REGULAR + _FOLDER or header[124] >= 0x80:
            raise UnusualTarError(f"member of type {kind!r} at byte {at}")
        size_bytes = header_size(header)
        end = at + BLOCK_BYTES + padded(size_bytes)
        if end > length:
            break
        if kind != _FOLDER:
            members.append(TarMember(_name(header), at + BLOCK_BYTES, size_bytes))
        at = end
    return members, at


def is_header(block: bytes) -> bool:
    """Whether 512 bytes are a header whose checksum is right."""
    if len(block) < BLOCK_BYTES or not block[0]:
        return False
    try:
        checksum = int(block[148:156].split(b"\0")[0].strip() or b"0", 8)
    except ValueError:
        return False
    return checksum == sum(block[:148]) + 8 * ord(" ") + sum(block[156:])


def header_size(header: bytes) -> int:
    """Bytes of the member that follows a header."""
    return int(header[124:136].rstrip(b"\0 ") or b"0", 8)


def padded(size_bytes: int) -> int:
    """Bytes that so many bytes take in a tar: whole blocks."""
    return size_bytes + -size_bytes % BLOCK_BYTES


def _name(header: bytes) -> str:
    name = header[:100].split(b"\0", 1)[0]
    prefix = header[345:500].split(b"\0", 1)[0] if header[257:263] == b"ustar\0" else b""
    return (prefix + b"/" + name if prefix else name).decode("utf-8", "surrogateescape")
