"""What a warehouse says: rows and a sum over their hashes, of every view and part; and a reader that asks all the time.

As a script (`python -m tests.soak.content CATALOG EXPECTED STOP SEED AT_LEAST`) it reads until the file STOP is there
and it has read AT_LEAST so often, and prints how often it read and everything that was not as EXPECTED (a JSON file)
says.
"""

import json
import random
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import duckdb

Content = Mapping[str, Mapping[str, tuple[int, str]]]
"""Rows and sum of hashes by view and part ('' where it has none)."""

_OF_ITS_OWN_MAKING = {"raw.parts": {"path", "signature"}}
"""Columns that say where the files are, not what is in them."""
_OF_ITS_TIME = {"attempts", "seconds"}
"""Columns that say when something was done, and how often: of those with a time as their type, too."""


def queries(connection: duckdb.DuckDBPyConnection) -> Mapping[str, str]:
    """By view, the SELECT of part, rows and sum of hashes."""
    columns: dict[str, list[str]] = {}
    for schema, view, column, kind in connection.execute(
        "select c.schema_name, c.table_name, c.column_name, c.data_type from duckdb_columns() as c "
        "semi join (from duckdb_views() where not internal and schema_name <> 'main') as v "
        "on v.schema_name = c.schema_name and v.view_name = c.table_name order by all"
    ).fetchall():
        name = f"{schema}.{view}"
        kept = columns.setdefault(name, [])
        if not kind.startswith("TIMESTAMP") and column not in _OF_ITS_TIME | _OF_ITS_OWN_MAKING.get(name, set()):
            kept.append(f'"{column}"')
    return {
        name: f"select {_part_of(kept)} as part, count(*), coalesce(sum(hash({', '.join(kept)})::hugeint), 0)::varchar "
        f"from {name} group by all order by all"
        for name, kept in columns.items()
    }


def _part_of(columns: list[str]) -> str:
    return "coalesce(source || '/' || part, '')" if {'"source"', '"part"'} <= set(columns) else "''"


def content(catalog: Path) -> Content:
    """All that a catalog shows."""
    with duckdb.connect(str(catalog), read_only=True) as connection:
        return {name: _asked(connection, query) for name, query in queries(connection).items()}


def _asked(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, tuple[int, str]]:
    return {part: (rows, hashes) for part, rows, hashes in connection.execute(query).fetchall()}


def differences(found: Content, expected: Content) -> list[str]:
    """What differs, a sentence each."""
    told = [f"{name} is missing" for name in expected.keys() - found.keys()]
    for name in sorted(expected.keys() & found.keys()):
        told += [f"{name} {part}: rows and hashes are {found[name].get(part)}, expected {one}"
                 for part, one in expected[name].items() if found[name].get(part) != one]  # fmt: skip
        told += [f"{name} {part}: is too much" for part in found[name].keys() - expected[name].keys()]
    return told


def main() -> None:
    catalog, expected_file, stop, seed, at_least = sys.argv[1:]
    expected = {
        name: {part: tuple(one) for part, one in parts.items()}
        for name, parts in json.loads(Path(expected_file).read_text()).items()
    }
    draw, reads, wrong = random.Random(seed), 0, list[str]()
    while reads < int(at_least) or not Path(stop).exists():
        try:
            with duckdb.connect(catalog, read_only=True) as connection:
                asked = queries(connection)
                for name in draw.sample(sorted(expected), 10):
                    reads += 1
                    if name not in asked:
                        wrong.append(f"{name} is missing")
                    else:
                        wrong += differences({name: _asked(connection, asked[name])}, {name: expected[name]})
        except duckdb.Error as error:
            wrong.append(f"{type(error).__name__}: {error}")
        time.sleep(0.05)
    print(json.dumps({"reads": reads, "wrong": wrong}))


if __name__ == "__main__":
    main()
