import duckdb
import pytest

from laionet_assets.errors import UserError
from laionet_assets.quality.expectations import (
    QualityError,
    check_name,
    grain_expectations,
    known_types,
    parse_expectations,
)

COLUMNS = ["matching", "sample_id", "lemma", "similarity"]
WHERE = "sql/core/caption_matches.yml"


def parse(*entries: object) -> tuple:
    return parse_expectations(list(entries), columns=COLUMNS, where=WHERE)


def message(*entries: object) -> str:
    with pytest.raises(QualityError) as caught:
        parse(*entries)
    return str(caught.value)


def test_an_entry_becomes_an_expectation() -> None:
    (found,) = parse(
        {
            "type": "expect_column_values_to_be_in_set",
            "kwargs": {"column": "matching", "value_set": ["paper", "corrected"]},
            "severity": "warning",
            "description": "the two\n  profiles",
        }
    )
    assert found.name == "matching_values_to_be_in_set"
    assert found.type == "expect_column_values_to_be_in_set"
    assert found.kwargs == {"column": "matching", "value_set": ["paper", "corrected"]}
    assert found.severity == "warning" and not found.is_critical
    assert found.description == "the two profiles"
    assert found.where == f"{WHERE}, expectation 1"


def test_severity_is_critical_unless_stated() -> None:
    (found,) = parse({"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}})
    assert found.is_critical
    assert found.name == "table_row_count_to_be_between"


def test_order_and_place_are_kept() -> None:
    first, second = parse(
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "lemma"}},
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "similarity"}},
    )
    assert (first.name, second.name) == ("lemma_values_to_not_be_null", "similarity_values_to_not_be_null")
    assert second.where.endswith("expectation 2")


def test_a_query_keeps_its_text_but_for_the_last_semicolon() -> None:
    (found,) = parse(
        {"type": "unexpected_rows", "name": "no_empty_lemma", "query": "select * from {batch}\nwhere lemma = '';\n"}
    )
    assert found.kwargs == {"query": "select * from {batch}\nwhere lemma = ''"}
    assert found.rule() == "select * from {batch} where lemma = ''"


@pytest.mark.parametrize(
    ("type_", "kwargs", "name"),
    [
        ("expect_column_values_to_be_unique", {"column": "Sample ID"}, "sample_id_values_to_be_unique"),
        (
            "expect_column_pair_values_to_be_equal",
            {"column_A": "a", "column_B": "b"},
            "a_b_pair_values_to_be_equal",
        ),
        (
            "expect_compound_columns_to_be_unique",
            {"column_list": ["a", "b"]},
            "a_b_compound_columns_to_be_unique",
        ),
        ("expect_column_values_to_be_null", {"column": "1st"}, "check_1st_values_to_be_null"),
    ],
)
def test_derived_names(type_: str, kwargs: dict, name: str) -> None:
    assert check_name(type_, kwargs) == name


