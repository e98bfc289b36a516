"""From pictures in the store to the rows that LAIONet drops for their text, with a real recogniser."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest

from laionet_assets.assets.pipeline import Pipeline
from laionet_assets.assets.planning import stale_tasks
from laionet_assets.assets.publishing import make
from laionet_assets.images.store import ImageStore
from laionet_assets.images.tombstones import url_hash
from laionet_assets.quality.asset_checks import describe_failures
from laionet_assets.sample.web_pictures import web_picture
from laionet_assets.sqlmodels.binding import create_empty
from laionet_assets.warehouse.rows import write_select
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Stamp, digest
from tests.integration.conftest import Project

pytestmark = pytest.mark.integration

CONFIG = """
warehouse: {warehouse}
sources: [{{name: web, adapter: laion400m, path: {parts}}}]
text_encoders: [{{name: minilm, model: "sentence-transformers:all-MiniLM-L6-v2"}}]
ocr: {{model: "rapidocr:fast"}}
recipes:
  - {{name: paper, matching: paper, encoder: minilm, text_threshold: 0.5, drop_text_in_image: true, top_k: 2}}
  - {{name: corrected, matching: corrected, encoder: minilm, text_threshold: 0.5, drop_text_in_image: true}}
  - {{name: everything, matching: corrected, encoder: minilm, text_threshold: 0.5, drop_text_in_image: false}}
