"""Which tables leave the warehouse, and without what."""

from pathlib import Path

import duckdb
import pytest

from laionet_assets.commands.snapshot import chosen_tables, select_without_removed
from laionet_assets.errors import UserError
from laionet_assets.sqlmodels.loader import load_project
from laionet_assets.warehouse.lake import Lake
from laionet_assets.warehouse.rows import write_select
from laionet_assets.warehouse.snapshot import write_snapshot
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Stamp, Warehouse, memory_connection

PART = PartKey("s", "p")


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(
        lake=Lake(str(tmp_path / "lake")), tables=load_project().tables, connect=memory_connection, docs=tmp_path
    )


def publish(warehouse: Warehouse, name: str, rows: str, part: PartKey | None = None) -> None:
    """Publish a table with these columns; the others are null."""
    table = warehouse.table(name)
    columns = ", ".join(f"null::{column.type} as {column.name}" for column in table.columns)
    with warehouse.connect() as connection, warehouse.lake.stage(table, part) as staged:
        select = f"select * from (select {columns} limit 0) union all by name (from ({rows}))"
        write_select(connection, staged.path, table, select, stamps=Stamp.of("v").metadata)
        warehouse.lake.publish(staged)


def publish_candidates(warehouse: Warehouse) -> None:
    publish(
        warehouse,
        "core.candidates",
        "select 's' as source, 'p' as part, i::bigint as sample_id, 'n1' as wnid, 'paper' as matching, "
        "'http://x/' || i as url, 'a caption' as caption from range(3) t (i)",
        PART,
    )


def test_address_and_caption_of_what_was_removed_stay_here(warehouse: Warehouse, tmp_path: Path) -> None:
    def write(name: str) -> list[tuple[object, ...]]:
        target, without_removed = tmp_path / name, select_without_removed(warehouse)
        counts = write_snapshot(warehouse, str(target), {"core.candidates": without_removed("core.candidates")})
        assert counts == {"core.candidates": 3}
        with duckdb.connect(str(target), read_only=True) as connection:
            query = "select sample_id, url, caption from core.candidates order by sample_id"
            return connection.execute(query).fetchall()

    publish_candidates(warehouse)
    assert write("all.duckdb")[0] == (0, "http://x/0", "a caption")
    publish(
        warehouse,
        "core.removals",
        "select 'sample' as kind, 's/0' as value union all select 'url_hash', sha256('http://x/1')",
    )
    assert write("some.duckdb") == [(0, None, None), (1, None, None), (2, "http://x/2", "a caption")]


def test_no_table_takes_what_was_removed_along_nor_loses_a_column(warehouse: Warehouse) -> None:
    """core.image_requests has a flag of its own that says what was removed when it was made, and no later."""
    publish(warehouse, "core.removals", "select 'sample' as kind, 's/0' as value")
    of_each = {"url": "'http://x/0'", "caption": "'a caption'", "caption_id": "7::ubigint"}
    seen = set()
    for name, table in warehouse.tables.items():
        columns = table.column_names
        private = [column for column in columns if column in of_each]
        if not table.is_in_snapshot or table.is_view or not private or not {"source", "sample_id"} <= set(columns):
            continue
        values = "".join(f", {of_each[column]} as {column}" for column in private)
        flag = ", false as is_removed" if "is_removed" in columns else ""
        rows = f"select 's' as source, 'p' as part, 0::bigint as sample_id{values}{flag}"
        publish(warehouse, name, rows, PART if table.is_partitioned else None)
        with warehouse.connect() as connection:
            cursor = connection.execute(select_without_removed(warehouse)(name))
            assert [column for column, *_ in cursor.description or []] == list(columns), name
            (row,) = cursor.fetchall()
        assert {dict(zip(columns, row, strict=True))[column] for column in private} == {None}, name
        seen.add(name)
    assert seen > {"core.candidates", "core.image_requests"}


def test_tables_are_chosen_by_name_and_pattern(warehouse: Warehouse) -> None:
    with pytest.raises(UserError, match=r"does not hold any table yet; run first: laionet run"):
        chosen_tables(warehouse, [])
    publish_candidates(warehouse)
    publish(warehouse, "core.query_embeddings", "select 'minilm' as encoder")
    publish(warehouse, "raw.recipes", "select 'r' as recipe")
    assert chosen_tables(warehouse, []) == ["core.candidates", "raw.recipes"]
    assert chosen_tables(warehouse, ["raw.recipes"]) == ["raw.recipes"]
    assert chosen_tables(warehouse, ["core.*", "raw.r*"]) == ["core.candidates", "raw.recipes"]
    with pytest.raises(UserError, match=r"does not hold marts.funnel yet; run first: .*marts/funnel"):
        chosen_tables(warehouse, ["marts.funnel", "raw.recipes"])
    for stays in ("core.query_embeddings", "raw.pairs", "candidates", ""):
        with pytest.raises(
            UserError, match=r"matches no table of a snapshot \(vectors and views .* stay .*core.laionet"
        ):
            chosen_tables(warehouse, [stays])