def test_known_types_are_those_of_great_expectations_itself() -> None:
    assert {"expect_column_values_to_not_be_null", "expect_column_quantile_values_to_be_between"} <= known_types()
    assert len(known_types()) > 50


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("a text", "must be a mapping with the key `type`, found str 'a text'"),
        ({"kwargs": {}}, "`type` must name an expectation"),
        (
            {"type": "expect_column_values_to_be_in_sett", "kwargs": {}},
            "unknown type 'expect_column_values_to_be_in_sett'; did you mean 'expect_column_values_to_be_in_set'?",
        ),
        (
            {"type": "expect_table_row_count_to_equal", "kwarg": {"value": 1}},
            "unknown key 'kwarg'; known for expect_table_row_count_to_equal: "
            "description, kwargs, name, protects, severity, type",
        ),
        (
            {"type": "expect_table_row_count_to_equal", "severity": "fatal"},
            "unknown severity 'fatal'; expected critical or warning",
        ),
        (
            {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "lema"}},
            "the table has no column 'lema'; did you mean 'lemma'?",
        ),
        (
            {"type": "expect_column_pair_values_to_be_equal", "kwargs": {"column_A": "lemma", "column_B": "width"}},
            "the table has no column 'width'",
        ),
        (
            {"type": "expect_compound_columns_to_be_unique", "kwargs": {"column_list": ["lemma", "height"]}},
            "the table has no column 'height'",
        ),
        ({"type": "expect_table_row_count_to_equal", "kwargs": [1]}, "`kwargs` must be a mapping"),
        ({"type": "expect_table_row_count_to_equal", "name": "Row count"}, "must be lower snake case"),
        ({"type": "expect_table_row_count_to_equal", "name": "grain_is_unique"}, "taken by the check of the table's"),
        ({"type": "unexpected_rows", "query": "from {batch}"}, "needs a `name`"),
        ({"type": "unexpected_rows", "name": "a"}, "needs a `query`"),
        (
            {"type": "unexpected_rows", "name": "a", "query": "from core.x"},
            "must read the table under audit as {batch}",
        ),
        ({"type": "unexpected_rows", "name": "a", "query": "from {batch}", "kwargs": {}}, "unknown key 'kwargs'"),
    ],
)
def test_a_mistake_names_file_entry_and_what_is_wrong(entry: object, expected: str) -> None:
    good = {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}}
    text = message(good, entry)
    assert text.startswith(WHERE)
    assert "expectation 2: " in text and "expectation 1: " not in text
    assert expected in text


def test_one_message_lists_all_mistakes() -> None:
    text = message(
        {"type": "expect_nothing", "severity": "fatal"},
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "width"}, "colour": 1},
    )
    for part in ("unknown type 'expect_nothing'", "unknown severity 'fatal'", "unknown key 'colour'", "'width'"):
        assert part in text
    assert "4 mistake(s)" in text


def test_two_checks_of_one_name_are_a_mistake() -> None:
    entry = {"type": "expect_column_values_to_be_between", "kwargs": {"column": "similarity", "max_value": 1}}
    text = message(entry, {"type": "expect_table_row_count_to_be_between"}, entry)
    assert "2 expectations are named 'similarity_values_to_be_between' (1, 3); give each its own `name`" in text


def test_errors_are_the_users() -> None:
    assert issubclass(QualityError, UserError)
    with pytest.raises(QualityError, match="must be a list of mappings"):
        parse_expectations({"type": "x"}, columns=COLUMNS, where=WHERE)  # type: ignore[arg-type]


def rows_of(name: str, grain: list[str], table: str) -> set[tuple]:
    connection = duckdb.connect()
    connection.execute(f"create table t as {table}")
    (query,) = [each.kwargs["query"] for each in grain_expectations(grain) if each.name == name]
    return set(connection.execute(query.replace("{batch}", "t")).fetchall())


def test_grain_is_unique_returns_each_key_that_occurs_twice() -> None:
    table = "from (values ('a', 1, 'x'), ('a', 1, 'y'), ('a', 2, 'x'), ('b', null, 'x'), ('b', null, 'z')) t(k, n, v)"
    assert rows_of("grain_is_unique", ["k", "n"], table) == {("a", 1, 2), ("b", None, 2)}
    assert rows_of("grain_is_unique", ["k", "n", "v"], table) == set()


def test_grain_is_not_null_returns_keys_with_a_null() -> None:
    table = 'from (values (1, 2), (1, null), (null, null)) t(k, "order")'
    assert rows_of("grain_is_not_null", ["k", "order"], table) == {(1, None), (None, None)}
    assert rows_of("grain_is_not_null", ["k"], table) == {(None,)}


def test_grain_checks_are_critical_and_say_where() -> None:
    checks = grain_expectations(["k"], where=WHERE)
    assert {each.name for each in checks} == {"grain_is_unique", "grain_is_not_null"}
    assert all(each.is_critical and each.where == f"{WHERE}, grain" for each in checks)
    with pytest.raises(QualityError, match="grain of no columns"):
        grain_expectations([], where=WHERE)
