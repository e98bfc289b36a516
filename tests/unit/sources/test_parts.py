"""Parts: ordinals for ever, what inspecting a file records, and raw.parts written and read back."""

import dataclasses
import hashlib
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laionet_assets.sources import (
    Breach,
    SourceError,
    adapter_named,
    assign_ordinals,
    detect_adapter,
    discover,
    pairs_sql,
    quarantine_sql,
    read_records,
)
from laionet_assets.sources.parts import MAX_ORDINAL, SAMPLES_PER_PART, check_row_count, number_in_name
from laionet_assets.sqlmodels.loader import load_project
from laionet_assets.warehouse.rows import as_documented
from tests.unit.sources.conftest import Inspect
from tests.unit.sources.files import LAION400M, TSV_LINES, write_format, write_parquet, write_text


def hashed(part: str) -> int:
    """The first 35 bits of the sha256 of a name."""
    return int(hashlib.sha256(part.encode()).hexdigest()[:10], 16) // 32


@pytest.mark.parametrize(
    ("part", "number"),
    [
        ("part-00007", 7),
        ("part-00031-5b54c5d5-bbcf-484d-a2ce-0d6f73df1a36-c000", 31),
        ("part-00031-12345678-bbcf-484d-a2ce-0d6f73df1a36-c000", 31),
        ("train-00003-of-00014-c814658f172187b0", 3),
        ("metadata_12", 12),
        ("00042", 42),
        ("00042_stats", 42),
        ("subset", None),
        ("subset_part-00003", None),
        ("test-00000", None),
        ("2024-01-01", None),
        ("2024_01", None),
        ("part-00031-5b54c5d5-bbcf-484d-a2ce-0d6f73df1a36-c001", None),
        ("lang=en/part-00003", None),
        ("0000fa98ac43bfa2d5ef7ee5ee5fbd4b", None),
        ("01234567890123456789012345678901", None),
        ("cc12m", None),
    ],
)
def test_the_number_in_the_name_of_a_part(part: str, number: int | None) -> None:
    assert number_in_name(part) == number


@pytest.mark.parametrize(
    ("existing", "new", "expected"),
    [
        ({}, ["part-00007", "part-00000"], {"part-00000": 0, "part-00007": 7}),
        ({"part-00007": 7}, ["part-00007", "part-00003"], {"part-00007": 7, "part-00003": 3}),
        ({"part-00007": 0}, ["part-00007"], {"part-00007": 0}),
        ({"a": 1}, [], {"a": 1}),
        ({}, ["cc12m"], {"cc12m": hashed("cc12m")}),
        ({}, ["2024-01-01", "2024-01-02"], {name: hashed(name) for name in ("2024-01-01", "2024-01-02")}),
        ({"test-00000": 1}, ["train-00001"], {"test-00000": 1, "train-00001": hashed("train-00001")}),
        ({}, ["part-1-b", "part-1-a"], {"part-1-a": 1, "part-1-b": hashed("part-1-b")}),
        ({}, [f"part-{MAX_ORDINAL + 1}"], {f"part-{MAX_ORDINAL + 1}": hashed(f"part-{MAX_ORDINAL + 1}")}),
    ],
)
def test_ordinals(existing: dict[str, int], new: list[str], expected: dict[str, int]) -> None:
    assert assign_ordinals(existing, new) == (expected, {})


@given(st.permutations(["train-00000", "train-00001", "test-00000", "part-00005", "a", "b", "2024-01-01", "00009"]))
def test_an_ordinal_does_not_depend_on_what_was_seen_first(names: list[str]) -> None:
    one_by_one: dict[str, int] = {}
    for name in names:
        one_by_one, refused = assign_ordinals(one_by_one, [name])
        assert not refused
    assert one_by_one == assign_ordinals({}, names)[0]


def test_a_clash_is_refused_by_name_and_alone() -> None:
    ordinals, refused = assign_ordinals({"old": hashed("new")}, ["new", "part-00001"])
    assert ordinals == {"old": hashed("new"), "part-00001": 1}
    assert refused == {"new": f"its number {hashed('new')} is taken by old; rename the file"}


