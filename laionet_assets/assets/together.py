"""Many small parts of a table, made together: each keeps its file, its version and its audit; the connection, the
SELECT and the checks are shared.

Belongs here: a table of several parts at once. Does not belong here: one part, or a whole table (`publishing`), which
parts are made together (`batches`), and their audit (`lot_audits`).

A SQL model of a part is a SELECT that treats the rows of each (source, part) apart, so that of several parts it gives
the rows of each (tests/unit/assets/test_together.py). Its rows stand in memory once, are audited, and become a file a
part. A part that cannot be made, or breaks a blocking rule, is found by halves and taken out; the others go on.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

import duckdb

from laionet_assets.assets.audits import Audit, keep_audit
from laionet_assets.assets.failures import is_of_every_part
from laionet_assets.assets.lot_audits import PartAudit, audit_lot
from laionet_assets.assets.publishing import AUDITED, Published, make, tell_catalog, work_on
from laionet_assets.assets.steps import Step, Work
from laionet_assets.assets.versions import Versions
from laionet_assets.sqlmodels.binding import assert_columns, create_macros, produced_columns
from laionet_assets.warehouse.lake import Staged
from laionet_assets.warehouse.rows import documented_select, write_select
from laionet_assets.warehouse.sql import identifier, literal, literals
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import MissingTableError, Stamp, Warehouse, how_to_make

ROWS = "audit.rows"
Made = Mapping[PartKey, Published | Exception]
"""What came of each part: published or rejected, or the error that kept it from being made."""


def make_together(warehouse: Warehouse, step: Step, parts: Sequence[PartKey], *, log: Callable[[str], None]) -> Made:
    """Make a table of several parts, and publish each whose blocking checks pass. A table whose rows do not say of
    which part they are (`source`, `part`) is made one part after the other.

    What is wrong with one part is its own outcome. Faults of the network or the object store, for which a retry may
    help, and a full disk are raised at once: the other parts would meet them too.
    """
    if not {"source", "part"} <= set(step.model.table.column_names):
        return {part: _made_alone(warehouse, step, part, log) for part in parts}
    made: dict[PartKey, Published | Exception] = {}
    stamps: dict[PartKey, Stamp] = {}
    labels: dict[PartKey, Mapping[str, str]] = {}
    with warehouse.with_one_connection() as looked_at:
        versions = Versions(looked_at, parts)
        for part in parts:
            missing = [name for name in sorted(step.model.dependencies) if versions.of(name, part) is None]
            if missing:
                made[part] = MissingTableError(
                    f"{step.name} reads {', '.join(missing)}, not there yet for the part {part.key}. "
                    f"Materialize first: {how_to_make(*missing)}"
                )
                continue
            try:  # looks at the file of the part, where its rows depend on that
                stamps[part], labels[part] = versions.next_stamp(step, part), versions.known_labels(step, part)
            except Exception as error:
                if is_of_every_part(error):
                    raise
                made[part] = error
    ready = list(labels)
    if ready:
        made.update(_by_halves(warehouse, step, ready, stamps, labels, log))
        tell_catalog(warehouse, step)
    return made


def _made_alone(warehouse: Warehouse, step: Step, part: PartKey, log: Callable[[str], None]) -> Published | Exception:
    try:
        return make(warehouse, step, part, log=log)
    except Exception as error:
        if is_of_every_part(error):
            raise
        return error


def _by_halves(
    warehouse: Warehouse,
    step: Step,
    parts: Sequence[PartKey],
    stamps: Mapping[PartKey, Stamp],
    labels: Mapping[PartKey, Mapping[str, str]],
    log: Callable[[str], None],
) -> Made:
    """Parts made at once; if that fails, each half of them. One that does not fit into memory is made as if alone."""
    try:
        return _at_once(warehouse, step, parts, stamps, labels, log)
    except Exception as error:
        if is_of_every_part(error):
            raise
        if len(parts) == 1 and not isinstance(error, duckdb.OutOfMemoryException):
            return {parts[0]: error}
    if len(parts) == 1:
        return {parts[0]: _made_alone(warehouse, step, parts[0], log)}
    half = len(parts) // 2
    halves = (parts[:half], parts[half:])
    return {
        part: made for each in halves for part, made in _by_halves(warehouse, step, each, stamps, labels, log).items()
    }


def _at_once(
    warehouse: Warehouse,
    step: Step,
    parts: Sequence[PartKey],
    stamps: Mapping[PartKey, Stamp],
    labels: Mapping[PartKey, Mapping[str, str]],
    log: Callable[[str], None],
) -> Made:
    table = step.model.table
    with ExitStack() as stack, warehouse.connect() as connection:
        bind_parts(warehouse, connection, step, parts)
        staged = {part: stack.enter_context(warehouse.lake.stage(table, part)) for part in parts}
        failed: dict[PartKey, Exception] = {}
        works: dict[PartKey, Work] = {}
        if step.sql_code is not None:
            _make_rows(connection, step)
            for part in parts:
                write_select(
                    connection,
                    staged[part].path,
                    table,
                    _rows_of(parts, [part]),
                    stamps=stamps[part].metadata,
                )
        else:
            for part in parts:
                try:
                    works[part] = _write_one(
                        warehouse, connection, step, part, staged[part], stamps[part], labels[part], log, parts
                    )
                except Exception as error:
                    if is_of_every_part(error) or isinstance(error, duckdb.OutOfMemoryException):
                        raise
                    failed[part] = error
        sound = [part for part in parts if part not in failed]
        if not sound:
            return failed

        def source_of(shown: Sequence[PartKey]) -> str:
            if step.sql_code is not None:
                return _rows_of(parts, shown)
            if step.write is None:
                return warehouse.views[step.name](warehouse, shown)
            files = literals([str(staged[part].path) for part in shown])
            return f"select * from read_parquet({files}, hive_partitioning = false)"

        def show(shown: Sequence[PartKey]) -> None:
            bind_parts(warehouse, connection, step, shown)
            connection.execute(f"create or replace view {identifier(AUDITED)} as {source_of(shown)}")

        assert_columns(table, produced_columns(connection, source_of(sound)), where=step.model.documentation)
        create_macros(connection, step.model.check_macros)
        connection.execute("create schema if not exists audit")
        audits = audit_lot(connection, step.model, sound, show=show, docs=warehouse.docs)
        published: dict[PartKey, Published] = {}
        for part in sound:
            made = _publish(warehouse, step, part, staged[part], audits[part])
            published[part] = replace(made, told=works[part].told) if part in works else made
            if part in works and made.is_published:
                step.after_publish(works[part])
        return {**failed, **published}


def bind_parts(
    warehouse: Warehouse, connection: duckdb.DuckDBPyConnection, step: Step, parts: Sequence[PartKey]
) -> None:
    """Give the connection a view of each table that a step reads: of these parts, where the table is partitioned."""
    for name in sorted(step.model.dependencies):
        table = warehouse.table(name)
        if not table.is_partitioned:
            select = warehouse.select(name)
        elif name in warehouse.views:
            select = warehouse.views[name](warehouse, parts)
        else:
            files = literals([warehouse.lake.current(table, part) for part in parts])
            select = f"select * from read_parquet({files}, hive_partitioning = false)"
        connection.execute(f"create schema if not exists {identifier(table.schema)}")
        connection.execute(f"create or replace view {identifier(name)} as {select}")


def _make_rows(connection: duckdb.DuckDBPyConnection, step: Step) -> None:
    """Make the rows of a SQL model, of all parts that are bound, in the order of their files."""
    create_macros(connection, step.select_macros)
    select = documented_select(connection, step.model.table, step.model.select or "", first=("source", "part"))
    connection.execute("create schema if not exists audit")
    connection.execute(f"create or replace table {identifier(ROWS)} as {select}")


def _rows_of(made: Sequence[PartKey], chosen: Sequence[PartKey]) -> str:
    """The SELECT of the rows of some of the parts that were made: of all of them, whatever part the rows name."""
    every = f"select * from {identifier(ROWS)}"
    if len(chosen) == len(made):
        return every
    return f"{every} where {' or '.join(f'({_is_of(part)})' for part in chosen)}"


def _write_one(
    warehouse: Warehouse,
    connection: duckdb.DuckDBPyConnection,
    step: Step,
    part: PartKey,
    staged: Staged,
    stamp: Stamp,
    known_labels: Mapping[str, str],
    log: Callable[[str], None],
    together: Sequence[PartKey],
) -> Work:
    """Write the file of one part of a table that Python makes. The connection's views are then of this part; what is
    temporary goes with the cursor.
    """
    with connection.cursor() as cursor:
        warehouse.bind(cursor, step.model.dependencies, part)
        work = work_on(warehouse, cursor, step, part, staged, stamp, known_labels, log, together=together)
        if step.write is None:
            work.write_rows([])
        else:
            step.write(work)
        return work


def _publish(warehouse: Warehouse, step: Step, part: PartKey, staged: Staged, audit: PartAudit) -> Published:
    """Publish a staged part that its audit lets pass. Without a preview: a thousand of them are not looked at."""
    size = staged.path.stat().st_size
    version = warehouse.stamps_of_files([str(staged.path)])[str(staged.path)].version
    if any(outcome.blocks for outcome in audit.outcomes):
        return Published(version, False, audit.outcomes, audit.rows, size, "", warehouse.lake.reject(staged))
    warehouse.lake.publish(staged)
    keep_audit(warehouse, step.model, part, Audit(version, audit.rows, audit.outcomes))
    return Published(version, True, audit.outcomes, audit.rows, size, "")


def _is_of(part: PartKey) -> str:
    return f"source = {literal(part.source)} and part = {literal(part.part)}"
