"""Bounds: each keeps what may be, breaks on what may not, and says what broke it."""

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from laionet_assets.sources import quarantine_sql
from laionet_assets.sources.bounds import BOUNDS, MAX_CAPTION_CHARACTERS
from tests.unit.sources.conftest import Inspect
from tests.unit.sources.files import LAION2B, write_parquet

LONG = "é" * (MAX_CAPTION_CHARACTERS + 1)
INT = pa.int64()
GOOD = {"TEXT": "a cat", "URL": "http://a", "WIDTH": 640, "HEIGHT": 320, "similarity": 0.5, "punsafe": 0.5, "hash": 1}
TYPES = {"TEXT": pa.string(), "URL": pa.string(), "WIDTH": INT, "HEIGHT": INT, "hash": INT}


def one_row(**changes: Any) -> dict[str, pa.Array]:
    """A LAION-2B row."""
    values = {**GOOD, "pwatermark": 0.5, **changes}
    return {name: pa.array([value], TYPES.get(name, pa.float64())) for name, value in values.items()}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"TEXT": ""},
        {"TEXT": LONG[:-1]},
        {"TEXT": "\n\t &amp; \x00"},
        {"WIDTH": 1, "HEIGHT": 2**31 - 1},
        {"WIDTH": None, "HEIGHT": None, "similarity": None, "punsafe": None, "pwatermark": None},
        {"similarity": 1.0, "punsafe": 0.0, "pwatermark": 1.0},
        {"similarity": -1.0, "punsafe": 1.0, "pwatermark": 0.0},
        {"similarity": float("nan"), "punsafe": float("nan")},
    ],
)
def test_rows_within_bounds_are_pairs(changes: dict[str, Any], inspect: Inspect, tmp_path: Path) -> None:
    record = inspect(write_parquet(tmp_path / "part-00000.parquet", one_row(**changes)))
    assert (record.pairs, record.quarantined, record.breaches) == (1, 0, ())


@pytest.mark.parametrize(
    ("changes", "reason", "value"),
    [
        ({"TEXT": None}, "caption_missing", None),
        ({"TEXT": LONG}, "caption_too_long", str(MAX_CAPTION_CHARACTERS + 1)),
        ({"TEXT": "x" * 61_192}, "caption_too_long", "61192"),
        ({"URL": None}, "url_missing", None),
        ({"URL": ""}, "url_missing", ""),
        ({"WIDTH": 0}, "size_out_of_bounds", "0 x 320"),
        ({"HEIGHT": -7, "WIDTH": None}, "size_out_of_bounds", "null x -7"),
        ({"WIDTH": 2**31}, "size_out_of_bounds", "2147483648 x 320"),
        ({"similarity": 6016.0}, "similarity_out_of_bounds", "6016.0"),
        ({"similarity": -1.5}, "similarity_out_of_bounds", "-1.5"),
        ({"similarity": float("inf")}, "similarity_out_of_bounds", "inf"),
        ({"punsafe": 1.5}, "punsafe_out_of_bounds", "1.5"),
        ({"pwatermark": -0.5}, "pwatermark_out_of_bounds", "-0.5"),
    ],
)
def test_a_row_out_of_bounds_is_quarantined_with_the_reason(
    changes: dict[str, Any],
    reason: str,
    value: str | None,
    connection: duckdb.DuckDBPyConnection,
    inspect: Inspect,
    tmp_path: Path,
) -> None:
    record = inspect(write_parquet(tmp_path / "part-00002.parquet", one_row(**changes)), ordinal=2)
    assert (record.rows, record.pairs, record.quarantined) == (1, 0, 1)
    assert record.captions_missing == (reason == "caption_missing")
    caption, url = {**GOOD, **changes}["TEXT"], {**GOOD, **changes}["URL"]
    expected = ("web", "part-00002", 200_000_000, reason, value, None, caption and caption[:200], url)
    assert connection.execute(quarantine_sql(record)).fetchall() == [expected]


def test_every_bound_that_a_row_breaks_is_a_row(
    connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    everything = {"TEXT": None, "URL": "", "WIDTH": 0, "HEIGHT": 0, "similarity": 6016.0, "punsafe": 2.0}
    record = inspect(write_parquet(tmp_path / "part-00000.parquet", one_row(**everything, pwatermark=2.0)))
    assert record.quarantined == 1 and sum(breach.samples for breach in record.breaches) == 6
    rows = connection.execute(f"select sample_id, reason from ({quarantine_sql(record)})").fetchall()
    assert sorted(rows) == sorted((0, bound.reason) for bound in BOUNDS if bound.reason != "caption_too_long")


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64(), pa.string()])
def test_bounds_hold_for_numbers_of_any_type(kind: pa.DataType, inspect: Inspect, tmp_path: Path) -> None:
    columns = dict(LAION2B)
    columns["WIDTH"] = pa.array([0, 640, None], INT).cast(kind)
    columns["punsafe"] = pa.array([0.5, 1.5, None], pa.float32()).cast(kind)
    record = inspect(write_parquet(tmp_path / "part-00000.parquet", columns))
    assert {(breach.reason, breach.samples) for breach in record.breaches} == {
        ("size_out_of_bounds", 1),
        ("punsafe_out_of_bounds", 1),
    }


def test_a_text_that_is_no_number_is_out_of_bounds(
    connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    columns = {**LAION2B, "similarity": pa.array(["0.5", "high", None])}
    record = inspect(write_parquet(tmp_path / "part-00000.parquet", columns))
    rows = connection.execute(f"select sample_id, reason, value from ({quarantine_sql(record)})").fetchall()
    assert rows == [(1, "similarity_out_of_bounds", "high")]


def test_reasons_of_the_bounds_are_those_documented() -> None:
    import yaml

    from laionet_assets.sources.file_format import Reading
    from laionet_assets.sources.formats import FORMATS
    from laionet_assets.sources.rejects import REJECTED_REASONS
    from laionet_assets.sqlmodels.loader import sql_folder

    documented = yaml.safe_load((sql_folder() / "raw/quarantine.yml").read_text())["expectations"][0]["kwargs"]
    bounds = [bound for each in FORMATS for bound in each.bounds(Reading("lenient"))]
    reasons = [bound.reason for bound in (*BOUNDS, *bounds)] + list(REJECTED_REASONS)
    assert documented["value_set"] == list(dict.fromkeys(reasons))
