"""The catalog is rebuilt when what is there differs from what it says, and never disturbs who reads."""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from laionet_assets.warehouse.catalog import refresh_catalog
from laionet_assets.warehouse.database import new_database
from laionet_assets.warehouse.table import Column, PartKey
from laionet_assets.warehouse.warehouse import Warehouse
from tests.unit.warehouse.conftest import ANIMALS, Write

A, B = PartKey("s", "a"), PartKey("s", "b")


def rows(path: str, query: str) -> list[tuple[object, ...]]:
    connection = duckdb.connect(path, read_only=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_views_and_comments(warehouse: Warehouse, write: Write) -> None:
    write("raw.animals", "select 'cat' as animal, 4::int as legs")
    assert refresh_catalog(warehouse) is True
    assert refresh_catalog(warehouse) is False
    path = warehouse.catalog_path
    assert rows(path, "from raw.animals") == [("cat", 4)]
    comment = rows(path, "select comment from duckdb_views() where view_name = 'animals'")
    assert comment == [("One row per animal: it's a test.",)]
    columns = rows(path, "select column_name, comment from duckdb_columns() where table_name = 'animals' order by all")
    assert columns == [("animal", 'Name of the animal, the "key".'), ("legs", "Count of legs.")]


def test_new_parts_and_columns_are_seen_and_the_same_bytes_are_nothing_new(warehouse: Warehouse, write: Write) -> None:
    write("core.sightings", "select 's' as source, 'a' as part, 1::int as n", A)
    assert refresh_catalog(warehouse) is True
    write("core.sightings", "select 's' as source, 'a' as part, 1::int as n", A)
    assert refresh_catalog(warehouse) is False
    write("core.sightings", "select 's' as source, 'b' as part, 2::int as n", B)
    assert refresh_catalog(warehouse) is True
    assert rows(warehouse.catalog_path, "select n from core.sightings order by n") == [(1,), (2,)]
    write("raw.animals", "select 'cat' as animal, 4::int as legs")
    assert refresh_catalog(warehouse) is True
    wider = replace(ANIMALS, columns=(ANIMALS.columns[0], replace(ANIMALS.columns[1], type="BIGINT")))
    other = replace(warehouse, tables={**warehouse.tables, wider.name: wider})
    write("raw.animals", "select 'cat' as animal, 4 as legs", warehouse=other)
    assert refresh_catalog(other) is True
    assert rows(warehouse.catalog_path, "select legs, typeof(legs) from raw.animals") == [(4, "BIGINT")]


def test_only_what_changed_is_written_and_the_file_does_not_grow(warehouse: Warehouse, write: Write) -> None:
    write("core.sightings", "select 's' as source, 'a' as part, 1::int as n", A)
    sizes = []
    for legs in range(40):
        write("raw.animals", f"select 'cat' as animal, {legs}::int as legs")
        assert refresh_catalog(warehouse) is True
        assert rows(warehouse.catalog_path, "select legs, n from raw.animals, core.sightings") == [(legs, 1)]
        sizes.append(os.path.getsize(warehouse.catalog_path))
    assert max(sizes) <= 2 * sizes[0], sizes
    shutil.rmtree(f"{warehouse.lake.root}/core")
    assert refresh_catalog(warehouse) is True
    views = "select schema_name || '.' || view_name from duckdb_views() where not internal"
    assert rows(warehouse.catalog_path, views) == [("raw.animals",)]


def test_what_is_no_catalog_of_this_layout_is_built_from_nothing(warehouse: Warehouse, write: Write) -> None:
    write("raw.animals", "select 'cat' as animal, 4::int as legs")
    path = Path(warehouse.catalog_path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema raw; create view raw.other as select 1; create table catalog (signature int)")
    assert refresh_catalog(warehouse) is True
    assert rows(str(path), "select view_name from duckdb_views() where not internal") == [("animals",)]
    path.write_bytes(b"half of a file")
    assert refresh_catalog(warehouse) is True
    assert rows(str(path), "from raw.animals") == [("cat", 4)]


def test_who_has_the_catalog_open_sees_one_state_of_all_tables(warehouse: Warehouse, write: Write) -> None:
    write("raw.animals", "select 'cat' as animal, 4::int as legs")
    write("core.sightings", "select 's' as source, 'a' as part, 1::int as n", A)
    refresh_catalog(warehouse)
    held = duckdb.connect(warehouse.catalog_path, read_only=True)
    write("raw.animals", "select 'dog' as animal, 4::int as legs")
    write("core.sightings", "select 's' as source, 'b' as part, 2::int as n", B)
    refresh_catalog(warehouse)
    query = "select animal, (select count(*) from core.sightings) from raw.animals"
    assert held.execute(query).fetchall() == [("cat", 1)]
    held.close()
    assert rows(warehouse.catalog_path, query) == [("dog", 2)]


def test_readers_in_a_tight_loop_block_no_one_and_see_whole_tables(warehouse: Warehouse, write: Write) -> None:
    """By the names of tables that are replaced, one read in sixty of such a loop failed."""
    write("raw.animals", "select 'a' || i as animal, 0::int as legs from range(20000) t (i)")
    refresh_catalog(warehouse)
    code = (
        "import duckdb, sys, time\n"
        "path, until = sys.argv[1], time.time() + float(sys.argv[2])\n"
        "reads, held = 0, duckdb.connect(path, read_only=True)\n"
        "while time.time() < until:\n"
        "    for connection in (held, duckdb.connect(path, read_only=True)):\n"
        "        n, kinds = connection.execute('select count(*), count(distinct legs) from raw.animals').fetchone()\n"
        "        assert (n, kinds) == (20000, 1), (n, kinds)\n"
        "        reads += 1\n"
        "print(reads)\n"
    )
    reader = subprocess.Popen(
        [sys.executable, "-c", code, warehouse.catalog_path, "3"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    published, until = 0, time.time() + 3
    while time.time() < until:
        published += 1
        write("raw.animals", f"select 'a' || i as animal, {published}::int as legs from range(20000) t (i)")
        if published % 2:
            write("core.sightings", "select 's' as source, 'a' as part, 1::int as n", A)
        else:
            shutil.rmtree(f"{warehouse.lake.root}/core", ignore_errors=True)
        assert refresh_catalog(warehouse) is True
    out, err = reader.communicate(timeout=30)
    assert reader.returncode == 0, err
    assert int(out) > 10
    assert published > 2


def test_of_what_is_not_looked_at_the_catalog_says_what_it_said(warehouse: Warehouse, write: Write) -> None:
    assert refresh_catalog(warehouse, ["raw.animals"]) is True, "there is none: it says that nothing is published"
    write("raw.animals", "select 'cat' as animal, 4::int as legs")
    write("core.sightings", "select 's' as source, 'a' as part, 1::int as n", A)
    path = warehouse.catalog_path
    views = "select schema_name || '.' || view_name from duckdb_views() where not internal order by all"
    assert refresh_catalog(warehouse, ["raw.animals"]) is True
    assert rows(path, views) == [("raw.animals",)]
    assert refresh_catalog(warehouse, ["core.sightings"]) is True
    assert rows(path, views) == [("core.sightings",), ("raw.animals",)]
    write("core.sightings", "select 's' as source, 'b' as part, 2::int as n", B)
    assert refresh_catalog(warehouse, ["raw.animals"]) is False
    assert rows(path, "select n from core.sightings") == [(1,)]
    shutil.rmtree(f"{warehouse.lake.root}/raw")
    assert refresh_catalog(warehouse, ["raw.animals"]) is True
    assert rows(path, views) == [("core.sightings",)]
    assert refresh_catalog(warehouse) is True
    assert rows(path, "select n from core.sightings order by n") == [(1,), (2,)]


def test_what_was_published_before_a_column_was_documented_is_seen_without_it(
    warehouse: Warehouse, write: Write
) -> None:
    write("raw.animals", "select 'cat' as animal, 4 as legs")
    assert refresh_catalog(warehouse) is True
    newer = replace(ANIMALS, columns=(*ANIMALS.columns, Column("wings", "INTEGER", "Count of wings.")))
    upgraded = replace(warehouse, tables={**warehouse.tables, newer.name: newer})
    assert refresh_catalog(upgraded) is True
    assert rows(warehouse.catalog_path, "from raw.animals") == [("cat", 4)]
    write("raw.animals", "select 'cat' as animal, 4 as legs, 0 as wings", warehouse=upgraded)
    assert refresh_catalog(upgraded) is True
    told = "select comment from duckdb_columns() where table_name = 'animals' and column_name = 'wings'"
    assert rows(warehouse.catalog_path, told) == [("Count of wings.",)]


def test_what_fails_amid_a_transaction_says_why_and_leaves_nothing(warehouse: Warehouse, tmp_path: Path) -> None:
    target = tmp_path / "new.duckdb"
    with (
        warehouse.connect() as connection,
        pytest.raises(duckdb.CatalogException, match="nowhere"),
        new_database(warehouse, str(target), connection) as database,
    ):
        connection.execute(f"begin; create table {database}.main.t (i int); from nowhere")
    assert list(tmp_path.glob("*new.duckdb*")) == []
