"""Parts that are audited together: of each, the audit of the lot finds what an audit of that part alone finds.

Every check of every partitioned table is asked of lots in which one part is spoilt: by what its own test spoils it
with; and by what would let a query pass, or fail, that does not keep the parts apart: one part lacks the rows of a
table that all others have, or has the samples of another part.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from laionet_assets.assets.lot_audits import audit_lot
from laionet_assets.assets.publishing import AUDITED
from laionet_assets.quality.expectations import GRAIN_IS_NOT_NULL, GRAIN_IS_UNIQUE, UNEXPECTED_ROWS, Expectation
from laionet_assets.quality.validate import Outcome, validate
from laionet_assets.sqlmodels.binding import create_macros
from laionet_assets.sqlmodels.loader import Model
from laionet_assets.warehouse.sql import identifier, literal
from laionet_assets.warehouse.table import PartKey
from tests.unit.sql import (
    test_caption_expectations,
    test_expectations,
    test_image_expectations,
    test_prediction_expectations,
    test_selection_expectations,
    test_similarity_expectations,
)
from tests.unit.sql.models import Database, project

pytestmark = pytest.mark.slow

MODULES: Mapping[str, Any] = {
    module.__name__.removeprefix("tests.unit.sql.test_"): module
    for module in (
        test_caption_expectations,
        test_expectations,
        test_image_expectations,
        test_prediction_expectations,
        test_selection_expectations,
        test_similarity_expectations,
    )
}
OF_NO_QUERY = {"raw.quarantine": "selection_expectations"}
"""Tables whose checks are none of `unexpected_rows`, and the module that has their rows."""
PARTS = [PartKey(source, f"{number:02}") for source in "st" for number in range(11)]
"""More than twenty: what may be said of one in twenty of a part's rows holds of them all where one part breaks it."""
SPOILT = PARTS[4]
TWIN, OTHER = PARTS[3], PARTS[-1]
"""Sound parts: of the same source as the spoilt one, and of another."""
STEP = 10_000
"""Between the sample ids of two parts."""


def partitioned() -> dict[str, Model]:
    """Tables that are made by part."""
    return {name: model for name, model in project().models.items() if model.table.is_partitioned}


def module_of(table: str) -> str:
    """The module that has good rows of a table and spoils its checks."""
    names = [name for name, module in MODULES.items() if any(of == table for of, _ in module.SPOILT)]
    return names[0] if names else OF_NO_QUERY[table]


def spoiling(table: str, check: Expectation) -> str:
    """The statement that makes a table break a check: of its own test, or by what the check says."""
    column = check.kwargs.get("column")
    own = MODULES[module_of(table)].SPOILT.get((table, check.name))
    if own is not None:
        return str(own)
    if check.name == GRAIN_IS_UNIQUE:
        return f"insert into {table} from {table}"
    if check.name == GRAIN_IS_NOT_NULL:
        (*_, column) = (name for name in project().tables[table].grain if name not in ("source", "part"))
        return f"update {table} set {column} = null"
    if check.type == "expect_column_values_to_be_between":
        low, high = check.kwargs.get("min_value"), check.kwargs.get("max_value")
        return f"update {table} set {column} = {high + 1 if low is None else low - 1}"
    value = {
        "expect_column_values_to_not_be_null": "null",
        "expect_column_values_to_be_in_set": "'no such value'",
        "expect_column_values_to_match_regex": "'?'",
        "expect_column_value_lengths_to_be_between": f"repeat('x', {check.kwargs.get('max_value', 0) + 1})",
    }[check.type]
    return f"update {table} set {column} = {value}"


def asks_for_the_part(model: Model, check: Expectation) -> bool:
    """Whether a check is broken by rows that name no part: these are of no part of a lot, which is then made by halves
    (tests/unit/assets/test_lot_audits.py).
    """
    columns = model.table.grain if check.name == GRAIN_IS_NOT_NULL else [check.kwargs.get("column")]
    return {"source", "part"} >= set(columns)


