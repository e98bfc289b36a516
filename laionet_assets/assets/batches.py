"""Which parts are made together: small ones of which the same tables are to be made.

Belongs here: runs of one part each, put together. Does not belong here: making them (`together`).

Dagster runs several partitions as a range of those that it knows, in its own order.
"""

from collections.abc import Iterator, Mapping, Sequence

from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from laionet_assets.assets.parts import load_register
from laionet_assets.assets.planning import Run
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse, digest

SMALL_PART_BYTES = 8 * 2**20
MOST_BYTES = 256 * 2**20
MOST_PARTS = 1_000
FEWEST_PARTS = 4
"""Fewer are made one by one: what is shared is a second or two."""

Batch = tuple[Sequence[PartKey | None], list[str]]
"""What one Dagster run makes: tables of some parts, or ([None]) tables that are not partitioned."""


def batches(
    phase: Sequence[Run], warehouse: Warehouse, known: Sequence[str], *, most_parts: int = MOST_PARTS
) -> list[Batch]:
    """The runs of a phase, those of small parts put together.

    `known`: the partition keys that Dagster has, in its order. A part is small by the size of its file.
    """
    register = load_register(warehouse)
    order = {key: place for place, key in enumerate(known)}
    small: dict[tuple[str, ...], list[PartKey]] = {}
    single: list[Batch] = []
    for part, names in phase:
        entry = register.get(part) if part is not None else None
        if entry is not None and entry.size_bytes <= SMALL_PART_BYTES and entry.key.key in order:
            small.setdefault(tuple(names), []).append(entry.key)
        else:
            single.append(([part], names))
    sizes = {part: entry.size_bytes for part, entry in register.items()}
    for tables, parts in small.items():
        for chunk in _chunks(sorted(parts, key=lambda part: order[part.key]), order, sizes, most_parts):
            if len(chunk) < FEWEST_PARTS:
                single += [([part], list(tables)) for part in chunk]
            else:
                single.append((chunk, list(tables)))
    return single


def range_tags(parts: Sequence[PartKey | None]) -> Mapping[str, str]:
    """Tags of a Dagster run of several partitions; none for one."""
    if len(parts) < 2 or parts[0] is None or parts[-1] is None:
        return {}
    return {ASSET_PARTITION_RANGE_START_TAG: parts[0].key, ASSET_PARTITION_RANGE_END_TAG: parts[-1].key}


def version_of_lot(versions: Mapping[PartKey, str]) -> str:
    """The version of parts that one Dagster run makes: it gives all of them the same one."""
    return digest(*(versions[part] for part in sorted(versions)))


def _chunks(
    parts: Sequence[PartKey], order: Mapping[str, int], sizes: Mapping[PartKey, int], most_parts: int
) -> Iterator[list[PartKey]]:
    """Neighbours in Dagster's order, not too many and not too large."""
    chunk: list[PartKey] = []
    size = 0
    for part in parts:
        is_next = not chunk or order[part.key] == order[chunk[-1].key] + 1
        if not is_next or len(chunk) == most_parts or size + sizes[part] > MOST_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(part)
        size += sizes[part]
    if chunk:
        yield chunk
