"""A step: how one table is made.

Belongs here: what a step is, and what it is given to work with. Does not belong here: whether a table is up to date
(`versions`), the order of work over all steps (`planning`), Dagster objects (`build`), writing and auditing
(`publishing`).
"""

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from laionet_assets.sqlmodels.check import create_macros
from laionet_assets.sqlmodels.loader import Model, Project
from laionet_assets.warehouse.checkpoint import remove_checkpoint
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse, stamps_of


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


def same_for_all_parts(part: PartKey | None) -> None:
    """`Step.outside_by` of a step that depends on nothing outside that differs between parts."""


def same_for_a_source(part: PartKey | None) -> str | None:
    """`Step.outside_by` of a step that depends on nothing outside that differs between parts of a source."""
    return part.source if part is not None else None


@dataclass(frozen=True)
class Step:
    """How a table is made: `write(work)` writes its staged file (None for a view over the sources).

    `code_version` covers the code and the settings that the rows depend on; `outside(warehouse, part)` names what
    they depend on outside the tables (the content of a source file); of parts with the same `outside_by(part)` it says
    the same, and is asked once a plan.

    `look(warehouse, part)` comes before an asset that is asked for decides whether it is up to date: it brings what is
    remembered of the outside (the register of parts) to what is there now.

    Two things make a published table again though none of that changed. `is_overtaken(warehouse)`: it no longer says
    what it would say now, because making later tables changed what it tells of. `due(warehouse, parts)`: of these
    parts, those whose time has come to be tried again (fetches that failed).

    `after_publish(work)` forgets unfinished work.
    """

    model: Model
    code_version: str
    write: Callable[[Work], None] | None
    kinds: frozenset[str] = frozenset({"python"})
    outside: Callable[[Warehouse, PartKey | None], str] = lambda warehouse, part: ""
    outside_by: Callable[[PartKey | None], Hashable] = lambda part: part
    look: Callable[[Warehouse, PartKey | None], None] = lambda warehouse, part: None
    is_overtaken: Callable[[Warehouse], bool] = lambda warehouse: False
    due: Callable[[Warehouse, Sequence[PartKey | None]], Collection[PartKey | None]] = lambda warehouse, parts: ()
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
