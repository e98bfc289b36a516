"""What makes a table stale: code, settings, what is outside."""

from dataclasses import replace
from pathlib import Path

import pytest

from laionet_assets.assets.steps import Work
from laionet_assets.warehouse.table import Column
from laionet_assets.warehouse.warehouse import Stamp, memory_connection
from tests.unit.assets.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_sql_and_python_code_make_stale(world: World) -> None:
    world.make(world.stale())
    world.more = 1
    assert {task.name for task in world.stale()} == {"core.part", "core.after", "marts.total"}
    world.make(world.stale())
    world.base = "2"
    assert {task.name for task in world.stale()} == {step.name for step in world.steps}


def test_published_rows_of_a_time_with_fewer_columns_are_read_with_those_of_today(world: World) -> None:
    world.make(world.stale())
    base = world.project.models["raw.base"]
    wider = replace(base.table, columns=(*base.table.columns, Column("vector", "FLOAT[]", "A column that came later.")))
    with memory_connection() as connection:
        work = Work(
            warehouse=world.warehouse, connection=connection, model=replace(base, table=wider), part=None,
            staged=world.warehouse.scratch / "staged", stamp=Stamp.of(""), log=print,
        )  # fmt: skip
        assert connection.sql(work.published_select).fetchall() == [(1, None)]
        never = replace(wider, name="raw.never")
        empty = connection.sql(replace(work, model=replace(base, table=never)).published_select)
        assert (empty.columns, empty.fetchall()) == (["n", "vector"], [])


def test_what_is_told_of_a_model_is_logged_and_kept_for_the_materialization(world: World) -> None:
    said: list[str] = []
    with memory_connection() as connection:
        work = Work(
            warehouse=world.warehouse, connection=connection, model=world.project.models["raw.base"], part=None,
            staged=world.warehouse.scratch / "staged", stamp=Stamp.of(""), log=said.append,
        )  # fmt: skip
        work.tell("minilm", "cpu, float32, 300 texts a second")
    assert said == ["minilm: cpu, float32, 300 texts a second"]
    assert work.told == {"minilm": "cpu, float32, 300 texts a second"}
