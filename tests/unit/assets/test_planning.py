"""What is out of date, and in which order it is made."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from laionet_assets.assets.planning import Task, is_stale, kept_back, never_made, phases, stale_tasks
from laionet_assets.assets.publishing import make, standing
from laionet_assets.assets.steps import Step
from laionet_assets.errors import UserError
from laionet_assets.warehouse.rows import write_table
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Stamp, Warehouse
from tests.unit.assets.world import A, B, World

BACK_AND_FORTH = {
    "raw/base": (None, False),
    "core/part": ("select n + {more} as n from raw.base", True),
    "core/all": ("select sum(n)::int as n from core.part", False),
    "core/share": ("select n from core.part union select n + 100 from core.all", True),
    "marts/total": ("select sum(n)::int as n from core.share", False),
    "marts/other": ("select n from raw.base", False),
}
"""A by-part table that reads a table over all parts, which reads a by-part table."""


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


def test_a_lost_file_is_made_again(world: World) -> None:
    world.make(world.stale())
    Path(world.warehouse.lake.path(world.warehouse.table("core.after"), A)).unlink()
    assert world.stale() == [Task("core.after", A), Task("marts.total", None)]


def test_selection_takes_no_more_than_it_names(world: World) -> None:
    assert [task.name for task in world.stale(names={"raw.base", "marts.other"})] == ["raw.base", "marts.other"]


def test_runs_of_a_phase_do_not_depend_on_each_other(world: World) -> None:
    assert phases(world.stale(), world.steps) == [
        [(None, ["raw.base"])],
        [(A, ["core.part", "core.after"]), (B, ["core.part", "core.after"]), (None, ["marts.other"])],
        [(None, ["marts.total"])],
    ]


def test_a_part_may_read_a_table_over_all_parts(tmp_path: Path) -> None:
    world = World(tmp_path, BACK_AND_FORTH)
    assert phases(world.stale(), world.steps) == [
        [(None, ["raw.base"])],
        [(A, ["core.part"]), (B, ["core.part"]), (None, ["marts.other"])],
        [(None, ["core.all"])],
        [(A, ["core.share"]), (B, ["core.share"])],
        [(None, ["marts.total"])],
    ]
    for phase in phases(world.stale(), world.steps):
        world.make([Task(name, part) for part, names in phase for name in names])
    assert world.stale() == []
    with world.warehouse.connect() as connection:
        total = connection.execute(f"from ({world.warehouse.select('marts.total')})").fetchall()
    assert total == [(2 * (1 + 102),)]
    world.contents[B] = "b2"
    assert [str(task) for task in world.stale()] == [
        "core.part s/b", "core.all", "core.share s/a", "core.share s/b", "marts.total"
    ]  # fmt: skip


def test_what_failed_keeps_back_what_reads_it_and_nothing_else(tmp_path: Path) -> None:
    world = World(tmp_path, BACK_AND_FORTH)
    tasks, broken = world.stale(), Task("core.part", A)
    kept = kept_back(tasks, world.steps, {broken: "why"})
    assert [str(task) for task in kept] == [
        "core.part s/a", "core.all", "core.share s/a", "core.share s/b", "marts.total"
    ]  # fmt: skip
    assert set(kept.values()) == {"why"}
    assert kept_back(tasks, world.steps, {Task("marts.other", None): "why"}) == {Task("marts.other", None): "why"}
    assert kept_back(tasks, world.steps, {}) == {}
    first, second = Task("core.share", A), Task("core.share", B)
    both = kept_back(tasks, world.steps, {first: "first", second: "second"})
    assert both == {first: "first", second: "second", Task("marts.total", None): "first"}


def test_a_part_of_which_nothing_could_be_made_keeps_back_nothing_but_itself(tmp_path: Path) -> None:
    world = World(tmp_path, BACK_AND_FORTH)
    tasks, broken = world.stale(), [Task("core.part", B)]
    assert never_made(world.warehouse, world.steps, broken) == set(), "nothing is there at all"
    world.make([Task("raw.base", None), Task("core.part", A)])
    assert never_made(world.warehouse, world.steps, broken) == {B}
    assert never_made(world.warehouse, world.steps, [Task("core.part", A), Task("marts.other", None)]) == set()
    kept = kept_back(tasks, world.steps, dict.fromkeys(broken), without={B})
    assert [str(task) for task in kept] == ["core.part s/b", "core.share s/b"]
    world.make([Task("core.part", B)])
    assert never_made(world.warehouse, world.steps, [Task("core.share", B)]) == set(), "something of it is there"


def test_a_table_that_is_asked_for_alone_looks_at_what_is_published(world: World) -> None:
    steps = {step.name: step for step in world.steps}
    assert is_stale(world.warehouse, steps["core.after"], A)
    world.make(world.stale())
    assert not is_stale(world.warehouse, steps["core.after"], A)
    world.contents[A] = "a2"
    assert is_stale(world.warehouse, steps["core.part"], A)
    assert not is_stale(world.warehouse, steps["core.part"], B)
    assert not is_stale(world.warehouse, steps["core.after"], A), "it is made of what is published"
    assert not is_stale(world.warehouse, steps["marts.total"], None)
    world.make([Task("core.part", A)])
    assert is_stale(world.warehouse, steps["core.after"], A)


def test_what_cannot_be_used_outside_fails_when_it_is_made_and_not_the_plan(world: World) -> None:
    world.make(world.stale())

    def broken(warehouse: Warehouse, part: PartKey | None) -> str:
        if part == A:
            raise UserError("the list cannot be read")
        return world.contents[B]

    steps = [replace(step, outside=broken) if step.name == "core.part" else step for step in world.steps]
    tasks = stale_tasks(world.warehouse, steps, [A, B])
    assert tasks == [Task("core.part", A), Task("core.after", A), Task("marts.total", None)]
    step = next(step for step in steps if step.name == "core.part")
    with pytest.raises(UserError, match="the list cannot be read"):
        make(world.warehouse, step, A, log=print)


class Web:
    """What the world answers to core.part, and the parts whose time has come to be asked again."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.answers = {A: "1", B: "1"}
        self.due: set[PartKey] = set()
        self.looks = 0

    @property
    def steps(self) -> list[Step]:
        def write(work: object) -> None:

            answer = self.answers[work.part]  # type: ignore[attr-defined]
            work.write_rows([{"n": int(answer)}], content=answer)  # type: ignore[attr-defined]

        def due(warehouse: Warehouse, parts: Sequence[PartKey | None]) -> set[PartKey | None]:
            self.looks += 1
            return self.due & set(parts)

        return [replace(step, write=write, due=due) if step.name == "core.part" else step for step in self.world.steps]

    def stale(self, **options: object) -> list[Task]:
        return stale_tasks(self.world.warehouse, self.steps, [A, B], **options)

    def make(self, tasks: Sequence[Task]) -> None:
        by_name = {step.name: step for step in self.steps}
        for task in tasks:
            assert make(self.world.warehouse, by_name[task.name], task.part, log=lambda text: None).is_published


