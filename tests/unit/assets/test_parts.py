"""The register of parts: a source that cannot be used costs its own parts alone; the project's own paths."""

import json
import shutil
from pathlib import Path

import pytest

from laionet_assets.assets import parts
from laionet_assets.assets.parts import PartSync, load_register, retire_parts, source_paths, sync_parts
from laionet_assets.assets.pipeline import build_pipeline
from laionet_assets.errors import UserError
from laionet_assets.settings import load_settings
from tests.unit.settings.files import settings_with

SOURCES = """
sources:
  - {name: one, path: ./one/cc12m.tsv, when_removed: drop}
  - {name: two, path: [./two, "./more/*.tsv"]}
  - {name: three, path: "./three/**/*.tsv", when_removed: drop}
text_encoders: [{name: e, model: "sentence-transformers:all-MiniLM-L6-v2"}]
recipes: [{name: r, encoder: e, text_threshold: 0.5}]
"""


def test_a_synthetic_web_of_another_size_lies_apart(tmp_path: Path) -> None:
    found = []
    for path in ("sample://web?parts=1&rows=100", "sample://web?rows=100&parts=1", "sample://web?parts=2&rows=100"):
        made = settings_with(tmp_path, sources=[{"name": "s", "path": path}])
        found.append(Path(*source_paths(made, made.sources[0])))
    assert found[0] == found[1] != found[2]
    assert [len(list(folder.glob("part-*.parquet"))) for folder in found] == [1, 1, 2]
    assert all(folder.is_relative_to(tmp_path / "warehouse" / "sample") for folder in found)


@pytest.mark.parametrize(
    "name",
    ["page", "web?rows=99", "web?parts=0", "web?rows=many", "web?seed=1", "web?rows=100&rows=200", "web?rows"],
)
def test_other_names_are_refused(tmp_path: Path, name: str) -> None:
    made = settings_with(tmp_path, sources=[{"name": "s", "path": f"sample://{name}"}])
    with pytest.raises(UserError, match=r"expected sample://web, or with some of"):
        source_paths(made, made.sources[0])


class World:
    """Three sources in a folder, and what a look at them finds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "laionet.yaml").write_text(SOURCES)
        for name in ("one/cc12m", "two/part-0", "more/part-1", "three/lang=en/part-0", "three/lang=de/part-0"):
            self.write(name)

    def write(self, name: str, text: str = "a tench\thttp://images.invalid/a\n") -> None:
        path = self.folder / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def look(self) -> PartSync:
        made = load_settings(self.folder / "laionet.yaml")
        return sync_parts(made, build_pipeline(made).warehouse)

    def ordinals(self) -> dict[str, int]:
        made = load_settings(self.folder / "laionet.yaml")
        return {key.key: part.ordinal for key, part in load_register(build_pipeline(made).warehouse).items()}


ALL = ["one/cc12m", "three/lang=de/part-0", "three/lang=en/part-0", "two/part-0", "two/part-1"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def keys(parts: object) -> list[str]:
    return [getattr(part, "key", part).key if hasattr(part, "ordinal") else part.key for part in parts]  # type: ignore[attr-defined]


def test_lists_and_hive_folders_are_paths(world: World) -> None:
    seen = world.look()
    assert keys(seen.present) == keys(seen.new) == ALL
    assert not (seen.gone or seen.sealed or seen.problems or seen.notes)
    assert world.ordinals()["two/part-1"] == 1


def test_the_last_file_of_a_source_goes_away(world: World) -> None:
    world.look()
    (world.folder / "one" / "cc12m.tsv").unlink()
    seen = world.look()
    assert keys(seen.present) == ALL[1:] and not seen.problems and keys(seen.to_retire) == ["one/cc12m"]
    assert any("one/cc12m: its file is gone; the sensor removed_parts retires it" in note for note in seen.notes)
    made = load_settings(world.folder / "laionet.yaml")
    retire_parts(build_pipeline(made).warehouse, seen.gone)
    again = world.look()
    assert keys(again.present) == ALL[1:] and not (again.problems or again.gone or again.sealed)
    world.write("one/cc12m")
    assert keys(world.look().present) == ALL


def test_of_many_parts_that_went_away_the_register_is_written_some_times(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has all parts, so that written for each it would cost parts times parts."""
    world.look()
    for path in world.folder.glob("t*/**/*.tsv"):
        path.unlink()
    seen = world.look()
    assert len(seen.gone) == 3
    pipeline = build_pipeline(load_settings(world.folder / "laionet.yaml"))
    written, write_small = [], pipeline.warehouse.lake.write_small

    def counted(name: str, text: str) -> None:
        written.append(name)
        write_small(name, text)

    monkeypatch.setattr(pipeline.warehouse.lake, "write_small", counted)
    monkeypatch.setattr(parts, "RETIRED_TOGETHER", 2)
    assert set(retire_parts(pipeline.warehouse, seen.gone)) == set(seen.gone)
    assert written == ["parts.json"] * 2
    register = load_register(pipeline.warehouse)
    assert {key for key, part in register.items() if part.is_retired} == set(seen.gone)


def test_a_source_that_cannot_be_looked_at_keeps_its_parts(world: World) -> None:
    world.look()
    shutil.move(world.folder / "three", world.folder / "away")
    seen = world.look()
    assert keys(seen.present) == ["one/cc12m", "two/part-0", "two/part-1"]
    assert keys(seen.sealed) == ["three/lang=de/part-0", "three/lang=en/part-0"] and not (seen.gone or seen.to_retire)
    (problem,) = seen.problems
    assert (
        problem.startswith("source three: ") and "there is nothing there" in problem and "stay as they are" in problem
    )
    shutil.move(world.folder / "away", world.folder / "three")
    assert keys(world.look().present) == ALL


def test_a_file_that_cannot_be_used_costs_itself(world: World) -> None:
    world.write("three/a/part-5")
    world.look()
    world.write("three/b/part-5")
    (world.folder / "two" / "part-2.tsv").symlink_to("nowhere.tsv")
    seen = world.look()
    assert keys(seen.present) == ALL and keys(seen.sealed) == ["three/part-5"]
    assert ["two: part part-2" in seen.problems[0], "three: part part-5" in seen.problems[1]] == [True, True]


def test_no_part_at_all_is_an_error_that_names_every_source(tmp_path: Path) -> None:
    (tmp_path / "laionet.yaml").write_text(SOURCES)
    with pytest.raises(UserError) as failure:
        made = load_settings(tmp_path / "laionet.yaml")
        sync_parts(made, build_pipeline(made).warehouse)
    assert [f"source {name}: {tmp_path}/" in str(failure.value) for name in ("one", "two", "three")] == [True] * 3


def test_a_part_from_before_hive_folders_counted_keeps_its_name_and_number(world: World) -> None:
    """Its ids, and every line of removals, mean the same pictures as before."""
    (world.folder / "three" / "lang=de" / "part-0.tsv").unlink()
    world.look()
    register = world.folder / "warehouse" / "parts.json"
    told = json.loads(register.read_text())
    (part,) = (part for part in told["parts"] if part["source"] == "three")
    part.update(part="part-0", ordinal=0)
    register.write_text(json.dumps(told))
    assert "three/part-0" in keys(world.look().present) and world.ordinals()["three/part-0"] == 0
    world.write("three/part-0")
    seen = world.look()
    assert "lang=en/part-0.tsv; rename the file" in seen.problems[0] and "three/part-0" in keys(seen.present)
