"""The index of an image store: where every picture of all parts lies, found by content.

Belongs here: its rows in memory, and which indexes of parts have to be read for them. Does not belong here: the bytes
of pictures (`store`), how a part publishes its index (`part_folder`).

A process opens the store again for every part that it works on. So it keeps the last index, and reads those indexes of
parts again whose files changed since: thousands of small parts would else be read thousands of times. Nor are all rows
put in order again for each.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
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
MOST_SINCE = 20_000
"""So many contents are kept beside those that are in order."""


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


class _Joined:
    """Rows of several parts, one after the other in the order of parts, found by content."""

    def __init__(self, parts: Mapping[PartKey, _Rows]) -> None:
        import numpy as np

        self.parts = list(parts)
        self.rows = _Rows.joined(parts.values())
        self.starts = np.cumsum([0, *map(len, parts.values())])
        self._places = {part: place for place, part in enumerate(self.parts)}
        heads = self.rows.hashes[:, :8].copy().view(">u8").ravel().astype(np.uint64)
        self._by_head = np.argsort(heads, kind="stable")
        self._heads = heads[self._by_head]

    def __contains__(self, part: object) -> bool:
        return part in self._places

    def rows_of(self, part: PartKey) -> range:
        """Rows of a part; none of one that is not among them."""
        place = self._places.get(part)
        return range(0) if place is None else range(int(self.starts[place]), int(self.starts[place + 1]))

    def part_at(self, row: int) -> PartKey:
        """The part of a row."""
        return self.parts[int(self.starts.searchsorted(row, side="right")) - 1]

    def find(self, sha256: str) -> Iterator[int]:
        """Rows of a content, in order."""
        import numpy as np

        wanted = bytes.fromhex(sha256)
        head = np.uint64(int.from_bytes(wanted[:8], "big"))
        at = int(np.searchsorted(self._heads, head))
        while at < len(self._heads) and self._heads[at] == head:
            row = int(self._by_head[at])
            if self.rows.hashes[row].tobytes() == wanted:
                yield row
            at += 1


class StoreIndex:
    """Where every picture lies: rows in the order of parts, shards and offsets, found by content.

    Whether a content is there is asked while parts are written, one after the other. So what was written since all rows
    were put in order is kept beside them; they are put in order again when rows are asked for, or when that is much.
    """

    def __init__(
        self,
        files: Mapping[PartKey, Hashable],
        joined: _Joined,
        since: Mapping[PartKey, _Rows],
        gone: Collection[PartKey] = (),
    ) -> None:
        """`files`: what tells the index of each part from other states of it. `since`: rows of those parts that
        `joined` has not, or has otherwise; `gone`: those that it has and that are not there.
        """
        self.files = files
        self._joined, self._since, self._gone = joined, since, gone
        self._hashes_since = {each.tobytes() for rows in since.values() for each in rows.hashes}
        if len(self._hashes_since) > MOST_SINCE:
            self._put_in_order()

    def with_others(self, files: Mapping[PartKey, Hashable], rows_of: Callable[[PartKey], _Rows]) -> "StoreIndex":
        """The index of these files; `rows_of` reads those that are other ones."""
        if files == self.files:
            return self
        others = [part for part in {*files, *self.files} if files.get(part) != self.files.get(part)]
        since = {part: rows for part, rows in self._since.items() if part in files}
        since |= {part: rows_of(part) for part in others if part in files}
        gone = {part for part in (*self._gone, *others) if part in self._joined and part not in files}
        return StoreIndex(files, self._joined, since, gone)

    @property
    def _all(self) -> _Joined:
        """All rows, in order."""
        if self._since or self._gone:
            self._put_in_order()
        return self._joined

    def _put_in_order(self) -> None:
        joined, since = self._joined, self._since
        rows: dict[PartKey, _Rows] = {}
        for part in sorted(self.files):
            of_part = joined.rows_of(part)
            rows[part] = since[part] if part in since else joined.rows[of_part.start : of_part.stop]
        self._joined = _Joined(rows)
        self._since, self._gone, self._hashes_since = {}, (), set()

    def __len__(self) -> int:
        return len(self._all.rows)

    def __contains__(self, sha256: object) -> bool:
        """Whether a content is stored."""
        assert isinstance(sha256, str)
        if bytes.fromhex(sha256) in self._hashes_since:
            return True
        parts = map(self._joined.part_at, self._joined.find(sha256))
        return any(part not in self._gone and part not in self._since for part in parts)

    def find(self, sha256: str) -> int | None:
        """Row of a content, the first of several; None where it is not stored."""
        return min(self._all.find(sha256), default=None)

    def hashes(self) -> Iterator[str]:
        """Contents, row by row."""
        return (each.tobytes().hex() for each in self._all.rows.hashes)

    def rows_of(self, part: PartKey) -> range:
        """Rows of a part."""
        return self._all.rows_of(part)

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
        rows, part_at = self._all.rows, self._all.part_at
        offsets, sizes, shards = rows.byte_offsets, rows.sizes, rows.shards
        return bool(
            part_at(last) == part_at(row)
            and shards[last] == shards[row]
            and offsets[row] - (offsets[last] + sizes[last]) <= _NEAR_BYTES
            and offsets[row] + sizes[row] - offsets[first] <= _SPAN_BYTES
        )

    def entry(self, row: int) -> tuple[PartKey, ShardEntry]:
        """The part and the place of a row."""
        rows = self._all.rows
        return self._all.part_at(row), ShardEntry(
            sha256=rows.hashes[row].tobytes().hex(),
            extension=rows.extensions[row].decode(),
            shard=f"shard-{rows.shards[row]:05d}.tar",
            byte_offset=int(rows.byte_offsets[row]),
            size_bytes=int(rows.sizes[row]),
        )


_LAST: dict[str, StoreIndex] = {}
"""The index that was read last, by the location of its store."""


def read_index(lake: Lake, files: Mapping[PartKey, Hashable], path_of: Callable[[PartKey], str]) -> StoreIndex:
    """The index of a store: the one that was read last, as far as its files are the same.

    `files`: what tells the published index of each part from other states of it; `path_of`: where it lies.
    """
    last = _LAST.get(lake.root)
    before = last if last is not None else StoreIndex({}, _Joined({}), {})
    index = before.with_others(files, lambda part: _Rows.of(lake.read_table(path_of(part))))
    _LAST.clear()
    _LAST[lake.root] = index
    return index
