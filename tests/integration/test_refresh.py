"""The sensor `parts` asks for exactly the runs that are needed, phase by phase; the schedule for what is due."""

import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorType

from laionet_assets.assets.image_sets import TELLS_UNREADABLE
from laionet_assets.assets.partitions import PARTS
from laionet_assets.assets.refresh import SENSOR, evaluate_parts, nightly_requests
from laionet_assets.definitions import build_defs
from laionet_assets.warehouse.table import PartKey
from tests.integration import graph
from tests.integration.conftest import Project, make_due
from tests.integration.graph import keys

pytestmark = pytest.mark.integration

PER_PART, BASE, OF_NO_PART = keys(graph.BY_PART), keys(graph.BASE), keys(graph.OF_NO_PART)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp() as made:
        yield made


def evaluate(project: Project, instance: dg.DagsterInstance) -> dg.SensorResult:
    """A tick of the sensor; it registers the parts as the daemon does."""
    result = evaluate_parts(project.pipeline, instance, log=project.printed.append)
    for request in result.dynamic_partitions_requests or []:
        if isinstance(request, dg.AddDynamicPartitionsRequest):
            instance.add_dynamic_partitions(request.partitions_def_name, request.partition_keys)
    return result


def requests(project: Project, instance: dg.DagsterInstance) -> list[tuple[str | None, set[str], str]]:
    """What the sensor asks for now: part, assets, run key."""
    return [
        (run.partition_key, {key.to_user_string() for key in run.asset_selection}, run.run_key)
        for run in evaluate(project, instance).run_requests or []
    ]


@pytest.mark.slow
def test_base_first_then_parts_then_only_what_is_new(
    bare_project: Project, base: Path, instance: dg.DagsterInstance
) -> None:
    project = bare_project
    project.add_part(0, rows=100)
    project.add_part(1, rows=100)
    asked = requests(project, instance)
    assert [part for part, _, _ in asked] == [None, None]
    assert asked[0][1] == BASE
    waiting = OF_NO_PART - asked[1][1]
    assert waiting == keys(graph.readers_of(graph.OF_NO_PART | graph.BASE)) & OF_NO_PART
    assert instance.get_dynamic_partitions(PARTS.name) == ["web/part-00000", "web/part-00001"]

    for schema in ("raw", "staging", "core"):
        shutil.copytree(base / schema, project.warehouse / schema)
    asked = requests(project, instance)
    assert [(part, assets) for part, assets, _ in asked] == [
        ("web/part-00000", PER_PART), ("web/part-00001", PER_PART), (None, OF_NO_PART - keys(TELLS_UNREADABLE.values()))
    ]  # fmt: skip
    assert requests(project, instance) == asked

    assert project.run(select=selection(PER_PART | OF_NO_PART)) == 0
    ((part, whole, _),) = requests(project, instance)
    assert part is None and {"core/laionet", "marts/funnel", "marts/accuracy"} <= whole
    assert project.run(select=selection(whole)) == 0
    result = evaluate(project, instance)
    assert not result.run_requests
    assert result.skip_reason.skip_message == "everything is up to date"

    project.add_part(2, rows=100)
    (project.parts / "part-00003.snappy.parquet").write_bytes(b"not read in the tick of the sensor")
    asked = requests(project, instance)
    assert [(part, assets) for part, assets, _ in asked] == [
        ("web/part-00002", PER_PART),
        ("web/part-00003", PER_PART),
    ]
    (project.parts / "part-00003.snappy.parquet").unlink()
    changed = project.add_part(2, rows=101)
    again = requests(project, instance)
    assert [(part, assets) for part, assets, _ in again] == [("web/part-00002", PER_PART)]
    assert again[0][2] != asked[0][2]
    changed.unlink()
    assert requests(project, instance) == []


def selection(tables: Iterable[str]) -> str:
    """Dagster's syntax for these tables."""
    return " or ".join(f'key:"{name}"' for name in sorted(tables))


def start(project: Project, instance: dg.DagsterInstance, tables: Iterable[str], part: str | None = None) -> str:
    """A run of these tables that is under way. Returns its id."""
    defs = build_defs(project.pipeline.settings)
    run = instance.create_run_for_job(
        defs.resolve_implicit_global_asset_job_def(),
        status=dg.DagsterRunStatus.STARTED,
        asset_selection=frozenset(dg.AssetKey(name.split("/")) for name in tables),
        tags={"dagster/partition": part} if part else {},
    )
    return run.run_id


def test_a_part_with_a_run_under_way_is_not_asked_for_again(project: Project, instance: dg.DagsterInstance) -> None:
    project.add_part(0, rows=100)
    start(project, instance, OF_NO_PART)
    assert [(part, tables) for part, tables, _ in requests(project, instance)] == [("web/part-00000", PER_PART)]
    start(project, instance, PER_PART, "web/part-00000")
    result = evaluate(project, instance)
    assert not result.run_requests
    assert "left to the runs that are under way" in result.skip_reason.skip_message


