"""Removals: the list, where it spreads, the cascade, and the proof that nothing is left."""

import subprocess
import sys
import textwrap
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from laionet_assets.images.removals import (
    Leftover,
    Removal,
    Removals,
    RemovalsError,
    leftovers,
    read_removals,
    remove,
    sample_key,
    spread,
    tombstones_table,
    unmatched,
    url_hash,
)
from laionet_assets.images.shards import RemovedContentError, content_hash
from laionet_assets.images.store import ImageStore
from laionet_assets.images.tombstones import read_tombstones
from laionet_assets.warehouse.table import PartKey

PART = PartKey("web", "part-0")
URL = "https://example.org/a picture of somebody.jpg"


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ImageStore:
    if request.param == "local":
        return ImageStore(str(tmp_path / "images"))
    return ImageStore(f"memory://bucket-{uuid.uuid4().hex}/images", staging=tmp_path / "staging")


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """Four samples: 1 and 2 (another address) show the same bytes, 3 others, 4 was never fetched."""
    connection = duckdb.connect()
    connection.execute("create schema core")
    connection.execute("create table core.images (source varchar, sample_id bigint, url varchar, sha256 varchar)")
    connection.executemany(
        "insert into core.images values (?, ?, ?, ?)",
        [
            ("web", 1, URL, content_hash(b"one")),
            ("web", 2, "https://other.example/copy.jpg", content_hash(b"one")),
            ("web", 3, "https://other.example/3.jpg", content_hash(b"three")),
            ("web", 4, "https://other.example/4.jpg", None),
        ],
    )
    yield connection
    connection.close()


def put(store: ImageStore, part: PartKey, *contents: bytes) -> None:
    with store.writer(part) as writer:
        for data in contents:
            writer.add(data, "jpg")
        writer.commit()
    store.refresh()


def listed(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "removals.csv"
    path.write_text(textwrap.dedent(text).lstrip(), encoding="utf-8")
    return path


def test_the_list_is_read_and_addresses_are_hashed(tmp_path: Path) -> None:
    path = listed(
        tmp_path,
        f"""
        kind,value,reason
        url,{URL},request of the person shown
        url_hash,{url_hash("https://x").upper()}, court order
        sha256,{content_hash(b"one")},"copyright, again"
        sample,web/100000007,wrong label
        sample,web/100000007,wrong label
        """,
    )
    assert read_removals(path) == [
        Removal("sample", "web/100000007", "wrong label"),
        Removal("sha256", content_hash(b"one"), "copyright, again"),
        *sorted(
            [
                Removal("url_hash", url_hash(URL), "request of the person shown"),
                Removal("url_hash", url_hash("https://x"), "court order"),
            ]
        ),
    ]


def test_all_wrong_lines_are_named_and_no_address_is_shown(tmp_path: Path) -> None:
    path = listed(
        tmp_path,
        f"""
        kind,value,reason
        url,{URL},
        sha256,{URL},x
        sample,web,x
        person,somebody,x
        """,
    )
    with pytest.raises(RemovalsError) as error:
        read_removals(path)
    message = str(error.value)
    assert "4 wrong" in message and "example.org" not in message
    for line, problem in enumerate(
        ["no reason", "64 hexadecimal", "<source>/<sample_id>", "found kind 'person'"], start=2
    ):
        assert f"line {line}: " in message and problem in message


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (f"url,{URL},1.jpg,request", "found 4 fields, expected 3 (kind, value, reason)"),
        (f"url,{URL}", "found 2 fields, expected 3"),
        ("url", "found 1 fields, expected 3"),
        (f'url,{URL},"one" more', "quotes"),
        (f'url,"{URL},request\nurl,http://x.test/",request', "found a field that goes over several lines"),
        (f'url,{URL},"request', "quotes"),
    ],
)
def test_a_line_of_other_fields_than_the_columns_is_named(tmp_path: Path, line: str, problem: str) -> None:
    path = listed(tmp_path, "kind,value,reason\nsample,web/1,request\n\n")
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(RemovalsError) as error:
        read_removals(path)
    last = 4 + line.count("\n")
    assert f"line {last}: " in str(error.value) or f"line {last + 1}: " in str(error.value)
    assert problem in str(error.value) and "example.org" not in str(error.value)


def test_lines_that_name_nothing_are_told(tmp_path: Path) -> None:
    """By number and by address, which may be written as published or as it is asked."""
    quoted = URL.replace(" ", "%20")
    text = f"""
        kind,value,reason
        url,{quoted},written as asked
        url,https://other.example/ä.jpg,written as published
        url,https://other.example/mistyped.jpg,x
        sample,web/01,x
        sample,Web/1,x
        sample,web/2,x
        sha256,{content_hash(b"never seen")},x
        """
    lines = read_removals(listed(tmp_path, text))
    reached = [("web", 1, URL), ("web", 3, "https://other.example/%C3%A4.jpg"), ("web", 5, None), ("web", 6, "no url")]
    assert {(each.line, each.kind) for each in unmatched(lines, reached)} == {
        (4, "url_hash"), (6, "sample"), (7, "sample")
    }  # fmt: skip
    assert len(unmatched(lines, [])) == 6


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
    ("text", "expected"), [("", "found columns (none)"), ("a,b\n1,2\n", "found columns a, b"), (None, "No such file")]
)
def test_a_list_that_is_no_list_says_what_is_expected(tmp_path: Path, text: str | None, expected: str) -> None:
    path = tmp_path / "removals.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RemovalsError) as error:
        read_removals(path)
    assert expected in str(error.value) and "kind, value, reason" in str(error.value)


def test_the_hash_of_an_address_is_what_duckdb_gives() -> None:
    for url in (URL, "", "https://exämple.org/ü?q='x'&y=%20"):
        assert duckdb.execute("select sha256(?::varchar)", [url]).fetchall()[0][0] == url_hash(url)
    assert duckdb.execute("select 'web' || '/' || 100000007::bigint").fetchall()[0][0] == sample_key("web", 100000007)


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


def test_tombstones_are_kept_for_good_with_their_first_reason(store: ImageStore) -> None:
    put(store, PART, b"one", b"two")
    times = [datetime(2030, 1, day, tzinfo=UTC) for day in (1, 2)]
    remove(store, [Removal("sha256", content_hash(b"one"), "first")], now=lambda: times[0])
    before = store.files()["removals.parquet"]
    remove(store, [Removal("sha256", content_hash(b"one"), "second")], now=lambda: times[1])
    assert store.files()["removals.parquet"] == before, "nothing new, nothing written"
    remove(store, [Removal("sha256", content_hash(b"two"), "third")], now=lambda: times[1])
    found = {t.value: (t.reason, t.removed_at) for t in read_tombstones(store.lake)}
    assert found == {content_hash(b"one"): ("first", times[0]), content_hash(b"two"): ("third", times[1])}
    names = tombstones_table(read_tombstones(store.lake)).column_names
    assert names == ["kind", "value", "reason", "is_requested", "removed_at"]


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


def test_two_processes_that_remove_at_once_both_leave_their_tombstones(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import sys
        from laionet_assets.images.removals import Removal, remove
        from laionet_assets.images.store import ImageStore
        store = ImageStore(sys.argv[1])
        for number in range(10):
            remove(store, [Removal("sample", f"{sys.argv[2]}/{number}", "r")])
        """
    )
    processes = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path), source]) for source in ("a", "b")]
    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    assert len(read_tombstones(ImageStore(str(tmp_path)).lake)) == 20
