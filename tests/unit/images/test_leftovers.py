"""The proof that nothing of what was removed is left."""

from pathlib import Path

import duckdb
import pytest

from laionet_assets.images.leftovers import Leftover, leftovers
from laionet_assets.images.removal_list import Removal, RemovalsError
from laionet_assets.images.removals import remove, spread
from laionet_assets.images.shards import content_hash
from laionet_assets.images.store import ImageStore
from laionet_assets.images.tombstones import read_tombstones, tombstones_table, url_hash
from tests.unit.images.parts import PART
from tests.unit.images.removing import URL, put


def test_leftovers_are_found_where_no_index_lists_them(tmp_path: Path) -> None:
    store = ImageStore(str(tmp_path))
    put(store, PART, b"one", b"two")
    copy = (tmp_path / PART.folder / "shard-00000.tar").read_bytes()
    remove(store, [Removal("sha256", content_hash(b"one"), "r")])
    for place in ("shard-00007.tar", ".shard-00008.tar.sealed", ".shard-00009.tar.partial"):
        path = tmp_path / PART.folder / place
        path.write_bytes(copy)
        assert leftovers(store) == [Leftover(str(path), "sha256", content_hash(b"one"), 1)]
        path.unlink()
    torn = tmp_path / PART.folder / ".shard-00009.tar.open"
    torn.write_bytes(copy[:600])
    assert [left.where for left in leftovers(store)] == [str(torn)]


def test_tables_and_exports_are_compared_by_every_column_they_have(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    store = ImageStore(str(tmp_path))
    remove(store, spread([Removal("url_hash", url_hash(URL), "r")], connection))
    export = tmp_path / "export.parquet"
    connection.execute(f"copy (select url, 'n1' as wnid from core.images) to '{export}' (format parquet)")
    connection.execute(
        "create table core.image_embeddings as select source, sample_id, 1 as embedding from core.images"
    )
    relations = {
        "core.images": "select url, sha256 from core.images",
        "core.image_embeddings": "select * from core.image_embeddings",
        "export": f"select * from read_parquet('{export}')",
    }
    found = leftovers(store, connection, relations)
    assert {(left.where, left.kind, left.count) for left in found} == {
        ("core.images", "sha256", 2),
        ("core.images", "url_hash", 1),
        ("core.image_embeddings", "sample", 1),
        ("export", "url_hash", 1),
    }
    assert len([left for left in found if left.where == "core.image_embeddings"]) == 2
    predictions = "select 'laionet' as image_set, source || '/' || sample_id as image_id from core.images"
    found = leftovers(store, connection, {"core.predictions": predictions})
    assert [left.value for left in found] == ["web/1", "web/2"]
    connection.register("removals", tombstones_table(read_tombstones(store.lake)))
    kept = {
        "core.images": "select * from core.images where sha256(url) not in (select value from removals) "
        "and coalesce(sha256, '') not in (select value from removals)",
        "core.predictions": f"from ({predictions}) anti join removals on value = image_id",
        "export": f"from '{export}' where sha256(url) not in (select value from removals where kind = 'url_hash')",
    }
    assert leftovers(store, connection, kept) == []
    assert connection.execute(f"select count(*) from ({kept['core.images']})").fetchall() == [(2,)]
    with pytest.raises(
        RemovalsError, match="found columns wnid; expected url, sha256, image_id, or source with sample_id"
    ):
        leftovers(store, connection, {"labels": "select 'n1' as wnid"})
