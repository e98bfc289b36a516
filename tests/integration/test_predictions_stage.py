"""The stage predictions with the bundled models: local sets, from files to core.set_predictions."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from laionet_assets.errors import UserError
from laionet_assets.sample.drawings import curated_picture
from tests.integration.world import CLASSES, CONFIG, PART, World, encoded, odd_pictures, publish_images, said, sha256

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("one_thread")]


def test_local_sets_from_files_to_predictions(world: World) -> None:
    world.make("core.set_files", "core.set_images")
    judged = {
        (image_set, image_id.split("/")[1].removesuffix(".jpg")): (reason, conversions)
        for image_set, image_id, reason, conversions in world.rows(
            "select image_set, image_id, rejected_because, conversions from core_set_images"
        )
        if image_set != "curated"
    }
    assert judged == {
        ("odd-paper", "plain"): (None, []),
        ("odd-paper", "grey"): ("not_rgb", []),
        ("odd-paper", "cmyk"): ("not_rgb", []),
        ("odd-paper", "turned"): (None, []),
        ("odd-paper", "cut"): ("decode", []),
        ("odd-paper", "small"): ("too_small", []),
        ("odd-corrected", "plain"): (None, []),
        ("odd-corrected", "grey"): (None, ["grey"]),
        ("odd-corrected", "cmyk"): (None, ["cmyk"]),
        ("odd-corrected", "turned"): (None, ["exif_orientation"]),
        ("odd-corrected", "cut"): ("decode", []),
        ("odd-corrected", "small"): ("too_small", []),
    }
    assert (
        "odd-corrected: 6 pictures under corrected; admitted: 4, converted: 3, decode: 1, too_small: 1" in world.logged
    )
    assert "odd-corrected: conversions: cmyk: 1, exif_orientation: 1, grey: 1" in world.logged

    world.make("core.set_predictions")
    distinct = len(CLASSES) + 6
    assert said(world) == f"{distinct} pictures, 1 models: 0 are predicted already, {distinct} are not"
    rows = world.rows("select image_set, image_id, count(*), max(error) from core_set_predictions group by all")
    assert len(rows) == len(CLASSES) + 12
    failed = {(image_set, image_id): error for image_set, image_id, _, error in rows if error}
    assert {image_id for _, image_id in failed} == {f"{CLASSES[0]}/cut.jpg"}
    assert all("truncated" in error for error in failed.values())
    assert {count for *_, count, error in rows if error is None} == {5}
    turned_rows = dict(
        world.rows("select image_set, profile from core_set_predictions where image_id like '%turned%' and rank = 1")
    )
    assert turned_rows == {"odd-paper": "paper", "odd-corrected": "corrected"}
    seen = "select wnid from core_set_predictions where image_id like '%{}%' and image_set = 'odd-{}' order by rank"
    plain, upright, on_its_head = (
        world.rows(seen.format(*which))
        for which in (("plain", "corrected"), ("turned", "corrected"), ("turned", "paper"))
    )
    assert upright[0] == plain[0] == (CLASSES[0],)
    assert on_its_head != upright

    recall = world.rows("""
        select avg((p.wnid = i.wnid)::int)
        from core_set_predictions p join core_set_images i using (image_set, image_id)
        where rank = 1 and image_set = 'curated'
    """)
    assert recall[0][0] > 0.8

    world.publish("core.laionet", [])
    publish_images(world, [])
    world.make("core.image_predictions", part=PART)
    world.publish("core.neighbours", [])
    world.make("raw.image_sets", "core.image_labels", "core.predictions")
    predicted = world.rows("select image_set, count(distinct image_id), max(rank) from core_predictions group by all")
    assert sorted(predicted) == [
        ("curated", len(CLASSES), 5),
        ("odd-corrected", 4, 5),
        ("odd-paper", 2, 5),
    ]


def test_only_what_is_new_is_predicted(world: World) -> None:
    world.config["image_sets"] = world.config["image_sets"][1:]
    told = world.make("core.set_files", "core.set_images", "core.set_predictions").told
    assert re.fullmatch(r"cpu, float32, [0-9.]+ pictures a second through 1 predictors", told["lite0"])
    assert f"lite0: {told['lite0']}" in world.logged
    before = world.rows("select * from core_set_predictions order by all")
    assert not world.make("core.set_predictions").told
    assert said(world) == "6 pictures, 1 models: 6 are predicted already, 0 are not"
    assert world.rows("select * from core_set_predictions order by all") == before

    new = encoded(curated_picture(CLASSES[1], 8))
    (world.folder / "odd" / CLASSES[1]).mkdir()
    (world.folder / "odd" / CLASSES[1] / "new.jpg").write_bytes(new)
    world.make("core.set_files", "core.set_images", "core.set_predictions")
    assert said(world) == "7 pictures, 1 models: 6 are predicted already, 1 are not"
    assert "to be predicted by lite0: 1 pictures" in world.logged
    rows = world.rows(f"select * from core_set_predictions where sha256 <> '{sha256(new)}' order by all")
    assert rows == before

    more = {"name": "lite1", "model": "timm:tf_efficientnet_lite1", "device": "cpu"}
    world.config["predictors"] = [*world.config["predictors"], more]
    world.make("core.set_predictions")
    assert said(world) == "7 pictures, 2 models: 0 are predicted already, 7 are not"
    assert "to be predicted by lite1: 7 pictures" in world.logged
    assert not [line for line in world.logged if "predicted by lite0" in line]
    world.config["predictors"] = [more]
    world.make("core.set_predictions")
    assert said(world) == "7 pictures, 1 models: 7 are predicted already, 0 are not"
    assert world.rows("select distinct model from core_set_predictions") == [("lite1",)]

    (world.folder / "odd" / CLASSES[1] / "new.jpg").write_bytes(encoded(curated_picture(CLASSES[1], 9)))
    world.pipeline.warehouse.lake.filesystem.rm(
        world.pipeline.warehouse.lake.path(world.pipeline.warehouse.table("core.set_predictions"))
    )
    with pytest.raises(UserError, match=r"new.jpg has another content, since core.set_images was made"):
        world.make("core.set_predictions")


def test_what_was_removed_is_in_no_local_set(world: World) -> None:
    """By content: the file is the user's own and stays, the tables know neither content nor prediction of it."""
    world.config["image_sets"] = world.config["image_sets"][1:]
    world.make("core.set_files", "core.set_images", "core.set_predictions")
    gone = sha256(odd_pictures()["plain"])
    (world.folder / "removals.csv").write_text(f"kind,value,reason\nsha256,{gone},copyright\n")
    world.config["images"] = {"removals": "./removals.csv"}
    world.make("core.removals", "core.set_files", "core.set_images", "core.set_predictions")
    mine = "from {} where image_id like '%plain%' order by all"
    assert world.rows(f"select image_set, sha256, is_admitted, rejected_because {mine.format('core_set_images')}") == [
        (f"odd-{profile}", None, False, "removed") for profile in ("corrected", "paper")
    ]
    assert (
        world.rows(f"select rank, wnid, sha256, error {mine.format('core_set_predictions')}")
        == [(1, None, None, "removed: copyright")] * 2
    )
    for table in ("core_set_images", "core_set_predictions"):
        assert world.rows(f"select count(*) from {table} where sha256 = '{gone}'") == [(0,)]
    world.config["images"] = {}
    world.make("core.removals", "core.set_files", "core.set_images")
    assert world.rows("select count(*) from core_set_images where rejected_because = 'removed'") == [(2,)], "for good"


