"""What makes a table stale: code, settings, what is outside."""

from pathlib import Path

import pytest

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
