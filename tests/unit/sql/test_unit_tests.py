"""Runs the given/expect tests that are written in the yml beside each SQL model."""

import pytest

from laionet_assets.sqlmodels.binding import check_columns
from laionet_assets.sqlmodels.loader import Model, UnitTest, load_project
from laionet_assets.sqlmodels.unit import run_unit_test

PROJECT = load_project()
CASES = [(model, test) for model in PROJECT.models.values() for test in model.unit_tests]


@pytest.mark.parametrize(("model", "test"), CASES, ids=[f"{model.name}-{test.name}" for model, test in CASES])
def test_given_rows_give_expected_rows(model: Model, test: UnitTest) -> None:
    assert run_unit_test(PROJECT, model, test) == []


def test_every_sql_model_has_unit_tests() -> None:
    untested = [model.name for model in PROJECT.models.values() if model.select is not None and not model.unit_tests]
    assert untested == []


def test_models_produce_the_columns_they_document() -> None:
    assert check_columns(PROJECT) == []
