"""core.image_embeddings and core.set_embeddings with the bundled models: local sets and a real image store."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from laionet_assets.assets.by_content import NOT_STORED
from laionet_assets.encoders.images import load_image_encoder
from laionet_assets.models.spec import IMAGE_ENCODER, parse_model
from laionet_assets.sample.drawings import curated_picture
from tests.integration.world import CLASSES, CONFIG, PART, World, encoded, sha256, turned

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("one_thread")]

LITE0, LITE1 = (
    {"name": f"lite{size}", "model": f"timm:tf_efficientnet_lite{size}", "device": "cpu"} for size in (0, 1)
)


def write_set(folder: Path, contents: dict[str, bytes], wnid: str = CLASSES[0]) -> dict[str, Any]:
    (folder / wnid).mkdir(parents=True)
    for name, content in contents.items():
        (folder / wnid / f"{name}.jpg").write_bytes(content)
    return {"name": folder.name, "layout": "imagefolder", "path": str(folder)}


def pictures(count: int) -> list[bytes]:
    return [encoded(curated_picture(CLASSES[i % len(CLASSES)], i).resize((96, 96))) for i in range(count)]


def image_rows(contents: list[bytes], **columns: Any) -> list[dict[str, Any]]:
    row = {"source": PART.source, "part": PART.part, "status": "success", "mode": "RGB"} | columns
    return [row | {"sample_id": i, "sha256": sha256(content)} for i, content in enumerate(contents)]


def said(world: World) -> list[str]:
    return [line for line in world.logged if "embedded" in line]


def test_a_content_is_embedded_once_and_a_new_encoder_or_set_alone(tmp_path: Path) -> None:
    plain, other, third = pictures(3)
    one = write_set(tmp_path / "one", {"a": plain, "b": plain, "t": turned(curated_picture(CLASSES[0], 7))})
    world = World(tmp_path / "w", CONFIG | {"image_encoders": [LITE0], "image_sets": [one]})
    world.make("raw.synsets")
    world.publish("core.removals", [])
    world.make("core.set_files", "core.set_images", "core.set_embeddings")
    assert said(world)[0] == "2 pictures, 1 models: 0 are embedded already, 2 are not"
    rows = world.rows(
        "select image_id, readout, dimensions, profile, embedding, error from core_set_embeddings order by image_id"
    )
    assert [row[1:4] for row in rows] == [("mean_pool", 1280, "both")] * 2 + [("mean_pool", 1280, "corrected")]
    assert rows[0][4] == rows[1][4] != rows[2][4]

    encoder = load_image_encoder(parse_model(IMAGE_ENCODER, LITE0["model"], name="e", device="cpu"))
    from laionet_assets.pictures.reading import read_picture

    expected = encoder.encode([read_picture(plain).image])[0]
    np.testing.assert_allclose(rows[0][4], expected, atol=5e-4)
    np.testing.assert_array_equal(np.asarray(rows[0][4], dtype=np.float32), expected.astype(np.float16))

    two = write_set(tmp_path / "two", {"c": plain, "d": other})
    world.config = world.config | {"image_sets": [one, two]}
    world.make("core.set_files", "core.set_images", "core.set_embeddings")
    assert said(world)[0] == "3 pictures, 1 models: 2 are embedded already, 1 are not"
    assert world.rows("select count(*), count(embedding) from core_set_embeddings") == [(5, 5)]

    world.config = world.config | {"image_encoders": [LITE0, LITE1]}
    world.make("core.set_embeddings")
    assert said(world)[0] == "3 pictures, 2 models: 0 are embedded already, 3 are not"
    assert [line for line in said(world) if "to be" in line] == ["to be embedded by lite1: 3 pictures"]
    assert world.rows("select encoder, count(embedding) from core_set_embeddings group by all order by all") == [
        ("lite0", 5),
        ("lite1", 5),
    ]

    world.publish("core.removals", [{"kind": "sha256", "value": hashlib.sha256(other).hexdigest(), "reason": "asked"}])
    world.make("core.set_files", "core.set_images", "core.set_embeddings")
    assert said(world)[0] == "2 pictures, 2 models: 2 are embedded already, 0 are not"
    assert (
        world.rows("select sha256, embedding is null, error from core_set_embeddings where image_id like '%d.jpg'")
        == [(None, True, "removed: asked")] * 2
    )
    assert third not in (plain, other)


def test_perceptual_hashes_are_those_of_the_fetcher(tmp_path: Path) -> None:
    from laionet_assets.pictures.inspection import inspect

    contents = {f"p{i}": content for i, content in enumerate(pictures(4))} | {"bad": b"no picture"}
    config = CONFIG | {"image_sets": [write_set(tmp_path / "one", contents)]}
    world = World(tmp_path / "w", config)
    world.make("raw.synsets")
    world.publish("core.removals", [])
    world.make("core.set_files", "core.set_images")
    found = dict(world.rows("select sha256, phash from core_set_images"))
    expected = {sha256(c): inspect(c, min_pixels=1, max_pixels=10**9).phash for c in contents.values()}
    assert found == expected and None in found.values() and len(set(found.values())) == 5


def test_by_part_what_is_damaged_or_missing_is_told_and_made_up_for_later(tmp_path: Path) -> None:
    contents = [*pictures(3), b"no picture"]
    world = World(tmp_path, CONFIG | {"image_encoders": [LITE0]})
    world.add_to_store(contents[1:])
    world.publish("core.images", image_rows(contents), PART)
    world.make("core.image_embeddings", part=PART)
    rows = dict(world.rows("select sha256, coalesce(error, 'vector') from core_image_embeddings"))
    assert rows[sha256(contents[0])] == NOT_STORED
    assert rows[sha256(contents[3])].startswith("decode")
    assert [rows[sha256(content)] for content in contents[1:3]] == ["vector", "vector"]

    world.add_to_store(contents[:1])
    world.make("core.image_embeddings", part=PART)
    assert said(world)[0] == "4 pictures, 1 models: 3 are embedded already, 1 are not"
    assert world.rows("select count(embedding) from core_image_embeddings") == [(3,)]


def test_vectors_lie_on_disk_in_half_precision(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    contents = pictures(2)
    world = World(tmp_path, CONFIG | {"image_encoders": [LITE0]})
    world.add_to_store(contents)
    world.publish("core.images", image_rows(contents), PART)
    world.make("core.image_embeddings", part=PART)
    warehouse = world.pipeline.warehouse
    file = warehouse.lake.current(warehouse.table("core.image_embeddings"), PART)
    assert pq.read_schema(file).field("embedding").type.value_type == pa.float16()
    assert world.rows("select typeof(embedding) from core_image_embeddings limit 1") == [("FLOAT[]",)]
