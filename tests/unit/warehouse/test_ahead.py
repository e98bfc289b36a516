"""Connections opened ahead: private, of the configuration that was asked for, and closed in time."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import duckdb
import pytest

from laionet_assets.warehouse.ahead import ConnectionsAhead
from laionet_assets.warehouse.warehouse import open_in_memory

TWO_THREADS = {"threads": 2}
SECONDS = 10.0


class Opener:
    """Opens real connections, and remembers by which thread."""

    def __init__(self) -> None:
        self.opened: list[duckdb.DuckDBPyConnection] = []
        self.threads: list[str] = []
        self._done = threading.Condition()

    def __call__(self, config: Mapping[str, Any]) -> duckdb.DuckDBPyConnection:
        connection = open_in_memory(config)
        with self._done:
            self.opened.append(connection)
            self.threads.append(threading.current_thread().name)
            self._done.notify_all()
        return connection

    def wait_for(self, count: int) -> None:
        """Wait until so many were opened."""
        with self._done:
            assert self._done.wait_for(lambda: len(self.opened) >= count, SECONDS), self.threads


@pytest.fixture
def opener() -> Opener:
    return Opener()


@pytest.fixture
def ahead(opener: Opener) -> Iterator[ConnectionsAhead]:
    with closing(ConnectionsAhead(opener)) as ahead:
        yield ahead


def is_closed(connection: duckdb.DuckDBPyConnection) -> bool:
    try:
        connection.execute("select 1")
    except duckdb.ConnectionException:
        return True
    return False


def test_the_next_connection_is_opened_beside_while_one_is_in_use(ahead: ConnectionsAhead, opener: Opener) -> None:
    with ahead.connection(TWO_THREADS) as first:
        opener.wait_for(2)
    with ahead.connection(TWO_THREADS) as second:
        opener.wait_for(3)
    assert first is not second
    assert sorted(name.rsplit("_", 1)[0] for name in opener.threads) == ["MainThread", "connections", "connections"]
    assert {id(first), id(second)} <= set(map(id, opener.opened))


def test_nothing_of_one_connection_is_seen_by_another(ahead: ConnectionsAhead) -> None:
    with ahead.connection(TWO_THREADS) as first, ahead.connection(TWO_THREADS) as second:
        first.execute("create table mine as select 1")
        first.execute("create macro own(x) as x + 1")
        first.execute("set preserve_insertion_order = false")
        for later in (second, None):
            with ahead.connection(TWO_THREADS) as third:
                connection = later or third
                with pytest.raises(duckdb.CatalogException, match="mine"):
                    connection.execute("from mine")
                with pytest.raises(duckdb.CatalogException, match="own"):
                    connection.execute("select own(1)")
                setting = connection.execute("select current_setting('preserve_insertion_order')").fetchone()
                assert setting == (True,)


@pytest.mark.parametrize("raised", [None, ValueError, KeyboardInterrupt])
def test_a_connection_is_closed_before_another_is_given(
    ahead: ConnectionsAhead, raised: type[BaseException] | None
) -> None:
    try:
        with ahead.connection(TWO_THREADS) as first:
            if raised is not None:
                raise raised
    except (ValueError, KeyboardInterrupt):
        pass
    with ahead.connection(TWO_THREADS):
        assert is_closed(first)


def test_a_connection_has_the_configuration_that_was_asked_for(ahead: ConnectionsAhead, opener: Opener) -> None:
    def limit_of(config: Mapping[str, Any]) -> Any:
        with ahead.connection(config) as connection:
            return connection.execute("select current_setting('memory_limit')").fetchone()

    usual, more = {"memory_limit": "100MiB"}, {"memory_limit": "200MiB"}
    assert [limit_of(usual), limit_of(more), limit_of(usual)] == [("100.0 MiB",), ("200.0 MiB",), ("100.0 MiB",)]
    opener.wait_for(4)  # the second was waiting for the third time
    assert opener.threads.count("MainThread") == 2


@pytest.mark.parametrize("config", [{"memory_limit": "a lot"}, {"no_such_option": 1}])
def test_what_is_wrong_with_a_configuration_is_raised_each_time(
    ahead: ConnectionsAhead, config: Mapping[str, Any]
) -> None:
    for _ in range(3):
        with pytest.raises(duckdb.Error, match=r"Memory must have a number|no_such_option"), ahead.connection(config):
            pass
    with ahead.connection({}) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_connection_that_could_not_be_opened_ahead_is_opened_when_it_is_needed() -> None:
    def open(config: Mapping[str, Any]) -> duckdb.DuckDBPyConnection:
        if threading.current_thread().name.startswith("connections"):
            raise OSError("too many open files")
        return open_in_memory(config)

    with closing(ConnectionsAhead(open)) as ahead:
        for _ in range(3):
            with ahead.connection(TWO_THREADS) as connection:
                assert connection.execute("select 1").fetchone() == (1,)


def test_nothing_is_left_open(opener: Opener) -> None:
    ahead = ConnectionsAhead(opener)
    for _ in range(5):
        with ahead.connection(TWO_THREADS):
            pass
    ahead.close()
    assert len(opener.opened) >= 5
    assert all(is_closed(connection) for connection in opener.opened)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("connections")]
