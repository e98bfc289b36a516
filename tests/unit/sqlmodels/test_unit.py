"""The runner of given/expect tests finds what it should."""

from pathlib import Path

import pytest

from laionet_assets.sqlmodels.loader import Project, UnitTest, load_project
from laionet_assets.sqlmodels.parse import SqlModelError
from laionet_assets.sqlmodels.unit import run_unit_test

GIVEN = {"raw.animals": [{"animal": "cat", "legs": 4}, {"animal": "ant", "legs": 6}]}


def run(project: Project, **test: object) -> list[str]:
    fields = {"name": "t", "given": GIVEN, **test}
    return run_unit_test(project, project.models["core.legs"], UnitTest.model_validate(fields))


def test_passes_in_any_order_and_with_named_columns_only(folder: Path) -> None:
    project = load_project(folder)
    assert run(project, expect=[{"animal": "ant", "twice": 12}, {"animal": "cat", "twice": 8}]) == []
    assert run(project, expect=[{"twice": 8}, {"twice": 12}]) == []
    assert run(project, expect=[{"twice": 8}], where="animal = 'cat'") == []


def test_missing_extra_and_wrong_rows_are_differences(folder: Path) -> None:
    project = load_project(folder)
    assert run(project, expect=[{"animal": "cat", "twice": 8}]) == [
        "found, not expected: (animal, twice) = ('ant', 12)"
    ]
    assert run(project, expect=[{"twice": 8}, {"twice": 13}]) == [
        "expected, not found: (twice) = (13,)",
        "found, not expected: (twice) = (12,)",
    ]
    assert run(project, expect=[{"twice": 8}, {"twice": 12}, {"twice": 12}]) == ["expected, not found: (twice) = (12,)"]
    assert run(project, expect=[]) != []


def test_what_a_test_may_not_name(folder: Path) -> None:
    project = load_project(folder)
    with pytest.raises(SqlModelError, match="which the model does not read"):
        run(project, given={"raw.plants": []}, expect=[])
    with pytest.raises(SqlModelError, match=r"raw\.animals has no column wings"):
        run(project, given={"raw.animals": [{"wings": 2}]}, expect=[])
