"""Block lists: hashes of what must not be fetched, or not kept. Not here: what happens to what is blocked."""

import hashlib
import re
from collections.abc import Set
from pathlib import Path

from laionet_assets.errors import UserError
from laionet_assets.warehouse.read_once import ReadOnce

_DIGEST = re.compile(r"[0-9a-f]{64}|[0-9a-f]{32}")
_SHOWN_LINES = 10


class BlocklistError(UserError):
    """A block list cannot be used."""


def listed_hash(data: bytes | str, hashes: Set[str]) -> str | None:
    """The hash of the data that is on the list (SHA-256 first, then MD5, lower-case hexadecimal), or None.

    Text is hashed in UTF-8.
    """
    if not hashes:
        return None
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogatepass")
    for algorithm in ("sha256", "md5"):
        digest = hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()
        if digest in hashes:
            return digest
    return None


def read_blocklist(path: Path) -> frozenset[str]:
    """A text file of one SHA-256 or MD5 in hexadecimal a line; empty lines and what follows a `#` do not count.

    It is read once a process, unless it changes. Raises BlocklistError that names the wrong lines by number; what they
    hold is not shown, it may be an address.
    """
    return _READ(path)


def _read(path: Path) -> frozenset[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BlocklistError(f"block list {path}: {error}; expected a text file of hashes") from None
    hashes = {number: line.partition("#")[0].strip().lower() for number, line in enumerate(lines, start=1)}
    wrong = [str(number) for number, value in hashes.items() if value and not _DIGEST.fullmatch(value)]
    if wrong:
        more = f" and {len(wrong) - _SHOWN_LINES} more" if len(wrong) > _SHOWN_LINES else ""
        raise BlocklistError(
            f"block list {path}: line {', '.join(wrong[:_SHOWN_LINES])}{more}: no SHA-256 (64) or MD5 (32 hexadecimal "
            "digits); expected one a line"
        )
    return frozenset(value for value in hashes.values() if value)


_READ = ReadOnce(_read)
