"""Dagster's history in SQLite, while a process writes much of it.

For each event Dagster makes an engine, compiles the same statements again, opens a database and closes it, several
times over, once to see whether it has a table. Whoever closes a database last copies its log into it and waits for the
disk, and so does each commit. Of a run of small tables that was a third of the time.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache, partial
from typing import Any

import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool


@contextmanager
def history_kept_open(instance: dg.DagsterInstance) -> Iterator[None]:
    """Within the block, the event log of an instance keeps its databases open, and commits do not wait for the disk.

    What is committed outlives the process: its log is written ahead. After a power cut the last moments may be missing;
    nothing is torn. An event log that is not SQLite's stays as it is, and so does one that is kept open already.
    """
    names = ("run_connection", "index_connection", "has_table")
    storage: Any = instance.event_log_storage
    is_plain = isinstance(storage, SqliteEventLogStorage) and names[0] not in vars(storage)
    if not is_plain:
        yield
        return
    kept = _KeptOpen(storage)
    storage.run_connection, storage.index_connection, storage.has_table = kept.of_run, kept.of_index, kept.has_table
    try:
        yield
    finally:
        for name in names:
            delattr(storage, name)
        kept.close()


@contextmanager
def partitions_read_once(instance: dg.DagsterInstance) -> Iterator[None]:
    """Within the block, an instance reads its dynamic partitions once, and sees none that is added or deleted.

    For the metadata of each of several partitions, Dagster reads all of them again.
    """
    storage: Any = instance.event_log_storage
    keys = cache(storage.get_dynamic_partitions)
    known = cache(lambda name: frozenset(keys(name)))
    storage.get_dynamic_partitions = keys
    storage.has_dynamic_partition = lambda name, key: key in known(name)
    try:
        yield
    finally:
        del storage.get_dynamic_partitions, storage.has_dynamic_partition


class _KeptOpen:
    """The connections of an event log, an engine a database, for one block at a time.

    What Dagster's own connection tells (where the database is, how long a writer waits for another one) holds for the
    one that is kept: nothing of Dagster's is written here again.
    """

    def __init__(self, storage: Any) -> None:
        self._run_connection, self._index_connection = storage.run_connection, storage.index_connection
        self._has_table = storage.has_table
        self._tables: set[str] = set()
        self._engines: dict[str, Engine] = {}
        self._turn = threading.Lock()

    def of_index(self) -> AbstractContextManager[Connection]:
        return self._kept("index", self._index_connection)

    def of_run(self, run_id: str) -> AbstractContextManager[Connection]:
        return self._kept(f"run {run_id}", partial(self._run_connection, run_id))

    def has_table(self, table_name: str) -> bool:
        """Whether the history has a table; one that was there once stays."""
        if table_name not in self._tables and self._has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    @contextmanager
    def _kept(self, name: str, first: Callable[[], AbstractContextManager[Connection]]) -> Iterator[Connection]:
        with self._turn:
            if name not in self._engines:
                with first() as connection:  # makes the database and its tables
                    self._engines[name] = _engine_like(connection)
            with self._engines[name].begin() as connection:
                yield connection

    def close(self) -> None:
        for engine in self._engines.values():
            engine.dispose()


def _engine_like(connection: Connection) -> Engine:
    """An engine of the same database that waits as long for another writer, and keeps its connection open."""
    milliseconds = connection.exec_driver_sql("pragma busy_timeout").scalar_one()
    engine = create_engine(
        connection.engine.url,
        poolclass=QueuePool,
        pool_size=1,
        connect_args={"timeout": milliseconds / 1_000, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _(connection: sqlite3.Connection, record: object) -> None:
        connection.execute("pragma synchronous = normal")

    return engine
