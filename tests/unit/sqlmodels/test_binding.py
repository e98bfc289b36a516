"""Documented against produced columns, without data."""

import re
from pathlib import Path

import pytest

from laionet_assets.sqlmodels.binding import assert_columns, check_columns, check_expectations, column_differences
from laionet_assets.sqlmodels.loader import load_project
from laionet_assets.sqlmodels.parse import SqlModelError


def test_models_that_agree_with_their_documentation(folder: Path) -> None:
    assert check_columns(load_project(folder)) == []


def test_every_difference_is_named(folder: Path) -> None:
    (folder / "core/legs.sql").write_text(
        "select animal, legs::double as twice, 1 as extra from raw.animals where legs >= 1"
    )
    path = folder / "core/legs.yml"
    path.write_text(path.read_text().replace("expectations:", "  gone: {type: DATE, description: d}\nexpectations:"))
    assert check_columns(load_project(folder))[:3] == [
        "core/legs.yml: column gone: documented, but not produced",
        "core/legs.yml: column extra (INTEGER): produced, but not documented",
        "core/legs.yml: column twice: documented as INTEGER, produced as DOUBLE",
    ]


def test_sql_that_does_not_bind(folder: Path) -> None:
    (folder / "core/legs.sql").write_text("select animal, wings as twice from raw.animals")
    assert "wings" in check_columns(load_project(folder))[0]


ROWS = "{type: unexpected_rows, name: a, query: "
CANNOT_RUN = {
    ROWS + '"select wings from {batch}"}': r"core/legs\.yml, expectation 1 \(a\): .*wings",
    ROWS + '"select * from {batch} join raw.animals a using (animal) where a.leg > 2"}': r"\(a\): .*leg",
    ROWS + '"select quadruple(twice) from {batch}"}': r"\(a\): .*quadruple",
    "{type: expect_column_values_to_be_in_set, kwargs: {column: twice, vlaue_set: [1]}}": r"in_set\): .*vlaue_set",
    "{type: expect_column_values_to_match_regex, kwargs: {column: animal, regex: '('}}": r"match_regex\): .*missing \)",
}


@pytest.mark.integration
@pytest.mark.parametrize(("rule", "message"), CANNOT_RUN.items())
def test_a_check_that_cannot_run_is_found_without_data(folder: Path, rule: str, message: str) -> None:
    assert check_expectations(load_project(folder)) == []
    path = folder / "core/legs.yml"
    written = "{type: expect_column_values_to_not_be_null, kwargs: {column: twice}}"
    path.write_text(path.read_text().replace(written, rule))
    (problem,) = check_expectations(load_project(folder))
    assert re.search(message, problem), problem


@pytest.mark.integration
def test_the_checks_of_this_repository_can_run() -> None:
    assert check_expectations(load_project()) == []


def test_columns_of_a_file(folder: Path) -> None:
    table = load_project(folder).tables["raw.animals"]
    assert column_differences(table, [("legs", "INTEGER"), ("animal", "VARCHAR")]) == []
    with pytest.raises(SqlModelError, match="here: column legs: documented, but not produced"):
        assert_columns(table, [("animal", "VARCHAR")], where="here")
