"""Choosing an adapter by the columns, and every complaint about columns."""

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from laionet_assets.sources import SourceError, adapter_named, pairs_sql
from laionet_assets.sources.file_format import SourceColumn
from laionet_assets.sources.resolution import detect, resolve
from tests.unit.sources.conftest import Inspect
from tests.unit.sources.files import ADAPTER_NAMES, LAION400M, laion400m_with, write_format, write_parquet, write_text

ALSO_READ_BY = {
    "laion400m": ("captions", "laion2b"),
    "laion2b": ("captions",),
    "commonpool": ("captions", "laion2b"),
    "coyo": ("captions", "laion2b"),
    "img2dataset": ("captions", "grit", "relaion"),
    "relaion": ("captions", "grit", "img2dataset"),
    "grit": ("img2dataset", "relaion"),
}
"""Format -> other adapters that find a caption and an address in it, when they are named."""


def columns_of(*names: str, kind: str = "VARCHAR") -> list[SourceColumn]:
    return [SourceColumn(name, kind, name) for name in names]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("adapter", ADAPTER_NAMES)
def test_every_format_is_detected_as_itself(adapter: str, reverse: bool, inspect: Inspect, tmp_path: Path) -> None:
    record = inspect(write_format(adapter, tmp_path, reverse=reverse))
    assert record.adapter == adapter
    assert record.pairs == record.rows and record.breaches == ()