def test_what_is_due_is_made_again_and_others_follow_only_if_it_came_out_otherwise(world: World) -> None:
    web = Web(world)
    web.make(web.stale())
    assert web.stale() == []
    web.due.add(B)
    assert web.stale() == [Task("core.part", B), Task("core.after", B), Task("marts.total", None)]
    assert web.stale(with_due=False) == []
    assert is_stale(world.warehouse, next(step for step in web.steps if step.name == "core.part"), B)
    web.make(web.stale()[:1])
    web.due.clear()
    assert web.stale() == []
    web.answers[B] = "2"
    web.make([Task("core.part", B)])
    assert web.stale() == [Task("core.after", B), Task("marts.total", None)]


def test_what_is_due_is_asked_once_for_all_parts(world: World) -> None:
    web = Web(world)
    web.stale()
    assert web.looks == 1


def test_what_is_overtaken_is_made_again(world: World) -> None:
    world.make(world.stale())
    steps = [
        replace(step, is_overtaken=lambda warehouse: True) if step.name == "marts.other" else step
        for step in world.steps
    ]
    assert stale_tasks(world.warehouse, steps, [A, B], with_due=False) == [Task("marts.other", None)]


def test_of_parts_whose_file_is_gone_what_needs_no_file_follows(tmp_path: Path) -> None:
    models = {
        "raw/parts": (None, True),
        "core/part": ("select n from raw.parts", True),
        "core/after": ("select n + {more} as n from core.part", True),
    }
    world = World(tmp_path, models)
    world.contents = {A: "a1", B: "b1"}
    world.make(world.stale())
    world.more = 1
    world.contents[B] = "b2"
    sealed = stale_tasks(world.warehouse, world.steps, [A], sealed=[B])
    assert sealed == [Task("core.after", A), Task("core.after", B)]


