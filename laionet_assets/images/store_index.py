"""The index of an image store: where every picture of all parts lies, found by content.

Belongs here: its rows in memory, and which indexes of parts have to be read for them. Does not belong here: the bytes
of pictures (`store`), how a part publishes its index (`part_folder`).

A process opens the store again for every part that it works on. So it keeps the last index, and reads those indexes of
parts again whose files changed since: thousands of small parts would else be read thousands of times.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from laionet_assets.images.shards import ShardEntry, shard_number
from laionet_assets.warehouse.lake import Lake
from laionet_assets.warehouse.table import PartKey

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_SPAN_BYTES = 8 * 1024 * 1024
_NEAR_BYTES = 64 * 1024
_LAST: dict[str, "StoreIndex"] = {}
"""The index that was read last, by the location of its store."""


@dataclass(frozen=True)
class _Rows:
    """Pictures in the order in which they lie: `hashes` (n, 32) uint8, `shards` int32, `byte_offsets` and `sizes`
    int64, `extensions` S8.
    """

    hashes: "np.ndarray"
    shards: "np.ndarray"
    byte_offsets: "np.ndarray"
    sizes: "np.ndarray"
    extensions: "np.ndarray"

    @classmethod
    def of(cls, index: "pa.Table") -> "_Rows":
        """Those of the published index of a part."""
        import numpy as np

        hashes = bytes.fromhex("".join(index.column("sha256").to_pylist()))
        shards, extensions = (
            index.column(name).combine_chunks().dictionary_encode() for name in ("shard", "extension")
        )
        numbers = np.array([shard_number(name) for name in shards.dictionary.to_pylist()], np.int32)
        names = np.array(extensions.dictionary.to_pylist(), "S8")
        return cls(
            np.frombuffer(hashes, np.uint8).reshape(-1, 32),
            numbers[shards.indices.to_numpy()],
            index.column("byte_offset").to_numpy(),
            index.column("size_bytes").to_numpy(),
            names[extensions.indices.to_numpy()],
        )

    @classmethod
    def joined(cls, parts: "Iterable[_Rows]") -> "_Rows":
        """Those of several parts, one after the other."""
        import numpy as np

        none = cls(
            np.empty((0, 32), np.uint8),
            np.empty(0, np.int32),
            np.empty(0, np.int64),
            np.empty(0, np.int64),
            np.empty(0, "S8"),
        )
        return cls(*map(np.concatenate, zip(*map(_columns, (none, *parts)), strict=True)))

    def __getitem__(self, rows: slice) -> "_Rows":
        return _Rows(*(column[rows] for column in _columns(self)))

    def __len__(self) -> int:
        return len(self.hashes)


def _columns(rows: _Rows) -> "tuple[np.ndarray, ...]":
    return rows.hashes, rows.shards, rows.byte_offsets, rows.sizes, rows.extensions


class StoreIndex:
    """Where every picture lies: rows in the order of parts, shards and offsets, found by content."""

    def __init__(self, files: Mapping[PartKey, Hashable], parts: "Sequence[_Rows]") -> None:
        """`files`: what tells the index of each part from other states of it; `parts`: the rows of each."""
        import numpy as np

        self.files = files
        self._parts = list(files)
        self._rows = _Rows.joined(parts)
        self._starts = np.cumsum([0, *map(len, parts)])
        heads = self._rows.hashes[:, :8].copy().view(">u8").ravel().astype(np.uint64)
        self._by_head = np.argsort(heads, kind="stable")
        self._heads = heads[self._by_head]

    @classmethod
    def read(cls, lake: Lake, files: Mapping[PartKey, Hashable], path_of: Callable[[PartKey], str]) -> "StoreIndex":
        """The index of a store: the one that was read last, as far as its files are the same.

        `files`: what tells the index of each part from other states of it, in the order of parts; `path_of`: where the
        index of a part lies.
        """
        last = _LAST.get(lake.root)
        if last is not None and last.files == files:
            return last
        known = dict(zip(last.files.items(), last._rows_by_part(), strict=True)) if last is not None else {}
        parts = [
            rows if (rows := known.get((part, seen))) is not None else _Rows.of(lake.read_table(path_of(part)))
            for part, seen in files.items()
        ]
        index = cls(files, parts)
        _LAST.clear()
        _LAST[lake.root] = index
        return index

    def _rows_by_part(self) -> Iterator[_Rows]:
        return (self._rows[self._starts[at] : self._starts[at + 1]] for at in range(len(self._parts)))

    def __len__(self) -> int:
        return len(self._rows)

    def find(self, sha256: str) -> int | None:
        """Row of a content, the first of several; None where it is not stored."""
        import numpy as np

        wanted = bytes.fromhex(sha256)
        head = np.uint64(int.from_bytes(wanted[:8], "big"))
        at = int(np.searchsorted(self._heads, head))
        while at < len(self._heads) and self._heads[at] == head:
            row = int(self._by_head[at])
            if self._rows.hashes[row].tobytes() == wanted:
                return row
            at += 1
        return None

    def hashes(self) -> Iterator[str]:
        """Contents, row by row."""
        return (self._rows.hashes[row].tobytes().hex() for row in range(len(self)))

    def rows_of(self, part: PartKey) -> range:
        """Rows of a part."""
        if part not in self.files:
            return range(0)
        at = self._parts.index(part)
        return range(int(self._starts[at]), int(self._starts[at + 1]))

    def spans(self, rows: Iterable[int]) -> Iterator[list[int]]:
        """Rows in order, grouped so that a group is worth one read: one shard, near each other, a few megabytes."""
        group: list[int] = []
        for row in rows:
            if group and not self._is_near(group[0], group[-1], row):
                yield group
                group = []
            group.append(row)
        if group:
            yield group

    def _is_near(self, first: int, last: int, row: int) -> bool:
        offsets, sizes, shards = self._rows.byte_offsets, self._rows.sizes, self._rows.shards
        return bool(
            self._part_at(last) == self._part_at(row)
            and shards[last] == shards[row]
            and offsets[row] - (offsets[last] + sizes[last]) <= _NEAR_BYTES
            and offsets[row] + sizes[row] - offsets[first] <= _SPAN_BYTES
        )

    def _part_at(self, row: int) -> int:
        return int(self._starts.searchsorted(row, side="right")) - 1

    def entry(self, row: int) -> tuple[PartKey, ShardEntry]:
        """The part and the place of a row."""
        return self._parts[self._part_at(row)], ShardEntry(
            sha256=self._rows.hashes[row].tobytes().hex(),
            extension=self._rows.extensions[row].decode(),
            shard=f"shard-{self._rows.shards[row]:05d}.tar",
            byte_offset=int(self._rows.byte_offsets[row]),
            size_bytes=int(self._rows.sizes[row]),
        )
