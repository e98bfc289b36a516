"""A small warehouse in which the steps of results are made as a run makes them, beside inputs put there as rows."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import yaml

from laionet_assets.assets import results
from laionet_assets.assets.pipeline import warehouse_resource
from laionet_assets.assets.publishing import Published, make
from laionet_assets.assets.steps import Step, sql_step
from laionet_assets.settings import Settings, load_settings
from laionet_assets.sqlmodels.loader import load_project
from laionet_assets.warehouse.rows import write_select
from laionet_assets.warehouse.warehouse import Stamp, Warehouse

PROJECT = load_project()
PUBLISHED = ("raw.published_correctness", "raw.published_labels", "raw.class_lists", "raw.predictors")
MARTS = (
    "core.correctness",
    "core.class_weights",
    "marts.class_recall",
    "marts.accuracy",
    "marts.zero_shot",
    "marts.real_accuracy",
    "marts.accuracy_gap",
)
INPUTS = (
    "raw.synsets",
    "raw.image_sets",
    "raw.real_labels",
    "raw.recipes",
    "staging.queries",
    "core.selection_counts",
    "core.image_labels",
    "core.predictions",
)
BASE: Mapping[str, Any] = {
    "sources": [{"name": "web", "path": "sample://web"}],
    "text_encoders": [{"name": "minilm", "model": "sentence-transformers:all-MiniLM-L6-v2"}],
    "recipes": [{"name": "r", "encoder": "minilm", "text_threshold": 0.5}],
}


@dataclass
class Workbench:
    """A folder with a laionet.yaml of `settings` beside the least that there must be."""

    folder: Path
    keys: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def settings(self) -> Settings:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "laionet.yaml"
        path.write_text(yaml.safe_dump({**BASE, "warehouse": "warehouse", **self.keys}), encoding="utf-8")
        return load_settings(path)

    @cached_property
    def warehouse(self) -> Warehouse:
        return warehouse_resource(self.settings).open(PROJECT.tables, {}, None)

    @cached_property
    def steps(self) -> Mapping[str, Step]:
        made = results.steps(self.settings, PROJECT)
        models = [model for model in PROJECT.models.values() if model.select is not None]
        return {**{model.name: sql_step(PROJECT, model) for model in models}, **made}

    def put(self, name: str, select: str = "") -> None:
        """Publish the rows of a SELECT as a table's, columns that it does not name null; no rows without one."""
        table = PROJECT.tables[name]
        part = None
        with closing(duckdb.connect()) as connection:
            columns = ", ".join(f'"{column.name}" {column.type}' for column in table.columns)
            connection.execute(f"create table rows ({columns})")
            if select:
                connection.execute(f"insert into rows by name {select}")
            if table.is_partitioned:
                from laionet_assets.warehouse.table import PartKey

                part = PartKey("web", "part-0")
            with self.warehouse.lake.stage(table, part) as staged:
                write_select(
                    connection, staged.path, table, "select * from rows", stamps=Stamp.of(f"put {select}").metadata
                )
                self.warehouse.lake.publish(staged)

    def make(self, *names: str) -> dict[str, Published]:
        """Make tables; every blocking check must pass. What their warnings say stays in the outcomes."""
        made = {}
        for name in names:
            made[name] = make(self.warehouse, self.steps[name], None, log=lambda message: None)
            failed = [outcome for outcome in made[name].outcomes if outcome.blocks]
            assert made[name].is_published, failed
        return made

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query over what is published."""
        with self.warehouse.connect() as connection:
            self.warehouse.bind(connection, [name for name in PROJECT.models if self.warehouse.is_published(name)])
            return connection.execute(query).fetchall()


def values(columns: str, rows: Sequence[Sequence[Any]]) -> str:
    """A SELECT of literal rows."""
    from laionet_assets.warehouse.sql import literal

    def text(value: Any) -> str:
        if value is None:
            return "null"
        return literal(value) if isinstance(value, str) else str(value).lower()

    listed = ", ".join("(" + ", ".join(map(text, row)) + ")" for row in rows)
    return f"select * from (values {listed}) t ({columns})"
