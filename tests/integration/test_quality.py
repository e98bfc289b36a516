"""Real Great Expectations over real DuckDB views on Parquet files."""

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from laionet_assets.quality.asset_checks import check_result, check_specs, describe_failures
from laionet_assets.quality.expectations import Expectation, QualityError, grain_expectations, parse_expectations
from laionet_assets.quality.validate import Outcome, validate
from tests.integration.audited import opened, query, write_files

pytestmark = pytest.mark.integration


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    write_files(tmp_path)
    with opened(tmp_path) as connection:
        yield connection


def run(connection: duckdb.DuckDBPyConnection, *raw: dict, relation: str = "audit.staged") -> tuple[Outcome, ...]:
    columns = [row[0] for row in connection.execute(f"describe {relation}").fetchall()]
    return validate(connection, relation, parse_expectations(raw, columns=columns, where="t.yml"), suite="core.t")


def one(connection: duckdb.DuckDBPyConnection, rule: str, relation: str = "audit.staged", **kwargs: object) -> Outcome:
    (outcome,) = run(connection, {"type": rule, "kwargs": kwargs}, relation=relation)
    return outcome


def test_a_value_out_of_a_set(connection: duckdb.DuckDBPyConnection) -> None:
    found = one(connection, "expect_column_values_to_be_in_set", column="matching", value_set=["paper"])
    assert not found.passed and found.error is None
    assert (found.rows, found.unexpected, found.unexpected_percent) == (100, 50, 50.0)
    assert found.sample == ("corrected",) * 10
    assert found.seconds > 0
    assert one(
        connection, "expect_column_values_to_be_in_set", column="matching", value_set=["paper", "corrected"]
    ).passed


def test_values_between(connection: duckdb.DuckDBPyConnection) -> None:
    found = one(connection, "expect_column_values_to_be_between", column="hash", max_value=96)
    assert (found.unexpected, found.sample) == (3, (97, 98, 99))
    assert one(connection, "expect_column_values_to_be_between", column="similarity", min_value=0, max_value=1).passed
    assert one(connection, "expect_column_values_to_be_between", column="seen_at", min_value="2024-01-01").passed
    early = one(connection, "expect_column_values_to_be_between", column="seen_at", min_value="2024-01-03")
    assert early.sample == ("2024-01-01", "2024-01-02")
    mostly = one(connection, "expect_column_values_to_be_between", column="hash", max_value=96, mostly=0.95)
    assert mostly.passed and mostly.unexpected == 3


def test_a_regular_expression_may_match_anywhere_and_nulls_do_not_count(connection: duckdb.DuckDBPyConnection) -> None:
    assert one(connection, "expect_column_values_to_match_regex", column="caption", regex="ti|alert").passed
    found = one(connection, "expect_column_values_to_match_regex", column="caption", regex=r"^caption \d+$")
    assert (found.unexpected, found.sample) == (1, ("<script>alert(7)</script>",))


def test_nulls(connection: duckdb.DuckDBPyConnection) -> None:
    found = one(connection, "expect_column_values_to_not_be_null", column="caption")
    assert not found.passed and found.unexpected == 1
    assert one(connection, "expect_column_values_to_be_null", column="nothing").passed
    assert one(connection, "expect_column_values_to_match_regex", column="nothing", regex="a").passed
    assert one(connection, "expect_column_values_to_be_in_set", column="nothing", value_set=["a"]).passed
    mean = one(connection, "expect_column_mean_to_be_between", column="nothing", min_value=0)
    assert not mean.passed


def test_an_empty_table(connection: duckdb.DuckDBPyConnection) -> None:
    values = one(connection, "expect_column_values_to_not_be_null", relation="audit.empty", column="caption")
    assert values.passed and values.rows == 0
    assert not one(connection, "expect_table_row_count_to_be_between", relation="audit.empty", min_value=1).passed
    grain = validate(connection, "audit.empty", grain_expectations(["sample_id"]), suite="core.t")
    assert [outcome.passed for outcome in grain] == [True, True]


def test_aggregates_are_observed(connection: duckdb.DuckDBPyConnection) -> None:
    found = one(connection, "expect_column_mean_to_be_between", column="sample_id", min_value=50)
    assert not found.passed and found.observed_value == 49.5 and found.unexpected is None
    quantiles = {"quantiles": [0.5], "value_ranges": [[49, 50]]}
    assert one(
        connection, "expect_column_quantile_values_to_be_between", column="key", quantile_ranges=quantiles
    ).passed
    rows = one(connection, "expect_table_row_count_to_equal", value=99)
    assert not rows.passed and rows.observed_value == 100