@pytest.mark.parametrize("given", ADAPTER_NAMES)
@pytest.mark.parametrize("written", ADAPTER_NAMES)
def test_a_file_of_another_format_is_read_whole_or_refused_with_advice(
    given: str, written: str, connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    path = write_format(written, tmp_path)
    columns = inspect(path).source_columns
    if given != written and given not in ALSO_READ_BY.get(written, ()):
        with pytest.raises(SourceError, match=f"adapters that would fit: {written}|no part found"):
            inspect(path, adapter=given)
        return
    record = inspect(path, adapter=given)
    assert record.adapter == given and record.source_columns == columns
    rows = connection.execute(f"select caption, url from ({pairs_sql(record)}) order by sample_id limit 1").fetchall()
    assert rows[0][0].replace('"', "") == "a tench on a plate" and rows[0][1] == "http://images.invalid/a.jpg"


@pytest.mark.parametrize(
    ("names", "fitting"),
    [
        (("SAMPLE_ID", "URL", "TEXT", "NSFW", "uid"), "commonpool, laion400m"),
        (("URL", "TEXT", "hash", "uid"), "commonpool, laion2b"),
        (("id", "uid", "url", "text", "image_phash"), "commonpool, coyo"),
        (("url", "caption", "text", "uid", "similarity"), "commonpool, relaion"),
    ],
)
def test_ambiguous_columns_are_an_error_that_lists_what_was_found(names: tuple[str, ...], fitting: str) -> None:
    with pytest.raises(SourceError, match="the adapter is ambiguous") as failure:
        detect(columns_of(*names), path="/data/part-00000.parquet")
    assert f"these adapters all fit: {fitting}" in str(failure.value)
    assert "found columns: " + ", ".join(f"{name} VARCHAR" for name in names) in str(failure.value)


def test_columns_that_identify_nothing_name_the_adapters_that_could_read_them() -> None:
    with pytest.raises(SourceError, match="no adapter is identified by these columns") as failure:
        detect(columns_of("url", "text"), path="/data/a.parquet")
    assert "though nothing identifies them: captions, laion2b; name one" in str(failure.value)


def test_columns_that_no_adapter_can_read_are_told_what_identifies_each() -> None:
    with pytest.raises(SourceError) as failure:
        detect(columns_of("image", "label"), path="/data/a.parquet")
    said = str(failure.value)
    assert "found columns: image VARCHAR, label VARCHAR" in said
    assert "laion400m: SAMPLE_ID, URL, TEXT" in said and "laion2b: URL, TEXT, hash or punsafe or pwatermark" in said


def test_names_of_columns_are_compared_without_regard_to_case() -> None:
    assert detect(columns_of("sample_id", "url", "text", "nsfw"), path="a.parquet").name == "laion400m"


def test_all_missing_columns_are_in_one_message(inspect: Inspect, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "part-00000.parquet", laion400m_with(TEXT=None, NSFW=None))
    with pytest.raises(SourceError) as failure:
        inspect(path, adapter="laion400m")
    said = str(failure.value)
    assert str(path) in said and "adapter laion400m cannot read it" in said
    assert "caption is missing: expected a column TEXT" in said and "nsfw is missing: expected a column NSFW" in said
    assert "found columns: SAMPLE_ID BIGINT, URL VARCHAR, HEIGHT INTEGER" in said


def test_the_wrong_adapter_is_told_the_right_one(inspect: Inspect, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="adapters that would fit: laion400m"):
        inspect(write_format("laion400m", tmp_path), adapter="relaion")


def test_two_origins_of_one_column_are_ambiguous() -> None:
    columns = columns_of("key", "status", "url", "caption") + columns_of(
        "similarity", "clip_b32_similarity_score", kind="FLOAT"
    )
    with pytest.raises(SourceError, match="image_text_similarity is ambiguous: found similarity, clip_b32_simil"):
        resolve(adapter_named("img2dataset"), columns, path="00000.parquet")


def test_types_that_cannot_be_read_are_all_named(inspect: Inspect, tmp_path: Path) -> None:
    wrong = {
        "TEXT": pa.array([["a"], ["b"], []]),
        "WIDTH": pa.array([True, False, True]),
        "similarity": pa.array([[0.5], [0.5], [0.5]]),
    }
    with pytest.raises(SourceError) as failure:
        inspect(write_parquet(tmp_path / "part-00000.parquet", laion400m_with(**wrong)), adapter="laion400m")
    said = str(failure.value)
    assert "caption cannot be read: column TEXT is VARCHAR[], expected text" in said
    assert "width cannot be read: column WIDTH is BOOLEAN, expected a number" in said
    assert "image_text_similarity cannot be read: column similarity is DOUBLE[], expected a number" in said


@pytest.mark.parametrize(
    ("changes", "column", "expected"),
    [
        ({"SAMPLE_ID": pa.array([2949826000001.0, 7.0, None])}, "source_key", ["2949826000001", "7", None]),
        ({"SAMPLE_ID": pa.array([1.0, float("nan"), 2.5])}, "source_key", ["1", None, "2.5"]),
        ({"SAMPLE_ID": pa.array(["a", "7", None])}, "source_key", ["a", "7", None]),
        ({"WIDTH": pa.array([640.0, float("nan"), None])}, "width", [640, None, None]),
        ({"WIDTH": pa.array([640, 2**31 - 1, None], pa.int64())}, "width", [640, 2**31 - 1, None]),
        ({"WIDTH": pa.array(["640", "1", None])}, "width", [640, 1, None]),
        ({"WIDTH": pa.nulls(3)}, "width", [None, None, None]),
        ({"WIDTH": None}, "width", [None, None, None]),
        ({"similarity": pa.array([0.5, -1.0, None], pa.float32())}, "image_text_similarity", [0.5, -1.0, None]),
        ({"similarity": pa.array([0.5, float("nan"), None])}, "image_text_similarity", [0.5, None, None]),
        ({"similarity": pa.array([1, 0, None], pa.int8())}, "image_text_similarity", [1.0, 0.0, None]),
        ({"NSFW": pa.nulls(3)}, "nsfw", [None, None, None]),
        ({"NSFW": pa.array(["UNLIKELY", "NSFW", None]).dictionary_encode()}, "nsfw", ["UNLIKELY", "NSFW", None]),
    ],
)
def test_copies_with_other_types_read_the_same(
    changes: dict[str, Any],
    column: str,
    expected: list[object],
    connection: duckdb.DuckDBPyConnection,
    inspect: Inspect,
    tmp_path: Path,
) -> None:
    record = inspect(write_parquet(tmp_path / "part-00000.parquet", laion400m_with(**changes)))
    assert record.breaches == ()
    rows = connection.execute(f"select {column} from ({pairs_sql(record)}) order by sample_id").fetchall()
    assert [value for (value,) in rows] == expected


def test_a_tsv_in_the_other_order_is_refused(inspect: Inspect, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"(?s)expected in this order: caption, url.*adapters that would fit: cc12m"):
        inspect(write_format("cc12m", tmp_path), adapter="cc3m")


def test_a_tsv_without_addresses_is_not_detected_but_a_named_adapter_is_believed(
    inspect: Inspect, tmp_path: Path
) -> None:
    path = write_text(tmp_path / "pairs.tsv", "a cat\timages/1.jpg\na dog\timages/2.jpg\n")
    with pytest.raises(SourceError, match="nothing identifies them: cc12m, cc3m"):
        inspect(path)
    assert inspect(path, adapter="cc3m").pairs == 2


def test_a_tsv_of_three_columns_is_refused(inspect: Inspect, tmp_path: Path) -> None:
    path = write_text(tmp_path / "pairs.tsv", "a cat\thttp://a\t1\na dog\thttp://b\t2\n")
    with pytest.raises(SourceError, match="found columns: column1 VARCHAR, column2 VARCHAR, column3 VARCHAR"):
        inspect(path, adapter="cc3m")


def test_csv_of_named_columns_is_read(connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path) -> None:
    text = (
        "SAMPLE_ID,URL,TEXT,NSFW,WIDTH,similarity\n"
        '1,http://a,"a ""cat"", sleeping\non a mat",UNLIKELY,640,0.5\n'
        '2,http://b,"",,wide,\n'
        "3,http://c,,NSFW,,9\n"
    )
    record = inspect(write_text(tmp_path / "part-00003.csv", text), ordinal=3)
    assert (record.adapter, record.rows, record.pairs) == ("laion400m", 3, 1)
    assert [(breach.reason, breach.samples) for breach in record.breaches] == [
        ("caption_missing", 1),
        ("size_out_of_bounds", 1),
        ("similarity_out_of_bounds", 1),
    ]
    rows = connection.execute(f"select sample_id, caption, width, nsfw from ({pairs_sql(record)})").fetchall()
    assert rows == [(300_000_000, 'a "cat", sleeping\non a mat', 640, "UNLIKELY")]


def test_a_format_that_the_adapter_does_not_read() -> None:
    columns = columns_of(*LAION400M)
    with pytest.raises(SourceError, match=r"adapter laion400m reads \.parquet, \.csv"):
        resolve(adapter_named("laion400m"), columns, path="/data/part-00000.tsv")
    with pytest.raises(SourceError, match="found another ending"):
        detect(columns, path="/data/part-00000.json")