def broken_at_once(model: Model) -> Iterator[tuple[Expectation, ...]]:
    """The checks of a table: queries one by one, those of values of different columns together."""
    of_columns: dict[str, list[Expectation]] = {}
    for check in model.expectations:
        if asks_for_the_part(model, check):
            continue
        if check.type == UNEXPECTED_ROWS:
            yield (check,)
        else:
            of_columns.setdefault(check.kwargs["column"], []).append(check)
    for checks in zip_longest(*of_columns.values()):
        yield tuple(filter(None, checks))


CHECKS = [(table, checks) for table, model in partitioned().items() for checks in broken_at_once(model)]
LACKING = [
    (table, read)
    for table, model in partitioned().items()
    for read in sorted({table, *model.dependencies} & partitioned().keys())
]


class Lot:
    """Parts that all have the rows of a module's good tables, with sample ids of their own."""

    def __init__(self, good: Database) -> None:
        self.good = good
        self.connection = duckdb.connect(":memory:", config={"threads": 1})
        create_macros(self.connection, list(project().macros.values()))
        self.connection.execute("create schema parts; create schema audit")
        for name, table in project().tables.items():
            self.connection.execute(f"create schema if not exists {table.schema}")
            self.connection.execute(f"create table {_stored(name)} as {table.no_rows}")
        self.rows: dict[str, pa.Table] = {}
        for name, rows in self.read(project().tables).items():
            self.put(name, rows, PARTS)
            self.rows[name] = rows

    def read(self, names: Any) -> dict[str, pa.Table]:
        """All rows of tables, as they are in the database of one part."""
        return {name: self.good.connection.sql(f"from {name}").to_arrow_table() for name in names}

    def put(self, name: str, rows: pa.Table, parts: Sequence[PartKey], *, samples_of: PartKey | None = None) -> None:
        """Give a table these rows in each of some parts, with sample ids of the part or of another."""
        self.connection.register("arriving", rows)
        stored, table = _stored(name), project().tables[name]
        if not table.is_partitioned:
            self.connection.execute(f"delete from {stored}")
            if name != "core.removals":
                self.connection.execute(f"insert into {stored} by name from arriving")
                return
            self.connection.execute(f"insert into {stored} by name from arriving where kind <> 'sample'")
            for part in PARTS:  # `source/sample_id`
                self.connection.execute(
                    f"insert into {stored} by name select * replace (concat({literal(part.source)}, '/', "
                    f"{_first(part)} + split_part(value, '/', 2)::int) as value) from arriving where kind = 'sample'"
                )
            return
        for part in parts:
            first = _first(samples_of or part)
            new = {"source": literal(part.source), "part": literal(part.part), "sample_id": f"sample_id + {first}"}
            new["sample_ids"] = f"list_transform(sample_ids, lambda id: id + {first})"
            replaced = ", ".join(f"{new[each]} as {each}" for each in table.column_names if each in new)
            self.connection.execute(f"delete from {stored} where {_is_of(part)}")
            self.connection.execute(f"insert into {stored} by name select * replace ({replaced}) from arriving")

    def show(self, model: Model, parts: Sequence[PartKey]) -> None:
        """Show the rows of these parts: of the table that is audited, and of those that its checks read."""
        chosen = " or ".join(f"({_is_of(part)})" for part in parts)
        for name in model.dependencies:
            where = f" where {chosen}" if project().tables[name].is_partitioned else ""
            self.connection.execute(f"create or replace view {identifier(name)} as from {_stored(name)}{where}")
        self.connection.execute(
            f"create or replace view {identifier(AUDITED)} as from {_stored(model.name)} where {chosen}"
        )

    @contextmanager
    def changed(self, model: Model) -> Iterator[None]:
        """After the block, what a table and its checks read is good again."""
        try:
            yield
        finally:
            for name in (model.name, *model.dependencies):
                self.put(name, self.rows[name], [SPOILT])

    def spoil(self, model: Model, statement: str) -> None:
        """Spoil one part, as its statement does in the database of one part."""
        names = (model.name, *model.dependencies)
        self.good.connection.execute("begin")
        try:
            self.good.connection.execute(statement)
            spoilt = self.read(names)
        finally:
            self.good.connection.execute("rollback")
        for name in names:
            if not spoilt[name].equals(self.rows[name]):
                self.put(name, spoilt[name], [SPOILT])

    def alone(self, model: Model, part: PartKey) -> tuple[Outcome, ...]:
        """The audit of one part."""
        self.show(model, [part])
        return validate(self.connection, AUDITED, model.expectations, suite=model.name)

    def audited(self, model: Model, docs: Path) -> Mapping[PartKey, tuple[Outcome, ...]]:
        """The audits of the lot, after it was seen that they say what audits of single parts say."""
        found = audit_lot(self.connection, model, PARTS, show=lambda parts: self.show(model, parts), docs=docs)
        together = {part: audit.outcomes for part, audit in found.items()}
        for part in (SPOILT, TWIN, OTHER):
            assert told(together[part]) == told(self.alone(model, part)), part
        for part in PARTS:
            if part not in (SPOILT, TWIN):
                assert told(together[part]) == told(together[OTHER]), part
        return together


