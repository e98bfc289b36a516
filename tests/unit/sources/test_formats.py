"""File formats: columns, row numbers, and files that are not what they say."""

import gzip
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest

from laionet_assets.sources import SourceError, pairs_sql, quarantine_sql
from laionet_assets.sources.file_format import STRICT, file_pattern
from laionet_assets.sources.formats import PARQUET, TSV, format_of
from tests.unit.sources.conftest import Inspect
from tests.unit.sources.files import LAION400M, write_format, write_parquet, write_text


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("s3://b/part-00000.snappy.parquet", "parquet"),
        ("/a/cc3m.TSV", "tsv"),
        ("cc12m.tsv.gz", "tsv"),
        ("a.csv.zst", "csv"),
        ("00000.tar", None),
        ("parquet", None),
    ],
)
def test_the_ending_says_the_format(path: str, name: str | None) -> None:
    found = format_of(path)
    assert (found.name if found else None) == name


def test_a_pattern_means_one_file_whatever_is_in_its_name(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    names = ["p*.parquet", "p?.parquet", "pq.parquet", "p[q].parquet", "it's.parquet"]
    for number, name in enumerate(names):
        connection.execute(f"copy (select {number} as n) to {file_pattern(str(tmp_path / 'x.parquet'))}")
        (tmp_path / "x.parquet").rename(tmp_path / name)
    for number, name in enumerate(names):
        scan = f"read_parquet({file_pattern(str(tmp_path / name))})"
        assert connection.execute(f"select n from {scan}").fetchall() == [(number,)]


def test_parquet_rows_are_numbered_in_the_order_of_the_file(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path = str(tmp_path / "part-00000.parquet")
    connection.execute(f"copy (select i from range(300000) t(i)) to '{path}' (row_group_size 20000)")
    columns, reading = PARQUET.describe(connection, path)
    assert reading == STRICT
    relation = PARQUET.relation(path, columns, reading, used=[0])
    assert connection.execute(
        f"select count(*), count(*) filter (where laionet_row <> laionet_column_0) from {relation}"
    ).fetchall() == [(300_000, 0)]


def test_folders_named_like_partitions_add_no_column(inspect: Inspect, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "NSFW=NSFW" / "part-00000.parquet", LAION400M)
    assert [column.name for column in inspect(path).source_columns] == list(LAION400M)


def test_tsv_lines_are_numbered_in_the_order_of_the_file(
    connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    lines = "".join(f"caption {i} {'é' * (i % 97)}\thttp://images.invalid/{i}\n" for i in range(300_000))
    record = inspect(write_text(tmp_path / "cc3m.tsv", lines), ordinal=1)
    connection.execute("set preserve_insertion_order = false")
    counted = connection.execute(
        "select count(*), count(*) filter (where split_part(caption, ' ', 2)::bigint + 100000000 <> sample_id) "
        f"from ({pairs_sql(record)})"
    )
    assert counted.fetchall() == [(300_000, 0)]


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("ending", [".tsv", ".tsv.gz"])
def test_tsv_has_no_quoting_and_loses_no_line(
    line_end: str, ending: str, connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    captions = [
        '"unclosed',
        "it's",
        '"closed"',
        "back\\slash",
        "# no comment",
        "NULL",
        " spaces ",
        "nul\x00",
        "a\x1eb",
        "",
    ]
    lines = [f"{caption}\thttp://images.invalid/{i}" for i, caption in enumerate(captions)]
    malformed = ["no address", "", "three\tfields\thttp://images.invalid/x"]
    text = line_end.join([*lines, *malformed]) + line_end
    path = tmp_path / f"cc3m{ending}"
    path.write_bytes(gzip.compress(text.encode()) if ending.endswith(".gz") else text.encode())
    record = inspect(path, adapter="cc3m")
    assert (record.rows, record.pairs, record.part) == (len(lines) + 3, len(lines), "cc3m")
    pairs = connection.execute(f"select sample_id, caption, url from ({pairs_sql(record)}) order by 1").fetchall()
    assert pairs == [(i, caption, f"http://images.invalid/{i}") for i, caption in enumerate(captions)]
    quarantined = connection.execute(
        f"select sample_id, value from ({quarantine_sql(record)}) where reason = 'line_malformed' order by 1"
    ).fetchall()
    assert quarantined == [(10, "no address"), (11, None), (12, "three\tfields\thttp://images.invalid/x")]


def test_an_empty_tsv(inspect: Inspect, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="found no lines"):
        inspect(write_text(tmp_path / "cc3m.tsv", ""))


def test_two_columns_are_named_by_what_they_hold(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    path = write_text(tmp_path / "a.tsv", "http://a\thttp://said.the.caption\nftp://b\ta dog\ns3://c\ta cat\n")
    assert [column.name for column in TSV.describe(connection, str(path))[0]] == ["url", "caption"]


@pytest.mark.parametrize("kept", [0, 4, 1000, -9, -1])
def test_a_truncated_parquet_is_one_clear_error(kept: int, inspect: Inspect, tmp_path: Path) -> None:
    path = write_format("laion400m", tmp_path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(SourceError, match="cannot be read") as failure:
        inspect(path, adapter="laion400m")
    assert str(path) in str(failure.value) and "\n" not in str(failure.value)


def test_damage_inside_a_parquet_is_found_when_its_captions_are_read(
    connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    path = write_format("laion400m", tmp_path)
    (offset, size), *_ = connection.execute(
        "select coalesce(dictionary_page_offset, data_page_offset), total_compressed_size "
        f"from parquet_metadata('{path}') where path_in_schema = 'TEXT'"
    ).fetchall()
    content = bytearray(path.read_bytes())
    content[offset : offset + size] = b"\xff" * size
    path.write_bytes(bytes(content))
    with pytest.raises(SourceError, match="cannot be read"):
        inspect(path)


def test_a_text_file_that_is_called_parquet(inspect: Inspect, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        inspect(write_text(tmp_path / "part-00000.parquet", "SAMPLE_ID,URL,TEXT\n1,http://a,a cat\n"))


def test_a_truncated_gzip(inspect: Inspect, tmp_path: Path) -> None:
    text = "".join(f"caption {i}\thttp://images.invalid/{i * 7919 % 9973}\n" for i in range(20_000))
    path = tmp_path / "cc3m.tsv.gz"
    path.write_bytes(gzip.compress(text.encode())[:-20_000])
    with pytest.raises(SourceError, match="cannot be read"):
        inspect(path)


def test_a_gzip_with_a_damaged_byte_is_refused_whatever_it_unpacks_to(inspect: Inspect, tmp_path: Path) -> None:
    lines = "".join(f"caption {i}\thttp://images.invalid/{i * 7919 % 9973}\n" for i in range(300)).encode()
    whole, path = gzip.compress(lines), tmp_path / "cc3m.tsv.gz"
    for at in range(10, len(whole), 41):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        with pytest.raises(SourceError, match="cannot be read"):
            inspect(path)
    path.write_bytes(whole + gzip.compress(b"one more\thttp://images.invalid/more\n"))
    assert inspect(path).pairs == 301


def test_a_damaged_byte_of_the_footer_of_a_parquet_is_never_a_fault_of_the_disk(
    inspect: Inspect, tmp_path: Path
) -> None:
    """It may mean another column, or nothing; a size beyond the end of the file is damage, which is not tried again."""
    path = write_format("laion400m", tmp_path)
    whole = path.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    for at in range(footer, len(whole), 5):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :])
        with suppress(SourceError):
            inspect(path, adapter="laion400m")


def test_a_file_that_went_away_is_a_source_error(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        PARQUET.describe(connection, str(tmp_path / "part-00000.parquet"))


@pytest.mark.parametrize(
    ("name", "rows", "reader", "most"),
    [
        (
            "a.jsonl",
            [
                '{"url": "http://a", "caption": "a tench", "width": 0, "height": 1, "punsafe": "x", "similarity": 1}',
                '{"url": "http://b", "caption": "b tench", "width": 1, "height": 1, "punsafe": 1, "similarity": 1}',
                "[]",
            ],
            "json_extract_string",
            1,
        ),
        ("a.tsv", ["a tench\thttp://a", "b tench\thttp://b", "c tench", "\thttp://c", "d tench\t"], "string_split", 2),
    ],
)
def test_a_line_is_read_once_however_often_its_fields_are_mentioned(
    name: str,
    rows: list[str],
    reader: str,
    most: int,
    connection: duckdb.DuckDBPyConnection,
    inspect: Inspect,
    tmp_path: Path,
) -> None:
    """DuckDB else reads a line of JSON again for each of some 50 mentions: a minute a million rows, in place of 3 s."""
    path = tmp_path / name
    path.write_text("\n".join([*rows, ""]))
    record = inspect(path)
    assert record.breaches and record.pairs
    pairs, quarantined = pairs_sql(record), quarantine_sql(record)
    of_some = f"select caption, width from ({pairs}) where url like '%a%' and caption <> ''"
    for select in (pairs, quarantined, f"select count(*) from ({pairs})", of_some):
        plan = connection.execute(f"explain (format json) {select}").fetchall()[0][1]
        assert plan.count(f"{reader}(") <= most


def test_rows_that_are_pieces_of_a_line_are_looked_up(
    connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    """There may be 100,000 of them: to compare every row with each takes hours."""
    path = tmp_path / "a.tsv"
    path.write_bytes(b"a tench\thttp://a\nb\rtench\thttp://b\nc tench\thttp://c\n")
    record = inspect(path)
    assert (record.reading.cut_rows, record.pairs) == ((1, 2), 2)
    for select in (pairs_sql(record), quarantine_sql(record)):
        plan = connection.execute(f"explain (format json) {select}").fetchall()[0][1]
        assert '"Join Type": "MARK"' in plan
