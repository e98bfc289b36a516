"""An image store, local and remote; a part of one; what was fetched into a table."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from laionet_assets.images.part_folder import PartFolder
from laionet_assets.images.shards import content_hash
from laionet_assets.images.store import ImageStore
from laionet_assets.warehouse.lake import Lake
from tests.unit.images.parts import PART
from tests.unit.images.removing import URL


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ImageStore:
    if request.param == "local":
        return ImageStore(str(tmp_path / "we[i]rd *name"))
    return ImageStore(f"memory://bucket-{uuid.uuid4().hex}/images", staging=tmp_path / "staging")


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """Four samples: 1 and 2 (another address) show the same bytes, 3 others, 4 was never fetched."""
    connection = duckdb.connect()
    connection.execute("create schema core")
    connection.execute("create table core.images (source varchar, sample_id bigint, url varchar, sha256 varchar)")
    connection.executemany(
        "insert into core.images values (?, ?, ?, ?)",
        [
            ("web", 1, URL, content_hash(b"one")),
            ("web", 2, "https://other.example/copy.jpg", content_hash(b"one")),
            ("web", 3, "https://other.example/3.jpg", content_hash(b"three")),
            ("web", 4, "https://other.example/4.jpg", None),
        ],
    )
    yield connection
    connection.close()


@pytest.fixture
def folder(tmp_path: Path) -> PartFolder:
    return PartFolder(Lake(str(tmp_path)), PART, tmp_path / PART.folder)
