"""The SELECTs behind raw.pairs and raw.quarantine: normalised, complete, each other's complement, and no dearer than
they need be.
"""

import dataclasses
import json
import math
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from laionet_assets.sources import (
    Breach,
    PartRecord,
    assign_ordinals,
    discover,
    fingerprint,
    inspect_part,
    pairs_sql,
    pairs_view_sql,
    quarantine_sql,
)
from laionet_assets.sources.bounds import MAX_CAPTION_CHARACTERS
from laionet_assets.sources.reading import PAIR_TYPES
from laionet_assets.sqlmodels.loader import load_project
from tests.unit.sources.conftest import Inspect
from tests.unit.sources.files import ADAPTER_NAMES, LAION400M, laion400m_with, write_format, write_parquet

NORMALISED = {
    "laion400m": [
        ("2949826000001", 640, 320, "UNLIKELY", None, None, 0.31, "?", None),
        ("2949826000002", 1, 1, "UNSURE", None, None, -0.5, "cc", None),
        (None, None, None, None, None, None, None, None, None),
    ],
    "laion2b": [
        (None, 640, 320, None, 0.5, 0.25, 0.25, None, "en"),
        (None, 1, 1, None, 0.0, 1.0, 0.5, None, "nl"),
        (None, None, None, None, None, None, None, None, None),
    ],
    "relaion": [
        ("000000001", 640, 320, "UNLIKELY", 0.5, 0.25, 0.25, "?", None),
        ("000000002", 1, 1, "UNSURE", 0.0, 1.0, 0.5, "cc", None),
        (None, None, None, None, None, None, None, None, None),
    ],
    "commonpool": [
        ("0a1b" * 8, 640, 320, None, None, None, 0.25, None, None),
        ("ffff" * 8, 1, 1, None, None, None, 0.5, None, None),
        ("0" * 32, None, None, None, None, None, None, None, None),
    ],
    "coyo": [
        ("841814333321", 640, 320, None, 0.5, 0.25, 0.25, None, None),
        ("2", 1, 1, None, 0.0, 1.0, 0.5, None, None),
        ("3", None, None, None, None, None, None, None, None),
    ],
    "img2dataset": [
        ("000000000", 640, 320, "UNLIKELY", None, None, 0.31, None, None),
        ("000000001", 1, 1, "UNSURE", None, None, -0.5, None, None),
        ("000000002", None, None, None, None, None, None, None, None),
    ],
    "grit": [
        ("1795296605919", 640, 320, None, None, None, 0.25, None, None),
        ("2", 1, 1, None, None, None, 0.5, None, None),
        ("3", None, None, None, None, None, None, None, None),
    ],
    "captions": [(None,) * 9] * 3,
    "cc3m": [(None,) * 9] * 2,
    "cc12m": [(None,) * 9] * 2,
}
"""source_key, width, height, nsfw, punsafe, pwatermark, image_text_similarity, license, language of the files of
`files`.
"""


def types_of(connection: duckdb.DuckDBPyConnection, select: str) -> dict[str, str]:
    return {name: kind for name, kind, *_ in connection.execute(f"describe {select}").fetchall()}


def rows_of(connection: duckdb.DuckDBPyConnection, select: str) -> list[tuple[Any, ...]]:
    return connection.execute(f"select * from ({select}) order by all").fetchall()


