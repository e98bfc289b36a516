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
    assert project.models["raw.animals"].select is None
    assert [macro.name for macro in project.macros_of(legs)] == ["doubled"]


def test_macros_may_use_macros_and_contain_semicolons(folder: Path) -> None:
    (folder / "core/legs.sql").write_text("select animal, quadrupled(legs) as twice from raw.animals where legs >= 1")
    project = load_project(folder)
    assert [macro.name for macro in project.macros_of(project.models["core.legs"])] == ["doubled", "quadrupled"]
    assert "'&amp;', ';'" in project.macros["entity"].statement


def test_code_version_covers_sql_macros_and_columns(folder: Path) -> None:
    def version() -> str:
        project = load_project(folder)
        return project.code_version(project.models["core.legs"])

    seen = [version()]
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
        (
            "core/legs.sql",
            "select animal, 1 as twice from raw.animals where legs > $least",
            r"core/legs\.sql: parameters: \$least; nothing gives them a value",
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


RULE = """
  - type: unexpected_rows
    name: nothing_unexpected
    query: "{query}"
"""
NOT_NULL = "  - {type: expect_column_values_to_not_be_null, kwargs: {column: twice}}\n"


def add_rule(folder: Path, query: str) -> None:
    path = folder / "core/legs.yml"
    path.write_text(path.read_text().replace(NOT_NULL, NOT_NULL.rstrip() + RULE.replace("{query}", query)))


def test_what_the_queries_of_checks_read_is_there_before(folder: Path) -> None:
    (folder / "macros/more.sql").write_text(
        "create macro most() as (select max(legs) from raw.plants);\ncreate macro limit_of() as 2 * most();"
    )
    for name in ("plants", "places"):
        (folder / f"raw/{name}.yml").write_text((folder / "raw/animals.yml").read_text())
    before = load_project(folder)
    add_rule(folder, "select * from {batch} anti join raw.places using (animal) where twice > limit_of()")
    project = load_project(folder)
    legs = project.models["core.legs"]
    assert legs.reads.tables == {"raw.animals"}
    assert legs.dependencies == {"raw.animals", "raw.places", "raw.plants"}
    assert [macro.name for macro in legs.check_macros] == ["most", "limit_of"]
    assert project.code_version(legs) == before.code_version(before.models["core.legs"]), "the rows stay the same"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("selec 1 from {batch}", r"core/legs\.yml, expectation 2 \(nothing_unexpected\): .*one bare SELECT"),
        (
            "select * from {batch} join animals using (animal)",
            r"nothing_unexpected\): tables without a schema: ani",
        ),
        ("select * from {batch} join raw.rocks using (animal)", r"legs\.yml: reads raw\.rocks, which is no table"),
        (
            "select * from {batch} join core.legs using (animal)",
            r"reads core\.legs; call the table under audit {b",
        ),
        ("select * from {batch}, marts.total", r"read each other: core\.legs -> marts\.total -> core\.legs"),
        ("select * from {batch} where twice > $least", r"nothing_unexpected\): parameters: \$least"),
    ],
)
def test_a_query_of_a_check_that_cannot_work_names_its_place(folder: Path, query: str, message: str) -> None:
    add_rule(folder, query)
    with pytest.raises(SqlModelError, match=message):
        load_project(folder)


def test_half_precision_is_for_floats(folder: Path) -> None:
    path = folder / "raw/animals.yml"
    text = path.read_text()
    path.write_text(text.replace("legs: {type: INTEGER", 'legs: {type: "FLOAT[]", precision: half'))
    assert [column.is_half for column in load_project(folder).tables["raw.animals"].columns] == [False, True]
    path.write_text(text.replace("legs: {type: INTEGER", "legs: {type: INTEGER, precision: half"))
    with pytest.raises(SqlModelError, match=r"raw/animals\.yml: precision: legs: half is for FLOAT and FLOAT"):
        load_project(folder)


def test_every_table_has_the_checks_of_its_grain_and_views_do_not(folder: Path) -> None:
    path = folder / "raw/animals.yml"
    path.write_text(path.read_text() + "materialized: view\n")
    models = load_project(folder).models
    assert [check.name for check in models["marts.total"].expectations] == ["grain_is_not_null", "grain_is_unique"]
    assert models["raw.animals"].expectations == ()


def test_severities_are_chosen_by_table_and_name(folder: Path) -> None:
    project = load_project(folder)
    chosen = project.with_severities({"core.legs": {"twice_values_to_not_be_null": "warning"}})
    legs = {check.name: check for check in chosen.models["core.legs"].expectations}
    assert {name: check.severity for name, check in legs.items()} == {
        "grain_is_not_null": "critical",
        "grain_is_unique": "critical",
        "twice_values_to_not_be_null": "warning",
    }
    assert legs["twice_values_to_not_be_null"].severity_in_words == "warning (laionet.yaml; was critical)"
    assert chosen.code_version(chosen.models["core.legs"]) == project.code_version(project.models["core.legs"])
    unchanged = project.with_severities({"core.legs": {"grain_is_unique": "critical"}})
    assert unchanged.models == project.models


def test_all_severities_that_cannot_be_chosen_are_named_at_once(folder: Path) -> None:
    path = folder / "core/legs.yml"
    path.write_text(path.read_text().replace("kwargs: {column: twice}", "kwargs: {column: twice}, protects: fish"))
    with pytest.raises(SqlModelError) as error:
        load_project(folder).with_severities(
            {
                "core.wings": {"grain_is_unique": "warning"},
                "core.legs": {"twice_is_null": "warning", "twice_values_to_not_be_null": "warning"},
            }
        )
    assert str(error.value).splitlines() == [
        "core.wings: no such table; expected one of: core.legs, marts.total, raw.animals",
        "core.legs.twice_is_null: no such check; expected one of: grain_is_not_null, grain_is_unique, "
        "twice_values_to_not_be_null",
        "core.legs.twice_values_to_not_be_null: found warning, but it stays critical: it protects fish",
    ]


def test_checks_that_look_at_removals_are_fixed() -> None:
    models = load_project().models
    fixed = {(name, check.name) for name, model in models.items() for check in model.expectations if check.protects}
    reading = {
        (name, check.name)
        for name, model in models.items()
        for check in model.expectations
        if name == "core.removals" or "core.removals" in str(check.kwargs.get("query"))
    }
    assert reading and reading <= fixed
    assert {name for name, _ in fixed} >= {"core.images", "core.selection_seen", "marts.removal_leftovers"}
