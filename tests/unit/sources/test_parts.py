"""Parts: ordinals for ever, what inspecting a file records, and raw.parts written and read back."""

import dataclasses
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
    part_number_of,
    read_records,
)
from laionet_assets.sources.parts import MAX_ORDINAL, SAMPLES_PER_PART, check_row_count
from laionet_assets.sqlmodels.loader import load_project
from laionet_assets.warehouse.rows import as_documented
from tests.unit.sources.conftest import Inspect
from tests.unit.sources.files import LAION400M, TSV_LINES, write_format, write_parquet

NUMBERED = part_number_of("laion400m")


@pytest.mark.parametrize(
    ("existing", "new", "expected"),
    [
        ({}, ["part-00007", "part-00000"], {"part-00000": 0, "part-00007": 7}),
        ({}, ["b", "a"], {"b": 0, "a": 1}),
        ({"part-00007": 7}, ["part-00007", "part-00003"], {"part-00007": 7, "part-00003": 3}),
        ({"gone": 4}, ["new"], {"gone": 4, "new": 5}),
        ({}, ["extra", "part-00002"], {"part-00002": 2, "extra": 3}),
        ({"part-00007": 0}, ["part-00007"], {"part-00007": 0}),
        ({"a": 1}, [], {"a": 1}),
    ],
)
def test_ordinals(existing: dict[str, int], new: list[str], expected: dict[str, int]) -> None:
    assert assign_ordinals(existing, new, part_number=NUMBERED) == expected


def test_without_numbers_ordinals_are_positions_at_first_sight() -> None:
    assert assign_ordinals({"00005": 0}, ["00001", "00007"], part_number=None) == {"00005": 0, "00001": 1, "00007": 2}


def test_clashes_are_named_all_at_once() -> None:
    with pytest.raises(SourceError) as failure:
        assign_ordinals(
            {"extra": 4},
            ["part-00004", "part-00001-a", "part-00001-b", f"part-{MAX_ORDINAL + 1}"],
            part_number=NUMBERED,
        )
    said = str(failure.value)
    assert "part-00004: 4 is taken by extra" in said and "part-00001-b: 1 is taken by part-00001-a" in said
    assert f"{MAX_ORDINAL + 1} is too high" in said and "Rename the files" in said


def test_the_highest_ordinal_fits_a_64_bit_key() -> None:
    ordinals = assign_ordinals({}, [f"part-{MAX_ORDINAL}"], part_number=NUMBERED)
    assert ordinals == {f"part-{MAX_ORDINAL}": MAX_ORDINAL}
    assert MAX_ORDINAL * SAMPLES_PER_PART + SAMPLES_PER_PART - 1 < 2**63


@given(st.lists(st.lists(st.text("abc", min_size=1, max_size=4), max_size=6), max_size=5))
def test_ordinals_never_change_and_never_repeat(rounds: list[list[str]]) -> None:
    ordinals: dict[str, int] = {}
    for seen in rounds:
        later = assign_ordinals(ordinals, seen, part_number=None)
        assert {part: later[part] for part in ordinals} == ordinals
        assert later.keys() == ordinals.keys() | set(seen)
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


def test_a_part_without_rows_is_refused(inspect: Inspect, tmp_path: Path) -> None:
    empty = {name: array.slice(0, 0) for name, array in LAION400M.items()}
    with pytest.raises(SourceError, match="found no rows"):
        inspect(write_parquet(tmp_path / "part-00000.parquet", empty))


def test_a_part_with_too_many_rows_is_refused() -> None:
    check_row_count(SAMPLES_PER_PART - 1, path="a.parquet")
    with pytest.raises(SourceError, match="found 100,000,000 rows, expected fewer than 100,000,000 a part"):
        check_row_count(SAMPLES_PER_PART, path="a.parquet")


def test_the_adapter_of_a_file_is_detected_or_named(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    (file,) = discover("web", "auto", str(write_format("coyo", tmp_path)))
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
    files = discover("laion", "auto", str(real_data / "captions"))
    assert [file.part for file in files] == [f"part-0000{i}" for i in range(4)]
    records = [inspect(Path(file.path), ordinal=i) for i, file in enumerate(files)]
    assert {record.adapter for record in records} == {"laion400m"}
    assert sum(record.pairs for record in records) == sum(record.rows for record in records) == 4_971