def test_types_of_duckdb(connection: duckdb.DuckDBPyConnection) -> None:
    for column, name in {"uid": "UUID", "hash": "HUGEINT", "wnids": "VARCHAR[]", "embedding": "FLOAT[2]"}.items():
        found = one(connection, "expect_column_values_to_be_of_type", column=column, type_=name)
        assert found.passed and found.observed_value == name
    assert not one(connection, "expect_column_values_to_be_of_type", column="key", type_="BIGINT").passed


@pytest.mark.parametrize("column", ["wnids", "embedding", "point", "hash", "key", "uid"])
def test_samples_of_every_type_can_be_shown(connection: duckdb.DuckDBPyConnection, column: str) -> None:
    found = one(connection, "expect_column_values_to_be_null", column=column)
    assert found.unexpected == 100 and len(found.sample) == 10 and found.error is None
    result = check_result(found, asset_key=dg.AssetKey("t"))
    assert len(result.metadata["sample"].records) == 10


def test_unique_keys(connection: duckdb.DuckDBPyConnection) -> None:
    assert one(connection, "expect_column_values_to_be_unique", column="uid").passed
    assert one(connection, "expect_compound_columns_to_be_unique", column_list=["matching", "sample_id"]).passed
    connection.execute("create view audit.twice as from audit.staged union all from audit.staged where sample_id < 3")
    found = one(
        connection,
        "expect_compound_columns_to_be_unique",
        relation="audit.twice",
        column_list=["matching", "sample_id"],
    )
    assert not found.passed and found.unexpected == 6
    not_null, unique = validate(
        connection, "audit.twice", grain_expectations(["matching", "sample_id"]), suite="core.t"
    )
    assert not_null.passed and not unique.passed and unique.unexpected == 3
    assert sorted(row["sample_id"] for row in unique.sample) == [0, 1, 2]
    assert {row["copies"] for row in unique.sample} == {2}


def test_a_null_in_the_key(connection: duckdb.DuckDBPyConnection) -> None:
    not_null, unique = validate(connection, "audit.staged", grain_expectations(["caption"]), suite="core.t")
    assert not not_null.passed and not_null.sample == ({"caption": None},) and not_null.blocks
    assert unique.passed


def test_rows_that_should_not_exist_may_be_found_by_a_join(connection: duckdb.DuckDBPyConnection) -> None:
    text = """
        select b.sample_id, {'a': 1} as pair, '12:x' as colon -- {not a placeholder}
        from {batch} as b left join core.candidates as c using (sample_id)
        where c.sample_id is null;
    """
    (found,) = run(connection, query("all_are_candidates", text))
    assert not found.passed and found.unexpected == 1 and found.unexpected_percent is None
    assert found.sample == ({"sample_id": 42, "pair": {"a": 1}, "colon": "12:x"},)


def test_a_query_with_many_rows_is_counted_and_sampled(connection: duckdb.DuckDBPyConnection) -> None:
    most, ten, none = run(
        connection,
        query("most", "select * from {batch} where sample_id >= 11", severity="warning"),
        query("ten", "select sample_id from {batch} where sample_id < 10"),
        query("none", "with b as (from {batch}) select * from b where sample_id < 0"),
    )
    assert (most.unexpected, len(most.sample), most.blocks) == (89, 10, False)
    assert (ten.unexpected, len(ten.sample), ten.blocks) == (10, 10, True)
    assert none.passed and none.unexpected == 0 and none.sample == ()


