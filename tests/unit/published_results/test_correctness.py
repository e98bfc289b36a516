"""Import of published results."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laionet_assets.published_results.correctness import PublishedResults, PublishedResultsError, published_select
from laionet_assets.published_results.label_lists import LabelList
from laionet_assets.sqlmodels.loader import load_project

LION, TENCH = "n02129165", "n01440764"
Row = dict[str, Any]


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("create schema staging")
        connection.execute("create table staging.queries (template varchar, wnid varchar, query varchar)")
        connection.execute(
            "insert into staging.queries select unnest(['name_def', 'name']), unnest(?), 'lion which is a cat'",
            [[LION, TENCH]],
        )
        yield connection


def written(path: Path, columns: dict[str, Any], *, index: list[Any] | None = None) -> str:
    """A Parquet file; with `index`, as pandas writes it."""
    table = pa.table(columns)
    if index is not None:
        table = table.append_column("__index_level_0__", pa.array(index))
        table = table.replace_schema_metadata({"pandas": '{"index_columns": ["__index_level_0__"]}'})
    pq.write_table(table, path)
    return str(path)


def imported(connection: duckdb.DuckDBPyConnection, *results: PublishedResults) -> list[Row]:
    select = published_select(connection, results)
    found = connection.execute(f"select * from ({select}) order by image_set, image_id, wnid, model")
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def test_true_false_and_null_stay_what_they_are(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    path = written(
        tmp_path / "val.parquet",
        {
            "wnid": [TENCH, LION, LION],
            "top_1_is_correct_resnet-50": [True, False, None],
            "top_5_is_correct_resnet-50": [True, True, None],
            "top_5_is_correct_clip-vit-base-patch32": [False, None, False],
        },
        index=["a.JPEG", "b.JPEG", "c.JPEG"],
    )
    rows = imported(connection, PublishedResults("val", path))
    assert list(rows[0]) == [
        *("image_set", "image_id", "wnid", "model", "is_zero_shot", "is_known_to_others", "has_name_in_text"),
        *(f"top_{k}_is_correct" for k in range(1, 6)),
    ]
    shown = [
        (row["image_id"], row["wnid"], row["model"], row["top_1_is_correct"], row["top_5_is_correct"]) for row in rows
    ]
    assert shown == [
        ("a.JPEG", TENCH, "clip-vit-base-patch32", None, False),
        ("a.JPEG", TENCH, "resnet-50", True, True),
        ("b.JPEG", LION, "clip-vit-base-patch32", None, None),
        ("b.JPEG", LION, "resnet-50", False, True),
        ("c.JPEG", LION, "clip-vit-base-patch32", None, False),
        ("c.JPEG", LION, "resnet-50", None, None),
    ]
    assert [row["is_known_to_others"] for row in rows[::2]] == [True, True, False]
    assert {row["model"]: row["is_zero_shot"] for row in rows} == {"clip-vit-base-patch32": True, "resnet-50": False}
    assert all(row["image_set"] == "val" and row["has_name_in_text"] is None for row in rows)
    assert all(row[f"top_{k}_is_correct"] is None for row in rows for k in (2, 3, 4))


def test_the_not_a_number_of_pandas_is_no_value(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    path = written(
        tmp_path / "val.parquet",
        {
            "wnid": [LION] * 4,
            "top_1_is_correct_vit": pa.array([1.0, 0.0, float("nan"), None]),
            "top_5_is_correct_vit": pa.nulls(4),
        },
        index=[1, 2, 3, 4],
    )
    rows = imported(connection, PublishedResults("val", path))
    assert [row["top_1_is_correct"] for row in rows] == [True, False, None, None]
    assert [row["is_known_to_others"] for row in rows] == [True, True, False, False]


def test_classes_from_a_label_list_one_row_a_class(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    path = written(tmp_path / "laionet.parquet", {"top_1_is_correct_vit": [True, False]}, index=[7, 100000007])
    labels = LabelList((LION, TENCH), {LION: ("7", "100000007", "99"), TENCH: ("7",)})
    rows = imported(connection, PublishedResults("laionet", path, labels))
    assert [(row["image_id"], row["wnid"], row["top_1_is_correct"]) for row in rows] == [
        ("100000007", LION, False),
        ("7", TENCH, True),
        ("7", LION, True),
    ]


def test_label_lists_of_two_files_do_not_mix(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    path = written(tmp_path / "x.parquet", {"top_1_is_correct_vit": [True]}, index=["a"])
    rows = imported(
        connection,
        PublishedResults("lions", path, LabelList((LION,), {LION: ("a",)})),
        PublishedResults("tenches", path, LabelList((TENCH,), {TENCH: ("a",)})),
    )
    assert [(row["image_set"], row["wnid"]) for row in rows] == [("lions", LION), ("tenches", TENCH)]


def test_classes_from_the_published_query(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    path = written(
        tmp_path / "x.parquet",
        {
            "name_def_wnid": ["lion which is a cat"],
            "wnid_is_in_recognized_text": [True],
            "top_1_is_correct_vit": [True],
        },
    )
    (row,) = imported(connection, PublishedResults("val", path))
    assert (row["image_id"], row["wnid"], row["has_name_in_text"]) == ("0", LION, True)


def test_names_of_models_with_dots_and_quotes(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    path = written(tmp_path / "it's.parquet", {"wnid": [LION], 'top_2_is_correct_a.b "c" it\'s': [True]}, index=["x"])
    (row,) = imported(connection, PublishedResults("it's", path))
    assert (row["image_set"], row["model"], row["top_2_is_correct"]) == ("it's", 'a.b "c" it\'s', True)
    assert row["is_known_to_others"] is True


def test_with_zero_shot_models_alone_nothing_is_known_of_others(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path = written(tmp_path / "x.parquet", {"wnid": [LION], "top_1_is_correct_clip": [False]}, index=["x"])
    (row,) = imported(connection, PublishedResults("val", path))
    assert row["is_known_to_others"] is None and row["is_zero_shot"] is True


def test_without_files_there_are_no_rows_but_all_columns(connection: duckdb.DuckDBPyConnection) -> None:
    cursor = connection.execute(published_select(connection, []))
    documented = load_project().tables["raw.published_correctness"].column_names
    assert sorted(column[0] for column in cursor.description) == sorted(documented)
    assert cursor.fetchall() == []


def test_all_problems_of_all_files_at_once(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    other = written(tmp_path / "other.parquet", {"wnid": [LION], "caption": ["a lion"]})
    strange = written(
        tmp_path / "strange.parquet", {"top_1_is_correct_vit": ["yes"], "top_10_is_correct_vit": [True]}, index=["x"]
    )
    (tmp_path / "no.parquet").write_bytes(b"PAR?")
    with pytest.raises(PublishedResultsError) as error:
        published_select(
            connection,
            [
                PublishedResults("a", other),
                PublishedResults("a", strange),
                PublishedResults("c", str(tmp_path / "no.parquet")),
            ],
        )
    message = str(error.value)
    assert "other.parquet: found no column top_{k}_is_correct_{model}" in message
    assert "strange.parquet: found columns for k = 10; expected k from 1 to 5" in message
    assert "column top_1_is_correct_vit: found VARCHAR, expected BOOLEAN" in message
    assert "strange.parquet: nothing says the classes of its images" in message
    assert "no.parquet: not readable as Parquet" in message
    assert "a: the name of several result files" in message


@pytest.mark.parametrize(
    ("columns", "labels", "origin"),
    [
        ({"wnid": [LION, None]}, None, "column wnid"),
        ({}, LabelList((LION,), {LION: ("a",)}), "label list"),
        ({"name_def_wnid": ["lion which is a cat", "dog which is a cat"]}, None, "by the queries"),
    ],
)
def test_an_image_without_a_class_is_an_error(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, columns: Row, labels: LabelList | None, origin: str
) -> None:
    path = written(tmp_path / "x.parquet", {**columns, "top_1_is_correct_vit": [True, True]}, index=["a", "b"])
    with pytest.raises(PublishedResultsError, match=f"1 of 2 images have no class by its .*{origin}.*such as 'b'"):
        published_select(connection, [PublishedResults("val", path, labels)])


@pytest.mark.real_data
def test_the_published_validation_results(connection: duckdb.DuckDBPyConnection, real_data: Path) -> None:
    path = real_data / "golden/ilsvrc2012_val_correctness.parquet"
    select = published_select(connection, [PublishedResults("val", str(path))])
    counted = connection.execute(
        f"select count(*), count(distinct image_id), count(distinct model), count(distinct wnid), "
        f"count(top_1_is_correct), count(top_2_is_correct), min(image_id) from ({select})"
    ).fetchall()
    assert counted == [(1_500_000, 50_000, 30, 1000, 29 * 49_100 + 49_900, 0, "ILSVRC2012_val_00000001.JPEG")]
