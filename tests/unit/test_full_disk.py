"""A disk without room, by all that writes: /dev/full refuses as a full disk does, DuckDB and SQLite by their limits."""

import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laionet_assets.errors import UserError
from laionet_assets.full_disk import FullDiskError, full_disk, is_full


def raised(work: Callable[[], None], kind: type[Exception]) -> Exception:
    with pytest.raises(kind) as caught:
        work()
    return caught.value


def by_python(path: Path) -> None:
    path.write_bytes(b"1")


def by_pyarrow(path: Path) -> None:
    pq.write_table(pa.table({"a": range(1_000)}), path)


def by_duckdb(path: Path) -> None:
    duckdb.sql(f"copy (select range from range(100_000)) to '{path}' (format csv, use_tmp_file false)")


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """A file that takes no bytes: a link, since what fails to write a file deletes it, devices too."""
    path = tmp_path / "warehouse" / "table"
    path.parent.mkdir()
    path.symlink_to("/dev/full")
    return path


def spilled(folder: Path) -> None:
    config = {"memory_limit": "50MB", "temp_directory": str(folder), "max_temp_directory_size": "1MB", "threads": 1}
    with duckdb.connect(config=config) as connection:
        connection.execute("create table t as select n, hash(n) h from range(9_000_000) r(n) order by h, n")


@pytest.mark.parametrize("write", [by_python, by_pyarrow, by_duckdb])
def test_who_finds_no_room_is_told_the_folder_and_what_may_move(
    write: Callable[[Path], None], full: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    error = raised(lambda: write(full), Exception)
    told = full_disk(error, warehouse=str(full.parent))
    assert isinstance(told, FullDiskError)
    assert "a disk is full: " in str(told) and "No space left on device" in str(told)
    assert f" in {full.parent}: the warehouse." in str(told)
    assert "images.location" in str(told) and "DAGSTER_HOME" not in str(told)
    assert is_full(error) and is_full(told)


def test_a_spill_without_room_is_told_apart_from_the_table(tmp_path: Path) -> None:
    warehouse = tmp_path / "warehouse"
    spill = warehouse / ".unfinished" / "spill" / "here.1.abcd"
    spill.mkdir(parents=True)
    error = raised(lambda: spilled(spill), duckdb.OutOfMemoryException)
    told = full_disk(error, warehouse=str(warehouse))
    assert told is not None and "raise duckdb.memory_limit" in str(told) and "the warehouse." not in str(told)
    assert not is_full(error)


def test_dagsters_state_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))

    def write() -> None:
        with sqlite3.connect(tmp_path / "runs.db") as history:
            history.execute("pragma max_page_count = 2")
            history.execute("create table runs (body)")
            history.executemany("insert into runs values (?)", [("x" * 1_000,)] * 100)

    told = full_disk(raised(write, sqlite3.OperationalError), warehouse="/somewhere")
    assert told is not None and f"in {tmp_path}: Dagster's state." in str(told) and "keep_runs_days" in str(told)


def test_a_file_is_looked_for_in_the_innermost_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "project" / ".dagster"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))

    def of(path: str) -> str:
        return str(full_disk(OSError(28, "No space left on device", path), warehouse=str(tmp_path / "project")))

    assert "Dagster's state" in of(f"{tmp_path}/project/.dagster/history/runs.db")
    assert "the warehouse." in of(f"{tmp_path}/project/core/x.parquet")
    assert "TMPDIR" in of(f"{tmp_path}/tmp/laionet-1/x")
    assert f"in {tmp_path}/pictures: Free some" in of(f"{tmp_path}/pictures/shard-00000.tar")


def test_a_full_disk_is_found_among_causes_and_nothing_else_is_one(full: Path) -> None:
    def write() -> None:
        try:
            by_python(full)
        except OSError as error:
            raise RuntimeError("the part could not be written") from error

    told = full_disk(raised(write, RuntimeError))
    assert told is not None and "the part could not be written; because of [Errno 28]" in str(told)
    assert full_disk(OSError(13, "Permission denied", "/x")) is None
    assert full_disk(ValueError("no")) is None
    quota = UserError("the store: No space left on device: raise images.quota")
    assert full_disk(quota) is None and not is_full(quota) and not is_full(ValueError("no"))
