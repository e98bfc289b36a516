"""Parquet files: columns and their types are in the footer.

Belongs here: scans of Parquet, and text in it that is not UTF-8. Does not belong here: what a column means
(`adapters`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from laionet_assets.sources.bounds import Bound, Columns
from laionet_assets.sources.file_format import (
    ROW,
    Format,
    Reading,
    SourceColumn,
    column_at,
    file_pattern,
    reading_file,
)
from laionet_assets.warehouse.sql import literal

FILE = "laionet_file"
_FILE_IN_DUCKDB = "filename"
_ROW_IN_DUCKDB = "file_row_number"
_NOT_UTF8 = "laionet_not_utf8"


@dataclass(frozen=True)
class _Utf8(Bound):
    """All text that is read of a row is UTF-8."""

    def applies(self, columns: Columns) -> bool:
        return True

    def holds(self, columns: Columns) -> str:
        return f"({_NOT_UTF8} is null)"

    def value(self, columns: Columns) -> str:
        return _NOT_UTF8


class Parquet(Format):
    """Parquet files. Text need not be declared as text: bytes are read as UTF-8."""

    name = "parquet"
    endings = (".parquet",)
    modes = ("strict", "lenient")

    def bounds(self, reading: Reading) -> tuple[Bound, ...]:
        return () if reading.mode == "strict" else (_Utf8("not_utf8", ()),)

    def relation(
        self,
        path: str,
        columns: Sequence[SourceColumn],
        reading: Reading,
        *,
        used: Sequence[int],
        rejects: str | None = None,
    ) -> str:
        if reading.mode == "strict":
            return self._scan(file_pattern(path), columns, used)
        return self._lenient(path, columns, used)

    def relation_of_many(self, paths: Sequence[str], columns: Sequence[SourceColumn], *, used: Sequence[int]) -> str:
        """Files of the same columns as one relation, with the path of each row's file as `laionet_file`."""
        taken = {column.read_as.lower() for column in columns}
        name = _FILE_IN_DUCKDB if _FILE_IN_DUCKDB not in taken else FILE  # files stay unopened by that name alone
        while name in taken:
            name += "_"
        files = ", ".join(file_pattern(path) for path in paths)
        return self._scan(
            f"[{files}]", columns, used, f"filename = {literal(name)}", more=(f"{_quoted(name)} as {FILE}",)
        )

    def has_row_numbers(self, columns: Sequence[SourceColumn]) -> bool:
        """Whether DuckDB can number the rows of each file; it cannot where a column has the name that it uses."""
        return all(column.read_as.lower() != _ROW_IN_DUCKDB for column in columns)

    def describe(self, connection: duckdb.DuckDBPyConnection, path: str) -> tuple[tuple[SourceColumn, ...], Reading]:
        with reading_file(path):
            described = connection.execute(f"describe select * from {self._read(file_pattern(path))}").fetchall()
            schema = connection.execute(
                f"select name, num_children from parquet_schema({file_pattern(path)})"
            ).fetchall()
        found = zip(_top_level(schema), described, strict=True)
        return tuple(SourceColumn(name, kind, read_as) for name, (read_as, kind, *_) in found), Reading()

    def path_in_relations(self, connection: duckdb.DuckDBPyConnection, path: str) -> str:
        """How DuckDB itself names the file, in `laionet_file`."""
        with reading_file(path):
            rows = connection.execute(f"select file_name from parquet_file_metadata({file_pattern(path)})").fetchall()
        return rows[0][0]

    def _lenient(self, path: str, columns: Sequence[SourceColumn], used: Sequence[int]) -> str:
        """Text that is not UTF-8 is read twice, with its bad bytes replaced and without them: where the two differ, it
        had some.
        """
        texts = [place for place in used if columns[place].type == "VARCHAR"]
        replaced, ignored = (
            self._scan(file_pattern(path), columns, used, f"utf8_validation = {literal(how)}")
            for how in ("replace", "ignore")
        )
        bad = ", ".join(
            f"case when shown.{column_at(place)} <> rest.{column_at(place)} then shown.{column_at(place)} end"
            for place in texts
        )
        differing = (
            f"select {ROW}, coalesce({bad or 'null'}) as {_NOT_UTF8} from {replaced} as shown "
            f"join {ignored} as rest using ({ROW})"
        )
        return (
            f"(select * from {replaced} left join (select * from ({differing}) where {_NOT_UTF8} is not null) "
            f"using ({ROW}))"
        )

    def _scan(
        self,
        files: str,
        columns: Sequence[SourceColumn],
        used: Sequence[int],
        *options: str,
        more: Sequence[str] = (),
    ) -> str:
        is_numbered = self.has_row_numbers(columns)
        row = _ROW_IN_DUCKDB if is_numbered else "row_number() over () - 1"
        selected = [f"{_quoted(columns[place].read_as)} as {column_at(place)}" for place in used]
        numbered = (f"{_ROW_IN_DUCKDB} = true",) if is_numbered else ()
        return (
            f"(select {', '.join((*selected, f'{row} as {ROW}', *more))} from {self._read(files, *numbered, *options)})"
        )

    @staticmethod
    def _read(files: str, *options: str) -> str:
        # Parquet's statistics leave NaN out: without can_have_nan, DuckDB takes a test for it to be false unseen.
        fixed = ("hive_partitioning = false", "can_have_nan = true", "binary_as_string = true")
        return f"read_parquet({', '.join((files, *fixed, *options))})"


def _quoted(name: str) -> str:
    """A column as SQL; a dot in its name is part of it."""
    return '"' + name.replace('"', '""') + '"'


def _top_level(schema: Sequence[tuple[str, int | None]]) -> list[str]:
    """Names of the columns of a schema that is listed depth first: (name, children)."""
    names: list[str] = []
    inside = 0
    for name, children in schema[1:]:
        if inside:
            inside -= 1
        else:
            names.append(name)
        inside += children or 0
    return names
