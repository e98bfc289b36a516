"""Leftovers: the proof that nothing of what was removed is still there.

Belongs here: comparing the image store, tables, exports and snapshots with the tombstones. Does not belong here: which
files of a part name a content (`part_folder`), which tables are looked at.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from laionet_assets.images.removal_list import RemovalsError
from laionet_assets.images.tombstones import Kind, read_tombstones, tombstones_table

if TYPE_CHECKING:
    import duckdb

    from laionet_assets.images.store import ImageStore

_COMPARISONS = (
    (("url",), "select 'url_hash' as kind, sha256(url) as value from relation"),
    (("sha256",), "select 'sha256' as kind, sha256 as value from relation"),
    (("source", "sample_id"), "select 'sample' as kind, source || '/' || sample_id as value from relation"),
    (("image_id",), "select 'sample' as kind, image_id as value from relation"),
)


@dataclass(frozen=True, order=True)
class Leftover:
    """Something removed that is still there: `count` rows or files of it at `where`."""

    where: str
    kind: Kind
    value: str
    count: int


def leftovers(
    store: "ImageStore",
    connection: "duckdb.DuckDBPyConnection | None" = None,
    relations: Mapping[str, str] | None = None,
) -> list[Leftover]:
    """What is removed and still there; empty when nothing is left.

    Of the store, every shard is opened, listed by an index or not, staged ones too, and the names in it are compared
    with the tombstones; so are the indexes and the journals. Of each relation (name to SELECT: a table, an export, a
    snapshot), the columns url, sha256, source with sample_id, and image_id (`<source>/<sample_id>` in a LAIONet set)
    are compared, those that it has. Raises RemovalsError for a relation that has none of them.
    """
    tombstones = read_tombstones(store.lake)
    removed = {tombstone.value for tombstone in tombstones if tombstone.kind == "sha256"}
    traces = Counter((where, sha256) for where, sha256 in store.traces() if sha256 in removed)
    found = [Leftover(where, "sha256", sha256, count) for (where, sha256), count in traces.items()]
    if relations:
        if connection is None:
            raise ValueError("relations need a connection")
        connection.register("removals_known", tombstones_table(tombstones))
        try:
            for name, select in relations.items():
                found += _in_relation(connection, name, select)
        finally:
            connection.unregister("removals_known")
    return sorted(found)


def _in_relation(connection: "duckdb.DuckDBPyConnection", name: str, select: str) -> Iterator[Leftover]:
    columns = {row[0] for row in connection.execute(f"describe {select}").fetchall()}
    parts = [sql for needed, sql in _COMPARISONS if columns.issuperset(needed)]
    if not parts:
        raise RemovalsError(
            f"{name}: found columns {', '.join(sorted(columns))}; expected url, sha256, image_id, or "
            "source with sample_id, by which removals can be compared. Select one of them."
        )
    rows = connection.execute(
        f"with relation as not materialized ({select}), traces as ({' union all '.join(parts)}) "
        "select kind, value, count(*) from traces join removals_known using (kind, value) group by kind, value"
    ).fetchall()
    for kind, value, count in rows:
        yield Leftover(name, kind, value, count)
