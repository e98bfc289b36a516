"""Image sets of the settings: their rows, what is taken of them, and the rule of admission in SQL and in Python."""

import hashlib
from io import BytesIO
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from PIL import Image

from laionet_assets.assets import images, taxonomy
from laionet_assets.assets.image_sets import image_set_rows, steps
from laionet_assets.assets.publishing import Published, make
from laionet_assets.assets.steps import sql_step
from laionet_assets.images.removal_list import Removal
from laionet_assets.images.removals import remove
from laionet_assets.pictures.admission import admit
from laionet_assets.sqlmodels.binding import create_macros
from laionet_assets.warehouse.lake import Lake
from laionet_assets.warehouse.warehouse import Warehouse, memory_connection
from tests.unit.settings.files import settings_with
from tests.unit.sql.models import Database, project, queries

RECIPES = [
    {"name": "r1", "matching": "paper", "encoder": "e", "text_threshold": 0.5},
    {"name": "r2", "matching": "corrected", "encoder": "e", "text_threshold": 0.5},
]


def test_rows_of_recipes_local_sets_and_published_results(tmp_path: Path) -> None:
    for name in ("val", "results.parquet", "classes.json"):
        (tmp_path / name).touch()
    settings = settings_with(
        tmp_path,
        recipes=RECIPES,
        image_sets=[
            {"name": "val", "layout": "imagefolder", "path": "./val", "profile": "paper", "weighted_by": "r2"},
            {"name": "drawn", "layout": "imagefolder", "path": "sample://curated", "classes": "./classes.json"},
        ],
        published_results=[{"name": "paper-val", "path": "./results.parquet", "zero_shot_missing": "wrong"}],
    )
    columns = ("image_set", "position", "kind", "layout", "profile", "weighted_by", "zero_shot_missing")
    assert [tuple(row[name] for name in (*columns, "has_class_list")) for row in image_set_rows(settings)] == [
        ("r1", 0, "recipe", None, "paper", "r1", None, False),
        ("r2", 1, "recipe", None, "corrected", "r2", None, False),
        ("val", 2, "local", "imagefolder", "paper", "r2", None, False),
        ("drawn", 3, "local", "imagefolder", "corrected", "r1", None, True),
        ("paper-val", 4, "published", None, None, "r1", "wrong", False),
    ]


def encoded(mode: str, side: int) -> bytes:
    buffer = BytesIO()
    if mode == "I;16":
        image = Image.fromarray(np.full((side, side), 700, np.uint16))
    elif mode == "PA":
        image = Image.new("LA", (side, side))
    else:
        image = Image.new(mode, (side, side))
    image.save(buffer, "TIFF" if mode in ("CMYK", "F", "I", "LAB", "I;16", "YCbCr", "RGBX") else "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("side", [9, 10])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I;16", "I", "F", "LAB", "YCbCr", "RGBX"])
@pytest.mark.parametrize("profile", ["paper", "corrected"])
def test_the_rule_in_sql_is_the_rule_of_the_pictures(profile: str, mode: str, side: int) -> None:
    """Recipes are admitted by columns of core.images, local sets by their pictures."""
    found = admit(encoded(mode, side), profile)
    assert found.mode
    with duckdb.connect() as connection:
        create_macros(connection, [project().macros["rejection"]])
        values = ["success", None, profile, found.mode, found.width, found.height]
        (reason,) = connection.execute("select rejection(?, ?, ?, ?, ?, ?)", values).fetchone()
    assert reason == found.reason


@pytest.mark.parametrize(
    ("status", "error_class", "reason"),
    [("failed", "http_404", "http_404"), ("not_fetched", None, "not_fetched"), (None, None, "not_asked_for")],
)
def test_what_did_not_come_is_out_by_its_outcome(status: str | None, error_class: str | None, reason: str) -> None:
    with duckdb.connect() as connection:
        create_macros(connection, [project().macros["rejection"]])
        values = [status, error_class, "paper", "RGB", 99, 99]
        assert connection.execute("select rejection(?, ?, ?, ?, ?, ?)", values).fetchone() == (reason,)


