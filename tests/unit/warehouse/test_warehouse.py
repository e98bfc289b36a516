"""Connections see just the files that a piece of work reads; versions are stamped into the files."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from laionet_assets.errors import UserError
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import MissingTableError, Warehouse, memory_connection
from tests.unit.warehouse.conftest import Write

A, B = PartKey("s", "a"), PartKey("s", "b")


def test_a_part_sees_its_own_rows_and_a_whole_sees_all(warehouse: Warehouse, write: Write) -> None:
    write("core.sightings", "select 's' as source, 'a' as part, 1::int as n", A)
    write("core.sightings", "select 's' as source, 'b' as part, 2::int as n", B)
    with warehouse.connect() as connection:
        warehouse.bind(connection, ["core.sightings"], A)
        assert connection.execute("select n from core.sightings").fetchall() == [(1,)]
        warehouse.bind(connection, ["core.sightings"])
        assert connection.execute("select n from core.sightings order by n").fetchall() == [(1,), (2,)]


def test_one_connection_serves_until_it_breaks(warehouse: Warehouse) -> None:
    opened = []

    @contextmanager
    def connect() -> Iterator[duckdb.DuckDBPyConnection]:
        with warehouse.connect() as connection:
            opened.append(connection)
            yield connection

    with replace(warehouse, connect=connect).with_one_connection() as sharing:
        assert not opened
        for _ in range(3):
            with pytest.raises(duckdb.ConversionException), sharing.connect() as connection:
                connection.execute("select 'x'::int")
        assert len(opened) == 1
        with pytest.raises(duckdb.InternalException), sharing.connect():
            raise duckdb.InternalException("INTERNAL Error: it is broken from now on")
        for _ in range(2):
            with sharing.connect() as connection:
                assert connection.execute("select 1").fetchall() == [(1,)]
        assert len(opened) == 2
    for connection in opened:
        with pytest.raises(duckdb.ConnectionException, match="closed"):
            connection.execute("select 1")


def test_missing_tables_say_how_to_make_them(warehouse: Warehouse, write: Write) -> None:
    write("core.sightings", "select 's' as source, 'a' as part, 1::int as n", A)
    with pytest.raises(MissingTableError, match=r"raw\.animals is not there yet.*laionet run"):
        warehouse.select("raw.animals")
    with pytest.raises(MissingTableError, match=r"core\.sightings for the part s/b"):
        warehouse.select("core.sightings", B)
    with pytest.raises(UserError, match=r"found table 'raw\.plants', expected one of: core\.sightings, raw\.animals"):
        warehouse.table("raw.plants")


def test_versions_by_part(warehouse: Warehouse, write: Write) -> None:
    assert warehouse.stamps("core.sightings") == {}
    assert warehouse.stamps("raw.animals") == {}
    write("core.sightings", "select 's' as source, 'a' as part, 1::int as n", A, version="va")
    write("core.sightings", "select 's' as source, 'b' as part, 2::int as n", B, version="vb")
    write("raw.animals", "select 'cat' as animal, 4::int as legs", version="v2")
    assert {part: stamp.version for part, stamp in warehouse.stamps("core.sightings").items()} == {A: "va", B: "vb"}
    assert {part: stamp.version for part, stamp in warehouse.stamps("raw.animals").items()} == {None: "v2"}


def test_rows_are_written_in_the_order_of_the_grain_and_reproducibly(warehouse: Warehouse, write: Write) -> None:
    select = "select format('a{:06d}', (i * 7919) % 100003) as animal, i::int as legs from range(100003) t (i)"
    write("raw.animals", select)
    path = Path(warehouse.lake.path(warehouse.table("raw.animals")))
    first = path.read_bytes()
    write("raw.animals", select)
    assert path.read_bytes() == first
    with memory_connection() as connection:
        names = [row[0] for row in connection.execute(f"select animal from '{path}'").fetchall()]
    assert names == sorted(names)


def test_a_connection_is_closed_after_an_error() -> None:
    with pytest.raises(RuntimeError), memory_connection() as connection:
        raise RuntimeError
    with pytest.raises(Exception, match="closed"):
        connection.execute("select 1")
