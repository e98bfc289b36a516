"""The stage predictions with the bundled models: local sets and a real image store, from bytes to core.predictions."""

import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from PIL import Image

from laionet_assets.assets import by_content
from laionet_assets.assets.by_content import NOT_STORED
from laionet_assets.assets.pipeline import Pipeline, build_pipeline
from laionet_assets.assets.publishing import Published, make
from laionet_assets.errors import UserError
from laionet_assets.images.store import ImageStore
from laionet_assets.sample.classes import sample_classes
from laionet_assets.sample.drawings import curated_picture
from laionet_assets.settings import load_settings
from laionet_assets.sqlmodels.binding import create_empty
from laionet_assets.warehouse.checkpoint import Chunks
from laionet_assets.warehouse.rows import write_select
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Stamp

pytestmark = pytest.mark.integration

PART = PartKey("web", "part-0")
CURATED_PER_CLASS = 1
RECIPES = ("paper", "corrected")
CONFIG: dict[str, Any] = {
    "warehouse": "./warehouse",
    "sources": [{"name": "web", "adapter": "laion400m", "path": "./parts"}],
    "text_encoders": [{"name": "minilm", "model": "sentence-transformers:all-MiniLM-L6-v2"}],
    "predictors": [{"name": "lite0", "model": "timm:tf_efficientnet_lite0", "device": "cpu"}],
    "recipes": [{"name": name, "matching": name, "encoder": "minilm", "text_threshold": 0.5} for name in RECIPES],
}
CLASSES = [one.wnid for one in sample_classes()]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    """Several threads of torch spin while they wait for cores that other tests have."""
    import torch

    torch.set_num_threads(1)


@dataclass
class World:
    """A warehouse, and what its steps logged. It begins with the tables in `taxonomy`, if any."""

    folder: Path
    config: dict[str, Any]
    taxonomy: Path | None = None
    logged: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "parts").mkdir(parents=True, exist_ok=True)
        if self.taxonomy:
            shutil.copytree(self.taxonomy, self.folder / "warehouse")

    @property
    def pipeline(self) -> Pipeline:
        (self.folder / "laionet.yaml").write_text(json.dumps(self.config))
        return build_pipeline(load_settings(self.folder / "laionet.yaml"))

    def make(self, *names: str, part: PartKey | None = None) -> Published:
        """Make tables; `logged` then holds what they said."""
        self.logged.clear()
        pipeline = self.pipeline
        steps = {step.name: step for step in pipeline.steps}
        for name in names:
            where = part if steps[name].is_partitioned else None
            published = make(pipeline.warehouse, steps[name], where, log=self.logged.append)
            failed = [outcome.expectation.name for outcome in published.outcomes if outcome.blocks]
            assert published.is_published, (name, failed, published.preview)
        return published

    def publish(self, name: str, rows: Sequence[dict[str, Any]], part: PartKey | None = None) -> None:
        """Publish a table with these rows by hand."""
        warehouse = self.pipeline.warehouse
        table = warehouse.table(name)
        with warehouse.connect() as connection, warehouse.lake.stage(table, part) as staged:
            create_empty(connection, table)
            for row in rows:
                places = ", ".join("?" for _ in row)
                connection.execute(f"insert into {name} ({', '.join(row)}) values ({places})", list(row.values()))
            version = hashlib.sha256(repr(rows).encode()).hexdigest()[:16]
            select = f"select * from {name}"
            write_select(connection, staged.path, table, select, stamps=Stamp.of(version).metadata)
            warehouse.lake.publish(staged)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query over what is published; tables are named with an underscore for the dot."""
        warehouse = self.pipeline.warehouse
        with duckdb.connect() as connection:
            for name in warehouse.tables:
                if warehouse.is_published(name) and name not in warehouse.views:
                    connection.execute(f"create view {name.replace('.', '_')} as {warehouse.select(name)}")
            return connection.execute(query).fetchall()

    def add_to_store(self, contents: Sequence[bytes]) -> None:
        store = ImageStore(str(self.folder / "warehouse" / "images"))
        with store.writer(PART) as writer:
            for content in contents:
                writer.add(content, "jpg", {})
            writer.commit()


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def turned(image: Image.Image) -> bytes:
    """A picture that is stored on its head, and that EXIF turns upright."""
    exif = Image.Exif()
    exif[0x0112] = 3
    return encoded(image.transpose(Image.Transpose.ROTATE_180), exif=exif, quality=95)


def odd_pictures() -> dict[str, bytes]:
    """Pictures of one class: plain, grey, CMYK, turned by EXIF, cut off, too small."""
    picture = curated_picture(CLASSES[0], 7)
    plain = encoded(picture)
    return {
        "plain": plain,
        "grey": encoded(picture.convert("L")),
        "cmyk": encoded(picture.convert("CMYK")),
        "turned": turned(picture),
        "cut": plain[: len(plain) // 2],
        "small": encoded(picture.resize((9, 9))),
    }


MODES = {"plain": "RGB", "grey": "L", "cmyk": "CMYK", "turned": "RGB", "cut": "RGB", "small": "RGB"}


@pytest.fixture(scope="module")
def taxonomy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse of classes, queries and recipes, without removals."""
    made = World(tmp_path_factory.mktemp("taxonomy"), CONFIG)
    made.make("raw.synsets", "staging.queries", "core.removals", "raw.recipes")
    return made.folder / "warehouse"


@pytest.fixture
def world(tmp_path: Path, taxonomy: Path) -> World:
    """Two local sets of the same odd pictures, one a profile, and one set that is drawn."""
    for name, content in odd_pictures().items():
        path = tmp_path / "odd" / CLASSES[0] / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    sets = [
        {"name": f"odd-{profile}", "layout": "imagefolder", "path": "./odd", "profile": profile}
        for profile in ("paper", "corrected")
    ]
    drawn = {"name": "curated", "layout": "imagefolder", "path": f"sample://curated?per_class={CURATED_PER_CLASS}"}
    return World(tmp_path, CONFIG | {"image_sets": [drawn, *sets]}, taxonomy)


def said(world: World) -> str:
    """How many pictures the last step found predicted and not."""
    return next(line for line in world.logged if "predicted already" in line)


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
    distinct = len(CLASSES) * CURATED_PER_CLASS + 6
    assert said(world) == f"{distinct} pictures, 1 models: 0 are predicted already, {distinct} are not"
    rows = world.rows("select image_set, image_id, count(*), max(error) from core_set_predictions group by all")
    assert len(rows) == len(CLASSES) * CURATED_PER_CLASS + 12
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
        ("curated", len(CLASSES) * CURATED_PER_CLASS, 5),
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


def publish_images(world: World, rows: Sequence[dict[str, Any]], **asked: Any) -> None:
    """Publish rows of core.images, and that all recipes ask for every one of them, or who `asked`."""
    world.publish("core.images", rows, PART)
    asked = {"recipes": sorted(RECIPES), "is_neighbour": False, "is_removed": False} | asked
    keys = ("source", "part", "sample_id")
    world.publish("core.image_requests", [{key: row[key] for key in keys} | asked for row in rows], PART)


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
