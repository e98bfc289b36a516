"""Models, macros and code versions of a `sql` folder."""

from pathlib import Path

import pytest

from laionet_assets.sqlmodels.loader import load_project
from laionet_assets.sqlmodels.parse import SqlModelError


def test_models_know_what_they_read(folder: Path) -> None:
    project = load_project(folder)
    assert [model.name for model in project.in_order()] == ["raw.animals", "core.legs", "marts.total"]
    legs = project.models["core.legs"]
    assert legs.dependencies == {"raw.animals"}
    assert legs.reads.parameters == {"least"}
    assert project.models["raw.animals"].select is None
    assert [macro.name for macro in project.macros_of(legs)] == ["doubled"]


def test_macros_may_use_macros_and_contain_semicolons(folder: Path) -> None:
    (folder / "core/legs.sql").write_text(
        "select animal, quadrupled(legs) as twice from raw.animals where legs >= $least"
    )
    project = load_project(folder)
    assert [macro.name for macro in project.macros_of(project.models["core.legs"])] == ["doubled", "quadrupled"]
    assert "'&amp;', ';'" in project.macros["entity"].statement


def test_code_version_covers_sql_macros_parameters_and_columns(folder: Path) -> None:
    def version(least: int = 1) -> str:
        project = load_project(folder)
        return project.code_version(project.models["core.legs"], {"least": least, "unused": 3})

    seen = [version(), version(least=2)]
    assert version() == seen[0]
    for name, old, new in (
        ("macros/zoo.sql", "x * 2", "x * 3"),
        ("core/legs.sql", ">=", ">"),
        ("core/legs.yml", "twice: {type: INTEGER", "twice: {type: BIGINT"),
    ):
        path = folder / name
        path.write_text(path.read_text().replace(old, new))
        seen.append(version())
    (folder / "macros/other.sql").write_text("create macro unrelated(x) as x;")
    (folder / "core/legs.yml").write_text((folder / "core/legs.yml").read_text().replace("Name.", "The name."))
    assert version() == seen[-1]
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("core/legs.yml", "description: d", "core/legs.yml: group: Field required"),
        ("core/legs.yml", "description: [", "core/legs.yml: not readable as YAML"),
        ("core/lonely.sql", "select 1 as i", r"lonely\.sql: no lonely\.yml beside it"),
        (
            "core/legs.sql",
            "select animal, 1 as twice from raw.plants",
            r"legs\.yml: reads raw\.plants, which is no table",
        ),
        (
            "raw/animals.sql",
            "select animal, 1 as legs from core.legs",
            "read each other: core.legs -> raw.animals -> core.legs",
        ),
        ("macros/bad.sql", "select 1;", r"bad\.sql: expected `create macro"),
        ("macros/twice.sql", "create macro doubled(x) as x;", "the macro doubled is defined twice"),
    ],
)
def test_each_mistake_names_its_file(folder: Path, name: str, text: str, message: str) -> None:
    (folder / name).write_text(text)
    with pytest.raises(SqlModelError, match=message):
        load_project(folder)


def test_unknown_keys_and_a_grain_that_is_no_column(folder: Path) -> None:
    path = folder / "core/legs.yml"
    path.write_text(path.read_text().replace("grain: [animal]", "grain: [animal, species]"))
    with pytest.raises(SqlModelError, match="grain: species is not among the columns"):
        load_project(folder)
    path.write_text(path.read_text() + "\nexpectation: []\n")
    with pytest.raises(SqlModelError, match="expectation: Extra inputs are not permitted"):
        load_project(folder)


def test_the_sql_of_this_repository_loads() -> None:
    project = load_project()
    assert {"core.caption_matches", "core.laionet", "marts.funnel"} <= project.models.keys()