def test_planning_is_linear_in_parts(tmp_path: Path) -> None:
    """Looks at files and questions to the outside, of ten times the parts: ten times as many, not a hundred."""
    counts = []
    for parts in (10, 100):
        world = World(tmp_path / str(parts))
        keys = [PartKey("s", f"p{number:03d}") for number in range(parts)]
        world.contents = dict.fromkeys(keys, "x")
        steps = {step.name: step for step in world.steps}
        for name, part in [("raw.base", None), *(("core.part", key) for key in keys)]:
            table = world.warehouse.table(name)
            with world.warehouse.lake.stage(table, part) as staged:
                write_table(staged.path, table, [{"n": 1}], stamps=Stamp.of("v").metadata)
                world.warehouse.lake.publish(staged)
        looks = _Looks()
        world.warehouse.lake.current = looks.counted(world.warehouse.lake.current)  # type: ignore[method-assign]
        world.warehouse.lake.exists = looks.counted(world.warehouse.lake.exists)  # type: ignore[method-assign]
        world.warehouse.lake.parts = looks.counted(world.warehouse.lake.parts)  # type: ignore[method-assign]
        assert len(stale_tasks(world.warehouse, list(steps.values()), keys)) == 3 + 2 * parts
        counts.append(looks.made)
    assert counts[1] <= 10 * counts[0], counts


class _Looks:
    """Counts what is looked at: calls, or what they list."""

    def __init__(self) -> None:
        self.made = 0

    def counted(self, function: object) -> object:
        def count(*arguments: object) -> object:
            found = function(*arguments)  # type: ignore[operator]
            self.made += len(found) if isinstance(found, list) else 1
            return found

        return count


RULE = """
expectations:
  - {{type: unexpected_rows, name: small, severity: {severity}, query: "select n from {{batch}} where n > {most}"}}
"""


def test_a_rule_that_is_new_or_other_is_asked_of_what_is_there_and_nothing_follows(world: World) -> None:
    world.make(world.stale())
    path = world.project.folder / "core/part.yml"
    plain = path.read_text()

    def rule(severity: str = "warning", most: int = 0) -> World:
        path.write_text(plain + RULE.format(severity=severity, most=most))
        world.more = 0
        return world

    def audit(task: Task) -> bool:
        (step,) = [step for step in world.steps if step.name == task.name]
        return standing(world.warehouse, step, task.part, log=lambda text: None).is_published

    asked = rule().stale()
    assert asked == [Task("core.part", A), Task("core.part", B)] and all(task.is_audit for task in asked)
    before = files_of(world)
    assert [audit(task) for task in asked] == [True, True], "warnings"
    assert world.stale() == [] and files_of(world) == before

    assert rule(most=7).stale() == asked
    assert [audit(task) for task in asked] == [True, True]
    assert rule("critical", most=7).stale() == [], "all rows keep it, whatever its severity"
    assert [audit(task) for task in rule().stale()] == [True, True]
    assert rule("critical").stale() == asked, "some break it"
    assert [audit(task) for task in asked] == [False, False]
    assert world.stale() == asked, "until the rows or the rule are mended"
    assert files_of(world) == before
    path.write_text(plain.replace("description: n", "description: A number."))
    world.more = 0
    assert [task.is_audit for task in world.stale()] == [True, True], "the record of its rules is gone"


def files_of(world: World) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path(world.warehouse.lake.root).rglob("data.parquet")}
