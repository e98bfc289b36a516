"""Tombstones: what they are called by, and that none is lost."""

import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from laionet_assets.images import tombstones
from laionet_assets.images.removal_list import Removal
from laionet_assets.images.removals import remove
from laionet_assets.images.shards import content_hash
from laionet_assets.images.store import ImageStore
from laionet_assets.images.tombstones import read_tombstones, sample_key, tombstones_table, url_hash
from laionet_assets.warehouse import read_once
from tests.unit.images.parts import PART
from tests.unit.images.removing import URL, put


def test_the_hash_of_an_address_is_what_duckdb_gives() -> None:
    for url in (URL, "", "https://exämple.org/ü?q='x'&y=%20"):
        assert duckdb.execute("select sha256(?::varchar)", [url]).fetchall()[0][0] == url_hash(url)
    assert duckdb.execute("select 'web' || '/' || 100000007::bigint").fetchall()[0][0] == sample_key("web", 100000007)


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


def test_two_processes_that_remove_at_once_both_leave_their_tombstones(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import sys
        from laionet_assets.images.removal_list import Removal
        from laionet_assets.images.removals import remove
        from laionet_assets.images.store import ImageStore
        store = ImageStore(sys.argv[1])
        for number in range(10):
            remove(store, [Removal("sample", f"{sys.argv[2]}/{number}", "r")])
        """
    )
    processes = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path), source]) for source in ("a", "b")]
    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    assert len(read_tombstones(ImageStore(str(tmp_path)).lake)) == 20


def test_they_are_read_once_and_again_when_there_is_one_more(
    store: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every part asks for them several times."""
    monkeypatch.setattr(read_once, "SETTLED_SECONDS", -1.0)
    remove(store, [Removal("sample", "web/1", "r")])
    rows, read = tombstones._rows_of, list[int]()
    monkeypatch.setattr(tombstones, "_rows_of", lambda table: read.append(len(table)) or rows(table))
    for number in range(1, 4):
        found = [[tombstone.value for tombstone in read_tombstones(store.lake)] for _ in range(5)]
        assert found == [[f"web/{each}" for each in range(1, number + 1)]] * 5
        remove(store, [Removal("sample", f"web/{number + 1}", "r")])
    if store.lake.is_local:
        assert read == [1, 2, 3]
    read_tombstones(store.lake).clear()
    assert len(read_tombstones(store.lake)) == 4, "what is given is the caller's own"
