"""A DuckDB connection, and parts read from files."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import duckdb
import pytest

from laionet_assets.sources import PartRecord, discover, fingerprint, inspect_part

Inspect = Callable[..., PartRecord]


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """A private in-memory DuckDB, with several threads so that order is not there by luck."""
    connection = duckdb.connect(":memory:", config={"threads": 4, "python_enable_replacements": False})
    yield connection
    connection.close()


@pytest.fixture
def inspect(connection: duckdb.DuckDBPyConnection) -> Inspect:
    """Discover the one file of a path and inspect it."""

    def inspect_one(
        path: Path,
        *,
        adapter: str = "auto",
        ordinal: int = 0,
        source: str = "web",
        mapping: Mapping[str, str] | None = None,
    ) -> PartRecord:
        (file,) = discover(source, adapter, str(path)).files
        return inspect_part(
            connection, file, adapter=adapter, ordinal=ordinal, fingerprint=fingerprint(file), mapping=mapping
        )

    return inspect_one
