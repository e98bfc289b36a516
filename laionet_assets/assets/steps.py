"""A step: how one table is made, and whether what is published is still what it would make.

Belongs here: versions, up-to-dateness, and the order of work over all steps. Does not belong here: Dagster objects
(see `build`), writing and auditing (see `publishing`).
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from laionet_assets.sqlmodels.check import create_macros
from laionet_assets.sqlmodels.loader import Model, Project
from laionet_assets.warehouse.checkpoint import remove_checkpoint
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Stamp, Warehouse, digest, stamps_of


@dataclass(frozen=True)
class Work:
    """One table, or one part of it, being made.

    `connection` is private to the work and sees the tables that the step reads (of the same part, where they are
    partitioned). `write_select` and `write_arrow` write the staged file.
    """

    warehouse: Warehouse
    connection: duckdb.DuckDBPyConnection
    model: Model
    part: PartKey | None
    staged: Path
    version: str
    log: Callable[[str], None]

    def write_select(self, select: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Write the rows of a SELECT, sorted by the grain."""
        self.warehouse.write_sql(
            self.connection,
            self.staged,
            select,
            order_by=self.model.table.grain,
            version=self.version,
            parameters=parameters,
        )

    def write_arrow(self, table: Any, *, content: str | None = None, **options: Any) -> None:
        """Write a pyarrow Table as it is (its rows are in the order of the grain already), with pyarrow's writer
        options.

        `content` is a digest of what later steps read of the rows, for rows that the same input does not decide (what
        the web answered): it becomes part of the file's version, so that later steps follow when it changes.
        """
        import pyarrow.parquet as pq

        stamps = stamps_of(self.version, content=content)
        stamped = table.replace_schema_metadata({**(table.schema.metadata or {}), **stamps})
        pq.write_table(stamped, self.staged, **{"compression": "zstd", **options})

    def published(self) -> Any:
        """The rows published before as a pyarrow Table, None without: what they have need not be made again."""
        table = self.model.table
        if not self.warehouse.lake.exists(table, self.part):
            return None
        columns = ", ".join(table.column_names)
        select = f"select {columns} from ({self.warehouse.select(table.name, self.part)})"
        return self.connection.sql(select).to_arrow_table()

    @property
    def checkpoint(self) -> Path:
        """Folder of finished chunks of this work, on this machine: after a kill, the next run goes on with them."""
        return self.warehouse.scratch / self.model.name / (self.part.folder if self.part else "")


def forget_checkpoint(work: Work) -> None:
    """Remove the finished chunks of a piece of work, once it is published."""
    remove_checkpoint(work.checkpoint)


@dataclass(frozen=True)
class Step:
    """How a table is made: `write(work)` writes its staged file (None for a view over the sources).

    `code_version` covers the code and the settings that the rows depend on; `outside(warehouse, part)` names what
    they depend on outside the tables (the content of a source file). `is_due(warehouse, part)` says that a published
    table wants to be made again though none of that changed. `after_publish(work)` forgets unfinished work.
    """

    model: Model
    code_version: str
    write: Callable[[Work], None] | None
    kinds: frozenset[str] = frozenset({"python"})
    outside: Callable[[Warehouse, PartKey | None], str] = lambda warehouse, part: ""
    is_due: Callable[[Warehouse, PartKey | None], bool] = lambda warehouse, part: False
    pool: str | None = None
    after_publish: Callable[[Work], None] = lambda work: None

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def is_partitioned(self) -> bool:
        return self.model.table.is_partitioned


def sql_step(project: Project, model: Model, parameters: Mapping[str, Any]) -> Step:
    """The step of a SQL model."""
    chosen = {name: parameters[name] for name in sorted(model.reads.parameters)}

    def write(work: Work) -> None:
        create_macros(work.connection, project.macros_of(model))
        work.write_select(model.select or "", chosen)

    return Step(
        model=model,
        code_version=project.code_version(model, parameters),
        write=write,
        kinds=frozenset({"duckdb", "sql"}),
    )


