"""Membership in a block list of hashes. Not here: what happens to what is blocked."""

import hashlib
from collections.abc import Set


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
