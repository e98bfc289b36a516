"""The sensor of parts: asks for exactly the runs that new, changed and removed parts need."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from laionet_assets.assets.partitions import PARTS
from laionet_assets.assets.refresh import evaluate_parts, nightly_requests
from laionet_assets.definitions import build_defs
from tests.integration.conftest import Project

pytestmark = pytest.mark.integration

PER_PART = {
    "raw/parts",
    "raw/pairs",
    "raw/quarantine",
    "core/caption_matches",
    "core/candidates",
    "core/caption_embeddings",
    "core/caption_similarity",
    "core/matching_counts",
    "core/similarity_counts",
    "core/selection",
    "core/removed_samples",
    "core/image_requests",
    "core/images",
    "core/image_text",
    "core/names_in_images",
    "core/selection_seen",
    "core/selection_counts",
    "core/image_predictions",
}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def requests(project: Project, instance: dg.DagsterInstance) -> list[tuple[str | None, set[str], str]]:
    """What the sensor asks for now: part, assets, run key; it registers the parts as the daemon does."""
    result = evaluate_parts(project.pipeline, instance)
    assert isinstance(result, dg.SensorResult)
    for request in result.dynamic_partitions_requests or []:
        if isinstance(request, dg.AddDynamicPartitionsRequest):
            instance.add_dynamic_partitions(request.partitions_def_name, request.partition_keys)
    return [
        (run.partition_key, {key.to_user_string() for key in run.asset_selection}, run.run_key)
        for run in result.run_requests or []
    ]


def test_base_first_then_parts_then_only_what_is_new(
    bare_project: Project, base: Path, instance: dg.DagsterInstance
) -> None:
    project = bare_project
    project.add_part(0, rows=100)
    project.add_part(1, rows=100)
    ((part, tables, _),) = requests(project, instance)
    assert part is None
    assert tables == {
        "raw/synsets", "staging/lemmas", "staging/queries", "core/query_embeddings", "raw/recipes", "core/removals"
    }  # fmt: skip
    assert instance.get_dynamic_partitions(PARTS.name) == ["web/part-00000", "web/part-00001"]

    for schema in ("raw", "staging", "core"):
        shutil.copytree(base / schema, project.warehouse / schema)
    asked = requests(project, instance)
    assert [(part, assets) for part, assets, _ in asked] == [("web/part-00000", PER_PART), ("web/part-00001", PER_PART)]
    assert requests(project, instance) == asked

    selection = " or ".join(f'key:"{name}"' for name in sorted(PER_PART))
    assert project.run(select=selection) == 0
    assert requests(project, instance) == []

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


def test_a_part_with_a_run_under_way_is_not_asked_for_again(project: Project, instance: dg.DagsterInstance) -> None:
    project.add_part(0, rows=100)
    assert project.run(select='+key:"staging/lemmas" or +key:"core/query_embeddings"') == 0
    ((part, _, _),) = requests(project, instance)
    defs = build_defs(project.pipeline.settings)
    instance.create_run_for_job(
        defs.resolve_implicit_global_asset_job_def(),
        status=dg.DagsterRunStatus.STARTED,
        tags={"dagster/partition": part},
    )
    assert requests(project, instance) == []


def test_automation_follows_only_once_all_parts_are_there(project: Project) -> None:
    defs = build_defs(project.pipeline.settings)
    conditions = {
        key.to_user_string(): node.automation_condition
        for key, node in (
            (key, defs.resolve_asset_graph().get(key)) for key in defs.resolve_asset_graph().get_all_asset_keys()
        )
    }
    followers = {name for name, condition in conditions.items() if condition is not None}
    assert {"core/laionet", "marts/funnel", "release", "staging/lemmas"} <= followers
    assert not followers & PER_PART
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.evaluate_automation_conditions(defs=defs, instance=instance)
        requested = {key.to_user_string() for key in followers_of(defs) if result.get_num_requested(key)}
    base = {"raw/synsets", "staging/lemmas", "staging/queries", "core/query_embeddings"}
    of_no_part = {
        "core/removals",
        "core/set_images",
        "core/set_predictions",
        "raw/class_lists",
        "raw/image_sets",
        "raw/predictors",
        "raw/published_correctness",
        "raw/published_labels",
        "raw/real_labels",
        "raw/recipes",
    }
    assert requested == base | of_no_part


def followers_of(defs: dg.Definitions) -> list[dg.AssetKey]:
    return sorted(defs.resolve_asset_graph().get_all_asset_keys(), key=lambda key: key.path)


def test_a_part_that_went_before_it_was_read_is_forgotten(project: Project, instance: dg.DagsterInstance) -> None:
    project.add_part(0, rows=100)
    lost = project.add_part(1, rows=100)
    requests(project, instance)
    assert len(instance.get_dynamic_partitions(PARTS.name)) == 2
    lost.unlink()
    result = evaluate_parts(project.pipeline, instance)
    assert isinstance(result, dg.SensorResult)
    deleted = [
        key
        for request in result.dynamic_partitions_requests or []
        if isinstance(request, dg.DeleteDynamicPartitionsRequest)
        for key in request.partition_keys
    ]
    assert deleted == ["web/part-00001"]


def test_a_night_goes_through_all_steps_and_waits_for_parts(project: Project, instance: dg.DagsterInstance) -> None:
    """Each tick asks for the next step; while a part is being made, nothing that reads all parts is asked for."""

    def tick() -> list[dg.RunRequest]:
        asked = list(nightly_requests(project.pipeline, instance))
        return [request for request in asked if isinstance(request, dg.RunRequest)]

    def make(request: dg.RunRequest) -> None:
        select = " or ".join(f'key:"{key.to_user_string()}"' for key in request.asset_selection)
        parts = [request.partition_key] if request.partition_key else []
        assert project.run(select=select, parts=parts) == 0, project.printed[-1]

    project.add_part(0, rows=100)
    (part,) = tick()
    assert part.partition_key == "web/part-00000"
    defs = build_defs(project.pipeline.settings)
    under_way = instance.create_run_for_job(
        defs.resolve_implicit_global_asset_job_def(),
        status=dg.DagsterRunStatus.STARTED,
        tags={"dagster/partition": part.partition_key},
    )
    assert tick() == []
    instance.delete_run(under_way.run_id)
    make(part)
    (whole,) = tick()
    assert whole.partition_key is None
    assert dg.AssetKey(["core", "laionet"]) in whole.asset_selection
    make(whole)
    assert tick() == []
