"""A set whose pictures are in the image store: a LAIONet recipe, as rows of (image id, wnid, content).

Belongs here: pairing rows with bytes. Does not belong here: which rows a recipe has (SQL) and how the store keeps them.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from hashlib import blake2b
from typing import TYPE_CHECKING

from laionet_assets.images.sets.items import ImageItem

if TYPE_CHECKING:
    from laionet_assets.images.store import ImageStore


class StoredSet:
    """Rows of (image_id, wnid, sha256), in the order in which the pictures lie in the store.

    Rows whose picture is not stored are left out and counted in `notes`. Several rows may show the same picture.
    """

    def __init__(self, name: str, store: "ImageStore", rows: Sequence[tuple[str, str | None, str]]) -> None:
        self.name = name
        self._store = store
        self._rows = sorted(rows, key=lambda row: row[0])

    def iterate(self) -> Iterator[ImageItem]:
        """Every picture that is stored, in shard order."""
        for at in self._stored:
            image_id, wnid, sha256 = self._rows[at]
            yield ImageItem(image_id, wnid, partial(self._store.read, sha256))

    def count(self) -> int:
        """How many rows have their picture stored."""
        return len(self._stored)

    def fingerprint(self) -> str:
        """Digest of the rows that have their picture stored."""
        state = blake2b(digest_size=8)
        for at in sorted(self._stored):
            state.update("\0".join(map(str, self._rows[at])).encode() + b"\n")
        return state.hexdigest()

    def notes(self) -> list[str]:
        """Says how many rows have no picture."""
        absent = len(self._rows) - len(self._stored)
        return [f"{self.name}: {absent:,} of {len(self._rows):,} images are not stored"] if absent else []

    @cached_property
    def _stored(self) -> list[int]:
        order = self._store.in_shard_order([sha256 for _, _, sha256 in self._rows])
        return [at for at in order if self._store.contains(self._rows[at][2])]
