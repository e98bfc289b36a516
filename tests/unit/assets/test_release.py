"""What leaves the warehouse: without what was removed."""

from pathlib import Path

import duckdb

from laionet_assets.assets.release import released_select
from laionet_assets.sqlmodels.loader import load_project
from laionet_assets.warehouse.catalog import write_release
from laionet_assets.warehouse.lake import Lake
from laionet_assets.warehouse.rows import write_select
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse, memory_connection, stamps_of

PART = PartKey("s", "p")


def publish(warehouse: Warehouse, name: str, rows: str, part: PartKey | None = None) -> None:
    """Publish a table with these columns; the others are null."""
    table = warehouse.table(name)
    columns = ", ".join(f"null::{column.type} as {column.name}" for column in table.columns)
    with warehouse.connect() as connection, warehouse.lake.stage(table, part) as staged:
        select = f"select * from (select {columns} limit 0) union all by name (from ({rows}))"
        write_select(connection, staged.path, table, select, stamps=stamps_of("v"))
        warehouse.lake.publish(staged)


def test_address_and_caption_of_what_was_removed_stay_here(tmp_path: Path) -> None:
    warehouse = Warehouse(
        lake=Lake(str(tmp_path / "lake")), tables=load_project().tables, connect=memory_connection, docs=tmp_path
    )
    publish(
        warehouse,
        "core.candidates",
        "select 's' as source, 'p' as part, i::bigint as sample_id, 'n1' as wnid, 'paper' as matching, "
        "'http://x/' || i as url, 'a caption' as caption from range(3) t (i)",
        PART,
    )
    with_all = write_release(warehouse, str(tmp_path / "all.duckdb"), version="1", select=released_select(warehouse))
    publish(
        warehouse,
        "core.removals",
        "select 'sample' as kind, 's/0' as value union all select 'url_hash', sha256('http://x/1')",
    )
    without = write_release(warehouse, str(tmp_path / "some.duckdb"), version="2", select=released_select(warehouse))
    assert with_all["core.candidates"] == without["core.candidates"] == 3
    query = "select sample_id, url, caption from core.candidates order by sample_id"
    assert rows(tmp_path / "all.duckdb", query)[0] == (0, "http://x/0", "a caption")
    assert rows(tmp_path / "some.duckdb", query) == [(0, None, None), (1, None, None), (2, "http://x/2", "a caption")]


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    connection = duckdb.connect(str(path), read_only=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()
