"""Predictions of a part of the image store with the bundled models: from bytes to core.image_predictions."""

from pathlib import Path
from typing import Any

import pytest

from laionet_assets.assets import by_content
from laionet_assets.assets.by_content import NOT_STORED
from laionet_assets.sample.drawings import curated_picture
from laionet_assets.warehouse.checkpoint import Chunks
from tests.integration.world import (
    CLASSES,
    CONFIG,
    MODES,
    PART,
    RECIPES,
    World,
    encoded,
    odd_pictures,
    publish_images,
    said,
    sha256,
)

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("one_thread")]


def requested(contents: dict[str, bytes]) -> list[dict[str, Any]]:
    """Rows of core.images: the contents, one of them twice, and a sample that did not come."""
    rows = [
        {
            "sample_id": i,
            "status": "success",
            "sha256": sha256(content),
            "mode": MODES[name],
            "width": 320,
            "height": 320,
        }
        for i, (name, content) in enumerate(contents.items())
        if name != "small"
    ]
    again = rows[0] | {"sample_id": 90}
    lost = {"sample_id": 91, "status": "failed", "error_class": "http_404"}
    return [{"source": PART.source, "part": PART.part, **row} for row in (*rows, again, lost)]


@pytest.mark.slow
def test_a_picture_that_nobody_wants_predicted_is_not(world: World) -> None:
    contents = odd_pictures()
    rows = [row for row in requested(contents) if row.get("sha256") == sha256(contents["plain"])]
    world.add_to_store([contents["plain"]])
    paper, corrected = CONFIG["recipes"]
    world.config["recipes"] = [paper | {"pictures": {"predict": False}}, corrected]
    world.make("raw.recipes")
    for asked, is_predicted in (
        ({"recipes": ["paper"]}, False),
        ({"recipes": ["corrected", "paper"]}, True),
        ({"recipes": [], "is_neighbour": True}, True),
        ({"recipes": ["paper"], "is_neighbour": True}, True),
        ({"recipes": ["paper"]}, False),
    ):
        publish_images(world, rows, **asked)
        world.make("core.image_predictions", part=PART)
        found = world.rows("select distinct sha256 from core_image_predictions")
        assert found == ([(sha256(contents["plain"]),)] if is_predicted else []), asked


def test_a_part_of_the_store_from_bytes_to_predictions(world: World) -> None:
    contents = odd_pictures()
    rows = requested(contents)
    world.add_to_store([contents[name] for name in ("plain", "grey", "turned", "cut")])
    publish_images(world, rows)
    world.make("core.image_predictions", part=PART)
    assert said(world) == "5 pictures, 1 models: 0 are predicted already, 5 are not"
    found = {
        (name, profile): (ranks, error)
        for name, content in contents.items()
        for profile, ranks, error in world.rows(
            "select profile, count(*), max(error) from core_image_predictions "
            f"where sha256 = '{sha256(content)}' group by profile"
        )
    }
    assert found.pop(("cut", "both"))[0] == 1
    assert found == {
        ("plain", "both"): (5, None),
        ("grey", "corrected"): (5, None),
        ("turned", "paper"): (5, None),
        ("turned", "corrected"): (5, None),
        ("cmyk", "both"): (1, NOT_STORED),
    }

    world.add_to_store([contents[name] for name in ("plain", "grey", "turned", "cut", "cmyk")])
    world.make("core.image_predictions", part=PART)
    assert said(world) == "5 pictures, 1 models: 4 are predicted already, 1 are not"
    members = [
        {
            "recipe": recipe,
            "source": row["source"],
            "part": row["part"],
            "sample_id": row["sample_id"],
            "wnid": CLASSES[0],
        }
        for recipe in RECIPES
        for row in rows
    ]
    world.publish("core.laionet", members)
    world.publish("core.neighbours", [])
    world.config["image_sets"] = []
    world.make(
        "raw.image_sets",
        "core.set_files",
        "core.set_images",
        "core.set_predictions",
        "core.image_labels",
        "core.predictions",
    )
    ids = {name: f"web/{i}" for i, name in enumerate(contents) if name != "small"}
    predicted = set(world.rows("select image_set, image_id from core_predictions where rank = 5"))
    assert predicted == {
        *(("paper", image_id) for image_id in (ids["plain"], ids["turned"], "web/90")),
        *(("corrected", image_id) for image_id in (ids["plain"], ids["turned"], ids["grey"], ids["cmyk"], "web/90")),
    }
    reasons = dict(world.rows("select image_id, rejected_because from core_image_labels where image_set = 'paper'"))
    assert reasons == {
        ids["plain"]: None, "web/90": None, ids["turned"]: None, ids["grey"]: "not_rgb", ids["cmyk"]: "not_rgb",
        ids["cut"]: None, "web/91": "http_404",
    }  # fmt: skip
    seen = "select wnid, round(score, 6) from core_predictions where image_set = '{}' and image_id = '{}' order by rank"
    paper, corrected = (world.rows(seen.format(recipe, ids["turned"])) for recipe in ("paper", "corrected"))
    assert corrected[0] != paper[0]
    assert corrected[0][0] == world.rows(seen.format("corrected", ids["plain"]))[0][0]