def told(outcomes: Sequence[Outcome]) -> list[tuple[Any, ...]]:
    """What outcomes say: which checks failed, how badly and how often, and of how many rows. Of what failed there may
    be other examples.
    """
    return [
        (each.expectation.name, each.passed, each.rows)
        if each.passed
        else (
            each.expectation.name,
            each.expectation.severity,
            each.rows,
            each.unexpected,
            each.unexpected_percent,
            each.observed_value,
            each.error,
            len(each.sample),
            [sorted(row) if isinstance(row, dict) else type(row) for row in each.sample[:1]],
        )
        for each in outcomes
    ]


def _stored(name: str) -> str:
    return f'parts."{name}"'


def _first(part: PartKey) -> int:
    return STEP * (1 + int(part.part))


def _is_of(part: PartKey) -> str:
    return f"source = {literal(part.source)} and part = {literal(part.part)}"


@pytest.fixture(scope="module")
def lot_of() -> Iterator[Callable[[str], Lot]]:
    """The lot that has good rows of a table, and of those that its checks read."""
    with ExitStack() as stack:

        @cache
        def of_module(module: str) -> Lot:
            made = Lot(stack.enter_context(contextmanager(MODULES[module].good_tables)()))
            stack.callback(made.connection.close)
            return made

        yield lambda table: of_module(module_of(table))


@pytest.mark.parametrize(
    ("table", "checks"), CHECKS, ids=["-".join([table, *(check.name for check in checks)]) for table, checks in CHECKS]
)
def test_a_check_says_of_each_part_what_it_says_of_it_alone(
    lot_of: Callable[[str], Lot], table: str, checks: tuple[Expectation, ...], tmp_path: Path
) -> None:
    lot, model = lot_of(table), partitioned()[table]
    with lot.changed(model):
        lot.spoil(model, "; ".join(spoiling(table, check) for check in checks))
        found = lot.audited(replace(model, expectations=checks), tmp_path)
    for part, outcomes in found.items():
        assert {outcome.passed for outcome in outcomes} == {part != SPOILT}


@pytest.mark.parametrize(("table", "read"), LACKING, ids=["-".join(each) for each in LACKING])
def test_what_other_parts_have_does_not_stand_for_what_a_part_lacks(
    lot_of: Callable[[str], Lot], table: str, read: str, tmp_path: Path
) -> None:
    lot, model = lot_of(table), partitioned()[table]
    with lot.changed(model):
        lot.put(read, lot.rows[read].slice(0, 0), [SPOILT])
        lot.audited(model, tmp_path)


@pytest.mark.parametrize(("table", "read"), LACKING, ids=["-".join(each) for each in LACKING])
def test_a_part_with_the_samples_of_another_is_told_from_it(
    lot_of: Callable[[str], Lot], table: str, read: str, tmp_path: Path
) -> None:
    lot, model = lot_of(table), partitioned()[table]
    with lot.changed(model):
        lot.put(read, lot.rows[read], [SPOILT], samples_of=TWIN)
        lot.audited(model, tmp_path)
