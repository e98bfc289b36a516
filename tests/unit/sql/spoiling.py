"""Every check notices what it is there for: on good tables it finds nothing, on a table that is spoilt it does."""

from collections.abc import Collection, Mapping

import pytest

from tests.unit.sql.models import Database, queries


class SpoiltChecks:
    """Tests of the checks of some tables. A module makes a class `Test...` of it and has a fixture `good`: a database,
    for all tests of the module, on which no check finds anything.
    """

    spoilt: Mapping[tuple[str, str], str]
    """By table and check, the statement that spoils it."""
    may_be_empty: Collection[str] = ()
    """Tables that are good without rows."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "check" in metafunc.fixturenames:
            metafunc.parametrize("check", self.spoilt, ids="-".join)
        if "table" in metafunc.fixturenames:
            metafunc.parametrize("table", list(dict.fromkeys(table for table, _ in self.spoilt)))

    def test_a_good_table_has_no_unexpected_rows(self, good: Database, table: str) -> None:
        assert table in self.may_be_empty or good.rows(f"from {table} limit 1")
        found = {name: good.rows(query) for name, query in queries(table).items()}
        assert found == {name: [] for name in found}

    def test_a_spoilt_table_has_unexpected_rows(self, good: Database, check: tuple[str, str]) -> None:
        table, name = check
        good.connection.execute("begin")
        try:
            good.connection.execute(self.spoilt[check])
            assert good.rows(queries(table)[name])
        finally:
            good.connection.execute("rollback")

    def test_every_check_is_spoilt_once(self) -> None:
        tables = {table for table, _ in self.spoilt}
        assert {(table, name) for table in tables for name in queries(table)} == self.spoilt.keys()
