"""Runs SQL models of this project on an in-memory DuckDB, for tests."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from typing import Any

import duckdb

from laionet_assets.assets.matching import MACROS, matches_select
from laionet_assets.quality.expectations import BATCH, GRAIN_CHECKS, UNEXPECTED_ROWS
from laionet_assets.sqlmodels.binding import create_all_empty, create_macros
from laionet_assets.sqlmodels.loader import Project, load_project
from laionet_assets.taxonomy import Synset
from laionet_assets.warehouse.rows import as_documented
from laionet_assets.warehouse.table import PartKey

PART = PartKey("web", "part-0")


@cache
def project() -> Project:
    """All models of the checkout."""
    return load_project()


def queries(table: str) -> dict[str, str]:
    """The `unexpected_rows` written for a table, by name."""
    rules = project().models[table].expectations
    written = [rule for rule in rules if rule.type == UNEXPECTED_ROWS and rule.name not in GRAIN_CHECKS]
    return {rule.name: rule.kwargs["query"].replace(BATCH, table) for rule in written}


class Database:
    """Every table of the project, empty, and its macros."""

    def __init__(self) -> None:
        self.connection = duckdb.connect(":memory:", config={"threads": 1})
        create_all_empty(self.connection, project())
        create_macros(self.connection, list(project().macros.values()))

    def rows(self, query: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        return self.connection.execute(query, parameters).fetchall()

    def make(self, name: str) -> None:
        """Fill a table with the rows of its model."""
        if name == "core.caption_matches":
            select = matches_select(self.connection, PART, [project().macros[macro] for macro in MACROS])
        else:
            select = project().models[name].select or ""
        self.connection.execute(f"delete from {name}")
        self.connection.execute(f"insert into {name} by name {select}")

    def put(self, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows to a table; columns that a row does not name are null."""
        types = {column.name: column.type for column in project().tables[table].columns}
        for row in rows:
            places = ", ".join(f"?::{types[name]}" for name in row)
            self.connection.execute(f"insert into {table} ({', '.join(row)}) values ({places})", list(row.values()))

    def fill(self, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Make these all the rows of a table, in this order."""
        self.connection.execute(f"delete from {table}")
        self.put(table, rows)

    def put_synsets(self, synsets: Sequence[Synset]) -> None:
        """Fill raw.synsets."""
        self.connection.register("synsets", as_documented(project().tables["raw.synsets"], map(asdict, synsets)))
        self.connection.execute("insert into raw.synsets by name from synsets")

    def put_captions(self, captions: Sequence[str | None]) -> None:
        """Make these captions all the pairs there are; sample_id is their place in the list."""
        self.connection.execute("delete from raw.pairs")
        self.connection.execute(
            "insert into raw.pairs by name select $1 as source, $2 as part, "
            "unnest(range(len($3))) as sample_id, unnest($3::varchar[]) as caption",
            [PART.source, PART.part, list(captions)],
        )


@contextmanager
def database(synsets: Sequence[Synset]) -> Iterator[Database]:
    """A database with raw.synsets filled and staging.lemmas made."""
    opened = Database()
    try:
        opened.put_synsets(synsets)
        opened.make("staging.lemmas")
        yield opened
    finally:
        opened.connection.close()
        del opened.connection
