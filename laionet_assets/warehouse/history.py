"""Dagster's history in SQLite, while a process writes much of it.

For each event Dagster makes an engine, compiles the same statements again, opens a database and closes it, several
times over, once to see whether it has a table. Whoever closes a database last copies its log into it and waits for the
disk, and so does each commit. Of a run of small tables that was a third of the time.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache, partial
from typing import Any

import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

BATCH_EVENTS = 500
"""Events that Dagster has at one time (what a run plans, many parts made together) and hands over in one piece."""
_BATCH_SIZE = "DAGSTER_EVENT_BATCH_SIZE"


@contextmanager
def history_kept_open(instance: dg.DagsterInstance) -> Iterator[None]:
    """Within the block, the event log of an instance keeps its databases open, commits do not wait for the disk,
    and events that come together are written together, unless the environment says in what batches.

    What is committed outlives the process: its log is written ahead. After a power cut the last moments may be missing;
    nothing is torn. An event log that is not SQLite's stays as it is, and so does one that is kept open already.
    """
    storage: Any = instance.event_log_storage
    if not isinstance(storage, SqliteEventLogStorage) or "run_connection" in vars(storage):
        yield
        return
    kept = _KeptOpen(storage)
    for name, method in kept.methods.items():
        setattr(storage, name, method)
    if is_ours := _BATCH_SIZE not in os.environ:
        os.environ[_BATCH_SIZE] = str(BATCH_EVENTS)
    try:
        yield
    finally:
        if is_ours:
            os.environ.pop(_BATCH_SIZE, None)
        for name in kept.methods:
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
        self._storage = storage
        self._run_connection, self._index_connection = storage.run_connection, storage.index_connection
        self._engines: dict[str, Engine] = {}
        self._begun: dict[str, Connection] = {}
        self._turn = threading.RLock()
        self._has_table = storage.has_table
        self._tables: set[str] = set()
        self.methods: Mapping[str, Callable[..., Any]] = {
            "run_connection": self.of_run,
            "index_connection": self.of_index,
            "store_event_batch": self.store_batch,
            "has_table": self.has_table,
        }
        """What the storage does in other ways within the block."""

    def of_index(self) -> AbstractContextManager[Connection]:
        return self._kept("index", self._index_connection)

    def of_run(self, run_id: str) -> AbstractContextManager[Connection]:
        return self._kept(f"run {run_id}", partial(self._run_connection, run_id))

    def has_table(self, table_name: str) -> bool:
        """Whether the history has a table; one that was there once stays."""
        if table_name not in self._tables and self._has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def store_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        """Store events as `SqliteEventLogStorage.store_event` does one by one: in the database of their run, and in
        the index, where an asset is told of the last of its events. If that fails, none is in the index.

        What Dagster gives in batches are events of assets and planned checks, of one run (`BATCH_WRITABLE_EVENTS`).
        """
        (run_id,) = {entry.run_id for entry in events}
        with self.of_index() as of_index, self.of_run(run_id) as of_run:  # which is committed first
            of_run.execute(self._storage.prepare_insert_event_batch(events))
            insert = self._storage.prepare_insert_event_batch(events).returning(SqlEventLogStorageTable.c.id)
            ids = sorted(of_index.execute(insert).scalars())  # in the order of the events, as SQLite gives them
            of_assets, last = [], {}
            for entry, number in zip(events, ids, strict=True):
                if entry.dagster_event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
                    self._storage.store_asset_check_event(entry, number)
                else:
                    of_assets.append((entry, number))
                    last[entry.get_dagster_event().asset_key] = (entry, number)
            if of_assets:
                self._storage.store_asset_event_tags(*map(list, zip(*of_assets, strict=True)))
            for entry, number in last.values():
                self._storage.store_asset_event(entry, number)

    @contextmanager
    def _kept(self, name: str, first: Callable[[], AbstractContextManager[Connection]]) -> Iterator[Connection]:
        with self._turn:
            if name in self._begun:  # by this thread, in store_batch
                yield self._begun[name]
                return
            if name not in self._engines:
                with first() as connection:  # makes the database and its tables
                    self._engines[name] = _engine_like(connection)
            with self._engines[name].begin() as connection:
                self._begun[name] = connection
                try:
                    yield connection
                finally:
                    del self._begun[name]

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
