"""A staged table with columns of many types, as a check meets it, and a table beside it."""

from pathlib import Path

import duckdb

COLUMNS = """
    i::bigint as sample_id,
    case when i % 2 = 0 then 'paper' else 'corrected' end as matching,
    case when i = 7 then '<script>alert(7)</script>' when i = 8 then null else 'caption ' || i end as caption,
    (i / 100.0)::float as similarity,
    null::varchar as nothing,
    ['n' || i] as wnids,
    [i, 1.0]::float[2] as embedding,
    {'x': i} as point,
    i::hugeint as hash,
    i::ubigint as key,
    ('00000000-0000-0000-0000-' || lpad(i::varchar, 12, '0'))::uuid as uid,
    date '2024-01-01' + i::integer as seen_at,
"""


def write_files(folder: Path) -> None:
    """The files behind `audit.staged` and `core.candidates`, which lacks the sample 42."""
    staged = f"select {COLUMNS} from range(100) t(i)"
    candidates = "select range::bigint as sample_id from range(100) where range <> 42"
    for name, query in (("staged", staged), ("candidates", candidates)):
        duckdb.connect().execute(f"copy ({query}) to '{folder / name}.parquet'")


def opened(folder: Path) -> duckdb.DuckDBPyConnection:
    """A connection with views of the files in a folder."""
    connection = duckdb.connect()
    connection.execute("create schema audit; create schema core")
    # Parquet has neither HUGEINT (it becomes DOUBLE) nor arrays (they become lists): the view gives them back.
    types = "hash::hugeint as hash, embedding::float[2] as embedding"
    staged, candidates = (f"read_parquet('{folder / name}.parquet')" for name in ("staged", "candidates"))
    connection.execute(f"create view audit.staged as select * replace ({types}) from {staged}")
    connection.execute("create view audit.empty as from audit.staged where false")
    connection.execute(f"create view core.candidates as from {candidates}")
    return connection


def query(name: str, text: str, severity: str = "critical") -> dict:
    return {"type": "unexpected_rows", "name": name, "query": text, "severity": severity}