def test_the_highest_ordinal_fits_a_64_bit_key() -> None:
    ordinals, _ = assign_ordinals({}, [f"part-{MAX_ORDINAL}"])
    assert ordinals == {f"part-{MAX_ORDINAL}": MAX_ORDINAL}
    assert MAX_ORDINAL * SAMPLES_PER_PART + SAMPLES_PER_PART - 1 < 2**63
    assert MAX_ORDINAL >= 2**35


@given(st.lists(st.lists(st.text("abc01-", min_size=1, max_size=4), max_size=6), max_size=5))
def test_ordinals_never_change_and_never_repeat(rounds: list[list[str]]) -> None:
    ordinals: dict[str, int] = {}
    for seen in rounds:
        later, refused = assign_ordinals(ordinals, seen)
        assert {part: later[part] for part in ordinals} == ordinals
        assert later.keys() | refused.keys() == ordinals.keys() | set(seen)
        assert len(set(later.values())) == len(later)
        ordinals = later


def test_inspecting_records_all_that_is_needed_to_read_the_part(inspect: Inspect, tmp_path: Path) -> None:
    path = write_format("laion400m", tmp_path)
    record = inspect(path, ordinal=7, source="laion")
    assert (record.source, record.part, record.ordinal) == ("laion", "part-00007", 7)
    assert record.path == str(path) and record.size_bytes == path.stat().st_size
    assert [column.name for column in record.source_columns] == list(LAION400M)
    assert (record.rows, record.pairs, record.quarantined, record.captions_missing) == (3, 3, 0, 0)
    assert record.fingerprint.startswith("blake2b:") and record.first_sample_id == 700_000_000
    path.unlink()
    assert record.resolution.adapter is adapter_named("laion400m")


def test_a_part_without_rows_is_a_part_of_no_rows(
    connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    empty = {name: array.slice(0, 0) for name, array in LAION400M.items()}
    header = write_text(tmp_path / "part-00001.csv", "SAMPLE_ID,URL,TEXT,NSFW\n")
    for path in (write_parquet(tmp_path / "part-00000.parquet", empty), header):
        record = inspect(path)
        assert (record.rows, record.pairs, record.breaches, quarantine_sql(record)) == (0, 0, (), None)
        assert connection.execute(pairs_sql(record)).fetchall() == []


def test_a_part_with_too_many_rows_is_refused() -> None:
    check_row_count(SAMPLES_PER_PART - 1, path="a.parquet")
    with pytest.raises(SourceError, match="found 100,000,000 rows, expected fewer than 100,000,000 a part"):
        check_row_count(SAMPLES_PER_PART, path="a.parquet")


def test_the_adapter_of_a_file_is_detected_or_named(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    (file,) = discover("web", "auto", str(write_format("coyo", tmp_path))).files
    assert detect_adapter(connection, file) is adapter_named("coyo")
    assert detect_adapter(connection, file, adapter="laion2b") is adapter_named("laion2b")


def test_records_come_back_as_they_were_written(
    connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    one = inspect(write_format("laion400m", tmp_path / "it's"), ordinal=7)
    two = inspect(write_format("cc12m", tmp_path), ordinal=1)
    broken = dataclasses.replace(one, part="a'b\\c", ordinal=MAX_ORDINAL, breaches=(Breach("caption_missing", 2),))
    assert two.rows == len(TSV_LINES["cc12m"])
    connection.execute("create schema raw")
    documented = load_project().tables["raw.parts"]
    connection.register("records", as_documented(documented, map(dataclasses.asdict, [one, two, broken])))
    connection.execute("create table raw.parts as from records")
    assert read_records(connection) == sorted([one, two, broken], key=lambda record: record.part)


@pytest.mark.real_data
def test_real_captions_are_laion400m_and_nothing_is_quarantined(
    connection: duckdb.DuckDBPyConnection, inspect: Inspect, real_data: Path
) -> None:
    files = discover("laion", "auto", str(real_data / "captions")).files
    assert [file.part for file in files] == [f"part-0000{i}" for i in range(4)]
    records = [inspect(Path(file.path), ordinal=i) for i, file in enumerate(files)]
    assert {record.adapter for record in records} == {"laion400m"}
    assert sum(record.pairs for record in records) == sum(record.rows for record in records) == 4_971
