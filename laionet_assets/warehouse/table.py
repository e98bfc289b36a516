"""What the warehouse knows of a table: its name, grain, columns and where it is partitioned.

Belongs here: the description of a table and of a part. The yml that it is read from is `sqlmodels`' business.
"""

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote

from laionet_assets.warehouse.sql import identifier


@dataclass(frozen=True, order=True)
class PartKey:
    """A part of a source: the unit of work of every partitioned table."""

    source: str
    part: str

    @property
    def key(self) -> str:
        """Dagster's partition key, `<source>/<part>`."""
        return f"{self.source}/{self.part}"

    @classmethod
    def parse(cls, key: str) -> "PartKey":
        """The part of a partition key. Raises ValueError if there is no slash in it."""
        source, slash, part = key.partition("/")
        if not (source and slash and part):
            raise ValueError(f"found {key!r}, expected <source>/<part>")
        return cls(source, part)

    @property
    def folder(self) -> str:
        """Hive-style folder of this part, safe for file systems and globs."""
        return f"source={quote(self.source, safe='')}/part={quote(self.part, safe='')}"

    @classmethod
    @lru_cache(maxsize=100_000)
    def of_folder(cls, folder: str) -> "PartKey":
        """The inverse of `folder`. Kept: whoever looks at many parts does so again and again."""
        source, part = folder.split("/")
        return cls(unquote(source.removeprefix("source=")), unquote(part.removeprefix("part=")))


@dataclass(frozen=True)
class Column:
    """A documented column. `type` is DuckDB's name of the type, as `describe` prints it; with `is_half`, files hold its
    numbers in half precision.
    """

    name: str
    type: str
    description: str
    is_half: bool = False


@dataclass(frozen=True)
class Table:
    """A table of the warehouse, as documented.

    `grain` is the primary key: files are sorted by it. `is_view` says that the rows stay in the
    sources and are read through a view. `is_in_snapshot` is false for vectors, which stay in the warehouse.
    """

    name: str
    description: str
    grain: tuple[str, ...]
    columns: tuple[Column, ...]
    is_partitioned: bool = False
    is_view: bool = False
    is_in_snapshot: bool = True

    @property
    def schema(self) -> str:
        return self.name.split(".")[0]

    @property
    def no_rows(self) -> str:
        """A SELECT of the documented columns without rows."""
        columns = ", ".join(f"null::{column.type} as {identifier(column.name)}" for column in self.columns)
        return f"select {columns} where false"

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def layout(self) -> tuple[str, ...]:
        """What rows written anew would be laid out by: grain, columns and types. Descriptions are none of it."""
        halves = {column.name: " in half precision" for column in self.columns if column.is_half}
        return (repr(self.grain), *(f"{each.name} {each.type}{halves.get(each.name, '')}" for each in self.columns))