class Sets:
    """Two local sets and their tables, made as a run makes them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, colour in (("good", 10), ("other", 90)):
            self.put(name, "n01443537/a.png", colour)
            self.put(name, "n01443537/b.png", colour + 1)
        (folder / "good/n01443537/note.txt").touch()
        image_sets = [{"name": name, "layout": "imagefolder", "path": f"./{name}"} for name in ("good", "other")]
        self.settings = settings_with(folder, warehouse="./lake", image_sets=image_sets)
        self.warehouse = Warehouse(
            Lake(self.settings.warehouse_root), project().tables, memory_connection, folder / "docs"
        )

    def put(self, name: str, file: str, colour: int) -> None:
        path = self.folder / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 12), (colour, 0, 0)).save(path)

    def make(self, *names: str) -> dict[str, Published]:
        steps_ = {
            **taxonomy.steps(self.settings, project()),
            **images.steps(self.settings, project()),
            **steps(self.settings, project()),
            "core.unreadable_sets": sql_step(project(), project().models["core.unreadable_sets"]),
        }
        return {name: make(self.warehouse, steps_[name], None, log=lambda text: None) for name in names}

    def rows(self, query: str, table: str) -> list[tuple[Any, ...]]:
        with self.warehouse.connect() as connection:
            self.warehouse.bind(connection, [table])
            return connection.execute(query).fetchall()

    def pictures(self) -> list[tuple[Any, ...]]:
        return self.rows(
            "select image_set, image_id, rejected_because, sha256 is not null from core.set_images order by all",
            "core.set_images",
        )


@pytest.fixture
def sets(tmp_path: Path) -> Sets:
    found = Sets(tmp_path)
    made = found.make("raw.synsets", "core.removals", "core.set_files", "core.set_images", "core.unreadable_sets")
    assert all(each.is_published for each in made.values())
    return found


WHOLE = [
    ("good", "n01443537/a.png", None, True),
    ("good", "n01443537/b.png", None, True),
    ("other", "n01443537/a.png", None, True),
    ("other", "n01443537/b.png", None, True),
]


def test_what_is_taken_and_what_is_left_out_is_told(sets: Sets) -> None:
    assert sets.rows("select * from core.set_files order by image_set, outcome", "core.set_files") == [
        ("good", "left out", "not called as a picture", 1, None, ["note.txt"]),
        ("good", "taken", "", 2, None, []),
        ("other", "taken", "", 2, None, []),
    ]


def test_a_set_that_cannot_be_read_stops_itself_alone(sets: Sets) -> None:
    """What is published of it stays, the others are read, and the run says what is wrong."""
    assert sets.pictures() == WHOLE
    sets.put("other", "n01443537/c.png", 7)
    sets.put("good", "no class/a.png", 7)
    made = sets.make("core.set_files", "core.set_images", "core.unreadable_sets")
    assert made["core.set_images"].is_published and not made["core.unreadable_sets"].is_published
    assert sets.pictures() == [*WHOLE, ("other", "n01443537/c.png", None, True)]
    (broken,) = (outcome for outcome in made["core.unreadable_sets"].outcomes if outcome.blocks)
    assert broken.expectation.name == "every_set_can_be_read" and "no class" in str(broken.sample)


def test_of_a_set_that_cannot_be_read_what_is_removed_goes(sets: Sets) -> None:
    (sets.folder / "good/loose.png").write_bytes(b"")
    gone = (sets.folder / "good/n01443537/a.png").read_bytes()
    store = images.open_store(sets.settings, sets.warehouse)
    remove(store, [Removal("sha256", hashlib.sha256(gone).hexdigest(), "a wish")])
    sets.make("core.removals", "core.set_files", "core.set_images")
    assert sets.pictures() == [("good", "n01443537/a.png", "removed", False), *WHOLE[1:]]


def test_a_set_that_never_could_be_read_has_no_pictures(tmp_path: Path) -> None:
    sets = Sets(tmp_path)
    (tmp_path / "good/loose.png").write_bytes(b"")
    sets.make("raw.synsets", "core.removals", "core.set_files", "core.set_images")
    assert sets.pictures() == WHOLE[2:]


@pytest.mark.parametrize(
    ("row", "check"),
    [
        (("good", "taken", 0, None), "every_set_has_pictures"),
        (("val", "taken", 44_999, 50_000), "sets_are_as_large_as_their_layout"),
    ],
)
def test_the_rules_of_set_files_are_broken_by_a_bad_row(row: tuple[Any, ...], check: str) -> None:
    db, rules = Database(), queries("core.set_files")
    insert = "insert into core.set_files by name select ? as image_set, ? as outcome, ? as files, ? as expected"
    for good in (("whole", "taken", 45_000, 50_000), ("free", "taken", 1, None)):
        db.connection.execute(insert, good)
    assert not any(db.rows(query) for query in rules.values())
    db.connection.execute(insert, row)
    assert [name for name, query in rules.items() if db.rows(query)] == [check]
    db.connection.close()