def test_zero_shot_classes_are_those_of_the_taxonomy(tmp_path: Path) -> None:
    """A CLIP of random weights over a taxonomy of four classes: one query a class, and 80 templates."""
    import open_clip
    import torch

    folder = tmp_path / "clip"
    folder.mkdir()
    text = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    vision = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 8, "head_width": 32}
    architecture = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text}
    (folder / "laionet-test-stage.json").write_text(json.dumps(architecture))
    open_clip.add_model_config(folder / "laionet-test-stage.json")
    torch.manual_seed(1)
    model = open_clip.create_model("laionet-test-stage")
    preprocessing = {"mean": [0.5] * 3, "std": [0.5] * 3}
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": architecture, "preprocess_cfg": preprocessing})
    )
    torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
    cranes = ["n02012849", "n03126707"]
    (tmp_path / "classes.txt").write_text("\n".join([*cranes, *CLASSES[:2]]))
    for wnid in cranes:
        (tmp_path / "set" / wnid).mkdir(parents=True)
        noise = np.random.default_rng(len(wnid)).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        (tmp_path / "set" / wnid / "a.png").write_bytes(encoded(Image.fromarray(noise), "PNG"))
    predictors = [
        {"name": prompts, "model": "open_clip:tiny", "weights": "./clip", "device": "cpu", "prompts": prompts}
        for prompts in ("query", "templates")
    ]
    sets = [{"name": "noise", "layout": "imagefolder", "path": "./set"}]
    config = CONFIG | {"taxonomy": "./classes.txt", "predictors": predictors, "image_sets": sets}
    world = World(tmp_path, config)
    world.make(
        "raw.synsets", "staging.queries", "core.removals", "core.set_files", "core.set_images", "core.set_predictions"
    )
    rows = world.rows("select model, image_id, list(wnid order by wnid) from core_set_predictions group by all")
    assert len(rows) == 4
    assert all(sorted(wnids) == sorted([*cranes, *CLASSES[:2]]) for *_, wnids in rows)
    identities = world.rows("select count(distinct model_identity) from core_set_predictions")
    assert identities == [(2,)]
    world.make("core.set_predictions")
    assert said(world) == "1 pictures, 2 models: 1 are predicted already, 0 are not"


