"""An asset: it is made, or returns at once if it is up to date, and tells of both."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from laionet_assets.assets import build, publishing
from laionet_assets.assets.batches import range_tags
from laionet_assets.assets.build import NO_PREVIEW, asset_key, build_asset, table_name
from laionet_assets.assets.partitions import PARTS
from laionet_assets.assets.planning import Task
from laionet_assets.assets.steps import Step, Work
from laionet_assets.warehouse.catalog import open_catalog
from laionet_assets.warehouse.resource import WarehouseResource
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse
from tests.unit.assets.world import A, B, World

WARNED = """
expectations:
  - {type: unexpected_rows, name: small, severity: warning, query: "select n from {batch} where n > 1"}
"""


class Runs:
    """Dagster runs of a world's assets, in one instance."""

    def __init__(self, world: World, instance: dg.DagsterInstance) -> None:
        self.world, self.instance = world, instance
        instance.add_dynamic_partitions(PARTS.name or "", [A.key, B.key])

    def make(
        self,
        *names: str,
        part: str | None = None,
        parts: Sequence[PartKey] = (),
        force: bool = False,
        steps: Sequence[Step] = (),
    ) -> Any:
        """A run of these tables: whole, of a part, or of parts together."""
        assets = [build_asset(step, lambda resource: self.world.warehouse) for step in steps or self.world.steps]
        resource = WarehouseResource(root=str(self.world.warehouse.lake.root), docs="")
        config = {"ops": {asset_key(name).to_python_identifier(): {"config": {"force": True}} for name in names}}
        return dg.materialize(
            assets,
            selection=[asset_key(name) for name in names],
            instance=self.instance,
            resources={"warehouse": resource},
            partition_key=part,
            tags=range_tags(parts),
            run_config=config if force else None,
            raise_on_error=False,
        )


def told(result: Any) -> dict[str, Mapping[str, Any]]:
    """Metadata of what a run materialized, by table."""
    return {
        table_name(event.asset_key): {key: value.value for key, value in event.materialization.metadata.items()}
        for event in result.get_asset_materialization_events()
    }


def checks(result: Any) -> dict[tuple[str, str], bool]:
    """Checks that a run reported, and whether they passed."""
    return {(table_name(each.asset_key), each.check_name): each.passed for each in result.get_asset_check_evaluations()}


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Runs(World(tmp_path), instance)


