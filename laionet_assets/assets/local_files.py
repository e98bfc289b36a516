"""Files of this machine that the settings name: what a table depends on of them.

Belongs here: digests of their contents, each file read once. Does not belong here: what is in them.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse, digest


def contents_of(files: Mapping[str, Iterable[Path | None]]) -> Callable[[Warehouse, PartKey | None], str]:
    """`Step.outside` of a table that is made from files, by the image set that they belong to: names and contents."""

    def contents(warehouse: Warehouse, part: PartKey | None) -> str:
        return digest(*(text for name, paths in files.items() for text in (name, *map(content_of, paths))))

    return contents


def content_of(path: Path | None) -> str:
    """Digest of a file; empty where there is none: writing then says what is missing."""
    if path is None or not path.is_file():
        return ""
    status = path.stat()
    return _sha256(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _sha256(path: Path, size_bytes: int, modified_ns: int) -> str:
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
