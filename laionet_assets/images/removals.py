"""Removals: what may not be here, made gone everywhere and kept from coming back.

Belongs here: asking whether something was removed, how far a removal reaches, deleting what it names from the image
store. Does not belong here: the user's list (`removal_list`), reading and writing tombstones (`tombstones`), the proof
that nothing is left (`leftovers`), how a shard is rewritten (`shard_writer`), block lists applied during a fetch
(`fetch`; they may ask the same tombstones).

A removal names an address, a content or a sample. It reaches the picture wherever it was found: the contents of the
samples it names go, and with them every other sample that shows the same bytes. A tombstone is a hash or a key, a
reason and a time; addresses and bytes are never kept. Tombstones are only ever added: they lie beside the shards
(`<location>/removals.parquet`), so that every writer of the store sees them.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from laionet_assets.images.removal_list import Removal
from laionet_assets.images.tombstones import Kind, Tombstone, add_tombstones, sample_key, url_hash, url_hashes
from laionet_assets.warehouse.table import PartKey

if TYPE_CHECKING:
    import duckdb

    from laionet_assets.images.store import ImageStore


@dataclass(frozen=True)
class RemovalReport:
    """What `remove` did. `busy` parts are being written: run again when they are done."""

    tombstones: tuple[Tombstone, ...]
    images: int
    size_bytes: int
    busy: tuple[PartKey, ...]


@dataclass(frozen=True)
class Removals:
    """Tombstones to ask: what a fetch checks before a request and after the bytes arrive."""

    tombstones: tuple[Tombstone, ...]

    def __post_init__(self) -> None:
        reasons = {(tombstone.kind, tombstone.value): tombstone.reason for tombstone in self.tombstones}
        object.__setattr__(self, "_reasons", reasons)
        object.__setattr__(self, "_has_addresses", any(kind == "url_hash" for kind, _ in reasons))

    def reason(
        self,
        *,
        url: str | None = None,
        hashed_url: str | None = None,
        sha256: str | None = None,
        sample: tuple[str, int] | None = None,
    ) -> str | None:
        """Why something must not be taken in, or None. `hashed_url` is an address as `url_hash` gives it, `sample` is
        (source, sample_id). An address is looked for as published; of `reason_as_asked`, as it is asked.
        """
        keys = [
            ("url_hash", url_hash(url) if url is not None else hashed_url),
            ("sha256", sha256),
            ("sample", sample_key(*sample) if sample is not None else None),
        ]
        reasons: Mapping[tuple[str, str | None], str] = self._reasons  # type: ignore[attr-defined]
        return next((reasons[key] for key in keys if key in reasons), None)

    def reason_as_asked(self, url: str) -> str | None:
        """Why an address must not be asked, in the form in which it would be; None if nothing is removed by address."""
        if not self._has_addresses:  # type: ignore[attr-defined]
            return None
        return next((found for each in url_hashes(url) if (found := self.reason(hashed_url=each)) is not None), None)

    def hashes(self, kind: Kind) -> frozenset[str]:
        """Values of the tombstones of a kind: hashes, or keys of samples."""
        return frozenset(tombstone.value for tombstone in self.tombstones if tombstone.kind == kind)


def spread(
    removals: Collection[Removal],
    connection: "duckdb.DuckDBPyConnection",
    images: str = "select source, sample_id, url, sha256 from core.images",
) -> list[Removal]:
    """The removals and what they lead to: contents and addresses of the samples named, all samples of these contents.

    `images` selects source, sample_id, url and sha256 of everything fetched so far.
    """
    import pyarrow as pa

    names = ("kind", "value", "reason")
    requested = pa.table({name: pa.array([getattr(r, name) for r in removals], pa.string()) for name in names})
    connection.register("removals_requested", requested)
    try:
        rows = connection.execute(_SPREAD.format(images=images)).fetchall()
    finally:
        connection.unregister("removals_requested")
    return sorted({Removal(*row) for row in rows})


def remove(
    store: "ImageStore",
    removals: Collection[Removal],
    requested: Collection[Removal] | None = None,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> RemovalReport:
    """Write the tombstones, then delete the contents they name from every shard, published or staged.

    `removals` is what `spread` gives; `requested` is the user's list, all of `removals` if None. May be repeated at
    any time: a tombstone that is there keeps its reason and time. A process killed between the two steps leaves the
    tombstones, and the next call does the rest.
    """
    asked = {(r.kind, r.value) for r in (removals if requested is None else requested)}
    at = now()
    added = [Tombstone(r.kind, r.value, r.reason, (r.kind, r.value) in asked, at) for r in sorted(removals)]
    new = add_tombstones(store.lake, reversed(added))
    gone = store.discard(frozenset(t.value for t in new if t.kind == "sha256"))
    return RemovalReport(new, gone.images, gone.size_bytes, gone.busy)


# Looked through four times, and never kept: those of LAION-400M are some 100 million addresses.
_SPREAD = """
with images as not materialized ({images}),

hits as (
    select i.*, r.reason from images i join removals_requested r on r.kind = 'url_hash' and r.value = sha256(i.url)
    union all
    select i.*, r.reason from images i join removals_requested r on r.kind = 'sha256' and r.value = i.sha256
    union all
    select i.*, r.reason
    from images i join removals_requested r on r.kind = 'sample' and r.value = i.source || '/' || i.sample_id
),

contents as (
    select sha256, reason from hits where sha256 is not null
    union
    select value as sha256, reason from removals_requested where kind = 'sha256'
),

reached as (
    select 0 as distance, kind, value, reason from removals_requested
    union all
    select 1, 'url_hash', sha256(url), reason from hits where url is not null
    union all
    select 1, 'sample', source || '/' || sample_id, reason from hits
    union all
    select 1, 'sha256', sha256, reason from contents
    union all
    select 2, 'sample', i.source || '/' || i.sample_id, c.reason from images i join contents c using (sha256)
)

select kind, value, arg_min(reason, (distance, reason)) as reason from reached group by kind, value
"""
