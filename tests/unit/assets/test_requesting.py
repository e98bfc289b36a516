"""Which runs the sensor and the schedule ask for: each once, past what failed, and not again what failed."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from laionet_assets.assets.build import asset_key, build_asset, table_name
from laionet_assets.assets.partitions import PARTS
from laionet_assets.assets.parts import REGISTER, RegisteredPart
from laionet_assets.assets.pipeline import Pipeline
from laionet_assets.assets.planning import Task, stale_tasks
from laionet_assets.assets.requesting import MOST_DEATHS, Requests, requests_for
from laionet_assets.assets.steps import Step
from laionet_assets.assets.workers import GROUP_TAG, bury_dead_runs
from laionet_assets.errors import UserError
from laionet_assets.warehouse.processes import Process
from laionet_assets.warehouse.resource import WarehouseResource
from laionet_assets.warehouse.table import PartKey
from tests.unit.assets.world import A, B, World

BACK_AND_FORTH = {
    "raw/base": (None, False),
    "raw/hub": (None, False),
    "core/part": ("select n + {more} as n from raw.base", True),
    "core/similar": ("select p.n from core.part p cross join raw.hub", True),
    "core/all": ("select sum(n)::int as n from core.part", False),
    "core/share": ("select n from core.part union select n + 100 from core.all", True),
    "marts/total": ("select sum(n)::int as n from core.share", False),
    "marts/similar": ("select sum(n)::int as n from core.similar", False),
    "marts/alone": ("select n from raw.base", False),
    "marts/both": ("select n from marts.alone union select n from core.all", False),
}
Asked = list[tuple[str | None, set[str]]]


class Night:
    """A world with a Dagster instance, and a daemon that does what it is asked for."""

    def __init__(self, world: World, instance: dg.DagsterInstance) -> None:
        self.world, self.instance = world, instance
        self.broken: set[str] = set()
        self.meanwhile: dict[str, Callable[[], None]] = {}
        self.parts = [A, B]
        instance.add_dynamic_partitions(PARTS.name or "", [A.key, B.key])

    @property
    def steps(self) -> Sequence[Step]:
        def breaking(step: Step) -> Step:
            def write(work: Any) -> None:
                if {step.name, str(Task(step.name, work.part))} & self.broken:
                    raise UserError(f"{step.name}: the hub cannot be reached")
                if step.name in self.meanwhile:
                    self.meanwhile[step.name]()
                step.write(work)  # type: ignore[misc]

            return replace(step, write=write)

        return [breaking(step) for step in self.world.steps]

    @property
    def pipeline(self) -> Pipeline:
        made = Pipeline(settings=None, project=self.world.project, steps=self.steps)  # type: ignore[arg-type]
        made.__dict__["warehouse"] = self.world.warehouse
        return made

    def requests(self, **options: Any) -> Requests:
        plan = partial(stale_tasks, self.world.warehouse, self.steps, self.parts)
        known = self.instance.get_dynamic_partitions(PARTS.name or "")
        return requests_for(self.pipeline, self.instance, plan, known=known, **options)

    def asked(self, **options: Any) -> Asked:
        return told(self.requests(**options).runs)

    @property
    def job(self) -> dg.JobDefinition:
        assets = [build_asset(step, lambda resource: self.world.warehouse) for step in self.steps]
        resource = WarehouseResource(root=str(self.world.warehouse.lake.root), docs="")
        defs = dg.Definitions(assets=assets, resources={"warehouse": resource}, executor=dg.in_process_executor)
        return defs.resolve_implicit_global_asset_job_def()

    def execute(self, request: dg.RunRequest) -> str:
        """Run what was asked for. Returns the id of the run."""
        done = self.job.execute_in_process(
            instance=self.instance,
            asset_selection=list(request.asset_selection or ()),
            partition_key=request.partition_key,
            tags=dict(request.tags),
            raise_on_error=False,
        )
        return done.run_id

    def tick(self) -> Asked:
        """Ask once, and run what was asked for."""
        runs = self.requests().runs
        for request in runs:
            self.execute(request)
        return told(runs)

    def start(
        self, *names: str, part: str | None = None, status: dg.DagsterRunStatus, tags: Mapping[str, str] = {}
    ) -> str:
        """A run of somebody else, in this state."""
        run = self.instance.create_run_for_job(
            self.job,
            status=status,
            asset_selection=frozenset(asset_key(name) for name in names),
            tags={**tags, **({"dagster/partition": part} if part else {})},
        )
        return run.run_id


def told(runs: Sequence[dg.RunRequest]) -> Asked:
    return [(run.partition_key, {table_name(key) for key in run.asset_selection or ()}) for run in runs]


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Night(World(tmp_path, BACK_AND_FORTH), instance)


def test_it_goes_through_as_many_phases_as_there_are(night: Night) -> None:
    asked = [night.tick() for _ in range(6)]
    assert asked == [
        [(None, {"raw.base", "raw.hub"})],
        [(A.key, {"core.part", "core.similar"}), (B.key, {"core.part", "core.similar"}), (None, {"marts.alone"})],
        [(None, {"core.all"}), (None, {"marts.similar"})],
        [(A.key, {"core.share"}), (B.key, {"core.share"}), (None, {"marts.both"})],
        [(None, {"marts.total"})],
        [],
    ]
    assert night.requests().reason(night.instance) == "everything is up to date"
    night.world.contents[B] = "b2"
    assert night.asked() == [(B.key, {"core.part", "core.similar"})]


def test_a_base_table_that_fails_keeps_back_what_needs_it_and_nothing_else(night: Night) -> None:
    night.broken.add("raw.hub")
    assert night.tick() == [(None, {"raw.base", "raw.hub"})]
    asked = [night.tick() for _ in range(5)]
    assert asked == [
        [(A.key, {"core.part"}), (B.key, {"core.part"}), (None, {"marts.alone"})],
        [(None, {"core.all"})],
        [(A.key, {"core.share"}), (B.key, {"core.share"}), (None, {"marts.both"})],
        [(None, {"marts.total"})],
        [],
    ]
    found = night.requests()
    ((run_id, kept_back),) = found.kept_back.items()
    assert kept_back[0] == Task("raw.hub", None)
    assert {task.name for task in kept_back} == {"raw.hub", "core.similar", "marts.similar"}
    reason = found.reason(night.instance)
    assert f"raw.hub failed in run {run_id[:8]}: raw.hub: the hub cannot be reached" in reason
    assert "Nothing that it is made from has changed since" in reason
    assert "Not made because of it: core.similar s/a, core.similar s/b, marts.similar" in reason
    assert "laionet run --select 'key:\"raw/hub\"'" in reason


def test_a_bad_new_part_costs_itself_alone(night: Night) -> None:
    """The tables over all parts are made without it, once, and again when it is mended."""
    night.broken |= {f"{name} {B.key}" for name in ("core.part", "core.share", "core.similar")}
    asked = [night.tick() for _ in range(7)]
    assert asked[:4] == [
        [(None, {"raw.base", "raw.hub"})],
        [(A.key, {"core.part", "core.similar"}), (B.key, {"core.part", "core.similar"}), (None, {"marts.alone"})],
        [(None, {"core.all"}), (None, {"marts.similar"})],
        [(A.key, {"core.share"}), (None, {"marts.both"})],
    ]
    assert asked[4:] == [[(None, {"marts.total"})], [], []]
    reason = night.requests().reason(night.instance)
    assert f"core.part {B.key} failed in run" in reason and "marts" not in reason
    night.broken.clear()
    night.world.contents[B] = "b2"
    assert night.tick() == [(B.key, {"core.part", "core.similar"})]
    assert night.tick() == [(None, {"core.all"}), (None, {"marts.similar"})]


def test_what_failed_is_asked_for_again_when_something_changed(night: Night) -> None:
    night.broken.add("raw.hub")
    while night.tick():
        pass
    runs = len(night.instance.get_runs())
    for _ in range(3):
        assert night.tick() == []
    assert len(night.instance.get_runs()) == runs, "nothing is hammered"
    night.broken.clear()
    assert night.asked() == [], "that the hub is back is not seen"
    night.world.base = "2"
    assert night.tick() == [(None, {"raw.base", "raw.hub"})]
    while night.tick():
        pass
    assert night.requests().reason(night.instance) == "everything is up to date"


def test_a_rule_that_is_broken_is_asked_once_and_again_when_it_changes(night: Night, tmp_path: Path) -> None:
    while night.tick():
        pass
    yml = tmp_path / "sql" / "raw" / "base.yml"
    text = yml.read_text()
    rule = "expectations: [{type: unexpected_rows, name: none, query: 'select n from {batch}', severity: "
    yml.write_text(f"{text}{rule}critical}}]\n")
    night.world = World(tmp_path, BACK_AND_FORTH)
    assert night.tick() == [(None, {"raw.base"})], "it is audited again, and nothing is made of that"
    assert night.tick() == []
    assert "raw.base failed in run" in night.requests().reason(night.instance)
    yml.write_text(f"{text}{rule}warning}}]\n")
    night.world = World(tmp_path, BACK_AND_FORTH)
    assert night.tick() == [(None, {"raw.base"})]
    assert night.tick() == []
    assert night.requests().reason(night.instance) == "everything is up to date"


def test_only_what_failed_is_left_alone_not_the_run_that_it_was_in(night: Night) -> None:
    night.broken.add("raw.hub")
    night.tick()
    Path(night.world.warehouse.lake.path(night.world.warehouse.table("raw.base"))).unlink()
    assert night.tick() == [(None, {"raw.base"})]


def test_a_night_later_what_failed_is_tried_again(night: Night) -> None:
    night.broken.add("raw.hub")
    while night.tick():
        pass
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])
    (failed_at,) = [record.end_time for record in night.instance.get_run_records(filters=failed)]
    assert night.asked(failed_since=failed_at - 1) == []
    assert night.asked(failed_since=failed_at + 1) == [(None, {"raw.hub"})]


def test_a_run_that_was_cancelled_or_died_is_a_failure_of_all_that_it_left(night: Night) -> None:
    (request,) = night.requests().runs
    for status in (dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE):
        run_id = night.start("raw.base", "raw.hub", status=status, tags=request.tags)
        found = night.requests()
        assert found.runs == []
        assert f"run {run_id[:8]} of raw.base, raw.hub" in found.reason(night.instance)
        assert f": {status.value.lower()}. Nothing" in found.reason(night.instance)
        assert set(found.kept_back) == {run_id}
        night.instance.delete_run(run_id)
    assert night.asked() == [(None, {"raw.base", "raw.hub"})]


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED])
def test_what_a_run_under_way_makes_is_left_to_it(night: Night, status: dg.DagsterRunStatus) -> None:
    run_id = night.start("raw.base", "raw.hub", status=status)
    found = night.requests()
    assert found.runs == []
    assert found.reason(night.instance).startswith("raw.base, raw.hub, core.part s/a and ")
    assert found.reason(night.instance).endswith(" more: left to the runs that are under way")
    night.instance.delete_run(run_id)
    night.tick()
    night.start("core.part", part=A.key, status=status)
    assert night.asked() == [(B.key, {"core.part", "core.similar"}), (None, {"marts.alone"})]


def test_of_tables_over_all_parts_what_can_be_made_does_not_wait_for_the_rest(night: Night) -> None:
    night.start("raw.base", status=dg.DagsterRunStatus.STARTED)
    assert night.asked() == [(None, {"raw.hub"})]


def test_what_a_run_under_way_has_made_already_keeps_nothing_waiting(night: Night) -> None:
    meanwhile: list[Asked] = []
    night.meanwhile["raw.hub"] = lambda: meanwhile.append(night.asked())
    night.tick()
    assert meanwhile == [[(None, {"marts.alone"})]], "raw.base is made, and raw.hub, which the parts need, is not"


def test_what_reads_something_that_is_being_made_waits(night: Night) -> None:
    for _ in range(2):
        night.tick()
    assert night.asked() == [(None, {"core.all"}), (None, {"marts.similar"})]
    night.start("core.part", part=A.key, status=dg.DagsterRunStatus.STARTED)
    assert night.asked() == [(None, {"marts.similar"})], "made again by force, say: what reads it would be made twice"


def test_what_somebody_else_asks_for_is_left_to_them(night: Night) -> None:
    night.tick()
    found = night.requests(leave=[Task("core.part", A), Task("core.similar", A)])
    assert told(found.runs) == [(B.key, {"core.part", "core.similar"}), (None, {"marts.alone"})]
    assert {str(task) for task in found.waiting} == {
        "core.all", "marts.similar", "core.share s/a", "core.share s/b", "marts.both", "marts.total"
    }  # fmt: skip


def test_asked_twice_before_a_run_it_has_the_same_key_and_later_another(night: Night) -> None:
    (first,), (again,) = night.requests().runs, night.requests().runs
    assert first.run_key == again.run_key
    assert first.tags[GROUP_TAG] == "tables:0"
    while night.tick():
        pass
    for name in ("raw.base", "raw.hub"):
        Path(night.world.warehouse.lake.path(night.world.warehouse.table(name))).unlink()
    (lost,) = night.requests().runs
    assert lost.tags == first.tags and lost.run_key != first.run_key, "the same once more, and not refused for it"


def test_what_died_is_asked_for_again_but_not_for_ever(night: Night) -> None:
    """A process that was killed says nothing of what it made; one that dies again and again does."""
    for _ in range(MOST_DEATHS):
        asked = night.requests().runs
        assert asked
        for request in asked:
            run = night.instance.create_run_for_job(
                night.job,
                asset_selection=frozenset(request.asset_selection or ()),
                tags={**request.tags, **replace(Process.this(), started=-5.0).tags},
            )
            night.instance.report_dagster_event(dg.DagsterEvent("PIPELINE_START", "", message="started"), run.run_id)
        assert not night.requests().runs, "it is under way"
        assert len(bury_dead_runs(night.instance, ())) == len(asked)
    left = night.requests()
    assert not left.runs and left.kept_back
    assert "Nothing that it is made from has changed since" in left.reason(night.instance)


# Many small parts

LETTERS = "abcdef"
BY_PART = {"core.part", "core.similar"}


@pytest.fixture
def small(night: Night) -> Night:
    """A night with six small parts, whose base is made."""
    night.parts = [PartKey("s", letter) for letter in LETTERS]
    night.instance.add_dynamic_partitions(PARTS.name or "", [part.key for part in night.parts])
    night.world.contents |= {part: part.part for part in night.parts}
    entries = [RegisteredPart("s", part.part, i, f"/{part.part}", 9, "x") for i, part in enumerate(night.parts)]
    night.world.warehouse.lake.write_small(REGISTER, json.dumps({"parts": [asdict(each) for each in entries]}))
    night.tick()
    return night


def ranges(runs: Sequence[dg.RunRequest]) -> list[tuple[str | None, str | None, set[str]]]:
    """First and last part of each run, and its tables."""
    start, end = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
    return [
        (
            run.tags.get(start, run.partition_key),
            run.tags.get(end, run.partition_key),
            {table_name(key) for key in run.asset_selection or ()},
        )
        for run in runs
    ]


def test_small_parts_are_asked_for_together(small: Night) -> None:
    runs = small.requests().runs
    assert ranges(runs) == [("s/a", "s/f", BY_PART), (None, None, {"marts.alone"})]
    assert small.requests().runs[0].run_key == runs[0].run_key
    run_id = small.start(*BY_PART, status=dg.DagsterRunStatus.STARTED, tags=runs[0].tags)
    assert ranges(small.requests().runs) == [(None, None, {"marts.alone"})], "it is left to the run under way"
    small.instance.delete_run(run_id)
    for request in runs:
        small.execute(request)
    assert small.tick() == [(None, {"core.all"}), (None, {"marts.similar"})]
    assert ranges(small.requests().runs) == [("s/a", "s/f", {"core.share"}), (None, None, {"marts.both"})]
    small.world.contents[A] = "other"
    assert ranges(small.requests().runs)[:1] == [("s/a", "s/a", BY_PART)]


def test_of_small_parts_made_together_one_that_is_bad_costs_itself(small: Night) -> None:
    small.broken.add("core.part s/c")
    small.tick()
    assert ranges(small.requests().runs)[:5] == [(f"s/{each}", f"s/{each}", {"core.similar"}) for each in "abdef"]
    asked = [small.tick() for _ in range(5)]
    assert asked[-1] == [], "what is bad is not asked for again"
    kept = {str(task) for tasks in small.requests().kept_back.values() for task in tasks}
    assert kept == {"core.part s/c", "core.similar s/c", "core.share s/c"}
    reason = small.requests().reason(small.instance)
    assert reason.startswith("core.part s/c failed in run ") and "core.part: the hub cannot be reached" in reason
    assert small.world.warehouse.is_published("marts.total") and small.world.warehouse.is_published("marts.similar")
    small.broken.clear()
    small.world.contents[PartKey("s", "c")] = "mended"
    assert ranges(small.requests().runs) == [("s/c", "s/c", BY_PART)]


def test_small_parts_during_which_a_process_died_are_asked_for_alone(small: Night) -> None:
    """One of them may have taken it down; it must not take the others with it for ever."""
    (request,) = [run for run in small.requests().runs if run.partition_key is None and "range" in str(run.tags)]
    run = small.instance.create_run_for_job(
        small.job,
        asset_selection=frozenset(request.asset_selection or ()),
        tags={**request.tags, **replace(Process.this(), started=-5.0).tags},
    )
    small.instance.report_dagster_event(dg.DagsterEvent("PIPELINE_START", "", message="started"), run.run_id)
    assert bury_dead_runs(small.instance, ()) == [run.run_id]
    assert [each for each in ranges(small.requests().runs) if each[0]] == [
        (f"s/{letter}", f"s/{letter}", BY_PART) for letter in LETTERS
    ]
