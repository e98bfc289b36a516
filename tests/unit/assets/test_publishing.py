"""What a published table shows of itself."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import duckdb
import pytest

from laionet_assets.assets.publishing import OutOfMemoryError, Published, make, preview_of, standing
from laionet_assets.quality.expectations import Expectation
from laionet_assets.quality.validate import validate
from laionet_assets.warehouse.resource import WarehouseResource
from laionet_assets.warehouse.warehouse import memory_connection
from tests.unit.assets.world import World


def test_a_preview_is_short_and_shows_no_address() -> None:
    with duckdb.connect() as connection:
        connection.execute(
            "create view images as select i as sample_id, 'http://secret.example/' || i as url, repeat('a|b ', 30) as "
            "caption, range(9) as numbers, 1 / 3 as share, 'bytes'::blob as data from range(20) t(i)"
        )
        lines = preview_of(connection, "images", rows=2).split("\n")
    assert lines[:2] == ["| sample_id | caption | numbers | share |", "|---|---|---|---|"]
    assert len(lines) == 4 and not any("secret" in line for line in lines)
    assert lines[2].startswith("| 0 | `a¦b a¦b") and "...` | `[0, 1, 2, 3, 4, '...']` | 0.333333 |" in lines[2]


class TestMemory:
    """A table that does not fit into what a connection may take."""

    LIST = "select 1 as n where (select len(list(i::varchar || repeat('x', 50))) from range(600_000) r(i)) > 0"
    """Of one row, from a list of some 50 MB that cannot be spilled."""

    @pytest.fixture
    def world(self, tmp_path: Path) -> World:
        world = World(tmp_path, {"core/big": (self.LIST, False)})
        world.warehouse = replace(world.warehouse, connect=partial(memory_connection, {"memory_limit": "20MB"}))
        return world

    def make(self, world: World) -> tuple[Published, list[str]]:
        said: list[str] = []
        (step,) = world.steps
        return make(world.warehouse, step, None, log=said.append), said

    def test_it_is_made_again_with_more_and_that_is_said(self, world: World) -> None:
        world.warehouse = replace(world.warehouse, connect_with_more=memory_connection)
        published, said = self.make(world)
        assert published.is_published and published.rows == 1
        (line,) = said
        assert "once more, with more" in line and "Out of Memory" in line

    def test_where_there_is_no_more_it_says_what_to_set(self, world: World) -> None:
        with pytest.raises(OutOfMemoryError, match=r"(?s)^core.big does not fit.*duckdb.memory_limit"):
            self.make(world)
        assert not world.warehouse.lake.exists(world.warehouse.table("core.big"))

    @pytest.mark.parametrize("is_published", [False, True])
    def test_a_check_that_does_not_fit_is_no_failed_check(self, tmp_path: Path, is_published: bool) -> None:
        world = World(tmp_path, {"core/big": ("select 1 as n", False)})
        if is_published:
            assert self.make(world)[0].is_published
        yml = tmp_path / "sql" / "core" / "big.yml"
        query = f"select * from {{batch}} where ({self.LIST.partition('where (')[2].replace('> 0', '< 0')}"
        rule = {"type": "unexpected_rows", "name": "fits", "description": "d", "query": query}
        yml.write_text(f"{yml.read_text()}expectations: [{json.dumps(rule)}]\n")
        world = World(tmp_path, {"core/big": ("select 1 as n", False)})
        (step,) = world.steps
        do = standing if is_published else make
        little = replace(world.warehouse, connect=partial(memory_connection, {"memory_limit": "20MB"}))
        said: list[str] = []
        with pytest.raises(OutOfMemoryError):
            do(little, step, None, log=said.append)
        published = do(replace(little, connect_with_more=memory_connection), step, None, log=said.append)
        assert published.is_published and published.outcomes[0].passed and "Out of Memory" in said[0]

    def test_so_is_an_aggregate_that_does_not_fit(self, tmp_path: Path) -> None:
        text = "select (select length(string_agg(repeat('x', 50), '')) from range({rows}) r(i)) as n"
        rule = Expectation("largest", "expect_column_max_to_be_between", {"column": "n", "min_value": 1})
        with memory_connection({"memory_limit": "30MB"}) as connection:
            connection.execute("create schema audit")
            connection.execute(f"create view audit.staged as {text.format(rows=10)}")
            assert validate(connection, "audit.staged", [rule], suite="big")[0].error is None
            connection.execute(f"create or replace view audit.staged as {text.format(rows=2_000_000)}")
            with pytest.raises(duckdb.OutOfMemoryException):
                validate(connection, "audit.staged", [rule], suite="big")

    def test_only_a_limit_of_the_settings_is_the_only_one(self, tmp_path: Path) -> None:
        def limits(**config: str) -> list[str]:
            resource = WarehouseResource(root=str(tmp_path), docs=str(tmp_path / "docs"), connection_config=config)
            warehouse = resource.open({})
            found = []
            for connect in filter(None, (warehouse.connect, warehouse.connect_with_more)):
                with connect() as connection:
                    found += [row[0] for row in connection.execute("select current_setting('memory_limit')").fetchall()]
            return found

        first, more = limits()
        assert first != more
        assert len(limits(memory_limit="300MiB")) == 1
