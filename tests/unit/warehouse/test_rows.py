"""Rows become what the table is documented to have, or nothing is written."""

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laionet_assets.sqlmodels.loader import load_project
from laionet_assets.warehouse.rows import RowsError, as_documented, write_batches, write_select, write_table
from laionet_assets.warehouse.table import Column, Table
from laionet_assets.warehouse.warehouse import memory_connection

STAMPS = {"laionet_version": "v"}
TYPES = {
    "name": "VARCHAR",
    "legs": "INTEGER",
    "weight": "DOUBLE",
    "is_wild": "BOOLEAN",
    "hash": "UBIGINT",
    "seen_at": "TIMESTAMP WITH TIME ZONE",
    "sounds": "VARCHAR[]",
    "parents": 'STRUCT("name" VARCHAR, legs BIGINT)[]',
}
ANIMALS = Table("raw.animals", "", ("name",), tuple(Column(name, type_, "") for name, type_ in TYPES.items()))
NOW = datetime(2026, 2, 3, 4, 5, 6, 7, tzinfo=UTC)
CAT: Mapping[str, Any] = {
    "legs": 4,
    "seen_at": NOW,
    "name": "cat",
    "weight": 3,
    "is_wild": False,
    "hash": 2**64 - 1,
    "sounds": ("meow", None),
    "parents": ({"name": "tom", "legs": 4},),
}
ANT: Mapping[str, Any] = {**dict.fromkeys(TYPES), "name": "ant", "legs": 6, "sounds": [], "parents": []}


def table_of(*columns: Column) -> Table:
    return Table("raw.few", "", (columns[0].name,), columns)


def read(path: Path) -> list[tuple[Any, ...]]:
    with memory_connection() as connection:
        return connection.execute(f"select * from read_parquet('{path}')").fetchall()


def types_in(path: Path) -> dict[str, str]:
    with memory_connection() as connection:
        described = connection.execute(f"describe select * from read_parquet('{path}')").fetchall()
    return {row[0]: row[1] for row in described}


@pytest.mark.parametrize("form", ["rows", "columns", "arrow", "select"])
def test_rows_in_every_form_are_cast_ordered_and_sorted(form: str, tmp_path: Path) -> None:
    rows, path = [CAT, ANT], tmp_path / "data.parquet"
    columns = {name: [row[name] for row in rows] for name in CAT}
    untyped = pa.table({**columns, "hash": pa.array(columns["hash"], pa.uint64())})
    if form == "select":
        with memory_connection() as connection:
            connection.register("given", untyped)
            write_select(connection, path, ANIMALS, "select * from given -- as they are", stamps=STAMPS)
    else:
        given_rows: Any = {"rows": iter(rows), "columns": columns, "arrow": untyped}[form]
        write_table(path, ANIMALS, given_rows, stamps=STAMPS)
    assert types_in(path) == TYPES
    assert [row[0] for row in read(path)] == ["ant", "cat"]
    assert pq.read_table(path).to_pylist() == [
        dict(ANT),
        {**CAT, "sounds": ["meow", None], "parents": list(CAT["parents"])},
    ]
    assert pq.read_metadata(path).metadata[b"laionet_version"] == b"v"


def test_no_rows_have_all_types_also_of_every_table_of_this_project(tmp_path: Path) -> None:
    for table in (ANIMALS, *load_project().tables.values()):
        path = tmp_path / f"{table.name}.parquet"
        write_table(path, table, [], stamps=STAMPS)
        assert types_in(path) == {column.name: column.type for column in table.columns}, table.name


def test_columns_of_numpy_keep_their_values(tmp_path: Path) -> None:
    table = table_of(Column("n", "INTEGER", ""), Column("share", "FLOAT", ""))
    typed = as_documented(table, {"share": np.array([0.5, 0.25]), "n": np.array([2, 1], dtype=np.int64)})
    assert typed.to_pylist() == [{"n": 2, "share": 0.5}, {"n": 1, "share": 0.25}]
    assert typed.select(["n"]).schema == as_documented(table, {"n": []}, names=["n"]).schema


WRONG = {
    "legs": [("four", "found string, expected INTEGER"), (4.0, "found double, expected INTEGER"),
             (2**40, "Integer value 1099511627776 not in range"), (True, "found bool, expected INTEGER")],
    "name": [(7, "found int64, expected VARCHAR"), (b"cat", "found binary, expected VARCHAR")],
    "weight": [("3.5", "found string, expected DOUBLE"), (2**60 + 1, "not in range")],
    "is_wild": [(1, "found int64, expected BOOLEAN")],
    "hash": [(-1, "Integer value -1 not in range")],
    "seen_at": [(NOW.replace(tzinfo=None), r"found timestamp\[us\], expected TIMESTAMP WITH TIME ZONE"),
                (NOW.isoformat(), "found string")],
    "sounds": [("meow", "found string"), ([1], "expected VARCHAR")],
    "parents": [([{"name": "tom"}], "found list"), ({"name": "tom", "legs": 4}, "found struct")],
}  # fmt: skip


