"""The audit of many parts at once says of each what an audit of it alone says. For every check: `sql.test_lots`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from laionet_assets.assets.lot_audits import PartAudit, audit_lot
from laionet_assets.assets.publishing import AUDITED
from laionet_assets.errors import UserError
from laionet_assets.quality.expectations import Expectation, parse_expectations
from laionet_assets.quality.validate import is_asked_of_each_row, validate
from laionet_assets.sqlmodels.loader import load_project
from laionet_assets.warehouse.table import PartKey

PARTS = [PartKey("s", f"{number}") for number in range(5)]
COLUMNS = ("source", "part", "sample_id", "value")


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """Five parts of ten rows, of values from 0 to 9 in each."""
    with duckdb.connect(":memory:", config={"threads": 1}) as opened:
        opened.execute("create schema audit")
        opened.execute(
            "create table every as select 's' as source, p::varchar as part, 10 * p + v as sample_id, v as value "
            "from range(5) a(p), range(10) b(v)"
        )
        yield opened


def checks(*raw: Mapping[str, Any]) -> tuple[Expectation, ...]:
    """Checks as a yml says them."""
    return parse_expectations(list(raw), columns=COLUMNS, where="here")


class Audits:
    """The audits of the five parts, together and alone."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, expectations: tuple[Expectation, ...], docs: Path
    ) -> None:
        self.connection, self.docs = connection, docs
        self.model = replace(load_project().models["raw.quarantine"], expectations=expectations)

    def show(self, parts: Sequence[PartKey]) -> None:
        """Parts are told by their samples, as files would: rows may say of which part they are, and lie."""
        chosen = ", ".join(part.part for part in parts)
        self.connection.execute(
            f'create or replace view "audit"."staged" as select * from every where sample_id // 10 in ({chosen})'
        )

    def together(self) -> Mapping[PartKey, PartAudit]:
        return audit_lot(self.connection, self.model, PARTS, show=self.show, docs=self.docs)

    def failures(self) -> dict[str, list[str]]:
        """By check, the parts that break it, after it was seen that they do so alone."""
        found = self.together()
        for part, audit in found.items():
            self.show([part])
            alone = validate(self.connection, AUDITED, self.model.expectations, suite="x")
            for ours, theirs in zip(audit.outcomes, alone, strict=True):
                kept = ("expectation", "passed", "rows", "observed_value", "error")
                assert [getattr(ours, each) for each in kept] == [getattr(theirs, each) for each in kept]
                assert ours.passed or ours.unexpected == theirs.unexpected
        return {
            check.name: [part.part for part, audit in found.items() if not audit.outcomes[place].passed]
            for place, check in enumerate(self.model.expectations)
        }


def test_what_is_said_of_a_whole_table_is_asked_of_each_part(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    rules = checks(
        {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 5, "max_value": 10}},
        {"type": "expect_column_max_to_be_between", "kwargs": {"column": "value", "min_value": 9}},
        {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "value", "min_value": 4, "max_value": 5}},
        {
            "type": "expect_column_values_to_not_be_null",
            "kwargs": {"column": "value", "mostly": 0.7},
            "name": "most_are_there",
        },
        {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "value"}},
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "sample_id"}},
    )
    assert [is_asked_of_each_row(rule) for rule in rules] == [False, False, False, False, True, True]
    audits = Audits(connection, rules, tmp_path)
    assert not any(audits.failures().values())
    connection.execute("delete from every where part = '1' and value > 3")
    connection.execute("update every set value = null where part = '3' and value < 4")
    assert audits.failures() == {
        "table_row_count_to_be_between": ["1"],
        "value_max_to_be_between": ["1"],
        "value_mean_to_be_between": ["1", "3"],
        "most_are_there": ["3"],
        "value_values_to_be_unique": [],
        "sample_id_values_to_not_be_null": [],
    }


@pytest.mark.parametrize("columns", ["*", "value"])
def test_whose_rows_break_a_rule_is_found_whether_they_say_it_or_not(
    columns: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    query = {"type": "unexpected_rows", "name": "few", "query": f"select {columns} from {{batch}} where value > 20"}
    audits = Audits(connection, checks(query), tmp_path)
    assert audits.failures() == {"few": []}
    connection.execute("update every set value = 21 where sample_id in (7, 9, 30)")
    assert audits.failures() == {"few": ["0", "3"]}


def test_a_rule_that_cannot_be_asked_fails_in_each_part(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    query = {"type": "unexpected_rows", "name": "broken", "query": "select error('no') from {batch}"}
    audits = Audits(connection, checks(query), tmp_path)
    assert audits.failures() == {"broken": [part.part for part in PARTS]}


@pytest.mark.parametrize("part", ["'7'", "null"])
def test_rows_of_no_part_are_no_rows_of_a_lot(part: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    connection.execute(f"update every set part = {part} where sample_id = 12")
    with pytest.raises(UserError, match=f"found rows of s/{'7' if part != 'null' else 'None'}, expected"):
        Audits(connection, (), tmp_path).together()
