"""Captions of a batch as one text in UTF-8, so that one pass over its bytes reads them all.

Does not belong here: what the bytes mean to a profile.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

TEXT_BYTES = 2 * 2**20


def regrouped(
    batches: Iterable["pa.RecordBatch"], column: str, *, limit: int = TEXT_BYTES
) -> Iterator["pa.RecordBatch"]:
    """The rows of batches, in their order, in batches of about `limit` bytes in the column, however long its values
    are: no more, unless one row alone has more.
    """
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    held_bytes = 0
    for batch in batches:
        for piece, size in _pieces(batch, column, limit):
            if held and held_bytes + size > limit:
                yield pa.concat_batches(held)
                held, held_bytes = [], 0
            held.append(piece)
            held_bytes += size
    if held:
        yield pa.concat_batches(held)


def _pieces(batch: "pa.RecordBatch", column: str, limit: int) -> Iterator[tuple["pa.RecordBatch", int]]:
    """A batch cut into slices of at most `limit` bytes in the column, or of one row that has more; with these bytes."""
    import numpy as np
    import pyarrow.compute as pc

    ends = np.cumsum(pc.binary_length(batch.column(column)).to_numpy(zero_copy_only=False), dtype=np.int64)
    first, done = 0, 0
    while first < len(ends):
        beyond = max(int(np.searchsorted(ends, done + limit, side="right")), first + 1)
        yield batch.slice(first, beyond - first), int(ends[beyond - 1]) - done
        first, done = beyond, int(ends[beyond - 1])


@dataclass(frozen=True)
class Text:
    """Captions one after the other, a space before each and one behind the last.

    `data`: UTF-8. `codes`: the same bytes, uint8. `starts`: int64, the place of the space before each caption. `wide`:
    int64, places of the bytes of characters that have several.
    """

    data: bytes
    codes: "np.ndarray"
    starts: "np.ndarray"
    wide: "np.ndarray"

    @classmethod
    def of(cls, captions: "pa.Array") -> "Text":
        """The text of captions, none of them null."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        padded = pc.binary_join_element_wise(pa.scalar(""), captions.cast(pa.string()), pa.scalar(" "))
        _, offsets, characters = padded.buffers()
        ends = np.frombuffer(offsets, np.int32)[: len(padded) + 1].astype(np.int64)
        data = b"".join([memoryview(characters or b"")[: ends[-1]], b" "])
        codes = np.frombuffer(data, np.uint8)
        return cls(data, codes, ends[:-1], np.flatnonzero(codes >= 0x80))

    @cached_property
    def is_first(self) -> "np.ndarray":
        """Of each of the `wide` bytes, whether its character begins with it."""
        return self.codes[self.wide] >= 0xC0

    @cached_property
    def _continuations(self) -> "np.ndarray":
        return self.wide[~self.is_first]

    def rows_at(self, places: "np.ndarray") -> "np.ndarray":
        """The row (from 0) that each place is in, int64."""
        import numpy as np

        return np.searchsorted(self.starts, places, side="right") - 1

    def characters_before(self, places: "np.ndarray") -> "np.ndarray":
        """Characters (code points) of the text before each place where a character begins, int64."""
        import numpy as np

        return places - np.searchsorted(self._continuations, places)