def test_a_part_that_went_before_it_was_read_is_forgotten(project: Project, instance: dg.DagsterInstance) -> None:
    project.add_part(0, rows=100)
    lost = project.add_part(1, rows=100)
    requests(project, instance)
    assert len(instance.get_dynamic_partitions(PARTS.name)) == 2
    lost.unlink()
    result = evaluate_parts(project.pipeline, instance, log=print)
    deleted = [
        key
        for request in result.dynamic_partitions_requests or []
        if isinstance(request, dg.DeleteDynamicPartitionsRequest)
        for key in request.partition_keys
    ]
    assert deleted == ["web/part-00001"]


class Nights:
    """The nightly schedule of a project, and whoever makes what it asks for."""

    def __init__(self, project: Project, instance: dg.DagsterInstance) -> None:
        self.project, self.instance, self.now = project, instance, time.time()
        self.reason = ""

    def tick(self) -> list[dg.RunRequest]:
        asked = list(nightly_requests(self.project.pipeline, self.instance, now=self.now))
        self.reason = next((each.skip_message or "" for each in asked if isinstance(each, dg.SkipReason)), "")
        return [request for request in asked if isinstance(request, dg.RunRequest)]

    def make(self, request: dg.RunRequest) -> None:
        tables = [key.to_user_string() for key in request.asset_selection or ()]
        parts = [request.partition_key] if request.partition_key else []
        assert self.project.run(select=selection(tables), parts=parts) == 0, self.project.printed[-1]


@pytest.mark.slow
def test_a_night_goes_through_all_phases_where_the_sensor_is_off(
    project: Project, instance: dg.DagsterInstance
) -> None:
    nights = Nights(project, instance)
    project.add_part(0, rows=100)
    part, alone = nights.tick()
    assert (alone.partition_key, part.partition_key) == (None, "web/part-00000")
    under_way = start(project, instance, PER_PART, part.partition_key)
    nights.make(alone)
    assert nights.tick() == []
    assert "left to the runs that are under way" in nights.reason
    instance.delete_run(under_way)
    nights.make(part)
    (whole,) = nights.tick()
    assert whole.partition_key is None
    assert dg.AssetKey(["core", "laionet"]) in whole.asset_selection
    nights.make(whole)
    assert nights.tick() == []
    assert nights.reason == "everything is up to date"


@pytest.mark.slow
def test_two_automations_never_ask_for_the_same_table(project: Project, instance: dg.DagsterInstance) -> None:
    """The sensor asks for what is out of date, the schedule for what is due."""
    nights = Nights(project, instance)
    project.edit(f"path: {project.parts}", 'path: "sample://web?parts=1&rows=500"')
    switch_on(instance, SENSOR)
    asked = requests(project, instance)
    assert [part for part, _, _ in asked] == ["web/part-00000", None]
    assert nights.tick() == []
    assert "left to" in nights.reason
    assert project.run() == 0, project.printed[-1]
    assert (requests(project, instance), nights.tick()) == ([], [])

    make_due(project.pipeline.warehouse, PartKey("web", "part-00000"))
    assert requests(project, instance) == [], "what is due waits for the night"
    (due,) = nights.tick()
    tables = {key.to_user_string() for key in due.asset_selection or ()}
    assert due.partition_key == "web/part-00000" and "core/images" in tables
    assert tables < PER_PART and not tables & {"core/image_requests", "raw/parts"}

    project.edit("encoder: minilm, text_threshold: 0.5", "encoder: minilm, text_threshold: 0.6")
    assert [(part, tables) for part, tables, _ in requests(project, instance)] == [(None, {"raw/recipes"})]
    assert nights.tick() == [], "the pictures that are due wait for the requests, and those are the sensor's"

    switch_off(instance, SENSOR)
    (recipes,) = nights.tick()
    assert {key.to_user_string() for key in recipes.asset_selection or ()} == {"raw/recipes"}


def switch_on(instance: dg.DagsterInstance, sensor: str) -> None:
    """As a person does in the UI."""
    instance.add_instigator_state(_state_of(sensor, InstigatorStatus.RUNNING))


def switch_off(instance: dg.DagsterInstance, sensor: str) -> None:
    """As a person does in the UI."""
    instance.update_instigator_state(_state_of(sensor, InstigatorStatus.STOPPED))


def _state_of(sensor: str, status: InstigatorStatus) -> InstigatorState:
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("laionet"), "__repository__")
    return InstigatorState(RemoteInstigatorOrigin(repository, sensor), InstigatorType.SENSOR, status)
