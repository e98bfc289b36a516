"""Documented against produced columns, without data."""

from pathlib import Path

import pytest

from laionet_assets.sqlmodels.check import assert_columns, check_columns, column_differences
from laionet_assets.sqlmodels.loader import load_project
from laionet_assets.sqlmodels.parse import SqlModelError


def test_models_that_agree_with_their_documentation(folder: Path) -> None:
    assert check_columns(load_project(folder), {"least": 1}) == []


def test_every_difference_is_named(folder: Path) -> None:
    (folder / "core/legs.sql").write_text(
        "select animal, legs::double as twice, 1 as extra from raw.animals where legs >= $least"
    )
    path = folder / "core/legs.yml"
    path.write_text(path.read_text().replace("expectations:", "  gone: {type: DATE, description: d}\nexpectations:"))
    assert check_columns(load_project(folder), {"least": 1})[:3] == [
        "core/legs.yml: column gone: documented, but not produced",
        "core/legs.yml: column extra (INTEGER): produced, but not documented",
        "core/legs.yml: column twice: documented as INTEGER, produced as DOUBLE",
    ]


def test_sql_that_does_not_bind_and_parameters_without_a_value(folder: Path) -> None:
    assert "parameters without a value: $least" in check_columns(load_project(folder), {})[0]
    (folder / "core/legs.sql").write_text("select animal, wings as twice from raw.animals")
    assert "wings" in check_columns(load_project(folder), {})[0]


def test_columns_of_a_file(folder: Path) -> None:
    table = load_project(folder).tables["raw.animals"]
    assert column_differences(table, [("legs", "INTEGER"), ("animal", "VARCHAR")]) == []
    with pytest.raises(SqlModelError, match="here: column legs: documented, but not produced"):
        assert_columns(table, [("animal", "VARCHAR")], where="here")