@pytest.mark.parametrize("adapter", ADAPTER_NAMES)
def test_every_format_reads_the_same(
    adapter: str, connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    record = inspect(write_format(adapter, tmp_path), ordinal=7)
    select = pairs_sql(record)
    assert types_of(connection, select) == dict(PAIR_TYPES)
    rows = connection.execute(f"select * from ({select}) order by sample_id").fetchall()
    texts = (
        [('a "tench" on a plate', "http://images.invalid/a.jpg"), ("it's a goldfish", "https://images.invalid/b.jpg")]
        if adapter in ("cc3m", "cc12m")
        else list(zip(LAION400M["TEXT"].to_pylist(), LAION400M["URL"].to_pylist(), strict=True))
    )
    assert rows == [
        ("web", record.part, 700_000_000 + row, key, *text, *rest)
        for row, ((key, *rest), text) in enumerate(zip(NORMALISED[adapter], texts, strict=True))
    ]


@pytest.mark.parametrize("adapter", ADAPTER_NAMES)
def test_quarantine_has_the_documented_types_and_is_nothing_where_no_bound_is_broken(
    adapter: str, connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    record = inspect(write_format(adapter, tmp_path))
    reasons = [bound.reason for bound in record.resolution.bounds]
    all_tested = dataclasses.replace(record, breaches=tuple(Breach(reason, 1) for reason in reasons))
    assert quarantine_sql(record) is None
    documented = {column.name: column.type for column in load_project().tables["raw.quarantine"].columns}
    assert types_of(connection, quarantine_sql(all_tested) or "") == documented
    assert rows_of(connection, quarantine_sql(all_tested) or "") == []
    assert rows_of(connection, pairs_sql(all_tested)) == rows_of(connection, pairs_sql(record))


def test_without_records_the_view_is_empty_and_typed(connection: duckdb.DuckDBPyConnection) -> None:
    assert types_of(connection, pairs_view_sql([])) == dict(PAIR_TYPES)
    assert rows_of(connection, pairs_view_sql([])) == []


def test_the_view_over_all_formats_is_the_parts_together(
    connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    records = [inspect(write_format(name, tmp_path / name), source=name) for name in ADAPTER_NAMES]
    other = inspect(
        write_parquet(tmp_path / "part-00001.parquet", laion400m_with(SAMPLE_ID=None, hash=LAION400M["WIDTH"]))
    )
    records.append(other)
    view = pairs_view_sql(records)
    assert types_of(connection, view) == dict(PAIR_TYPES)
    assert rows_of(connection, view) == sorted_rows(connection, [pairs_sql(record) for record in records])
    assert pairs_view_sql(reversed(records)) == view


def sorted_rows(connection: duckdb.DuckDBPyConnection, selects: Sequence[str]) -> list[tuple[Any, ...]]:
    return rows_of(connection, " union all ".join(f"({select})" for select in selects))


@pytest.fixture
def many(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> list[PartRecord]:
    """128 parts of 20 rows with awkward paths; every eighth has a caption too few."""
    folder = tmp_path / "it's [a] *folder*, with spaces"
    folder.mkdir()
    for part in range(128):
        path = str(folder / f"part-{part:05d}.snappy.parquet").replace("'", "''")
        connection.execute(
            f"copy (select {part} * 1000 + i as SAMPLE_ID, 'http://images.invalid/' || i as URL, "
            f"case when {part} % 8 = 0 and i = 5 then null else 'caption {part} ' || i end as TEXT, 'UNLIKELY' as NSFW "
            f"from range(20) t(i)) to '{path}'"
        )
    files = discover("it's", "auto", str(folder)).files
    ordinals, _ = assign_ordinals({}, [file.part for file in files])
    return [
        inspect_part(connection, file, adapter="auto", ordinal=ordinals[file.part], fingerprint=fingerprint(file))
        for file in files
    ]


def test_many_parts_are_one_scan_a_kind(connection: duckdb.DuckDBPyConnection, many: list[PartRecord]) -> None:
    view = pairs_view_sql(many)
    assert view.count("read_parquet(") == 2
    assert rows_of(connection, view) == sorted_rows(connection, [pairs_sql(record) for record in many])
    wrong = "source <> 'it''s' or caption <> format('caption {} {}', sample_id // 100000000, sample_id % 100000000)"
    also_wrong = "part <> format('part-{:05d}', sample_id // 100000000)"
    counted = connection.execute(f"select count(*), count(*) filter (where {wrong} or {also_wrong}) from ({view})")
    assert counted.fetchall() == [(128 * 20 - 16, 0)]


def _first_of_each_kind(records: Sequence[PartRecord]) -> dict[tuple[object, ...], PartRecord]:
    """Parts whose columns stand for those of all of their kind."""
    return {record.breaches: record for record in reversed(records)}


def test_columns_of_the_source_may_be_called_like_duckdbs(
    connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    names = pa.array(["a.jpg", "b.jpg", "c.jpg"])
    records = [
        inspect(write_parquet(tmp_path / f"part-{i}.parquet", laion400m_with(FileName=names, part=names)), ordinal=i)
        for i in range(2)
    ]
    select = f"select part, list(sample_id order by sample_id) from ({pairs_view_sql(records)}) group by part"
    first = 100_000_000
    assert rows_of(connection, select) == [("part-0", [0, 1, 2]), ("part-1", [first, first + 1, first + 2])]


@pytest.mark.parametrize("part", ["part-00007", "part-00008"])
def test_asking_for_a_part_opens_no_other_file(
    part: str, connection: duckdb.DuckDBPyConnection, many: list[PartRecord]
) -> None:
    (wanted,) = [record for record in many if record.part == part]
    connection.execute("create schema raw")
    connection.execute(f"create view raw.pairs as {pairs_view_sql(many)}")
    described = {record.path for record in _first_of_each_kind(many).values()}
    for record in many:
        if record is not wanted and record.path not in described:
            Path(record.path).write_bytes(b"not to be opened")
    rows = connection.execute(f"select * from raw.pairs where source = 'it''s' and part = '{part}' order by all")
    assert rows.fetchall() == rows_of(connection, pairs_sql(wanted))


def test_a_scan_reads_only_the_columns_that_are_asked_for_or_broken(
    connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    whole = inspect(write_parquet(tmp_path / "part-00000.parquet", LAION400M))
    size = pa.array([640, 0, None], pa.int32())
    broken = inspect(write_parquet(tmp_path / "part-00001.parquet", laion400m_with(WIDTH=size)))
    again = inspect(write_parquet(tmp_path / "part-00002.parquet", laion400m_with(WIDTH=size)))
    assert columns_read(connection, pairs_sql(whole)) == {"TEXT"}
    assert columns_read(connection, pairs_view_sql([broken])) == {"TEXT", "WIDTH", "HEIGHT"}
    assert columns_read(connection, pairs_view_sql([broken, again])) == {"TEXT", "WIDTH", "HEIGHT"}


def columns_read(connection: duckdb.DuckDBPyConnection, select: str) -> set[str]:
    """Columns of LAION-400M's files that counting characters of captions makes DuckDB read."""
    plan = connection.execute(f"explain (format json) select sum(length(caption)) from ({select})").fetchall()[0][1]
    return {name for name in LAION400M if re.search(rf'"{name}"|\b{name}\b', _scans_of(plan))}


def _scans_of(plan: str) -> str:
    found: list[str] = []

    def visit(node: Any) -> None:
        if isinstance(node, dict):
            if "PARQUET" in str(node.get("name", "")).upper():
                found.append(json.dumps(node.get("extra_info", {})))
            for child in node.get("children", []):
                visit(child)
        for child in node if isinstance(node, list) else []:
            visit(child)

    visit(json.loads(plan))
    assert found
    return " ".join(found)


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    filesystem.rm("/reading-test", recursive=True)


def test_parts_on_an_fsspec_filesystem(
    connection: duckdb.DuckDBPyConnection, memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    connection.register_filesystem(memory)
    content = write_format("laion400m", tmp_path).read_bytes()
    lines = write_format("cc12m", tmp_path).read_bytes()
    memory.pipe_file("/reading-test/it's [1]/part-00000.parquet", content)
    memory.pipe_file("/reading-test/it's [1]/part-00001.parquet", content)
    memory.pipe_file("/reading-test/it's [1]/cc12m.tsv", lines)
    files = discover("web", "auto", "memory://reading-test/it's [1]").files
    records = [
        inspect_part(connection, file, adapter="auto", ordinal=i, fingerprint=fingerprint(file))
        for i, file in enumerate(files)
    ]
    view = pairs_view_sql(records)
    counted = connection.execute(f"select part, count(*), min(sample_id) from ({view}) group by part order by part")
    assert counted.fetchall() == [("cc12m", 2, 0), ("part-00000", 3, 100_000_000), ("part-00001", 3, 200_000_000)]


# What the bounds say, in plain Python: the oracle of the property below.

ROW = st.fixed_dictionaries(
    {
        "TEXT": st.one_of(
            st.sampled_from([None, "", "a cat", "\n\t", "'\"\\"]),
            st.sampled_from([MAX_CAPTION_CHARACTERS, MAX_CAPTION_CHARACTERS + 1, 61_192]).map("é".__mul__),
        ),
        "URL": st.sampled_from([None, "", " ", "http://images.invalid/1"]),
        "WIDTH": st.sampled_from([None, -1, 0, 1, 640, 2**31 - 1, 2**31, 2**53]),
        "HEIGHT": st.sampled_from([None, -(2**53), 0, 1, 480]),
        "similarity": st.one_of(st.none(), st.floats(width=32), st.sampled_from([-1.0, 1.0, 0.0, -0.0, 6016.0])),
        "punsafe": st.one_of(st.none(), st.floats(width=32), st.floats(0, 1, width=32)),
        "pwatermark": st.one_of(st.none(), st.floats(width=32), st.floats(0, 1, width=32)),
        "hash": st.sampled_from([None, -(2**63), 2**63 - 1]),
    }
)
SIZE_TYPES = st.sampled_from([pa.int64(), pa.float64()])
SCORE_TYPES = st.sampled_from([pa.float32(), pa.float64()])


def _missing(value: float | None) -> bool:
    return value is None or math.isnan(value)


def reasons_of(row: dict[str, Any]) -> set[str]:
    broken = set()
    if row["TEXT"] is None:
        broken.add("caption_missing")
    elif len(row["TEXT"]) > MAX_CAPTION_CHARACTERS:
        broken.add("caption_too_long")
    if not row["URL"]:
        broken.add("url_missing")
    if any(row[side] is not None and not 1 <= row[side] <= 2**31 - 1 for side in ("WIDTH", "HEIGHT")):
        broken.add("size_out_of_bounds")
    for column, low, name in (
        ("similarity", -1, "similarity"),
        ("punsafe", 0, "punsafe"),
        ("pwatermark", 0, "pwatermark"),
    ):
        if not _missing(row[column]) and not low <= row[column] <= 1:
            broken.add(f"{name}_out_of_bounds")
    return broken


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.lists(st.lists(ROW, min_size=1, max_size=12), min_size=1, max_size=3),
    size_type=SIZE_TYPES,
    score_type=SCORE_TYPES,
)
def test_pairs_and_quarantine_are_each_others_complement(
    parts: list[list[dict[str, Any]]],
    size_type: pa.DataType,
    score_type: pa.DataType,
    connection: duckdb.DuckDBPyConnection,
    inspect: Inspect,
    tmp_path: Path,
) -> None:
    types = {"TEXT": pa.string(), "URL": pa.string(), "hash": pa.int64(), "WIDTH": size_type, "HEIGHT": size_type}
    records = []
    folder = Path(tempfile.mkdtemp(dir=tmp_path))  # DuckDB 1.5 caches the content of a path
    for ordinal, rows in enumerate(parts):
        columns = {name: pa.array([row[name] for row in rows], types.get(name, score_type)) for name in rows[0]}
        path = write_parquet(folder / f"part-{ordinal:05d}.parquet", columns)
        records.append(inspect(path, adapter="laion2b", ordinal=ordinal))
    samples = {i * 100_000_000 + j: row for i, rows in enumerate(parts) for j, row in enumerate(rows)}
    expected = {sample_id: reasons for sample_id, row in samples.items() if (reasons := reasons_of(row))}

    selects = [select for each in records if (select := quarantine_sql(each)) is not None]
    quarantined = sorted(
        row for select in selects for row in rows_of(connection, f"select sample_id, reason from ({select})")
    )
    assert quarantined == sorted((sample_id, reason) for sample_id, reasons in expected.items() for reason in reasons)
    pairs = connection.execute(
        "select sample_id, caption, url, width, height, image_text_similarity, punsafe "
        f"from ({pairs_view_sql(records)}) order by sample_id"
    ).fetchall()
    assert pairs == [
        (
            sample_id,
            *(row[name] for name in ("TEXT", "URL", "WIDTH", "HEIGHT")),
            *(None if _missing(row[name]) else row[name] for name in ("similarity", "punsafe")),
        )
        for sample_id, row in samples.items()
        if sample_id not in expected
    ]
    assert pairs == sorted_rows(
        connection,
        [
            f"select sample_id, caption, url, width, height, image_text_similarity, punsafe from ({pairs_sql(each)})"
            for each in records
        ],
    )
    for record, rows in zip(records, parts, strict=True):
        assert record.pairs + record.quarantined == record.rows == len(rows)
        assert record.captions_missing == sum(row["TEXT"] is None for row in rows)
        broken = [reasons_of(row) for row in rows]
        assert record.quarantined == sum(map(bool, broken))
        assert {breach.reason: breach.samples for breach in record.breaches} == {
            reason: sum(reason in each for each in broken) for reason in set().union(*broken)
        }