def test_a_damaged_picture_costs_its_own_row(world: World) -> None:
    contents = odd_pictures()
    names = ("plain", "grey", "turned")
    rows = [row for row in requested(contents) if row["sample_id"] in [list(contents).index(name) for name in names]]
    world.add_to_store([contents[name] for name in names])
    publish_images(world, rows)
    (shard,) = (world.folder / "warehouse" / "images").rglob("shard-*.tar")
    whole = shard.read_bytes()
    middle = whole.index(contents["grey"]) + len(contents["grey"]) // 2
    shard.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    world.make("core.image_predictions", part=PART)
    query = "select sha256, count(*) from core_image_predictions where error {} group by all"
    assert world.rows(query.format(f"= '{NOT_STORED}'")) == [(sha256(contents["grey"]), 1)]
    assert dict(world.rows(query.format("is null"))) == {sha256(contents["plain"]): 5, sha256(contents["turned"]): 10}
    assert [line for line in world.logged if shard.name in line], "it says which shard is damaged"

    shard.write_bytes(whole)
    world.make("core.image_predictions", part=PART)
    assert said(world) == "3 pictures, 1 models: 2 are predicted already, 1 are not"
    assert world.rows("select count(*) from core_image_predictions where error is not null") == [(0,)]


def test_a_run_that_ends_early_loses_a_chunk_at_most_and_ends_the_same(
    tmp_path: Path, taxonomy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_content, "CHUNK_PICTURES", 4)
    contents = [encoded(curated_picture(wnid, 50 + i).resize((96, 96))) for i, wnid in enumerate(CLASSES[:14])]
    rows = [
        {
            "source": "web",
            "part": "part-0",
            "sample_id": i,
            "status": "success",
            "sha256": sha256(content),
            "mode": "RGB",
        }
        for i, content in enumerate(contents)
    ]
    undisturbed, stopped = (World(tmp_path / name, CONFIG, taxonomy) for name in "ab")
    for world in (undisturbed, stopped):
        world.add_to_store(contents)
        publish_images(world, rows)
    undisturbed.make("core.image_predictions", part=PART)
    assert not (tmp_path / "a" / "warehouse" / ".unfinished" / "core.image_predictions" / PART.folder).exists()

    add = Chunks.add

    def add_two(self: Chunks, table: Any) -> None:
        if len(self.files) == 2:
            raise KeyboardInterrupt
        add(self, table)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Chunks, "add", add_two)
        stopped.make("core.image_predictions", part=PART)
    stopped.make("core.image_predictions", part=PART)
    assert said(stopped) == "14 pictures, 1 models: 8 are predicted already, 6 are not"
    query = "select * from core_image_predictions order by all"
    assert stopped.rows(query) == undisturbed.rows(query)
    assert not (tmp_path / "b" / "warehouse" / ".unfinished" / "core.image_predictions" / PART.folder).exists()
