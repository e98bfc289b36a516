"""A warehouse on object storage: the same layout, published by one put, on a real S3 server on loopback."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from laionet_assets.warehouse.catalog import refresh_catalog
from laionet_assets.warehouse.resource import WarehouseResource
from laionet_assets.warehouse.rows import write_select
from laionet_assets.warehouse.snapshot import write_snapshot
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Stamp, Warehouse
from tests.unit.warehouse.conftest import ANIMALS, SIGHTINGS

pytestmark = pytest.mark.integration
BUCKET = "warehouse-test"
A, B = PartKey("s", "a"), PartKey("s", "b c")


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """A warehouse in a bucket."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {"key": "test", "secret": "test", "client_kwargs": {"endpoint_url": f"http://{host}:{port}"}}
    fsspec.filesystem("s3", **options).mkdir(BUCKET)
    resource = WarehouseResource(
        root=f"s3://{BUCKET}/lake", storage_options=options, docs=str(tmp_path_factory.mktemp("docs"))
    )
    yield resource.open({table.name: table for table in (ANIMALS, SIGHTINGS)})
    server.stop()


def write(warehouse: Warehouse, name: str, select: str, part: PartKey | None, version: str) -> None:
    table = warehouse.table(name)
    with warehouse.connect() as connection, warehouse.lake.stage(table, part) as staged:
        write_select(connection, staged.path, table, select, stamps=Stamp.of(version).metadata)
        warehouse.lake.publish(staged)


def test_write_read_version_catalog_and_snapshot(warehouse: Warehouse, tmp_path: Path) -> None:
    assert warehouse.stamps("core.sightings") == {}
    write(warehouse, "core.sightings", "select 's' as source, 'a' as part, 1::int as n", A, "v1")
    write(warehouse, "core.sightings", "select 's' as source, 'b c' as part, 2::int as n", B, "v1")
    write(warehouse, "core.sightings", "select 's' as source, 'a' as part, 3::int as n", A, "v2")
    write(warehouse, "raw.animals", "select 'cat' as animal, 4::int as legs", None, "v1")
    assert {part: stamp.version for part, stamp in warehouse.stamps("core.sightings").items()} == {A: "v2", B: "v1"}
    with warehouse.connect() as connection:
        warehouse.bind(connection, ["core.sightings", "raw.animals"])
        assert connection.execute("select n from core.sightings order by n").fetchall() == [(2,), (3,)]
        warehouse.bind(connection, ["core.sightings"], B)
        assert connection.execute("select n from core.sightings").fetchall() == [(2,)]
    assert refresh_catalog(warehouse) is True
    filesystem = warehouse.lake.filesystem
    assert filesystem.exists(warehouse.catalog_path)
    assert warehouse.stamps("core.sightings", [B]) == {B: warehouse.stamps("core.sightings")[B]}
    assert warehouse.has_part("core.sightings", B) and not warehouse.has_part("core.sightings", PartKey("s", "c"))
    selects = {name: warehouse.select(name) for name in ("core.sightings", "raw.animals")}
    assert write_snapshot(warehouse, str(tmp_path / "all.duckdb"), selects) == {"core.sightings": 2, "raw.animals": 1}
    names = sorted(path.split("/", 2)[2] for path in filesystem.find(warehouse.lake.root))
    assert names == [
        "core/sightings/source=s/part=a/data.parquet",
        "core/sightings/source=s/part=b%20c/data.parquet",
        "laionet.duckdb",
        "raw/animals/data.parquet",
    ]


def test_rejected_rows_are_kept_aside(warehouse: Warehouse) -> None:
    with warehouse.lake.stage(ANIMALS) as staged:
        staged.path.write_bytes(b"bad")
        aside = warehouse.lake.reject(staged)
    assert warehouse.lake.filesystem.cat_file(aside) == b"bad"
    write(warehouse, "raw.animals", "select 'dog' as animal, 4::int as legs", None, "v2")
    assert not warehouse.lake.filesystem.exists(aside)


def test_small_files_are_written_whole(warehouse: Warehouse) -> None:
    assert warehouse.lake.read_small("parts.json") is None
    warehouse.lake.write_small("parts.json", "{}")
    assert warehouse.lake.read_small("parts.json") == "{}"
