"""A small warehouse of two tables."""

from collections.abc import Callable
from pathlib import Path

import pytest

from laionet_assets.warehouse.lake import Lake
from laionet_assets.warehouse.rows import write_select
from laionet_assets.warehouse.table import Column, PartKey, Table
from laionet_assets.warehouse.warehouse import Stamp, Warehouse, memory_connection

ANIMALS = Table(
    name="raw.animals",
    description="One row per animal: it's a test.",
    grain=("animal",),
    columns=(
        Column("animal", "VARCHAR", 'Name of the animal, the "key".'),
        Column("legs", "INTEGER", "Count of legs."),
    ),
)
SIGHTINGS = Table(
    name="core.sightings",
    description="One row per sighting.",
    grain=("source", "part", "n"),
    columns=(Column("source", "VARCHAR", "s"), Column("part", "VARCHAR", "p"), Column("n", "INTEGER", "n")),
    is_partitioned=True,
)
Write = Callable[..., None]


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    tables = {table.name: table for table in (ANIMALS, SIGHTINGS)}
    return Warehouse(
        lake=Lake(str(tmp_path / "warehouse")), tables=tables, connect=memory_connection, docs=tmp_path / "docs"
    )


@pytest.fixture
def write(warehouse: Warehouse) -> Write:
    """Publish the rows of a SELECT as a table, or as one part of it."""

    def _write(
        name: str, select: str, part: PartKey | None = None, version: str = "v1", warehouse: Warehouse = warehouse
    ) -> None:
        table = warehouse.table(name)
        with warehouse.connect() as connection, warehouse.lake.stage(table, part) as staged:
            write_select(connection, staged.path, table, select, stamps=Stamp.of(version).metadata)
            warehouse.lake.publish(staged)

    return _write
