import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from laionet_assets.quality.asset_checks import check_result, check_specs, describe_failures
from laionet_assets.quality.expectations import Expectation, grain_expectations
from laionet_assets.quality.validate import Outcome

KEY = dg.AssetKey(["core", "candidates"])
IN_SET = Expectation(
    name="matching_values_to_be_in_set",
    type="expect_column_values_to_be_in_set",
    kwargs={"column": "matching", "value_set": ["paper", "corrected"]},
    where="sql/core/candidates.yml, expectation 3",
)
ROWS = Expectation(
    name="in_equals_out",
    type="unexpected_rows",
    kwargs={"query": "select * from {batch}\nwhere n <> m"},
    severity="warning",
    description="no row is lost",
)
FAILED = Outcome(IN_SET, passed=False, rows=1000, unexpected=13, unexpected_percent=1.3, sample=("x" * 900, None))
WARNED = Outcome(ROWS, passed=False, rows=1000, unexpected=2, sample=({"n": 1, "m": [2]}, {"n": 3, "k": 4}))
BROKEN = Outcome(IN_SET, passed=False, rows=1000, error="Binder Error: no column\nLINE 1")
PASSED = Outcome(IN_SET, passed=True, rows=1000, unexpected=0, unexpected_percent=0.0, page=Path("/docs/results.html"))


def test_critical_expectations_block() -> None:
    specs = check_specs(KEY, [IN_SET, ROWS, *grain_expectations(["a"])])
    assert [(spec.name, spec.blocking) for spec in specs] == [
        ("matching_values_to_be_in_set", True),
        ("in_equals_out", False),
        ("grain_is_not_null", True),
        ("grain_is_unique", True),
    ]
    assert all(spec.asset_key == KEY for spec in specs)
    assert "no row is lost" in specs[1].description and "select * from {batch} where n <> m" in specs[1].description
    assert specs[0].metadata["written in"] == "sql/core/candidates.yml, expectation 3"


def test_specs_can_be_by_partition() -> None:
    parts = dg.DynamicPartitionsDefinition(name="parts")
    with pytest.warns(match="preview"):
        (spec,) = check_specs(KEY, [IN_SET], partitions_def=parts)
    assert spec.partitions_def == parts


def test_a_failed_check_carries_counts_and_a_sample() -> None:
    result = check_result(FAILED, asset_key=KEY, partition="sample/part-00000")
    assert not result.passed and result.severity == dg.AssetCheckSeverity.ERROR
    assert result.check_name == "matching_values_to_be_in_set" and result.asset_key == KEY
    metadata = {key: value.value for key, value in result.metadata.items() if key != "sample"}
    assert metadata["rows"] == 1000 and metadata["unexpected"] == 13 and metadata["unexpected_percent"] == 1.3
    assert metadata["partition"] == "sample/part-00000"
    assert metadata["expectation"]["kwargs"] == {"column": "matching", "value_set": ["paper", "corrected"]}
    records = result.metadata["sample"].records
    assert [record.data["value"] for record in records] == ["x" * 600 + "…", "null"]
    assert result.description == "13 unexpected values (1.3%) in 1,000 rows"


def test_rows_of_a_query_become_a_table() -> None:
    result = check_result(WARNED, asset_key=KEY)
    assert result.severity == dg.AssetCheckSeverity.WARN
    assert [record.data for record in result.metadata["sample"].records] == [
        {"n": "1", "m": "[2]", "k": "null"},
        {"n": "3", "m": "null", "k": "4"},
    ]
    assert [column.name for column in result.metadata["sample"].schema.columns] == ["n", "m", "k"]


def test_an_observed_value_is_kept_and_a_long_one_cut() -> None:
    def observed(value: object) -> object:
        outcome = Outcome(IN_SET, passed=False, rows=9, observed_value=value)
        return check_result(outcome, asset_key=KEY).metadata["observed_value"].value

    assert observed(49.5) == 49.5
    assert observed({"quantiles": [0.5], "values": [3]}) == {"quantiles": [0.5], "values": [3]}
    assert len(observed(list(range(10_000)))) < 1_000


def test_an_error_is_not_a_pass() -> None:
    result = check_result(BROKEN, asset_key=KEY)
    assert not result.passed and result.metadata["error"].value.startswith("Binder Error")
    assert result.description.startswith("could not run: Binder Error")


def test_data_docs_are_linked() -> None:
    assert check_result(PASSED, asset_key=KEY).metadata["data_docs"].value == "/docs/results.html"
    served = check_result(PASSED, asset_key=KEY, docs_url="http://host/docs/results.html").metadata["data_docs"]
    assert isinstance(served, dg.UrlMetadataValue) and served.value == "http://host/docs/results.html"
    assert "data_docs" not in check_result(FAILED, asset_key=KEY).metadata


def test_the_text_of_failures_says_what_how_much_and_where() -> None:
    text = describe_failures([PASSED, WARNED, FAILED, BROKEN], table="core.candidates", partition="sample/part-00000")
    for part in (
        "core.candidates [sample/part-00000]: 3 of 4 checks failed, 2 of them critical.",
        "CRITICAL matching_values_to_be_in_set: 13 unexpected values (1.3%) in 1,000 rows",
        "rule: expect_column_values_to_be_in_set(column='matching', value_set=['paper', 'corrected'])",
        "written in: sql/core/candidates.yml, expectation 3",
        "WARNING in_equals_out: 2 rows that should not exist; the table has 1,000",
        "meaning: no row is lost",
        "n=1, m=[2]",
        "could not run: Binder Error: no column\n      LINE 1",
        "was not published",
    ):
        assert part in text
    assert text.index("CRITICAL") < text.index("WARNING")
    assert "x" * 601 not in text


def test_nothing_failed_is_nothing_to_say() -> None:
    assert describe_failures([PASSED], table="core.candidates") == ""
    assert "do not stop" in describe_failures([PASSED, WARNED], table="core.candidates")


def test_importing_the_room_does_not_import_great_expectations() -> None:
    code = (
        "import sys; from laionet_assets.quality import asset_checks, data_docs, expectations, validate; "
        "expectations.known_types(); print('great_expectations' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
