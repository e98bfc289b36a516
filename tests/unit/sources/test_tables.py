"""The documentation of raw.parts, raw.quarantine and raw.pairs says what is produced, and its queries find what they
are for.
"""

import dataclasses
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import yaml

from laionet_assets.sources import Breach, PartRecord, pairs_view_sql, quarantine_sql
from laionet_assets.sources.reading import PAIR_TYPES
from laionet_assets.sqlmodels.loader import load_project, sql_folder
from laionet_assets.warehouse.rows import as_documented
from tests.unit.sources.conftest import Inspect
from tests.unit.sources.files import laion400m_with, write_parquet


def documentation(table: str) -> dict[str, Any]:
    return yaml.safe_load((sql_folder() / "raw" / f"{table}.yml").read_text(encoding="utf-8"))


def test_the_view_has_the_documented_columns() -> None:
    documented = {name: column["type"] for name, column in documentation("pairs")["columns"].items()}
    assert list(documented.items()) == list(PAIR_TYPES.items())


def registered(connection: duckdb.DuckDBPyConnection, record: PartRecord) -> str:
    """A SELECT of the row of raw.parts."""
    rows = as_documented(load_project().tables["raw.parts"], [dataclasses.asdict(record)])
    connection.register("records", rows)
    return "select * from records"


@pytest.fixture
def record(inspect: Inspect, tmp_path: Path) -> PartRecord:
    """A part of three rows, one of them out of bounds in two ways."""
    broken = {"TEXT": pa.array(["a cat", None, ""]), "similarity": pa.array([0.5, 6016.0, None])}
    return inspect(write_parquet(tmp_path / "part-00000.parquet", laion400m_with(**broken)))


def failing(connection: duckdb.DuckDBPyConnection, table: str, select: str) -> list[str]:
    """Names of the `unexpected_rows` expectations of a table that find rows in what `select` gives."""
    connection.execute("create schema if not exists raw")
    connection.execute(f"create or replace view raw.{table} as {select}")
    queries = {each["name"]: each["query"] for each in documentation(table)["expectations"] if "query" in each}
    assert queries
    return [
        name
        for name, query in queries.items()
        if connection.execute(query.replace("{batch}", f"raw.{table}")).fetchall()
    ]


def test_expectations_hold_for_a_part_as_inspected(connection: duckdb.DuckDBPyConnection, record: PartRecord) -> None:
    assert failing(connection, "parts", registered(connection, record)) == ["at_most_one_row_in_twenty_is_quarantined"]
    assert failing(connection, "pairs", pairs_view_sql([record])) == []
    assert connection.execute(f"select count(distinct sample_id) from ({quarantine_sql(record)})").fetchall() == [
        (record.quarantined,)
    ]


@pytest.mark.parametrize(
    ("changes", "expectation"),
    [
        ({"pairs": 3}, "pairs_and_quarantined_are_all_rows"),
        ({"rows": 4}, "pairs_and_quarantined_are_all_rows"),
        ({"breaches": ()}, "pairs_and_quarantined_are_all_rows"),
        ({"breaches": (Breach("caption_missing", 2),)}, "pairs_and_quarantined_are_all_rows"),
        ({"pairs": 0, "quarantined": 3}, "some_rows_are_pairs"),
    ],
)
def test_expectations_find_records_that_do_not_add_up(
    changes: dict[str, Any], expectation: str, connection: duckdb.DuckDBPyConnection, record: PartRecord
) -> None:
    assert expectation in failing(connection, "parts", registered(connection, dataclasses.replace(record, **changes)))


def test_a_file_that_is_not_the_recorded_one_any_more_is_found(
    connection: duckdb.DuckDBPyConnection, record: PartRecord
) -> None:
    unaware = dataclasses.replace(record, breaches=())
    assert failing(connection, "pairs", pairs_view_sql([unaware])) == ["pairs_are_within_bounds"]


def test_a_record_has_the_documented_types(connection: duckdb.DuckDBPyConnection, record: PartRecord) -> None:
    """As DuckDB spells them: the rows that a run writes are compared with these."""
    documented = {name: column["type"] for name, column in documentation("parts")["columns"].items()}
    described = connection.execute(f"describe {registered(connection, record)}").fetchall()
    assert {name: kind for name, kind, *_ in described} == documented