@pytest.mark.parametrize(("column", "value", "said"), [(name, *each) for name in WRONG for each in WRONG[name]])
def test_a_value_of_another_kind_is_refused_by_column(column: str, value: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(RowsError, match=rf"^raw\.animals: column {column}: .*{said}"):
        write_table(tmp_path / "data.parquet", ANIMALS, [{**CAT, column: value}], stamps=STAMPS)
    assert list(tmp_path.iterdir()) == []


def test_every_column_that_is_missing_unknown_or_wrong_is_named_at_once(tmp_path: Path) -> None:
    row = {**{name: CAT[name] for name in TYPES if name != "weight"}, "legs": "four", "wings": 2}
    with pytest.raises(RowsError) as error:
        write_table(tmp_path / "data.parquet", ANIMALS, [row], stamps=STAMPS)
    assert sorted(str(error.value).splitlines()) == [
        "raw.animals: column legs: found string, expected INTEGER",
        "raw.animals: column weight: missing, expected DOUBLE",
        "raw.animals: column wings: found, but not documented",
    ]
    with pytest.raises(RowsError, match="column legs: missing"):
        as_documented(ANIMALS, [CAT, {name: value for name, value in ANT.items() if name != "legs"}])


SELECTS = {
    "select 'a' as name, 4 as legs, 2 as wings": "raw.few: column wings: found, but not documented",
    "select 'a' as name": "raw.few: column legs: missing, expected INTEGER",
    "select 'a' as name, 4.5::double as legs": "raw.few: column legs: found DOUBLE, expected INTEGER",
    "select 'a' as name, '4' as legs": "raw.few: column legs: found VARCHAR, expected INTEGER",
    "select 'a' as name, 3000000000 as legs": "raw.few: column legs: found BIGINT, .*out of range.*, expected INTEGER",
}


@pytest.mark.parametrize(("select", "said"), SELECTS.items())
def test_a_select_of_other_columns_is_refused(select: str, said: str, tmp_path: Path) -> None:
    table = table_of(Column("name", "VARCHAR", ""), Column("legs", "INTEGER", ""))
    with memory_connection() as connection, pytest.raises(RowsError, match=f"(?s)^{said}"):
        write_select(connection, tmp_path / "data.parquet", table, select, stamps=STAMPS)


def test_an_error_of_the_select_itself_is_its_own(tmp_path: Path) -> None:
    table = table_of(Column("legs", "INTEGER", ""))
    with memory_connection() as connection, pytest.raises(duckdb.ConversionException, match="four"):
        write_select(
            connection, tmp_path / "x", table, "select ('four' || i)::int as legs from range(2) t(i)", stamps={}
        )


def test_half_precision_is_on_disk_alone_and_row_groups_of_vectors_are_small(tmp_path: Path) -> None:
    vectors = Column("vector", "FLOAT[]", "", is_half=True)
    table = table_of(Column("n", "BIGINT", ""), vectors)
    matrix = np.random.default_rng(0).normal(size=(20_000, 4)).astype(np.float32)
    path = tmp_path / "data.parquet"
    write_table(path, table, {"n": np.arange(20_000), "vector": list(matrix)}, stamps=STAMPS)
    assert types_in(path) == {"n": "BIGINT", "vector": "FLOAT[]"}
    assert pq.read_schema(path).field("vector").type.value_type == pa.float16()
    assert pq.read_metadata(path).num_row_groups == 2
    np.testing.assert_array_equal(
        np.array([row[1] for row in read(path)]), matrix.astype(np.float16).astype(np.float32)
    )
    first = path.read_bytes()
    with memory_connection() as connection:
        connection.execute(f"create view given as from '{path}'")
        write_select(
            connection, tmp_path / "again", table, "select vector, n from given order by n desc", stamps=STAMPS
        )
    assert (tmp_path / "again").read_bytes() == first


KEYS = st.tuples(st.sampled_from(["", "a", "B", "é", "🦁", "a\0"]), st.integers(-3, 3))


@settings(deadline=None, max_examples=50)
@given(st.lists(KEYS, max_size=12))
def test_rows_and_selects_are_sorted_alike(keys: list[tuple[str, int]]) -> None:
    import tempfile

    table = Table("raw.keys", "", ("s", "i"), (Column("i", "BIGINT", ""), Column("s", "VARCHAR", "")))
    rows = [{"s": s, "i": i} for s, i in keys]
    with tempfile.TemporaryDirectory() as folder, memory_connection() as connection:
        one, other = Path(folder, "rows"), Path(folder, "select")
        write_table(one, table, rows, stamps={})
        connection.register("given", as_documented(table, rows))
        write_select(connection, other, table, "from given", stamps={})
        expected = [(i, s) for s, i in sorted(keys, key=lambda key: (key[0].encode(), key[1]))]
        assert (read(one), read(other)) == (expected, expected)


class Short:
    """A connection that has no memory for one statement in which rows are joined and sorted."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection, self.refused = connection, 0

    def execute(self, query: str) -> duckdb.DuckDBPyConnection:
        if query.startswith("copy") and " join " in query and "order by" in query:
            self.refused += 1
            raise duckdb.OutOfMemoryException("could not allocate block")
        return self._connection.execute(query)


def test_what_cannot_be_sorted_beside_its_joins_is_sorted_apart(tmp_path: Path) -> None:
    """The rows are those of a machine with enough memory, in the same order, and nothing is left behind."""
    table = Table("raw.wide", "", ("k",), (Column("k", "BIGINT", ""), Column("text", "VARCHAR", "")))
    numbers = "(select (hash(i) // 2)::bigint as k, i, repeat(i::varchar, 9) as text from range(300_000) r(i))"
    select = f"select a.k, a.text || b.text as text from {numbers} a join {numbers} b using (i)"
    spill = tmp_path / "spill"
    with memory_connection({"memory_limit": "200MB", "threads": 2, "temp_directory": str(spill)}) as connection:
        short = Short(connection)
        write_select(short, tmp_path / "apart.parquet", table, select, stamps=STAMPS)  # type: ignore[arg-type]
        assert short.refused == 1
        assert not list(spill.glob("unsorted-*"))
    with memory_connection({"threads": 2}) as connection:
        write_select(connection, tmp_path / "whole.parquet", table, select, stamps=STAMPS)
    apart, whole = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("apart", "whole"))
    assert all(apart[name].equals(whole[name]) for name in ("k", "text")) and apart.num_rows == 300_000
    assert apart.schema.metadata == whole.schema.metadata


PIECES = Table(
    "core.pieces", "d", ("name", "piece"),
    tuple(Column(name, type_, "d") for name, type_ in (("name", "VARCHAR"), ("piece", "INTEGER"), ("data", "BLOB"))),
)  # fmt: skip


def test_batches_are_row_groups_and_the_next_is_asked_for_when_one_is_written(tmp_path: Path) -> None:
    path, sizes = tmp_path / "data.parquet", []

    def batches() -> Iterator[dict[str, list[Any]]]:
        for piece in range(3):
            sizes.append(path.stat().st_size)
            yield {"name": ["a", "b"] if piece == 2 else ["a"], "piece": [piece] * (2 if piece == 2 else 1),
                   "data": [os.urandom(100_000) for _ in range(2 if piece == 2 else 1)]}  # fmt: skip
            yield {"name": [], "piece": [], "data": []}

    write_batches(path, PIECES, batches(), stamps=STAMPS)
    file = pq.ParquetFile(path)
    assert file.metadata.num_row_groups == 3 and sizes[2] > 200_000
    assert file.schema_arrow.metadata == {key.encode(): value.encode() for key, value in STAMPS.items()}
    with duckdb.connect() as connection:
        rows = connection.execute(f"select name, piece, octet_length(data) from '{path}'").fetchall()
    assert rows == [("a", 0, 100_000), ("a", 1, 100_000), ("a", 2, 100_000), ("b", 2, 100_000)]


def test_batches_out_of_order_or_of_other_columns_are_refused(tmp_path: Path) -> None:
    one, two = ({"name": ["a"], "piece": [piece], "data": [b""]} for piece in (1, 2))
    with pytest.raises(ValueError, match=r"found the row \('a', 1\) after \('a', 2\)"):
        write_batches(tmp_path / "data.parquet", PIECES, [two, one], stamps=STAMPS)
    with pytest.raises(RowsError, match="column data: missing"):
        write_batches(tmp_path / "data.parquet", PIECES, [{"name": ["a"], "piece": [1]}], stamps=STAMPS)
    write_batches(tmp_path / "data.parquet", PIECES, [], stamps=STAMPS)
    assert pq.read_table(tmp_path / "data.parquet").num_rows == 0
