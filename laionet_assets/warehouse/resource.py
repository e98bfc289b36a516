"""The Dagster resource of the warehouse, built on dagster-duckdb's.

Closes three gaps of `DuckDBResource`: the connection is closed after an exception too, the database is private and in
memory (so that nothing is ever locked), and filesystems of the lake and the sources are known to it.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import fsspec
from dagster import InitResourceContext
from dagster_duckdb import DuckDBResource
from pydantic import Field, PrivateAttr

from laionet_assets.errors import UserError
from laionet_assets.references import opened
from laionet_assets.warehouse.ahead import ConnectionsAhead
from laionet_assets.warehouse.history import history_kept_open
from laionet_assets.warehouse.lake import Lake
from laionet_assets.warehouse.memory import MOST, SHARE, default_memory_limit, spill_folder
from laionet_assets.warehouse.processes import Process
from laionet_assets.warehouse.sql import literal
from laionet_assets.warehouse.table import Table
from laionet_assets.warehouse.warehouse import SourceView, Warehouse, memory_connection, open_in_memory, scratch_folder


class WarehouseResource(DuckDBResource):
    """Where the warehouse is, and private DuckDB connections to work on it.

    `get_connection` (of dagster-duckdb) gives an in-memory connection; `open` gives the `Warehouse` that assets use.
    """

    database: str = Field(default=":memory:", description="Always in memory: no process writes a shared database file.")
    root: str = Field(description="Folder or URL of the lake of Parquet files.")
    storage_options: dict[str, Any] = Field(default={}, description="Options of the filesystem of `root`.")
    docs: str = Field(description="Local folder of Data Docs.")
    runs_at_once: int = Field(default=1, description="Runs that share the machine's memory, where no limit is set.")
    filesystems: dict[str, dict[str, Any]] = Field(
        default={}, description="Other filesystems that the sources are on: options by URL."
    )

    _during_run: ExitStack = PrivateAttr(default_factory=ExitStack)
    _ahead: ConnectionsAhead | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: InitResourceContext) -> None:
        """Write into the tags of the run which process works on it, so that it can be told when that is gone. From now
        on connections are opened ahead.
        """
        super().setup_for_execution(context)
        self._ahead = self._during_run.enter_context(closing(ConnectionsAhead(open_in_memory)))
        if context.run is not None and context.instance is not None:
            self._during_run.enter_context(history_kept_open(context.instance))
            context.instance.add_run_tags(context.run.run_id, Process.this().tags)

    def teardown_after_execution(self, context: InitResourceContext) -> None:
        """Let go of what was kept open for the run."""
        self._ahead = None
        self._during_run.close()
        super().teardown_after_execution(context)

    @contextmanager
    def get_connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._connection(SHARE) as connection:
            yield connection

    @contextmanager
    def _connection(self, share: float) -> Iterator[duckdb.DuckDBPyConnection]:
        """With this share of the memory that there is, unless the settings have a limit."""
        scratch = scratch_folder(Lake(self.root), Path(self.docs))
        with spill_folder(scratch) as spill:
            config = {
                "custom_user_agent": "dagster",
                "memory_limit": default_memory_limit(self.runs_at_once, share=share),
                **self.connection_config,
            }
            folder = config.pop("temp_directory", str(spill))
            opened = self._ahead.connection(config) if self._ahead is not None else memory_connection(config)
            with opened as connection:
                connection.execute(f"set temp_directory = {literal(folder)}")
                for filesystem in self._filesystems():
                    connection.register_filesystem(filesystem)
                yield connection

    def open(
        self,
        tables: Mapping[str, Table],
        views: Mapping[str, SourceView] | None = None,
        sources: frozenset[str] | None = None,
    ) -> Warehouse:
        """The warehouse with these tables."""
        return Warehouse(
            lake=Lake(self.root, self.storage_options),
            tables=tables,
            connect=self.get_connection,
            connect_with_more=None if "memory_limit" in self.connection_config else partial(self._connection, MOST),
            docs=Path(self.docs),
            views=views or {},
            sources=sources,
        )

    def _filesystems(self) -> list[fsspec.AbstractFileSystem]:
        """One filesystem a protocol that is not local, the warehouse's first. One of a source that cannot be opened is
        left out: who looks at that source is told, and nobody else needs it.
        """
        wanted = {self.root: self.storage_options, **self.filesystems}
        found: dict[str, fsspec.AbstractFileSystem] = {}
        for url, options in wanted.items():
            if "://" in url and not url.startswith("file://"):
                try:
                    filesystem, _ = opened(url, options)
                except UserError:
                    if url == self.root:
                        raise
                    continue
                protocol = filesystem.protocol if isinstance(filesystem.protocol, str) else filesystem.protocol[0]
                found.setdefault(protocol, filesystem)
        return list(found.values())