"""
PART = PartKey("web", "part-00000")
STAGES = (
    "core.image_text", "core.names_in_images", "core.selection_seen", "core.duplicate_samples", "core.selection_counts",
    "core.laionet", "marts.funnel",
)  # fmt: skip
HARP, HONEYCOMB, CLOCK, BALL, WEB_SITE = "n03495258", "n03530642", "n02708093", "n04254680", "n06359193"
ALL = ("paper", "corrected", "everything")


@dataclass
class Sample:
    """A row of the web: its class, its picture (None: it could not be fetched), the recipes that ask for it, and what
    each rule finds in the picture.
    """

    sample_id: int
    wnid: str
    picture: bytes | None
    paper: bool | None
    corrected: bool | None
    recipes: Sequence[str] = ALL

    @property
    def url(self) -> str:
        return f"https://web.example/{self.sample_id}.jpg"


NAMED = web_picture("text", HARP, 7015)
RUN_TOGETHER = web_picture("text", BALL, 7007)
BY_ANOTHER_LEMMA = web_picture("text", WEB_SITE, 7000)
PLAIN = web_picture("web", HARP, 1)
SAMPLES = (
    Sample(1, HARP, NAMED, True, True),
    Sample(2, BALL, RUN_TOGETHER, False, True),
    Sample(3, WEB_SITE, BY_ANOTHER_LEMMA, False, True),
    Sample(4, HARP, PLAIN, False, False),
    Sample(5, HARP, web_picture("web", HONEYCOMB, 2), False, False),
    Sample(6, CLOCK, web_picture("web", CLOCK, 3)[:3000], None, None),
    Sample(7, CLOCK, None, None, None),
    Sample(8, HARP, NAMED, True, True),
    Sample(9, HONEYCOMB, NAMED, False, False),
    Sample(10, HONEYCOMB, web_picture("text", HONEYCOMB, 7018), None, None, recipes=("everything",)),
    Sample(11, HARP, web_picture("web", HARP, 4), False, False),
)


@dataclass
class Web:
    """Samples, published by hand as the stages before would, and the stages of this room over them."""

    project: Project
    samples: Sequence[Sample] = SAMPLES

    def __post_init__(self) -> None:
        self.configure(CONFIG)

    def configure(self, text: str) -> None:
        self.project.configure(text)
        self.pipeline: Pipeline = self.project.pipeline

    @property
    def store(self) -> ImageStore:
        return ImageStore(self.pipeline.settings.image_location)

    def publish(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Publish rows as a table's, or its part's; columns that they lack are null."""
        warehouse, table = self.pipeline.warehouse, self.pipeline.project.tables[name]
        part = PART if table.is_partitioned else None
        with warehouse.connect() as connection, warehouse.lake.stage(table, part) as staged:
            create_empty(connection, table)
            if rows:
                here = {"source": PART.source, "part": PART.part}
                placed = [{**(here if part else {}), **row} for row in rows]
                connection.register("given", pa.Table.from_pylist(placed))
                connection.execute(f"insert into {name} by name from given")
            select, version = f"select * from {name}", digest(repr(rows))
            write_select(connection, staged.path, table, select, stamps=Stamp.of(version).metadata)
            warehouse.lake.publish(staged)

    def put(self, removals: Sequence[Mapping[str, Any]] = ()) -> None:
        """Publish everything that the stages read; keep the pictures in the store."""
        hashes: dict[int, str] = {}
        with self.store.writer(PART) as writer:
            for sample in self.samples:
                if sample.picture is not None:
                    hashes[sample.sample_id] = writer.add(sample.picture, "jpg").sha256
            writer.commit()
        keys = [{"sample_id": each.sample_id, "wnid": each.wnid} for each in self.samples]
        self.publish("raw.parts", [{"rows": 100, "pairs": 100}])
        self.publish("core.removals", removals)
        self.publish(
            "core.candidates",
            [
                {**key, "matching": matching, "classes": 1, "nsfw": "UNLIKELY", "caption": "c", "url": each.url}
                for key, each in zip(keys, self.samples, strict=True)
                for matching in ("paper", "corrected")
            ],
        )
        similarities = [{**key, "encoder": "minilm", "similarity": 1 - key["sample_id"] / 100} for key in keys]
        self.publish("core.caption_similarity", similarities)
        self.publish(
            "core.image_requests",
            [{"sample_id": each.sample_id, "url": each.url, "recipes": list(each.recipes)} for each in self.samples],
        )
        self.publish(
            "core.images",
            [
                {
                    "sample_id": each.sample_id,
                    "url": each.url,
                    "status": "success" if each.picture is not None else "failed",
                    "sha256": hashes.get(each.sample_id),
                }
                for each in self.samples
            ],
        )
        self.publish("core.sample_query_similarity", [])
        self.make("raw.recipes", "core.selection", "core.removed_samples")

    def make(self, *names: str) -> list[str]:
        """Make tables as a run does. Returns what was logged."""
        logged: list[str] = []
        pipeline = self.pipeline
        for step in pipeline.steps:
            if step.name in names:
                part = PART if step.is_partitioned else None
                published = make(pipeline.warehouse, step, part, log=logged.append)
                assert published.is_published, describe_failures(published.outcomes, table=step.name)
        return logged

    def stale(self) -> set[str]:
        pipeline = self.pipeline
        tasks = stale_tasks(pipeline.warehouse, pipeline.steps, [PART], names=STAGES)
        return {task.name for task in tasks}

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        warehouse = self.pipeline.warehouse
        with warehouse.connect() as connection:
            warehouse.bind(connection, filter(warehouse.is_published, STAGES))
            return connection.execute(query).fetchall()

    def laionet(self) -> dict[str, list[int]]:
        rows = self.rows("select recipe, list(sample_id order by sample_id) from core.laionet group by recipe")
        return dict(rows)


@pytest.fixture
def web(project: Project) -> Web:
    return Web(project)


def test_rows_with_the_name_of_their_class_in_the_picture_are_dropped_and_no_others(web: Web) -> None:
    web.put()
    line, told = web.make(*STAGES)
    pictures = {each.picture for each in SAMPLES if "paper" in each.recipes} - {None}
    assert line.startswith(f"{len(pictures)} of {len(pictures)} pictures read by fast")
    assert re.fullmatch(r"fast: cpu, float32, ONNX Runtime, [0-9.]+ pictures a second", told)
    broken = web.rows("select text, boxes, error from core.image_text where error is not null")
    assert [(text, boxes) for text, boxes, _ in broken] == [(None, 0)]
    assert broken[0][2].startswith("decode: ")

    names = web.rows("select sample_id, has_name_paper, has_name_corrected from core.names_in_images order by all")
    assert names == [(each.sample_id, each.paper, each.corrected) for each in SAMPLES]

    # of harps the paper's top 2 are taken after 1 and 8 are dropped
    assert web.laionet() == {
        "paper": [2, 3, 4, 5, 6, 7, 9, 10],
        "corrected": [4, 5, 6, 7, 9, 10, 11],
        "everything": [each.sample_id for each in SAMPLES],
    }
    known = web.rows("select sample_id, has_name_in_image from core.laionet where recipe = 'everything' order by 1")
    assert known == [(each.sample_id, each.corrected) for each in SAMPLES]
    late = "from marts.funnel where wnid = '*' and stage_position >= 5 and rows_dropped > 0"
    funnel = web.rows(f"select recipe, stage, rows_dropped {late}")
    assert sorted(funnel) == [("corrected", "name_in_image", 4), ("paper", "name_in_image", 2), ("paper", "top_k", 1)]