def test_published_files_are_current_until_something_changes(world: World) -> None:
    from laionet_assets.assets.versions import Versions

    def current() -> dict[str, bool]:
        pipeline = world.pipeline
        versions = Versions(pipeline.warehouse)
        return {step.name: versions.is_current(step, None) for step in pipeline.steps if step.name in tables}

    tables = ("raw.image_sets", "raw.real_labels", "core.set_files", "core.set_images", "core.set_predictions")
    world.config["image_sets"] = world.config["image_sets"][1:]
    world.make(*tables)
    assert current() == dict.fromkeys(tables, True)
    path = world.folder / "odd" / CLASSES[0] / "plain.jpg"
    path.write_bytes(path.read_bytes() + b"\0")
    assert current() == dict.fromkeys(tables, True) | {"core.set_files": False, "core.set_images": False}
    world.config["predictors"] = [{"name": "lite0", "model": "timm:tf_efficientnet_lite1"}]
    assert not current()["core.set_predictions"]


@pytest.mark.real_data
def test_photographs_through_the_bundled_models(tmp_path: Path, taxonomy: Path, real_data: Path) -> None:
    """One photograph of each of 150 classes (`make bench` takes all 750). They may be in the models' training data:
    accuracy is inflated.
    """
    photos = tmp_path / "photos"
    for folder in sorted((real_data / "images").iterdir()):
        (photos / folder.name).mkdir(parents=True)
        shutil.copy(min(folder.glob("*.jpg")), photos / folder.name)
    models = ("lite0", "lite1", "lite2")
    config = CONFIG | {
        "predictors": [{"name": name, "model": f"timm:tf_efficientnet_{name}", "device": "cpu"} for name in models],
        "image_sets": [{"name": "photos", "layout": "imagefolder", "path": str(photos)}],
    }
    world = World(tmp_path, config, taxonomy)
    world.make("core.set_files", "core.set_images")
    world.make("core.set_predictions")
    accuracy = world.rows("""
        with judged as (
            select model, image_id, bool_or(p.wnid = i.wnid and rank = 1) as top_1, bool_or(p.wnid = i.wnid) as top_5
            from core_set_predictions p join core_set_images i using (image_set, image_id) group by all
        )
        select model, count(*), avg(top_1::int), avg(top_5::int) from judged group by all order by all
    """)
    assert [(model, images) for model, images, *_ in accuracy] == [(model, 150) for model in models]
    for *_, top_1, top_5 in accuracy:
        assert 0.7 <= top_1 <= 0.95
        assert 0.88 <= top_5 <= 1
