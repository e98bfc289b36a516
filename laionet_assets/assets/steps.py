"""A step: how one table is made.

Belongs here: what a step is, and what it is given to work with. Does not belong here: whether a table is up to date
(`versions`), the order of work over all steps (`planning`), Dagster objects (`build`), writing and auditing
(`publishing`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from laionet_assets.sqlmodels.check import create_macros
from laionet_assets.sqlmodels.loader import Model, Project
from laionet_assets.warehouse.checkpoint import remove_checkpoint
from laionet_assets.warehouse.rows import Rows, as_documented, write_select, write_table
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse, stamps_of

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Work:
    """One table, or one part of it, being made.

    `connection` is private to the work and sees the tables that the step reads (of the same part, where they are
    partitioned). `write_rows` writes the staged file.
    """

    warehouse: Warehouse
    connection: duckdb.DuckDBPyConnection
    model: Model
    part: PartKey | None
    staged: Path
    version: str
    log: Callable[[str], None]

    def write_rows(self, rows: str | Rows, *, content: str | None = None) -> None:
        """Write rows, cast and sorted as the table is documented: those of a SELECT, or columns by name, or mappings,
        one a row.

        `content` is a digest of what later steps read of the rows, for rows that the same input does not decide (what
        the web answered): it becomes part of the file's version, so that later steps follow when it changes. Raises
        RowsError if the rows have not the documented columns.
        """
        stamps = stamps_of(self.version, content=content)
        if isinstance(rows, str):
            write_select(self.connection, self.staged, self.model.table, rows, stamps=stamps)
        else:
            write_table(self.staged, self.model.table, rows, stamps=stamps)

    def typed(self, columns: Mapping[str, Any]) -> "pa.Table":
        """Some columns of the table, by name, as a pyarrow Table of their documented types."""
        return as_documented(self.model.table, columns, names=columns.keys())

    def published(self) -> Any:
        """The rows published before as a pyarrow Table, None without: what they have need not be made again."""
        table = self.model.table
        if not self.warehouse.lake.exists(table, self.part):
            return None
        columns = ", ".join(table.column_names)
        select = f"select {columns} from ({self.warehouse.select(table.name, self.part)})"
        return self.connection.sql(select).to_arrow_table()

    @property
    def part_key(self) -> PartKey:
        """The part that is being made. Raises ValueError for a table that is not partitioned."""
        if self.part is None:
            raise ValueError(f"{self.model.name} is not made one part at a time")
        return self.part

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


def sql_step(project: Project, model: Model) -> Step:
    """The step of a SQL model."""

    def write(work: Work) -> None:
        create_macros(work.connection, project.macros_of(model))
        work.write_rows(model.select or "")

    return Step(
        model=model,
        code_version=project.code_version(model),
        write=write,
        kinds=frozenset({"duckdb", "sql"}),
    )
