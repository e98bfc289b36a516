"""Steps of the stage images: what they depend on, and where removals are looked for."""

import hashlib
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from laionet_assets.assets.images import (
    IMAGES,
    LEFTOVERS,
    REMOVALS,
    REQUESTS,
    SELECTION_SEEN,
    _follow_removals,
    _looked_at_again,
    _traces_in,
    open_store,
    steps,
)
from laionet_assets.assets.publishing import make
from laionet_assets.assets.steps import Step
from laionet_assets.images.fetch.policy import FetchPolicy
from laionet_assets.images.outcomes import Result, removed, result_columns
from laionet_assets.images.removal_list import Removal
from laionet_assets.images.removals import remove
from laionet_assets.settings import Settings, load_settings
from laionet_assets.sqlmodels.binding import create_empty
from laionet_assets.sqlmodels.loader import load_project
from laionet_assets.warehouse.lake import Lake
from laionet_assets.warehouse.rows import write_select, write_table
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Stamp, Warehouse, memory_connection

PROJECT = load_project()
PART = PartKey("own", "part-0")
NOW = datetime.now(UTC)
CONFIG = """
sources:
  - {name: own, path: "sample://web"}
  - {name: web, path: ./parts}
text_encoders: [{name: e, model: "sentence-transformers:all-MiniLM-L6-v2"}]
recipes: [{name: r, encoder: e, text_threshold: 0.5}]
images: {quota: 1MB}
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "laionet.yaml").write_text(CONFIG)
    return load_settings(tmp_path / "laionet.yaml")


@pytest.fixture
def warehouse(settings: Settings) -> Iterator[Warehouse]:
    root = settings.warehouse_root
    yield Warehouse(Lake(root), PROJECT.tables, memory_connection, Path(root) / "docs")


@pytest.fixture
def made(settings: Settings) -> dict[str, Step]:
    return dict(steps(settings, PROJECT))


def put_images(warehouse: Warehouse, *results: Result, part: PartKey = PART) -> None:
    """Publish rows of core.images, past their checks."""
    table = warehouse.table(IMAGES)
    rows = result_columns(part.source, part.part, [(i, f"http://a/{i}", each) for i, each in enumerate(results)])
    with warehouse.lake.stage(table, part) as staged:
        write_table(staged.path, table, rows, stamps=Stamp.of("v").metadata)
        warehouse.lake.publish(staged)


def test_the_store_is_that_of_the_settings(settings: Settings, warehouse: Warehouse) -> None:
    store = open_store(settings, warehouse)
    assert (store.lake.root, store.quota_bytes) == (f"{warehouse.lake.root}/images", 1_000_000)


def test_failures_are_due_only_where_pictures_are_fetched(made: dict[str, Step], warehouse: Warehouse) -> None:
    due = Result(status="failed", error_class="timeout", url_hash="x", next_attempt_at=NOW - timedelta(seconds=1))
    later = Result(status="failed", error_class="timeout", url_hash="x", next_attempt_at=NOW + timedelta(hours=1))
    step, web = made[IMAGES], PartKey("web", "part-0")
    assert not step.due(warehouse, [PART, web]), "nothing is published"
    put_images(warehouse, later, Result(status="failed", error_class="http_404", url_hash="y"))
    put_images(warehouse, due, part=web)
    assert not step.due(warehouse, [PART, web]), "not yet, and fetching of the other is not enabled"
    put_images(warehouse, later, due)
    assert step.due(warehouse, [PART, web, PartKey("own", "not-there")]) == {PART}
    assert not step.due(warehouse, [web])


def test_a_tombstone_makes_every_part_stale_and_the_table_of_removals_overtaken(
    made: dict[str, Step], settings: Settings, warehouse: Warehouse
) -> None:
    assert not made[REMOVALS].is_overtaken(warehouse), "not there: it is made anyhow"
    assert make(warehouse, made[REMOVALS], None, log=lambda text: None).rows == 0
    assert not made[REMOVALS].is_overtaken(warehouse)
    before = made[IMAGES].outside(warehouse, PART)
    remove(open_store(settings, warehouse), [Removal("sample", "own/1", "a wish")])
    assert made[IMAGES].outside(warehouse, PART) != before
    assert made[REMOVALS].is_overtaken(warehouse)
    first = warehouse.stamps(REMOVALS)[None]
    assert make(warehouse, made[REMOVALS], None, log=lambda text: None).rows == 1
    assert not made[REMOVALS].is_overtaken(warehouse)
    after = warehouse.stamps(REMOVALS)[None]
    assert after.inputs == first.inputs and after.version != first.version, "what reads it follows"


def test_removals_are_looked_for_in_all_that_is_follow_removals() -> None:
    found = _follow_removals(PROJECT)
    assert {REQUESTS, IMAGES, "core.set_images", "core.set_predictions"} <= set(found)
    assert not {LEFTOVERS, REMOVALS, "core.candidates", "core.selection", "raw.parts"} & set(found)
    readers = {name for name, model in PROJECT.models.items() if IMAGES in model.dependencies}
    assert readers - {LEFTOVERS} <= set(found)


def test_the_row_of_a_removed_sample_is_no_trace_but_its_address_is(warehouse: Warehouse) -> None:
    gone, kept = removed("a wish"), Result(status="success", url_hash="x", sha256="ab" * 32)
    put_images(warehouse, gone, kept)
    select = _traces_in(warehouse, IMAGES)
    assert select is not None
    with warehouse.connect() as connection:
        rows = connection.execute(f"select url, sha256, source, sample_id from ({select})").fetchall()
    assert sorted(rows, key=str) == [("http://a/1", "ab" * 32, "own", 1), (None, None, None, None)]


def test_the_rows_that_core_selection_seen_drops_as_removed_are_no_trace(warehouse: Warehouse) -> None:
    table = PROJECT.tables[SELECTION_SEEN]
    with warehouse.connect() as connection:
        create_empty(connection, table)
        connection.execute(
            f"insert into {SELECTION_SEEN} by name from (values ('own', 1, null, 'removed'), ('own', 2, 'u', null), "
            "('own', 3, 'v', 'name_in_image')) t (source, sample_id, url, reason)"
        )
        with warehouse.lake.stage(table, PART) as staged:
            select = f"select * from {SELECTION_SEEN}"
            write_select(connection, staged.path, table, select, stamps=Stamp.of("").metadata)
            warehouse.lake.publish(staged)
        traces = _traces_in(warehouse, SELECTION_SEEN)
        rows = connection.execute(f"select url, source, sample_id from ({traces})").fetchall()
    assert rows == [(None, None, None), ("u", "own", 2), ("v", "own", 3)]


def test_a_table_without_samples_or_contents_has_no_traces(warehouse: Warehouse) -> None:
    assert _traces_in(warehouse, "marts.image_outcomes") is None


def test_stored_pictures_are_looked_at_again_without_asking_for_them(settings: Settings, warehouse: Warehouse) -> None:
    """After an edit of what is found out of their bytes."""
    store, limits = open_store(settings, warehouse), FetchPolicy(contact="mailto:a@b.invalid")
    stored = {}
    with store.writer(PART) as writer:
        for name, data in {"picture": picture(40, 30), "small": picture(3, 3)}.items():
            writer.add(data, "png", {})
            stored[name] = hashlib.sha256(data).hexdigest()
        writer.commit()
    wrong = {"mode": "L", "width": 1, "height": 1, "phash": 7, "mime_type": "image/gif", "is_animated": True}
    known = [
        Result(url_hash="a", status="success", sha256=stored["picture"], attempts=2, **wrong),
        Result(url_hash="b", status="success", sha256=stored["small"], **wrong),
        Result(url_hash="c", status="success", sha256="00" * 32, **wrong),
        Result(url_hash="d", status="failed", error_class="timeout"),
    ]
    seen = {result.url_hash: result for result in _looked_at_again(known, store, limits)}
    assert seen.keys() == {"a", "c", "d"}, "what is too small today is asked for again"
    assert (seen["a"].mode, seen["a"].width, seen["a"].height) == ("RGB", 40, 30)
    assert (seen["a"].mime_type, seen["a"].is_animated, seen["a"].attempts) == ("image/png", False, 2)
    assert seen["a"].phash != 7
    assert [seen["c"], seen["d"]] == known[2:], "what is not stored stays as it was recorded"


def picture(width: int, height: int) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(file, "PNG")
    return file.getvalue()