def test_only_new_pictures_are_read(web: Web) -> None:
    web.put()
    web.make(*STAGES)
    assert web.stale() == set()
    before = web.project.files()
    assert web.make("core.image_text") == []
    assert web.project.files() == before

    web.samples = [*SAMPLES, Sample(12, HONEYCOMB, web_picture("text", HONEYCOMB, 7018), True, True)]
    web.put()
    assert web.stale() == set(STAGES)
    line, _ = web.make("core.image_text", "core.names_in_images")
    assert line.startswith("1 of 1 pictures read by fast")
    # sample 10 has the same picture: what is read for one recipe is known to all
    named = web.rows("select sample_id from core.names_in_images where has_name_paper order by all")
    assert named == [(1,), (8,), (10,), (12,)]

    web.configure(CONFIG.replace("rapidocr:fast", "rapidocr:default"))
    assert "core.image_text" in web.stale()


def test_recipes_that_do_not_look_at_text_forget_none_of_it(web: Web) -> None:
    web.put()
    web.make("core.image_text")
    texts = web.rows("from core.image_text")
    assert len(texts) == 7
    careless = CONFIG.replace("drop_text_in_image: true", "drop_text_in_image: false")
    web.configure(careless)
    assert web.make("raw.recipes", "core.selection", *STAGES) == []
    assert web.rows("from core.image_text") == texts
    assert 1 in web.laionet()["corrected"]
    web.configure(CONFIG)
    assert web.make("raw.recipes", "core.selection", *STAGES) == []
    assert 1 not in web.laionet()["corrected"]

    web.configure(careless.replace('{{model: "rapidocr:fast"}}', "null"))
    assert web.make("raw.recipes", "core.selection", *STAGES) == []
    assert web.rows("from core.image_text") == []
    assert web.rows("select distinct has_name_in_image from core.laionet") == [(None,)]


def test_what_was_removed_is_in_no_recipe_and_accounted_for(web: Web) -> None:
    removed = [("sample", "web/4"), ("url_hash", url_hash(SAMPLES[8].url))]
    web.put([{"kind": kind, "value": value, "reason": "request", "is_requested": True} for kind, value in removed])
    web.make(*STAGES)
    assert web.laionet() == {
        "paper": [2, 3, 5, 6, 7, 10, 11],
        "corrected": [5, 6, 7, 10, 11],
        "everything": [1, 2, 3, 5, 6, 7, 8, 10, 11],
    }
    query = "select recipe, dropped_by_reason['removed'] from marts.funnel where wnid = '*' and stage = 'not_removed'"
    assert sorted(web.rows(query)) == [("corrected", 2), ("everything", 2), ("paper", 2)]


def test_a_damaged_shard_costs_its_own_pictures_until_it_is_mended(web: Web) -> None:
    web.samples = SAMPLES[:4]
    web.put()
    store = web.store
    (shard,) = (path for path in store.files() if path.endswith(".tar"))
    entry = next(each for each in store.folder(PART).entries() if store.read(each.sha256) == RUN_TOGETHER)
    path = web.project.warehouse / "images" / shard
    whole = path.read_bytes()
    at = entry.byte_offset + 100
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])

    web.make("core.image_text")
    found = web.rows("select count(text), count(recognizer), any_value(error) from core.image_text")
    assert found[0][:2] == (3, 3)
    assert entry.sha256 in found[0][2]
    path.write_bytes(whole)
    line, _ = web.make("core.image_text")
    assert line.startswith("1 of 1 pictures read by fast")
