"""A small project, its warehouse, and what lies outside it: what planning, versions and publishing are tested on."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from laionet_assets.assets.planning import Task, stale_tasks
from laionet_assets.assets.publishing import make
from laionet_assets.assets.steps import Step, Work, sql_step
from laionet_assets.sqlmodels.loader import load_project
from laionet_assets.warehouse.lake import Lake
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse, memory_connection

A, B = PartKey("s", "a"), PartKey("s", "b")

YML = """
description: One row per n.
group: marts
grain: [n]
partitioned: {partitioned}
columns: {{n: {{type: INTEGER, description: n}}}}
"""
FIVE_TABLES: Mapping[str, tuple[str | None, bool]] = {
    "raw/base": (None, False),
    "core/part": ("select n + {more} as n from raw.base", True),
    "core/after": ("select n from core.part", True),
    "marts/total": ("select sum(n)::int as n from core.after", False),
    "marts/other": ("select n from raw.base", False),
}
"""SQL and whether a table is made by part."""


class World:
    """A project (of the five tables, without others), and what its base holds."""

    def __init__(self, folder: Path, models: Mapping[str, tuple[str | None, bool]] = FIVE_TABLES) -> None:
        self._folder, self._models = folder / "sql", models
        for name, (_, is_partitioned) in models.items():
            path = self._folder / f"{name}.yml"
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():  # a test may have written it otherwise
                path.write_text(YML.format(partitioned=str(is_partitioned).lower()))
        self.more = 0
        self.warehouse = Warehouse(
            lake=Lake(str(folder / "lake")), tables=self.project.tables, connect=memory_connection, docs=folder / "docs"
        )
        self.base = "1"
        self.contents = {A: "a1", B: "b1"}

    @property
    def more(self) -> int:
        """What the SQL of some tables adds: another number is an edit of it."""
        return self._more

    @more.setter
    def more(self, more: int) -> None:
        self._more = more
        for name, (select, _) in self._models.items():
            if select:
                (self._folder / f"{name}.sql").write_text(select.format(more=more))
        self.project = load_project(self._folder)

    @property
    def steps(self) -> Sequence[Step]:
        def write(work: Work) -> None:
            work.write_rows([{"n": int(self.base)}])

        made = []
        for model in self.project.in_order():
            if model.select is None:
                made.append(Step(model=model, write=write, sql_code=self.base))
                continue
            step = sql_step(self.project, model)
            if model.name == "core.part":
                step = replace(step, outside=lambda warehouse, part: self.contents[part])
            made.append(step)
        return made

    def stale(self, **options: object) -> list[Task]:
        return stale_tasks(self.warehouse, self.steps, [A, B], **options)

    def make(self, tasks: Sequence[Task]) -> None:
        steps = {step.name: step for step in self.steps}
        for task in tasks:
            assert make(self.warehouse, steps[task.name], task.part, log=lambda text: None).is_published
