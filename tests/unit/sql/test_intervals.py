"""sql/macros/intervals.sql against the plain Python of `laionet_assets.stats.intervals`."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laionet_assets.stats.intervals import wilson_interval, wilson_se
from tests.unit.sql.models import Database

COUNTS = st.integers(1, 10**8).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.fixture(scope="module")
def db() -> Iterator[Database]:
    opened = Database()
    yield opened
    opened.connection.close()


@settings(deadline=None, derandomize=True)
@given(st.lists(COUNTS, min_size=1, max_size=50))
def test_the_macros_agree_with_the_python(db: Database, counts: list[tuple[int, int]]) -> None:
    found = db.rows(
        "select wilson_low(correct, n), wilson_high(correct, n), wilson_se(correct, n) "
        "from (select unnest(?::bigint[]) as correct, unnest(?::bigint[]) as n)",
        [[correct for correct, _ in counts], [n for _, n in counts]],
    )
    for (correct, n), row in zip(counts, found, strict=True):
        assert row == pytest.approx((*wilson_interval(correct, n), wilson_se(correct, n)), rel=0, abs=1e-12)


@pytest.mark.parametrize("type_", ["integer", "bigint", "hugeint", "double"])
def test_the_ends_are_exact_where_nothing_or_everything_is_correct(db: Database, type_: str) -> None:
    assert db.rows(f"select wilson_low(0::{type_}, 3::{type_}), wilson_high(3::{type_}, 3::{type_})") == [(0.0, 1.0)]
    (types,) = db.rows(f"select typeof(wilson_low(0::{type_}, 3::{type_})), typeof(wilson_se(1::{type_}, 3::{type_}))")
    assert types == ("DOUBLE", "DOUBLE")
