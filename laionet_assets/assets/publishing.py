"""Write - audit - publish: the one way in which a table gets new rows.

The staged file is written, its columns are compared with the documented ones, Great Expectations audits it, and only
then one rename puts it in place. A failed blocking check publishes nothing: what was published stands, the staged
file is kept aside. What the audit found is kept beside the table, for whoever asks for it while it is up to date.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import duckdb

from laionet_assets.assets.audits import Audit, keep_audit, kept_audit
from laionet_assets.assets.steps import Step, Work
from laionet_assets.assets.versions import Versions
from laionet_assets.errors import UserError
from laionet_assets.full_disk import full_disk
from laionet_assets.inert import markdown_cell
from laionet_assets.quality.data_docs import DocsTarget
from laionet_assets.quality.validate import Outcome, validate
from laionet_assets.sqlmodels.binding import assert_columns, create_macros, produced_columns
from laionet_assets.sqlmodels.loader import Model
from laionet_assets.warehouse.catalog import refresh_catalog
from laionet_assets.warehouse.lake import Staged
from laionet_assets.warehouse.rows import BLOB
from laionet_assets.warehouse.sql import identifier, literals
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import MissingTableError, Stamp, Warehouse, how_to_make

AUDITED = "audit.staged"
PREVIEW_ROWS = 10


class OutOfMemoryError(UserError):
    """A table does not fit into the memory that DuckDB may take. The message says what to set."""


@dataclass(frozen=True)
class Published:
    """What came of making a table, or one part of it.

    `is_published` is false if a blocking check failed; `rejected` then says where the staged file is kept.
    `is_audited_now`: whether its checks were asked in this run, and not remembered. `told` is that of the work.
    """

    version: str
    is_published: bool
    outcomes: tuple[Outcome, ...]
    rows: int
    size_bytes: int
    preview: str
    rejected: str | None = None
    is_audited_now: bool = True
    told: Mapping[str, str] = field(default_factory=dict)


def make(warehouse: Warehouse, step: Step, part: PartKey | None, *, log: Callable[[str], None]) -> Published:
    """Make a table, or one part of it, and publish it if its blocking checks pass.

    Raises UserError if something that it reads is not there or its columns differ from the documented ones: then
    nothing is published either. What does not fit into the memory that a connection takes is made once more, with more;
    raises OutOfMemoryError if there is no more.
    """
    return _fitting(warehouse, step, part, log, partial(_make, step=step, part=part, log=log))


def _fitting(
    warehouse: Warehouse,
    step: Step,
    part: PartKey | None,
    log: Callable[[str], None],
    do: Callable[[Warehouse], Published],
) -> Published:
    """What is done on a warehouse; done once more with more memory if it does not fit."""
    try:
        return do(warehouse)
    except duckdb.OutOfMemoryException as error:
        said = str(error).splitlines()[0]
        if warehouse.connect_with_more is None:
            if full_disk(error, warehouse=warehouse.lake.root) is not None:
                raise
            raise OutOfMemoryError(
                f"{step.name}{f' of {part.key}' if part else ''} does not fit into DuckDB's memory. {said}\n"
                "Set a higher duckdb.memory_limit in laionet.yaml, or fewer duckdb.threads, each of which takes some"
            ) from error
    # the error is forgotten by now, and with it all that its frames hold
    log(f"does not fit into the memory that it may take at first: once more, with more. {said}")
    return do(replace(warehouse, connect=warehouse.connect_with_more, connect_with_more=None))


def _make(warehouse: Warehouse, step: Step, part: PartKey | None, *, log: Callable[[str], None]) -> Published:
    versions = Versions(warehouse, [part] if part else None)
    missing = [name for name in sorted(step.model.dependencies) if versions.of(name, part) is None]
    if missing:
        where = f" for the part {part.key}" if part else ""
        raise MissingTableError(
            f"{step.name} reads {', '.join(missing)}, not there yet{where}. Materialize first: {how_to_make(*missing)}"
        )
    if part is None:
        _assert_same_parts(warehouse, step)
    stamp = versions.next_stamp(step, part)
    table = step.model.table
    with warehouse.connect() as connection, warehouse.lake.stage(table, part) as staged:
        warehouse.bind(connection, step.model.dependencies, part)
        work = work_on(warehouse, connection, step, part, staged, stamp, versions.known_labels(step, part), log)
        if step.write is None:
            source = warehouse.views[step.name](warehouse, [part] if part else None)
            work.write_rows([])
        else:
            step.write(work)
            source = f"select * from read_parquet({literals([str(staged.path)])}, hive_partitioning = false)"
        outcomes, rows, preview = _audit(warehouse, connection, step.model, part, source)
        size = staged.path.stat().st_size
        version = warehouse.stamps_of_files([str(staged.path)])[str(staged.path)].version
        if any(outcome.blocks for outcome in outcomes):
            return Published(version, False, outcomes, rows, size, preview, warehouse.lake.reject(staged))
        warehouse.lake.publish(staged)
        keep_audit(warehouse, step.model, part, Audit(version, rows, outcomes))
        step.after_publish(work)
        tell_catalog(warehouse, step, connection)
    return Published(version, True, outcomes, rows, size, preview, told=work.told)


def work_on(
    warehouse: Warehouse,
    connection: duckdb.DuckDBPyConnection,
    step: Step,
    part: PartKey | None,
    staged: Staged,
    stamp: Stamp,
    known_labels: Mapping[str, str],
    log: Callable[[str], None],
    *,
    together: Sequence[PartKey] = (),
) -> Work:
    """What a step is given to make a table, or one part of it (`together` with others)."""
    return Work(
        warehouse=warehouse,
        connection=connection,
        model=step.model,
        part=part,
        staged=staged.path,
        stamp=stamp,
        log=log,
        labels={name: code.label for name, code in stamp.codes},
        known_labels=known_labels,
        together=together,
    )


def standing(warehouse: Warehouse, step: Step, part: PartKey | None, *, log: Callable[[str], None]) -> Published:
    """What is published, with what its audit found: audited again, as it is, if it was not yet audited by the rules of
    now. What breaks a blocking one stays published; `is_published` is false then too. Memory is as for `make`. The
    catalog is told by who asks, of many parts once.
    """
    return _fitting(warehouse, step, part, log, partial(_standing, step=step, part=part))


def _standing(warehouse: Warehouse, step: Step, part: PartKey | None) -> Published:
    version = warehouse.stamps(step.name, [part] if part else None)[part].version
    audit = kept_audit(warehouse, step.model, part, version)
    preview = ""
    if is_new := audit is None:
        with warehouse.connect() as connection:
            warehouse.bind(connection, step.model.dependencies, part)
            source = warehouse.select(step.name, part)
            outcomes, rows, preview = _audit(warehouse, connection, step.model, part, source)
        audit = Audit(version, rows, outcomes)
        if not audit.blocks:
            keep_audit(warehouse, step.model, part, audit)
    size = warehouse.lake.filesystem.size(warehouse.lake.current(step.model.table, part))
    return Published(version, not audit.blocks, audit.outcomes, audit.rows, size, preview, is_audited_now=is_new)


def tell_catalog(warehouse: Warehouse, step: Step, connection: duckdb.DuckDBPyConnection | None = None) -> None:
    """On object storage each look costs many requests: the catalog is written at the end of a run."""
    if warehouse.lake.is_local:
        refresh_catalog(warehouse, [step.name], connection=connection)


def _assert_same_parts(warehouse: Warehouse, step: Step) -> None:
    """Raise MissingTableError if the partitioned tables that a whole table reads are of different parts."""
    names = [name for name in sorted(step.model.dependencies) if warehouse.table(name).is_partitioned]
    parts = {name: set(warehouse.parts(name)) for name in names}
    every = set().union(*parts.values())
    lacking = [
        f"  {name} lacks {', '.join(part.key for part in sorted(every - found))}"
        for name, found in parts.items()
        if found != every
    ]
    if lacking:
        raise MissingTableError(
            f"{step.name} reads tables that are not of the same parts. Make what is missing first: laionet run\n"
            + "\n".join(lacking)
        )


def _audit(
    warehouse: Warehouse,
    connection: duckdb.DuckDBPyConnection,
    model: Model,
    part: PartKey | None,
    source: str,
) -> tuple[tuple[Outcome, ...], int, str]:
    """Audit the rows of a SELECT. Returns outcomes, row count and a preview.

    Raises SqlModelError if the columns differ from the documented ones, and what `validate` raises.
    """
    assert_columns(model.table, produced_columns(connection, source), where=model.documentation)
    create_macros(connection, model.check_macros)
    connection.execute("create schema if not exists audit")
    connection.execute(f"create or replace view {identifier(AUDITED)} as {source}")
    docs = DocsTarget(warehouse.docs, model.name, part.key if part else None)
    outcomes = validate(connection, AUDITED, model.expectations, suite=model.name, docs=docs)
    (rows,) = connection.execute(f"select count(*) from {identifier(AUDITED)}").fetchone() or (0,)
    return outcomes, rows, preview_of(connection, AUDITED)


def preview_of(connection: duckdb.DuckDBPyConnection, relation: str, *, rows: int = PREVIEW_ROWS) -> str:
    """The first rows of a relation as a Markdown table; long values are cut.

    Without addresses: a preview stays in Dagster's history, where no removal reaches it. Without what is no text.
    """
    described = connection.execute(f"describe {identifier(relation)}").fetchall()
    shown = [identifier(name) for name, type_, *_ in described if name != "url" and type_ != BLOB]
    cursor = connection.execute(f"select {', '.join(shown)} from {identifier(relation)} limit {int(rows)}")
    names = [column[0] for column in cursor.description or []]
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in cursor.fetchall()]
    return "\n".join(lines)


def _cell(value: object) -> str:
    if isinstance(value, list) and len(value) > 6:
        value = [*value[:5], "..."]
    if isinstance(value, int | float):
        return str(round(value, 6))
    text = "" if value is None else str(value)
    return markdown_cell(text if len(text) <= 80 else text[:77] + "...")
