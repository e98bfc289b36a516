"""A warehouse whose tables are made one by one, as a run makes them, and odd pictures to make them of."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import duckdb
from PIL import Image

from laionet_assets.assets.pipeline import Pipeline, build_pipeline
from laionet_assets.assets.publishing import Published, make
from laionet_assets.images.store import ImageStore
from laionet_assets.sample.classes import sample_classes
from laionet_assets.sample.drawings import curated_picture
from laionet_assets.settings import load_settings
from laionet_assets.sqlmodels.binding import create_empty
from laionet_assets.warehouse.rows import write_select
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Stamp

PART = PartKey("web", "part-0")

RECIPES = ("paper", "corrected")

CONFIG: dict[str, Any] = {
    "warehouse": "./warehouse",
    "sources": [{"name": "web", "adapter": "laion400m", "path": "./parts"}],
    "text_encoders": [{"name": "minilm", "model": "sentence-transformers:all-MiniLM-L6-v2"}],
    "predictors": [{"name": "lite0", "model": "timm:tf_efficientnet_lite0", "device": "cpu"}],
    "recipes": [{"name": name, "matching": name, "encoder": "minilm", "text_threshold": 0.5} for name in RECIPES],
}

CLASSES = [one.wnid for one in sample_classes()]


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


def said(world: World) -> str:
    """How many pictures the last step found predicted and not."""
    return next(line for line in world.logged if "predicted already" in line)


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


def publish_images(world: World, rows: Sequence[dict[str, Any]], **asked: Any) -> None:
    """Publish rows of core.images, and that all recipes ask for every one of them, or who `asked`."""
    world.publish("core.images", rows, PART)
    asked = {"recipes": sorted(RECIPES), "is_neighbour": False, "is_removed": False} | asked
    keys = ("source", "part", "sample_id")
    world.publish("core.image_requests", [{key: row[key] for key in keys} | asked for row in rows], PART)
