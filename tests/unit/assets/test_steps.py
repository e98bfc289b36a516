"""What is out of date, and in which order it is made."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from laionet_assets.assets.planning import Task, phases, stale_tasks
from laionet_assets.assets.publishing import make
from laionet_assets.assets.steps import Step, Work, sql_step
from laionet_assets.sqlmodels.loader import Project, load_project
from laionet_assets.warehouse.lake import Lake
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import MissingTableError, Warehouse, memory_connection

A, B = PartKey("s", "a"), PartKey("s", "b")

YML = """
description: One row per n.
group: g
grain: [n]
partitioned: {partitioned}
columns: {{n: {{type: INTEGER, description: n}}}}
"""
MODELS = {
    "raw/base": (None, False),
    "core/part": ("select n + {more} as n from raw.base", True),
    "core/after": ("select n from core.part", True),
    "marts/total": ("select sum(n)::int as n from core.after", False),
    "marts/other": ("select n from raw.base", False),
}


class World:
    """A project of five tables, and what its base holds."""

    def __init__(self, folder: Path) -> None:
        for name, (select, is_partitioned) in MODELS.items():
            path = folder / "sql" / f"{name}.yml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(YML.format(partitioned=str(is_partitioned).lower()))
            if select:
                path.with_suffix(".sql").write_text(select.format(more=0))
        self.folder = folder / "sql"
        self.warehouse = Warehouse(
            lake=Lake(str(folder / "lake")), tables=self.project.tables, connect=memory_connection, docs=folder / "docs"
        )
        self.base = "1"
        self.contents = {A: "a1", B: "b1"}

    @property
    def project(self) -> Project:
        return load_project(self.folder)

    def add_to_parts(self, more: int) -> None:
        """Edit the SQL of core.part."""
        (self.folder / "core/part.sql").write_text(str(MODELS["core/part"][0]).format(more=more))

    @property
    def steps(self) -> Sequence[Step]:
        def write(work: Work) -> None:
            work.write_rows([{"n": int(self.base)}])

        made = []
        for model in self.project.in_order():
            if model.select is None:
                made.append(Step(model=model, code_version=self.base, write=write))
                continue
            step = sql_step(self.project, model)
            if model.name == "core.part":
                step = replace(step, outside=lambda warehouse, part: self.contents[part])
            made.append(step)
        return made

    def stale(self, **options: object) -> list[Task]:
        return stale_tasks(self.warehouse, self.steps, [A, B], **options)

    def make(self, tasks: Sequence[Task]) -> None:
        steps = {step.name: step for step in self.steps}
        for task in tasks:
            assert make(self.warehouse, steps[task.name], task.part, log=lambda text: None).is_published


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_everything_is_made_once_in_order(world: World) -> None:
    tasks = world.stale()
    assert [task.name for task in tasks] == [
        "raw.base", "core.part", "core.part", "core.after", "core.after", "marts.other", "marts.total"
    ]  # fmt: skip
    world.make(tasks)
    assert world.stale() == []
    assert len(world.stale(force=True)) == 7


def test_a_changed_part_costs_its_own_work_and_what_reads_all_parts(world: World) -> None:
    world.make(world.stale())
    world.contents[B] = "b2"
    assert world.stale() == [Task("core.part", B), Task("core.after", B), Task("marts.total", None)]


def test_a_new_part_costs_its_own_work_and_what_reads_all_parts(world: World) -> None:
    steps, everything = world.steps, world.stale()
    world.make([task for task in everything if task.part != B])
    again = stale_tasks(world.warehouse, steps, [A, B])
    assert again == [Task("core.part", B), Task("core.after", B), Task("marts.total", None)]


def test_sql_and_python_code_make_stale(world: World) -> None:
    world.make(world.stale())
    world.add_to_parts(1)
    assert {task.name for task in world.stale()} == {"core.part", "core.after", "marts.total"}
    world.make(world.stale())
    world.base = "2"
    assert {task.name for task in world.stale()} == {step.name for step in world.steps}


def test_a_lost_file_is_made_again(world: World) -> None:
    world.make(world.stale())
    Path(world.warehouse.lake.path(world.warehouse.table("core.after"), A)).unlink()
    assert world.stale() == [Task("core.after", A), Task("marts.total", None)]


def test_selection_takes_no_more_than_it_names(world: World) -> None:
    assert [task.name for task in world.stale(names={"raw.base", "marts.other"})] == ["raw.base", "marts.other"]


def test_reading_what_is_not_there_says_how_to_make_it(world: World) -> None:
    steps = {step.name: step for step in world.steps}
    with pytest.raises(
        MissingTableError, match=r"core\.part reads raw\.base, not there yet for the part s/a.*laionet run"
    ):
        make(world.warehouse, steps["core.part"], A, log=lambda text: None)


def test_runs_of_a_phase_do_not_depend_on_each_other(world: World) -> None:
    assert phases(world.stale(), world.steps) == [
        [(None, ["raw.base", "marts.other"])],
        [(A, ["core.part", "core.after"]), (B, ["core.part", "core.after"])],
        [(None, ["marts.total"])],
    ]


def test_what_is_due_is_made_again_and_others_follow_only_if_it_came_out_otherwise(world: World) -> None:
    answers = {A: "1", B: "1"}
    due: set[PartKey] = set()

    def write(work: Work) -> None:
        answer = answers[work.part]
        work.write_rows([{"n": int(answer)}], content=answer)

    def steps() -> list[Step]:
        return [
            replace(step, write=write, is_due=lambda warehouse, part: part in due) if step.name == "core.part" else step
            for step in world.steps
        ]

    def stale() -> list[Task]:
        return stale_tasks(world.warehouse, steps(), [A, B])

    def make_all(tasks: Sequence[Task]) -> None:
        by_name = {step.name: step for step in steps()}
        for task in tasks:
            assert make(world.warehouse, by_name[task.name], task.part, log=lambda text: None).is_published

    make_all(stale())
    assert stale() == []
    due.add(B)
    assert stale() == [Task("core.part", B), Task("core.after", B), Task("marts.total", None)]
    make_all(stale()[:1])
    due.clear()
    assert stale() == []
    answers[B] = "2"
    make_all([Task("core.part", B)])
    assert stale() == [Task("core.after", B), Task("marts.total", None)]
