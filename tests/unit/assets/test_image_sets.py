"""Image sets of the settings: their rows, the paths that are taken, and the rule of admission in SQL and in Python."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from PIL import Image

from laionet_assets.assets.image_sets import image_set_rows, open_local_set, steps
from laionet_assets.pictures.admission import admit
from laionet_assets.settings import Settings, SettingsError, load_settings
from laionet_assets.sqlmodels.binding import create_macros
from tests.unit.sql.models import project


def settings_of(folder: Path, **more: Any) -> Settings:
    config = {
        "sources": [{"name": "web", "path": "./parts"}],
        "text_encoders": [{"name": "e", "model": "sentence-transformers:all-MiniLM-L6-v2"}],
        "recipes": [
            {"name": "r1", "matching": "paper", "encoder": "e", "text_threshold": 0.5},
            {"name": "r2", "matching": "corrected", "encoder": "e", "text_threshold": 0.5},
        ],
    }
    (folder / "laionet.yaml").write_text(json.dumps(config | more))
    return load_settings(folder / "laionet.yaml")


def test_rows_of_recipes_local_sets_and_published_results(tmp_path: Path) -> None:
    for name in ("val", "results.parquet", "classes.json"):
        (tmp_path / name).touch()
    settings = settings_of(
        tmp_path,
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


@pytest.mark.parametrize(
    "path",
    ["sample://web", "sample://curated/more", "sample://curated?size=3", "sample://curated?per_class=0",
     "sample://curated?per_class=many", "s3://bucket/val"],
)  # fmt: skip
def test_a_path_that_is_no_folder_is_an_error_of_the_settings(tmp_path: Path, path: str) -> None:
    settings = settings_of(tmp_path, image_sets=[{"name": "x", "layout": "imagefolder", "path": path}])
    with pytest.raises(SettingsError, match=r"image_sets\[0\].path: found .*expected"):
        steps(settings, project())


def test_curated_sets_of_other_options_lie_side_by_side(tmp_path: Path) -> None:
    paths = ("sample://curated?per_class=1", "sample://curated?seed=1&per_class=1")
    sets = [{"name": f"s{i}", "layout": "imagefolder", "path": path} for i, path in enumerate(paths)]
    settings = settings_of(tmp_path, warehouse="./lake", image_sets=sets)
    first, second = (open_local_set(settings, image_set) for image_set in settings.image_sets)
    assert first.count() == second.count() == 24
    folders = sorted(path.name for path in (tmp_path / "lake" / "sample").iterdir())
    assert folders == ["curated-per_class-1", "curated-per_class-1-seed-1"]
    assert next(first.iterate()).read() != next(second.iterate()).read()


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
