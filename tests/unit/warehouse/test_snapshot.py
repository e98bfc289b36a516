"""A snapshot is self-contained, whole, and never takes the place of anything but an older snapshot."""

import os
from pathlib import Path

import duckdb
import pytest

from laionet_assets.errors import UserError
from laionet_assets.warehouse.catalog import refresh_catalog
from laionet_assets.warehouse.lake import HOST
from laionet_assets.warehouse.snapshot import write_snapshot
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse
from tests.unit.warehouse.conftest import Write

A = PartKey("s", "a")
DEAD = 2**22 + 1
"""No process has so high a number."""


@pytest.fixture
def selects(warehouse: Warehouse, write: Write) -> dict[str, str]:
    write("raw.animals", "select 'cat' as animal, 4::int as legs")
    write("core.sightings", "select 's' as source, 'a' as part, 1::int as n", A)
    return {name: warehouse.select(name) for name in ("raw.animals", "core.sightings")}


def rows(path: str | Path, query: str) -> list[tuple[object, ...]]:
    connection = duckdb.connect(str(path), read_only=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_it_is_self_contained_and_documented(warehouse: Warehouse, selects: dict[str, str], tmp_path: Path) -> None:
    target = tmp_path / "copy" / "all.duckdb"
    assert write_snapshot(warehouse, str(target), selects) == {"core.sightings": 1, "raw.animals": 1}
    os.rename(warehouse.lake.root, warehouse.lake.root + ".moved")
    assert rows(target, "from raw.animals") == [("cat", 4)]
    comments = "select comment from duckdb_tables() where table_name = 'animals'"
    assert rows(target, comments) == [("One row per animal: it's a test.",)]
    assert rows(target, "from snapshot order by all") == [("core.sightings", 1), ("raw.animals", 1)]
    assert [path.name for path in target.parent.iterdir()] == ["all.duckdb"]


def test_an_older_snapshot_is_replaced(warehouse: Warehouse, selects: dict[str, str], tmp_path: Path) -> None:
    target = tmp_path / "all.duckdb"
    write_snapshot(warehouse, str(target), selects)
    write_snapshot(warehouse, str(target), {"raw.animals": selects["raw.animals"]})
    assert rows(target, "from snapshot") == [("raw.animals", 1)]


def test_nothing_else_is(warehouse: Warehouse, selects: dict[str, str], tmp_path: Path) -> None:
    refresh_catalog(warehouse)
    notes = tmp_path / "notes.txt"
    notes.write_text("my notes")
    with duckdb.connect(str(tmp_path / "other.duckdb")) as connection:
        connection.execute("create table snapshot (mine int)")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(notes)
    (tmp_path / "empty").touch()
    before = {name: (tmp_path / name).read_bytes() for name in ("notes.txt", "other.duckdb", "empty")}
    targets = [
        warehouse.catalog_path,
        "/dev/null",
        *(str(tmp_path / name) for name in (*before, "folder", "fifo", "link")),
    ]
    for target in targets:
        with pytest.raises(
            UserError, match=r"is there and is no snapshot of this project, so it is not replaced; choose"
        ):
            write_snapshot(warehouse, target, selects)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    assert (tmp_path / "link").is_symlink() and not Path("/dev/null").is_file()


def test_a_url_is_refused(warehouse: Warehouse, selects: dict[str, str], tmp_path: Path) -> None:
    for url in ("s3://bucket/x.duckdb", "file:///tmp/x.duckdb", "gs://b/x"):
        with pytest.raises(UserError, match=f"found the URL {url}, expected a local file: write the snapshot here"):
            write_snapshot(warehouse, url, selects)


@pytest.mark.parametrize("target", ["/proc/x", "/proc/new/x.duckdb"])
def test_a_place_that_takes_no_files_is_one_message(warehouse: Warehouse, selects: dict[str, str], target: str) -> None:
    with pytest.raises(UserError, match=rf"{target} cannot be written: .*Choose a folder"):
        write_snapshot(warehouse, target, selects)


def test_a_link_to_a_snapshot_stays_a_link(warehouse: Warehouse, selects: dict[str, str], tmp_path: Path) -> None:
    target, link = tmp_path / "all.duckdb", tmp_path / "latest.duckdb"
    write_snapshot(warehouse, str(target), selects)
    link.symlink_to(target)
    write_snapshot(warehouse, str(link), {"raw.animals": selects["raw.animals"]})
    assert link.is_symlink()
    assert rows(target, "select table_name from snapshot") == [("raw.animals",)]


def test_leftovers_of_the_dead_are_swept_and_other_files_are_left_alone(
    warehouse: Warehouse, selects: dict[str, str], tmp_path: Path
) -> None:
    mine = tmp_path / f".a.{HOST}.{DEAD}.building"
    elsewhere, another = f".a.elsewhere.{DEAD}.building", f".a.duckdb.{HOST}.{DEAD}.building"
    others = [tmp_path / name for name in (elsewhere, another, ".a.duckdb.99999.building", ".a.x.building")]
    for path in (mine, *others):
        path.touch()
    write_snapshot(warehouse, str(tmp_path / "a"), selects)
    assert not mine.exists()
    assert all(path.exists() for path in others)


def test_a_select_that_fails_leaves_nothing_behind(
    warehouse: Warehouse, selects: dict[str, str], tmp_path: Path
) -> None:
    target = tmp_path / "all.duckdb"
    write_snapshot(warehouse, str(target), selects)
    before = target.read_bytes()
    with pytest.raises(duckdb.Error):
        write_snapshot(warehouse, str(target), {"raw.animals": "select * from nowhere"})
    assert target.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if "building" in path.name] == []