class Versions:
    """Versions of what is published, each table looked up once."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._known: dict[str, dict[PartKey | None, Stamp]] = {}

    def of(self, name: str, part: PartKey | None = None) -> str | None:
        """Version of a table or of one part of it; of a partitioned table without `part`, of all parts together."""
        known = self._stamps(name)
        if part is not None or not self._warehouse.table(name).is_partitioned:
            stamp = known.get(part if self._warehouse.table(name).is_partitioned else None)
            return stamp.version if stamp else None
        return digest(*(f"{key.key}={stamp.version}" for key, stamp in sorted(known.items()))) if known else None

    def is_current(self, step: Step, part: PartKey | None) -> bool:
        """Whether what is published is what the step would make now, from the same input by the same code."""
        stamp = self._stamps(step.name).get(part)
        return stamp is not None and stamp.inputs == self.next_of(step, part)

    def _stamps(self, name: str) -> Mapping[PartKey | None, Stamp]:
        if name not in self._known:
            self._known[name] = self._warehouse.stamps(name)
        return self._known[name]

    def next_of(self, step: Step, part: PartKey | None) -> str:
        """What a step would make a file from now: its code and settings, what is outside, and what it reads."""
        inputs = [f"{name}={self.of(name, part)}" for name in sorted(step.model.dependencies)]
        return digest(step.code_version, step.outside(self._warehouse, part), *inputs)


@dataclass(frozen=True)
class Task:
    """A table, or one part of it, that has to be made."""

    name: str
    part: PartKey | None


def stale_tasks(
    warehouse: Warehouse,
    steps: Sequence[Step],
    parts: Collection[PartKey],
    *,
    names: Collection[str] | None = None,
    force: bool = False,
    sealed: Collection[PartKey] = (),
) -> list[Task]:
    """What has to be made, in order, so that the tables `names` (all, without it) are up to date for these parts.

    A task is stale if its file is missing, was made by other code or settings or from other input, is due again, or
    reads what is stale itself. Steps come in the order given, each after those that it reads. With `force`, everything
    is. Of `sealed` parts (their file is gone), tables that do not read the file are kept up to date too.
    """
    tasks: list[Task] = []
    stale: set[Task] = set()
    versions = Versions(warehouse)
    for step in steps:
        if names is not None and step.name not in names:
            continue
        kept = (
            [] if _reads_source(steps, step) else [part for part in sealed if _inputs_are_there(versions, step, part)]
        )
        for part in sorted({*parts, *kept}) if step.is_partitioned else [None]:
            task = Task(step.name, part)
            reads_stale = any(_reads(step, task, other) for other in stale)
            if force or reads_stale or not versions.is_current(step, part) or step.is_due(warehouse, part):
                stale.add(task)
                tasks.append(task)
    return tasks


def _reads_source(steps: Sequence[Step], step: Step) -> bool:
    """Whether a table is made from the files of the sources themselves."""
    at_source = {other.name for other in steps if other.name.startswith("raw.") and other.is_partitioned}
    return step.name in at_source or bool(at_source & step.model.dependencies)


def _inputs_are_there(versions: Versions, step: Step, part: PartKey) -> bool:
    return all(versions.of(name, part) is not None for name in step.model.dependencies)


def _reads(step: Step, task: Task, other: Task) -> bool:
    return other.name in step.model.dependencies and (task.part is None or other.part in (None, task.part))


def phases(tasks: Iterable[Task], steps: Sequence[Step]) -> list[list[tuple[PartKey | None, list[str]]]]:
    """Tasks grouped into runs, and runs into phases: runs of one phase do not depend on each other.

    A phase is either one run of tables that are not partitioned, or one run a part.
    """
    by_name = {step.name: step for step in steps}
    level: dict[str, int] = {}
    for step in steps:
        levels = [
            level[name] + (by_name[name].is_partitioned != step.is_partitioned)
            for name in step.model.dependencies
            if name in level
        ]
        level[step.name] = max([int(step.is_partitioned), *levels])
    grouped: dict[int, dict[PartKey | None, list[str]]] = {}
    for task in tasks:
        grouped.setdefault(level[task.name], {}).setdefault(task.part, []).append(task.name)
    return [list(grouped[key].items()) for key in sorted(grouped)]