def test_what_is_up_to_date_returns_at_once_and_says_so(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    first = runs.make("raw.base", "marts.other")
    assert first.success
    assert {name: each["status"] for name, each in told(first).items()} == {"raw.base": "made", "marts.other": "made"}
    monkeypatch.setattr(publishing, "validate", None)  # nothing is audited, and nothing made
    monkeypatch.setattr(build, "make", None)
    again = runs.make("raw.base", "marts.other")
    assert again.success
    for name, metadata in told(again).items():
        assert metadata["status"] == "up to date"
        assert metadata["version"] == told(first)[name]["version"]
        assert metadata["dagster/row_count"] == 1
        assert metadata["size_bytes"] == told(first)[name]["size_bytes"]
    assert checks(again) == checks(first) != {}
    record = runs.instance.get_latest_data_version_record(asset_key("marts.other"))
    assert record is not None and record.run_id == again.run_id


def test_where_models_ran_is_told_by_the_run_that_ran_them(runs: Runs) -> None:
    def write(work: Work) -> None:
        work.tell("minilm", "cpu, float32, 300 texts a second")
        work.write_rows([{"n": 1}])

    steps = [replace(step, write=write) if step.name == "raw.base" else step for step in runs.world.steps]
    made = told(runs.make("raw.base", steps=steps))["raw.base"]
    assert made["ran/minilm"] == "cpu, float32, 300 texts a second"
    assert "ran/minilm" not in told(runs.make("raw.base", steps=steps))["raw.base"]


def test_force_makes_it_again(runs: Runs) -> None:
    assert runs.make("raw.base").success
    assert told(runs.make("raw.base", force=True))["raw.base"]["status"] == "made"
    assert told(runs.make("raw.base"))["raw.base"]["status"] == "up to date"


def test_what_comes_after_something_up_to_date_is_made(runs: Runs) -> None:
    assert runs.make("raw.base").success
    both = runs.make("raw.base", "marts.other")
    assert [(name, each["status"]) for name, each in told(both).items()] == [
        ("raw.base", "up to date"), ("marts.other", "made")
    ]  # fmt: skip
    runs.world.base = "2"
    assert {each["status"] for each in told(runs.make("raw.base", "marts.other")).values()} == {"made"}


def test_a_part_is_judged_by_itself(runs: Runs) -> None:
    assert runs.make("raw.base").success
    assert runs.make("core.part", part=A.key).success
    again = told(runs.make("core.part", part=A.key))["core.part"]
    assert (again["status"], again["dagster/partition_row_count"]) == ("up to date", 1)
    assert told(runs.make("core.part", part=B.key))["core.part"]["status"] == "made"
    runs.world.contents[A] = "a2"
    assert told(runs.make("core.part", part=A.key))["core.part"]["status"] == "made"
    assert told(runs.make("core.part", part=B.key))["core.part"]["status"] == "up to date"


def test_parts_made_together_tell_each_of_itself(tmp_path: Path) -> None:
    path = tmp_path / "sql" / "core" / "part.yml"
    path.parent.mkdir(parents=True)
    columns = {"source": "VARCHAR", "part": "VARCHAR", "n": "INTEGER"}
    path.write_text(
        "description: One row per n.\ngroup: marts\ngrain: [source, part, n]\npartitioned: true\ncolumns:\n"
        + "".join(f"  {name}: {{type: {type_}, description: x}}\n" for name, type_ in columns.items())
        + WARNED.replace("select n", "select *")
    )
    rows = "select 's' as source, unnest(['a', 'b', 'b']) as part, unnest([1, 2, 3]) + {more} as n"
    world = World(tmp_path, {"core/part": (rows, True)})
    with dg.DagsterInstance.ephemeral() as instance:
        runs = Runs(world, instance)
        result = runs.make("core.part", parts=[A, B])
        assert result.success
        of_parts = {
            event.partition: event.materialization.metadata for event in result.get_asset_materialization_events()
        }
        found = {
            part: {
                name: metadata[name].value for name in ("status", "preview", "version", "dagster/partition_row_count")
            }
            for part, metadata in of_parts.items()
        }
        versions = {part.key: stamp.version for part, stamp in world.warehouse.stamps("core.part").items() if part}
        assert found == {
            part: {
                "status": "made",
                "preview": NO_PREVIEW,
                "version": versions[part],
                "dagster/partition_row_count": rows,
            }
            for part, rows in ((A.key, 1), (B.key, 2))
        }
        assert checks(result)["core.part", "small"] is False
        again = runs.make("core.part", parts=[A, B])
        assert [
            event.materialization.metadata["status"].value for event in again.get_asset_materialization_events()
        ] == ["up to date"] * 2


def test_parts_made_together_look_at_themselves_alone_and_ask_what_is_due_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lot of 100 parts among 40,000 would else look at 40,000 files of each table, and ask for each of its parts."""
    world = World(tmp_path)
    others = [PartKey("s", f"other-{number}") for number in range(20)]
    world.contents = dict.fromkeys([A, B, *others], "x")
    steps = {step.name: step for step in world.steps}
    world.make([Task("raw.base", None), *(Task("core.part", part) for part in others)])
    asked: list[Sequence[PartKey | None]] = []

    def due(warehouse: Warehouse, parts: Sequence[PartKey | None]) -> set[PartKey | None]:
        asked.append(parts)
        return set()

    looked: list[str] = []
    looks_at = Warehouse._stamp_of_file
    monkeypatch.setattr(Warehouse, "_stamp_of_file", lambda self, path: looked.append(path) or looks_at(self, path))
    told: list[str] = []
    monkeypatch.setattr(build, "tell_catalog", lambda warehouse, step: told.append(step.name))
    with dg.DagsterInstance.ephemeral() as instance:
        runs = Runs(world, instance)
        step = replace(steps["core.part"], due=due)
        assert runs.make("core.part", parts=[A, B], steps=[step]).success and asked == [[A, B]]
        assert runs.make("core.part", parts=[A, B], steps=[step]).success and asked == [[A, B]] * 2
    assert looked and not [path for path in looked if "other-" in path]
    assert told == ["core.part"], "of those up to date the catalog is told once, not each"


def test_a_warning_stands_until_the_table_is_made_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    path = tmp_path / "sql" / "raw" / "base.yml"
    path.write_text(path.read_text() + WARNED)
    world = World(tmp_path)
    world.base = "2"
    with dg.DagsterInstance.ephemeral() as instance:
        runs = Runs(world, instance)
        first, again = runs.make("raw.base"), runs.make("raw.base")
        assert checks(again) == checks(first)
        assert checks(again)["raw.base", "small"] is False
        (found,) = [each for each in again.get_asset_check_evaluations() if each.check_name == "small"]
        assert found.severity == dg.AssetCheckSeverity.WARN and found.metadata["unexpected"].value == 1


def test_an_older_warehouse_is_audited_once_as_it_is(runs: Runs) -> None:
    assert runs.make("raw.base").success
    (note,) = (Path(runs.world.warehouse.lake.root) / "raw" / "base").glob(".audit-*.json")
    note.unlink()
    again = runs.make("raw.base")
    assert told(again)["raw.base"]["status"] == "audited again"
    assert all(checks(again).values()) and checks(again)
    assert note.exists()
    assert told(runs.make("raw.base"))["raw.base"]["status"] == "up to date"


def test_a_rule_that_what_is_published_breaks_is_no_reason_to_pass_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    with dg.DagsterInstance.ephemeral() as instance:
        assert Runs(world, instance).make("raw.base").success
        path = tmp_path / "sql" / "raw" / "base.yml"
        path.write_text(path.read_text() + WARNED.replace("warning", "critical").replace("n > 1", "n > 0"))
        failed = Runs(World(tmp_path), instance).make("raw.base")
        assert not failed.success
        assert checks(failed)["raw.base", "small"] is False
        (message,) = [
            event.step_failure_data.user_failure_data.description for event in failed.get_step_failure_events()
        ]
        assert "raw.base stays published as it is" in message
        assert not list(Path(world.warehouse.lake.root).rglob(".rejected.parquet")), "it was not made again"
        with open_catalog(world.warehouse) as connection:
            assert connection.execute("from raw.base").fetchall() == [(1,)]


def test_a_look_at_the_outside_comes_first(runs: Runs) -> None:
    looked = []

    def look(warehouse: object, part: object) -> None:
        looked.append(part)
        runs.world.contents[A] = "a2"

    steps = [replace(step, look=look) if step.name == "core.part" else step for step in runs.world.steps]
    assert runs.make("raw.base").success
    assert runs.make("core.part", part=A.key).success
    assert told(runs.make("core.part", part=A.key, steps=steps))["core.part"]["status"] == "made"
    assert looked == [A]
