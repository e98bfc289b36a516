"""A small project: synthetic web parts, the bundled encoder, two recipes."""

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pytest
from rich.console import Console

from laionet_assets.assets.pipeline import Pipeline, build_pipeline
from laionet_assets.commands.running import run_pipeline
from laionet_assets.sample import write_sample_part
from laionet_assets.settings import load_settings
from laionet_assets.warehouse.catalog import open_catalog
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse
from tests.integration import graph
from tests.integration import world as small

CONFIG = """
warehouse: {warehouse}
sources: [{{name: web, adapter: laion400m, path: {parts}}}]
text_encoders: [{{name: minilm, model: "sentence-transformers:all-MiniLM-L6-v2"}}]
recipes:
  - {{name: paper, matching: paper, encoder: minilm, text_threshold: 0.5}}
  - {{name: corrected, matching: corrected, encoder: minilm, text_threshold: 0.5}}
"""


@dataclass
class Project:
    """A folder with a laionet.yaml, its parts and its warehouse."""

    folder: Path
    parts: Path
    printed: list[str] = field(default_factory=list)

    @property
    def config(self) -> Path:
        return self.folder / "laionet.yaml"

    @property
    def warehouse(self) -> Path:
        return self.folder / "warehouse"

    def configure(self, text: str = CONFIG) -> None:
        """Write laionet.yaml."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(text.format(warehouse=self.warehouse, parts=self.parts))

    def edit(self, old: str, new: str) -> None:
        """Replace a text in laionet.yaml."""
        text = self.config.read_text()
        assert old in text
        self.config.write_text(text.replace(old, new))

    def add_part(self, number: int, *, rows: int = 300) -> Path:
        """Drop a part of the synthetic web into the source folder."""
        drawn = write_sample_part(self.folder / "drawn", number, rows=rows)
        self.parts.mkdir(parents=True, exist_ok=True)
        target = self.parts / drawn.name
        os.replace(drawn, target)
        return target

    def run(self, *, select: str | None = None, parts: Sequence[str] = (), force: bool = False) -> int:
        """`laionet run` in this process; what it prints is in `printed`."""
        console = Console(width=200, record=True, quiet=False, file=open(os.devnull, "w"))  # noqa: SIM115
        try:
            return run_pipeline(self.config, select=select, parts=parts, force=force, console=console)
        finally:
            self.printed.append(console.export_text())
            console.file.close()

    @property
    def pipeline(self) -> Pipeline:
        return build_pipeline(load_settings(self.config))

    def made(self) -> set[str]:
        """Tables, and parts of them, that the last run made."""
        return set(
            re.findall(
                r"(?m)^  ((?:raw|staging|core|marts)\.\w+(?: \S+/\S+)?)(?:  \([\d,]+ of [\d,]+\))$", self.printed[-1]
            )
        )

    def files(self) -> dict[str, bytes]:
        """Content of every published file."""
        return {
            str(path.relative_to(self.warehouse)): path.read_bytes()
            for path in sorted(self.warehouse.rglob("data.parquet"))
        }

    def count(self, query: str) -> int:
        """One number from the warehouse."""
        with open_catalog(self.pipeline.warehouse) as connection:
            row = connection.execute(query).fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture(autouse=True)
def _own_dagster_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.delenv("LAIONET_CONFIG", raising=False)


BASE = " or ".join(f'key:"{key}"' for key in sorted(graph.keys(graph.BASE)))


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse of the tables that depend on no part; the 1,000 class queries are embedded once for all tests."""
    made = Project(folder=tmp_path_factory.mktemp("base"), parts=tmp_path_factory.mktemp("parts"))
    made.configure()
    made.add_part(0, rows=100)
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("DAGSTER_HOME", raising=False)
        assert made.run(select=BASE) == 0, made.printed[-1]
    return made.warehouse


@pytest.fixture
def bare_project(tmp_path: Path) -> Project:
    """A configured project without parts and tables."""
    made = Project(folder=tmp_path / "project", parts=tmp_path / "parts")
    made.configure()
    return made


@pytest.fixture
def project(bare_project: Project, base: Path) -> Project:
    """A configured project without parts; the tables that depend on no part are there already."""
    for schema in ("raw", "staging", "core"):
        shutil.copytree(base / schema, bare_project.warehouse / schema)
    return bare_project


@pytest.fixture(scope="module")
def one_thread() -> None:
    """Several threads of torch spin while they wait for cores that other tests have."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def taxonomy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse of classes, queries and recipes, without removals."""
    made = small.World(tmp_path_factory.mktemp("taxonomy"), small.CONFIG)
    made.make("raw.synsets", "staging.queries", "core.removals", "raw.recipes")
    return made.folder / "warehouse"


@pytest.fixture
def world(tmp_path: Path, taxonomy: Path) -> small.World:
    """Two local sets of the same odd pictures, one a profile, and one set that is drawn."""
    for name, content in small.odd_pictures().items():
        path = tmp_path / "odd" / small.CLASSES[0] / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    sets = [
        {"name": f"odd-{profile}", "layout": "imagefolder", "path": "./odd", "profile": profile}
        for profile in ("paper", "corrected")
    ]
    drawn = {"name": "curated", "layout": "imagefolder", "path": "sample://curated?per_class=1"}
    return small.World(tmp_path, small.CONFIG | {"image_sets": [drawn, *sets]}, taxonomy)


def make_due(warehouse: Warehouse, part: PartKey) -> None:
    """Set the clock of the published failures of a part back, keeping the stamps of the file."""
    import pyarrow.parquet as pq

    path = warehouse.lake.path(warehouse.table("core.images"), part)
    table = pq.read_table(path)
    with duckdb.connect() as connection:
        connection.register("images", table)
        columns = "* replace (next_attempt_at - interval 40 days as next_attempt_at)"
        changed = connection.sql(f"select {columns} from images").to_arrow_table().cast(table.schema)
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), path)
