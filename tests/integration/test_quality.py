"""Real Great Expectations over real DuckDB views on Parquet files."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from laionet_assets.quality.asset_checks import check_result, check_specs, describe_failures
from laionet_assets.quality.data_docs import DocsTarget
from laionet_assets.quality.expectations import Expectation, QualityError, grain_expectations, parse_expectations
from laionet_assets.quality.validate import Outcome, validate

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
pytestmark = pytest.mark.integration

COLUMNS = """
    i::bigint as sample_id,
    case when i % 2 = 0 then 'paper' else 'corrected' end as matching,
    case when i = 7 then '<script>alert(7)</script>' when i = 8 then null else 'caption ' || i end as caption,
    (i / 100.0)::float as similarity,
    null::varchar as nothing,
    ['n' || i] as wnids,
    [i, 1.0]::float[2] as embedding,
    {'x': i} as point,
    i::hugeint as hash,
    i::ubigint as key,
    ('00000000-0000-0000-0000-' || lpad(i::varchar, 12, '0'))::uuid as uid,
    date '2024-01-01' + i::integer as seen_at,
"""


def write(folder: Path, name: str, query: str) -> Path:
    path = folder / f"{name}.parquet"
    duckdb.connect().execute(f"copy ({query}) to '{path}'")
    return path


def view_of(staged: Path) -> str:
    """Parquet has neither HUGEINT (it becomes DOUBLE) nor arrays (they become lists): the view gives them back."""
    types = "hash::hugeint as hash, embedding::float[2] as embedding"
    return f"create view audit.staged as select * replace ({types}) from read_parquet('{staged}')"


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    staged = write(tmp_path, "staged", f"select {COLUMNS} from range(100) t(i)")
    candidates = write(tmp_path, "candidates", "select range::bigint as sample_id from range(100) where range <> 42")
    connection = duckdb.connect()
    connection.execute("create schema audit; create schema core")
    connection.execute(view_of(staged))
    connection.execute("create view audit.empty as from audit.staged where false")
    connection.execute(f"create view core.candidates as from read_parquet('{candidates}')")
    yield connection
    connection.close()


def run(connection: duckdb.DuckDBPyConnection, *raw: dict, relation: str = "audit.staged") -> tuple[Outcome, ...]:
    columns = [row[0] for row in connection.execute(f"describe {relation}").fetchall()]
    return validate(connection, relation, parse_expectations(raw, columns=columns, where="t.yml"), suite="core.t")


def one(connection: duckdb.DuckDBPyConnection, rule: str, relation: str = "audit.staged", **kwargs: object) -> Outcome:
    (outcome,) = run(connection, {"type": rule, "kwargs": kwargs}, relation=relation)
    return outcome


def query(name: str, text: str, severity: str = "critical") -> dict:
    return {"type": "unexpected_rows", "name": name, "query": text, "severity": severity}


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


def document(connection: duckdb.DuckDBPyConnection, root: Path, partition: str | None = None) -> tuple[Outcome, ...]:
    expectations = parse_expectations(
        [
            {"type": "expect_column_values_to_match_regex", "kwargs": {"column": "caption", "regex": "^caption"}},
            {"type": "expect_column_values_to_be_between", "kwargs": {"column": "hash", "minimum": 1}},
            query("all_are_candidates", "select * from {batch} anti join core.candidates using (sample_id)", "warning"),
            query("no_script", "select sample_id, caption from {batch} where caption like '<%'"),
            query("broken", "select nothing_like_it from {batch}"),
        ],
        columns=["caption", "hash", "sample_id"],
        where="sql/core/t.yml",
    ) + grain_expectations(["sample_id"])
    target = DocsTarget(root, "core.t", partition)
    return validate(connection, "audit.staged", expectations, suite="core.t", docs=target)


def test_the_page_shows_the_table_the_rules_and_the_failed_rows(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    outcomes = document(connection, tmp_path / "docs", "sample/part-00000")
    (page,) = {outcome.page for outcome in outcomes}
    text = page.read_text()
    for part in (
        "core.t / audit.staged / sample/part-00000",
        "no_script (critical)",
        "all_are_candidates (warning)",
        '<div class="show-scrollbars">42</div>',
        "values must match this regular expression: ",
        "&lt;script&gt;alert(7)&lt;/script&gt;",
        "extra fields not permitted",
        "nothing_like_it",
    ):
        assert part in text
    assert "<script>alert(7)" not in text
    site = tmp_path / "docs" / "core.t"
    home, suite = (page.parent / "../../../../../index.html"), site / "expectations" / "core" / "t.html"
    assert home.resolve() == (site / "index.html").resolve()
    assert "no_script" in suite.read_text() and 'href="../../../../../expectations/core/t.html"' in text
    assert "sample/part-00000" in home.read_text() and "core.t" in (tmp_path / "docs" / "index.html").read_text()
    assert "<td>2</td><td>1</td><td>4</td>" in home.read_text()


def test_nothing_of_a_caption_or_a_part_name_runs_in_a_browser(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    tag = '<img src="http://evil.example/x.png" onerror="document.title=1"><script>document.title=2</script>$x ${y}'
    rules = parse_expectations(
        [
            {"type": "expect_column_values_to_match_regex", "kwargs": {"column": "caption", "regex": "^fine"}},
            {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "caption", "value_set": ["fine"]}},
            query("rows", "select caption from {batch}"),
        ],
        columns=["caption"],
        where="sql/core/t.yml",
    )
    with duckdb.connect() as connection:
        connection.execute("create schema audit")
        connection.execute(
            "create table audit.staged as select unnest([?, '![x](http://evil.example/y)']) as caption", [tag]
        )
        target = DocsTarget(tmp_path / "docs", "core.t", f"web/{tag}")
        outcomes = validate(connection, "audit.staged", rules, suite="core.t", docs=target)
    (run,) = {outcome.page for outcome in outcomes}
    assert run is not None and "evil.example" in run.read_text()
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--headless"])
        page = browser.new_page()
        page.route("http*://**", lambda route: route.abort())
        page.on("request", lambda request: asked.append(request.url))
        for path in (run, tmp_path / "docs" / "core.t" / "index.html", tmp_path / "docs" / "index.html"):
            page.goto(path.as_uri(), wait_until="load")
            assert page.title() not in ("1", "2")
            assert page.locator("img[src*=evil]").count() == 0
        browser.close()
    assert len(asked) >= 3 and not [url for url in asked if "evil" in url.replace(run.as_uri(), "")]


def test_two_processes_may_validate_into_one_site(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    code = f"""
        import sys, duckdb
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import test_quality as t
        connection = duckdb.connect()
        connection.execute("create schema audit; create schema core")
        connection.execute(t.view_of({str(tmp_path / "staged.parquet")!r}))
        connection.execute("create view core.candidates as from read_parquet('{tmp_path}/candidates.parquet')")
        for part in range(4):
            t.document(connection, t.Path({str(tmp_path / "docs")!r}), f"other/part-{{part}}")
    """
    other = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stderr=subprocess.PIPE, text=True)
    part = 0
    while other.poll() is None or part < 4:
        document(connection, tmp_path / "docs", f"mine/part-{part % 4}")
        part += 1
        time.sleep(0.2)  # leave the processor to the other process
    assert other.returncode == 0, other.stderr.read() if other.stderr else ""
    site = tmp_path / "docs" / "core.t"
    index = (site / "index.html").read_text()
    assert all(f"{whose}/part-{part}" in index for whose in ("mine", "other") for part in range(4))
    links = re.findall(r'href="(validations[^"]+)"', index)
    assert links and all("</html>" in (site / link).read_text() for link in links)
    assert "<td>16</td><td>8</td><td>32</td><td>8</td>" in (tmp_path / "docs" / "index.html").read_text()


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


def test_a_page_with_vectors_and_long_captions_stays_small(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    connection.execute(
        "create view audit.wide as select range as n, repeat('word ', 12000) as caption, "
        "list_transform(range(2000), lambda x: x::float) as vector from range(50)"
    )
    rules = parse_expectations(
        [
            query("none", "select * from {batch}"),
            {"type": "expect_column_values_to_be_null", "kwargs": {"column": "vector"}},
            {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "caption", "value_set": ["a"]}},
        ],
        columns=["vector", "caption"],
        where="t.yml",
    )
    outcomes = validate(connection, "audit.wide", rules, suite="t", docs=DocsTarget(tmp_path / "docs", "t"))
    assert [outcome.unexpected for outcome in outcomes] == [50, 50, 50]
    assert outcomes[0].page is not None and outcomes[0].page.stat().st_size < 150_000
    assert "… 1,950 more" in outcomes[0].page.read_text()
    assert len(describe_failures(outcomes, table="t")) < 10_000
