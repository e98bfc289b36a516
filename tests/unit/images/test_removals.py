"""Removals: where they spread, the cascade, and that nothing comes back."""

from pathlib import Path

import duckdb
import pytest

from laionet_assets.images.leftovers import leftovers
from laionet_assets.images.removal_list import Removal, read_removals
from laionet_assets.images.removals import _SPREAD, Removals, remove, spread
from laionet_assets.images.shards import RemovedContentError, content_hash
from laionet_assets.images.store import ImageStore
from laionet_assets.images.tombstones import read_tombstones, url_hash
from laionet_assets.warehouse.table import PartKey
from tests.unit.images.parts import PART
from tests.unit.images.removing import URL, listed, put


def test_what_a_removal_spreads_over_is_not_kept_in_memory(connection: duckdb.DuckDBPyConnection) -> None:
    """It is the addresses of all candidates."""
    connection.execute("create table removals_requested (kind varchar, value varchar, reason varchar)")
    select = _SPREAD.format(images="from core.images")
    ((_, plan),) = connection.execute(f"explain (format json) {select}").fetchall()
    assert '"CTE Name": "hits"' in plan and '"CTE Name": "images"' not in plan


def test_an_address_is_removed_however_it_is_written(
    store: ImageStore, connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    for written in (URL, URL.replace(" ", "%20"), URL + "#top", URL.replace("example.org", "EXAMPLE.org")):
        (line,) = read_removals(listed(tmp_path, f"kind,value,reason\nurl,{written},request\n"))
        remove(store, spread(line.forms, connection), [line])
        removals = Removals(tuple(read_tombstones(store.lake)))
        assert removals.reason_as_asked(URL) == removals.reason_as_asked(URL.replace(" ", "%20")) == "request"
        assert removals.reason_as_asked("https://example.org/another.jpg") is None


@pytest.mark.parametrize(
    "requested",
    [Removal("url_hash", url_hash(URL), "r"), Removal("sample", "web/1", "r")],
    ids=lambda removal: removal.kind,
)
def test_a_removal_reaches_the_picture_wherever_it_was_found(
    connection: duckdb.DuckDBPyConnection, requested: Removal
) -> None:
    assert {(r.kind, r.value) for r in spread([requested], connection)} == {
        ("url_hash", url_hash(URL)),
        ("sha256", content_hash(b"one")),
        ("sample", "web/1"),
        ("sample", "web/2"),
    }


def test_a_content_reaches_its_samples_and_their_addresses(connection: duckdb.DuckDBPyConnection) -> None:
    found = spread([Removal("sha256", content_hash(b"one"), "r")], connection)
    assert {(r.kind, r.value) for r in found if r.kind != "url_hash"} == {
        ("sha256", content_hash(b"one")),
        ("sample", "web/1"),
        ("sample", "web/2"),
    }
    assert {r.value for r in found if r.kind == "url_hash"} == {
        url_hash(URL),
        url_hash("https://other.example/copy.jpg"),
    }


def test_what_was_never_fetched_is_kept_out_all_the_same(connection: duckdb.DuckDBPyConnection) -> None:
    found = spread([Removal("sample", "web/4", "r"), Removal("url_hash", url_hash("https://new"), "s")], connection)
    assert {(r.kind, r.value, r.reason) for r in found} == {
        ("sample", "web/4", "r"),
        ("url_hash", url_hash("https://other.example/4.jpg"), "r"),
        ("url_hash", url_hash("https://new"), "s"),
    }
    assert spread([], connection) == []


def test_the_reason_asked_for_wins_over_one_that_led_there(connection: duckdb.DuckDBPyConnection) -> None:
    found = spread([Removal("sample", "web/1", "a: led there"), Removal("sample", "web/2", "z: asked for")], connection)
    assert {r.value: r.reason for r in found if r.kind == "sample"} == {
        "web/1": "a: led there",
        "web/2": "z: asked for",
    }


def test_the_cascade_ends_with_nothing_left_and_nothing_comes_back(
    store: ImageStore, connection: duckdb.DuckDBPyConnection
) -> None:
    put(store, PART, b"one", b"three", b"five")
    with store.writer(PartKey("web", "staged")) as writer:
        writer.record({"sample_id": 9, "sha256": writer.add(b"nine", "jpg").sha256})
    requested = [Removal("sample", "web/1", "request"), Removal("sha256", content_hash(b"nine"), "request")]
    report = remove(store, spread(requested, connection), requested)
    assert (report.images, report.size_bytes, report.busy) == (1, 3, ())
    assert {(t.kind, t.value): t.is_requested for t in report.tombstones} == {
        ("sample", "web/1"): True,
        ("sample", "web/2"): False,
        ("sha256", content_hash(b"one")): False,
        ("sha256", content_hash(b"nine")): True,
        ("url_hash", url_hash(URL)): False,
    }
    assert leftovers(store) == []
    assert not store.contains(content_hash(b"one")) and store.read(content_hash(b"three")) == b"three"
    again = ImageStore(store.lake.root, staging=None if store.lake.is_local else store._staging.parent)
    with again.writer(PartKey("other", "p")) as writer, pytest.raises(RemovedContentError):
        writer.add(b"one", "png")
    with again.writer(PartKey("web", "staged")) as writer:
        assert len(writer) == 0 and writer.recorded == []


def test_a_part_that_is_being_written_is_named_and_cleans_itself_at_its_commit(tmp_path: Path) -> None:
    store = ImageStore(str(tmp_path))
    put(store, PART, b"one", b"two")
    with store.writer(PART) as writer:
        writer.add(b"three", "jpg")
        removals = [Removal("sha256", content_hash(data), "r") for data in (b"one", b"three")]
        report = remove(store, removals)
        assert report.busy == (PART,) and report.images == 0
        assert {left.value for left in leftovers(store)} == {content_hash(b"one"), content_hash(b"three")}
        assert writer.commit().removed == {content_hash(b"one"), content_hash(b"three")}
    assert {left.value for left in leftovers(store)} == {content_hash(b"one")}
    assert remove(store, removals).busy == ()
    assert leftovers(store) == []
    store.refresh()
    assert [image.data for image in store.iterate()] == [b"two"]


def test_a_fetch_asks_before_the_request_and_after_the_bytes(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    store = ImageStore(str(tmp_path))
    remove(store, spread([Removal("sample", "web/1", "request")], connection))
    removals = Removals(tuple(read_tombstones(store.lake)))
    assert removals.reason(url=URL) == removals.reason(sample=("web", 2)) == "request"
    assert removals.reason(url="https://fine", sha256=content_hash(b"one")) == "request"
    assert removals.reason(url="https://fine", sha256=content_hash(b"fine"), sample=("web", 3)) is None
    assert removals.reason() is None
