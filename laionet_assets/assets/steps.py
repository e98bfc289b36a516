"""A step: how one table is made.

Belongs here: what a step is, and what it is given to work with. Does not belong here: whether a table is up to date
(`versions`), the order of work over all steps (`planning`), Dagster objects (`build`), writing and auditing
(`publishing`).
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from laionet_assets.assets.source_code import this_package
from laionet_assets.models.spec import ModelSpec
from laionet_assets.sqlmodels.binding import create_macros
from laionet_assets.sqlmodels.loader import Macro, Model, Project
from laionet_assets.warehouse.checkpoint import remove_checkpoint
from laionet_assets.warehouse.rows import Rows, as_documented, write_batches, write_select, write_table
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Stamp, Warehouse, digest

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Work:
    """One table, or one part of it, being made.

    `connection` is private to the work and sees the tables that the step reads (of the same part, where they are
    partitioned). `write_rows` writes the staged file. `stamp` says what it is made from and by; `labels` are those that
    the step's computations go by in the rows, `known_labels` those of the published rows. `told` is what the
    materialization says of the work besides: which model ran where, in which precision, at what rate. `together`: parts
    that are made with this one, one after the other, so that what is costly can be asked once for all of them.
    """

    warehouse: Warehouse
    connection: duckdb.DuckDBPyConnection
    model: Model
    part: PartKey | None
    staged: Path
    stamp: Stamp
    log: Callable[[str], None]
    labels: Mapping[str, str] = field(default_factory=dict)
    known_labels: Mapping[str, str] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)
    together: Sequence[PartKey] = ()

    def tell(self, model: str, text: str) -> None:
        """Say of a model where it ran, and how: in the log now, in the metadata of the materialization in the end."""
        self.told[model] = text
        self.log(f"{model}: {text}")

    def write_rows(self, rows: str | Rows, *, content: str | None = None) -> None:
        """Write rows, cast and sorted as the table is documented: those of a SELECT, or columns by name, or mappings,
        one a row.

        `content` is a digest of what later steps read of the rows, for rows that the same input does not decide (what
        the web answered): it becomes part of the file's version, so that later steps follow when it changes. Raises
        RowsError if the rows have not the documented columns.
        """
        stamps = self.stamp.with_content(content).metadata
        if isinstance(rows, str):
            write_select(self.connection, self.staged, self.model.table, rows, stamps=stamps)
        else:
            write_table(self.staged, self.model.table, rows, stamps=stamps)

    def write_batches(self, batches: Iterable[Rows]) -> None:
        """Write rows that do not fit into memory, batch after batch, in the order of the grain."""
        write_batches(self.staged, self.model.table, batches, stamps=self.stamp.metadata)

    def typed(self, columns: Mapping[str, Any]) -> "pa.Table":
        """Some columns of the table, by name, as a pyarrow Table of their documented types."""
        return as_documented(self.model.table, columns, names=columns.keys())

    def published(self, where: str = "true") -> Any:
        """The rows published before as a pyarrow Table, or some of them; None without: what they have need not be made
        again.
        """
        if not self.warehouse.lake.exists(self.model.table, self.part):
            return None
        return self.connection.sql(f"from ({self.published_select}) where {where}").to_arrow_table()

    @property
    def published_select(self) -> str:
        """A SELECT of the rows published before, with the documented columns: a column that was not there then is null.
        Nothing published is no rows.
        """
        table = self.model.table
        if not self.warehouse.lake.exists(table, self.part):
            return table.no_rows
        published = self.warehouse.select(table.name, self.part)
        both = f"from ({table.no_rows}) union all by name from ({published})"
        return f"select {', '.join(table.column_names)} from ({both})"

    def was_edited(self, computation: str) -> bool:
        """Whether other code computed what is published, whose results are not those of today."""
        return self.known_labels.get(computation, self.labels[computation]) != self.labels[computation]

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


def write_given(rows: Sequence[Mapping[str, Any]], work: Work) -> None:
    """Write rows that the settings say: `Step.write` of a table that is made of nothing else."""
    work.write_rows(rows)


def same_for_all_parts(part: PartKey | None) -> None:
    """`Step.outside_by` of a step that depends on nothing outside that differs between parts."""


def same_for_a_source(part: PartKey | None) -> str | None:
    """`Step.outside_by` of a step that depends on nothing outside that differs between parts of a source."""
    return part.source if part is not None else None


@dataclass(frozen=True)
class Computation:
    """A piece of a step's code whose results are known by content and kept, so that they outlive the table's file.

    It goes by a label in the rows: what was computed by other code is not taken for known. `root` is the function (or
    module) that it is; where code chooses by provider, `provider` is the one at hand.
    """

    name: str
    root: Any
    provider: str | None = None

    @cached_property
    def digest(self) -> str:
        """Digest of its source."""
        return this_package().digest(self.root, provider=self.provider)


def by_provider(specs: Iterable[ModelSpec], root: Any) -> tuple[Computation, ...]:
    """What models compute by a function: a computation for each role and provider."""
    named = {_computed_by(spec): spec.provider for spec in specs}
    return tuple(Computation(name, root, provider) for name, provider in sorted(named.items()))


def labelled(spec: ModelSpec, work: Work) -> ModelSpec:
    """A spec with the label of the code that computes with it."""
    return replace(spec, code=work.labels[_computed_by(spec)])


def _computed_by(spec: ModelSpec) -> str:
    return f"{spec.role.name} {spec.provider}"


@dataclass(frozen=True)
class Step:
    """How a table is made: `write(work)` writes its staged file (None for a view over the sources).

    The rows depend on the source of `write` (a function at the top level of a module, or a `partial` of one) and of
    `makers`, functions and classes that it does not reach by name; `computations` are set apart from it. `macros` is
    the digest of the SQL macros that it uses. `sql_code` takes the place of all that where SQL makes the table.
    `settings` are those that the rows depend on, as texts; `outside(warehouse, part)` names what they depend on outside
    the tables (the content of a source file); of parts with the same `outside_by(part)` it says the same, and is asked
    once a plan. `adapters(warehouse, part)` are computations that the part chooses.

    `look(warehouse, part)` comes before an asset that is asked for decides whether it is up to date: it brings what is
    remembered of the outside (the register of parts) to what is there now.

    Two things make a published table again though none of that changed. `is_overtaken(warehouse)`: it no longer says
    what it would say now, because making later tables changed what it tells of. `due(warehouse, parts)`: of these
    parts, those whose time has come to be tried again (fetches that failed).

    `after_publish(work)` forgets unfinished work. `select_macros` are what the SELECT of a SQL model uses.
    """

    model: Model
    write: Callable[[Work], None] | None
    makers: Sequence[Any] = ()
    computations: Sequence[Computation] = ()
    macros: str | None = None
    sql_code: str | None = None
    settings: tuple[str, ...] = ()
    outside: Callable[[Warehouse, PartKey | None], str] = lambda warehouse, part: ""
    outside_by: Callable[[PartKey | None], Hashable] = lambda part: part
    adapters: Callable[[Warehouse, PartKey | None], Sequence[Computation]] = lambda warehouse, part: ()
    look: Callable[[Warehouse, PartKey | None], None] = lambda warehouse, part: None
    is_overtaken: Callable[[Warehouse], bool] = lambda warehouse: False
    due: Callable[[Warehouse, Sequence[PartKey | None]], Collection[PartKey | None]] = lambda warehouse, parts: ()
    kinds: frozenset[str] = frozenset({"python"})
    pool: str | None = None
    after_publish: Callable[[Work], None] = lambda work: None
    select_macros: Sequence[Macro] = ()

    @property
    def roots(self) -> Sequence[Any]:
        """What makes the table's rows in Python."""
        return (*([self.write] if self.write is not None else []), *self.makers)

    @cached_property
    def code(self) -> str:
        """Digest of the code of the table itself, without its computations."""
        if self.sql_code is not None:
            return self.sql_code
        left_out = [each.root for each in self.computations]
        return digest(this_package().digest(*self.roots, without=left_out), *self.model.table.layout)

    @property
    def code_version(self) -> str:
        """All that the rows depend on of code and settings, as one text."""
        return digest(self.code, self.macros or "", *(each.digest for each in self.computations), *self.settings)

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
        write=write,
        sql_code=project.code_version(model),
        kinds=frozenset({"duckdb", "sql"}),
        select_macros=project.macros_of(model),
    )
