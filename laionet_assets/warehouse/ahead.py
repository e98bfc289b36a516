"""DuckDB connections that are opened before they are needed, by a thread beside.

To open and close a database in memory takes DuckDB some 25 ms, in which Python waits: of a run of small tables that was
a tenth of the time.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import Any

import duckdb

Open = Callable[[Mapping[str, Any]], duckdb.DuckDBPyConnection]


class ConnectionsAhead:
    """Connections of one configuration. While one is in use, the next is opened; one that is no longer needed is closed
    beside, and surely is before another is given: two never take memory at once that one after the other would not.
    """

    def __init__(self, open: Open) -> None:
        self._open = open
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="connections")
        self._turn = Lock()
        self._next: tuple[dict[str, Any], Future[duckdb.DuckDBPyConnection]] | None = None
        self._closing: list[Future[None]] = []

    @contextmanager
    def connection(self, config: Mapping[str, Any]) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of its own database, closed whatever happens. Raises what opening it raises."""
        connection = self._take(dict(config))
        try:
            yield connection
        finally:
            with self._turn:
                self._closing.append(self._thread.submit(connection.close))

    def _take(self, config: dict[str, Any]) -> duckdb.DuckDBPyConnection:
        with self._turn:
            closing, self._closing = self._closing, []
            ready = None
            if self._next is None or self._next[0] == config:
                ready, self._next = self._next, (config, self._thread.submit(self._open, config))
        for each in closing:
            each.result()
        if ready is not None and ready[1].exception() is None:
            return ready[1].result()
        return self._open(config)  # what kept it from being opened ahead may be over

    def close(self) -> None:
        """Close what was opened and not needed; wait for what is being closed."""
        with self._turn:
            waiting, self._next = self._next, None
        if waiting is not None and not waiting[1].cancel() and waiting[1].exception() is None:
            waiting[1].result().close()
        self._thread.shutdown()
