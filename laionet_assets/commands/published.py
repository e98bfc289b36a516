"""The published tables, for commands that only read: the warehouse alone has to be there, also on a read-only mount."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from laionet_assets.assets.ingestion import source_views
from laionet_assets.assets.pipeline import warehouse_resource
from laionet_assets.errors import UserError
from laionet_assets.settings import load_settings
from laionet_assets.sqlmodels.loader import load_project
from laionet_assets.warehouse.catalog import open_catalog, refresh_catalog
from laionet_assets.warehouse.warehouse import Warehouse


def open_published(config: Path | None = None) -> Warehouse:
    """The warehouse of a configuration.

    Image sets, weights and lists that the settings name need not be there. Raises UserError if no table is published.
    """
    settings = load_settings(config, check_files=False)
    sources = frozenset(source.name for source in settings.sources)
    warehouse = warehouse_resource(settings).open(load_project().tables, source_views(settings), sources)
    if not any(warehouse.is_published(name) for name in warehouse.tables):
        raise UserError(f"{warehouse.lake.root} holds no table yet; run first: laionet run")
    return warehouse


@contextmanager
def published_views(warehouse: Warehouse) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that sees every published table: through the catalog, or, where that cannot be brought up to date
    because nothing can be written, through views of its own.
    """
    try:
        refresh_catalog(warehouse)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        with warehouse.connect() as connection:
            warehouse.bind(connection, (name for name in warehouse.tables if warehouse.is_published(name)))
            yield connection
    else:
        with open_catalog(warehouse) as connection:
            yield connection