def test_what_cannot_run_has_failed_and_takes_nothing_with_it(connection: duckdb.DuckDBPyConnection) -> None:
    expectations = (
        *parse_expectations(
            [
                {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "sample_id"}},
                {"type": "expect_column_values_to_match_regex", "kwargs": {"column": "hash", "regex": "1"}},
                {"type": "expect_column_values_to_be_between", "kwargs": {"column": "hash", "minimum": 1}},
                {"type": "expect_column_values_to_be_increasing", "kwargs": {"column": "hash"}},
                {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "uid", "value_set": ["no uuid"]}},
                query("broken", "select nothing_like_it from {batch}"),
                query("not_sql", "selekt * from {batch}"),
                {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "hash"}},
            ],
            columns=["sample_id", "hash", "uid"],
            where="t.yml",
        ),
        Expectation("bogus", "expect_no_such_thing", {"column": "hash"}),
        Expectation("gone", "expect_column_values_to_not_be_null", {"column": "gone"}),
    )
    outcomes = validate(connection, "audit.staged", expectations, suite="core.t")
    assert [outcome.expectation for outcome in outcomes] == list(expectations)
    assert [outcome.passed for outcome in outcomes] == [True, *[False] * 6, True, False, False]
    errors = {outcome.expectation.name: outcome.error for outcome in outcomes if not outcome.passed}
    for name, part in {
        "hash_values_to_match_regex": "regexp_matches(HUGEINT",
        "hash_values_to_be_between": "minimum\n  extra fields not permitted",
        "hash_values_to_be_increasing": "No provider found",
        "uid_values_to_be_in_set": "Could not convert string 'no uuid' to",
        "broken": 'Referenced column "nothing_like_it" not found',
        "not_sql": "syntax error",
        "bogus": "expect_no_such_thing not found",
        "gone": 'The column "gone" in BatchData does not exist',
    }.items():
        assert part in errors[name]
        assert "Traceback" not in errors[name]
    assert describe_failures(outcomes, table="core.t").count("could not run: ") == 8


def test_a_validation_leaves_nothing_behind(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    things = "select count(*) from duckdb_tables() union all select count(*) from duckdb_views()"
    before = connection.execute(things).fetchall(), sorted(os.listdir(tmp_path)), sorted(os.listdir())
    run(connection, {"type": "expect_compound_columns_to_be_unique", "kwargs": {"column_list": ["key", "hash"]}})
    assert (connection.execute(things).fetchall(), sorted(os.listdir(tmp_path)), sorted(os.listdir())) == before


def test_each_validation_sees_its_own_connection_and_data(connection: duckdb.DuckDBPyConnection) -> None:
    count = {"type": "expect_table_row_count_to_equal", "kwargs": {"value": 100}}
    assert run(connection, count)[0].passed
    connection.execute("create or replace view audit.staged as select 'other' as word from range(5)")
    (found,) = run(connection, count)
    assert found.observed_value == 5
    assert one(connection, "expect_column_values_to_be_in_set", column="word", value_set=["other"]).passed
    with duckdb.connect() as other:
        other.execute("create schema audit; create view audit.staged as select range as n from range(3)")
        assert run(other, count)[0].observed_value == 3
    assert run(connection, count)[0].observed_value == 5


def test_no_expectations_no_outcomes(connection: duckdb.DuckDBPyConnection) -> None:
    assert validate(connection, "audit.staged", (), suite="core.t") == ()


@pytest.mark.parametrize(
    ("relation", "suite", "expected"),
    [
        ("audit.missing", "core.t", "no relation audit.missing"),
        ("staged", "core.t", "must be named schema.table"),
        ("audit.staged", "../core", "suite must be named"),
    ],
)
def test_names_that_cannot_be_used(
    connection: duckdb.DuckDBPyConnection, relation: str, suite: str, expected: str
) -> None:
    with pytest.raises(QualityError, match=expected):
        validate(connection, relation, grain_expectations(["sample_id"]), suite=suite)


def test_dagster_blocks_on_a_critical_failure(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rules = parse_expectations(
        [
            query("no_script", "select sample_id, caption from {batch} where caption like '<%'"),
            {
                "type": "expect_column_values_to_not_be_null",
                "kwargs": {"column": "caption"},
                "severity": "warning",
            },
        ],
        columns=["caption"],
        where="t.yml",
    )

    @dg.asset(check_specs=check_specs(dg.AssetKey("upstream"), rules))
    def upstream() -> Iterator[object]:
        yield dg.MaterializeResult()
        for outcome in validate(connection, "audit.staged", rules, suite="upstream"):
            yield check_result(outcome, asset_key=dg.AssetKey("upstream"))

    @dg.asset(deps=[upstream])
    def downstream() -> None: ...

    done = dg.materialize([upstream, downstream], raise_on_error=False)
    checks = {each.check_name: each for each in done.get_asset_check_evaluations()}
    assert not checks["no_script"].passed and not checks["caption_values_to_not_be_null"].passed
    assert checks["no_script"].metadata["sample"].records[0].data["sample_id"] == "7"
    assert not done.asset_materializations_for_node("downstream")
