"""Damaged CSV files: every line is the header, empty, of a row, or set apart, by a plain reading of the same rules."""

import gzip
import itertools
import tempfile
import tracemalloc
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from laionet_assets.sources import PartRecord, SourceError
from laionet_assets.sources.csv_lines import MAX_RECORD_BYTES, account
from laionet_assets.sources.file_format import ROW, column_at
from laionet_assets.sources.reading import pairs_sql, quarantine_sql
from tests.unit.sources.conftest import Inspect

Rows = list[tuple[str | None, ...]]
HEADER = "image_url,caption"
GOOD = [f"http://a/{i},a tench {i}" for i in range(6)]


def fields_of(text: str, at: int) -> tuple[list[str | None], int] | None:
    """The fields of the record that begins there, and where the next begins; None if its quotes do not add up."""
    fields: list[str | None] = []
    while True:
        start = at
        while text[at : at + 1] == " ":
            at += 1
        if text[at : at + 1] == '"':
            value, at = "", at + 1
            while text[at : at + 1] != '"' or text[at : at + 2] == '""':
                if at >= len(text):
                    return None
                value, at = value + text[at], at + (2 if text[at] == '"' else 1)
            at += 1
            while text[at : at + 1] == " ":
                at += 1
            fields.append(value)
        else:
            at = start
            while at < len(text) and text[at] not in ",\n":
                at += 1
            fields.append(text[start:at] or None)
        if at >= len(text) or text[at] == "\n":
            return fields, at + 1
        if text[at] != ",":
            return None
        at += 1


def reference(text: str) -> tuple[Rows, list[int]]:
    """Rows of two fields, and the numbers of the lines that are none, of a CSV whose lines end in line feeds."""
    rows: Rows = []
    apart: list[int] = []
    at, line = text.index("\n") + 1, 2
    while at < len(text):
        next_line = text.find("\n", at) + 1 or len(text) + 1
        found = fields_of(text, at)
        if next_line == at + 1:
            at, line = next_line, line + 1
        elif found is None or len(found[0]) != 2:
            apart.append(line)
            at, line = next_line, line + 1
        else:
            rows.append(tuple(found[0]))
            at, line = found[1], line + text[at : found[1] - 1].count("\n") + 1
    return rows, apart


def rows_of(connection: duckdb.DuckDBPyConnection, record: PartRecord) -> Rows:
    relation = record.resolution.relation(record.path)
    names = ", ".join(column_at(place) for place in (0, 1))
    found = connection.execute(f"select {ROW}, {names} from {relation} order by 1").fetchall()
    assert [row[0] for row in found] == list(range(len(found))) == list(range(record.rows - len(record.rejected)))
    return [tuple(value and value.replace("\r\n", "\n") for value in row[1:]) for row in found]


PIECES = [
    *GOOD[:2],
    'http://x,"unclosed, a hen',
    '"http://x,unclosed',
    'http://x,"',
    'http://x,"two\nlines"',
    'http://x,"a ""hen""\n\n, and, an ""egg"""',
    'http://x,"a" hen',
    'http://x,a "hen"',
    'http://x,a 5" hen',
    'http://x,"back\\"',
    'http://x,"back \\" slash"',
    '"http://x" , "spaces" ',
    "http://x,",
    'http://x,""',
    'closes, it"',
    'closes",it',
    '","',
    "too few",
    "too,many,fields",
    "",
    " ",
    'http://x,caf\u00e9 "\u00fc"',
]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(["\n", "\n", "\n", "\r\n"])), max_size=12),
    ends=st.sampled_from(["\n", "\r\n", None]),
    is_ended=st.booleans(),
)
@example(pieces=[(each, "\n") for each in [*GOOD, PIECES[2], *GOOD]], ends="\n", is_ended=True)
@example(pieces=[(each, "\n") for each in [*GOOD, PIECES[2], *GOOD, 'http://y,"q"', *GOOD]], ends="\r\n", is_ended=True)
@example(pieces=[(each, "\n") for each in [*GOOD, PIECES[2], *GOOD, PIECES[2], *GOOD]], ends="\n", is_ended=False)
@example(pieces=[(each, "\n") for each in [*GOOD, PIECES[3]]], ends="\r\n", is_ended=False)
def test_every_line_of_a_csv_is_accounted_for(
    pieces: list[tuple[str, str]],
    ends: str | None,
    is_ended: bool,
    connection: duckdb.DuckDBPyConnection,
    inspect: Inspect,
    tmp_path: Path,
) -> None:
    lines = [(HEADER, "\n"), (GOOD[0], "\n"), *pieces]
    content = "".join(piece.replace("\n", ends or end) + (ends or end) for piece, end in lines)
    content = content if is_ended else content.rstrip("\r\n")
    path = Path(tempfile.mkdtemp(dir=tmp_path)) / "a.csv"
    path.write_bytes(content.encode())
    record = inspect(path)
    rows, apart = reference(content.replace("\r\n", "\n"))
    assert rows_of(connection, record) == rows
    assert [each.line for each in record.rejected] == apart and record.rows == len(rows) + len(apart)
    assert {each.reason for each in record.rejected} <= {"line_malformed"}


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".csv.zst"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("place", [0, 150, 300])
@pytest.mark.parametrize("bad", ['http://x,"unclosed, a hen', '"http://x,unclosed'])
def test_a_quote_that_is_not_closed_costs_its_line(
    bad: str,
    place: int,
    end: str,
    suffix: str,
    connection: duckdb.DuckDBPyConnection,
    inspect: Inspect,
    tmp_path: Path,
) -> None:
    lines = [f'http://a/{i},"a tench,{end}number ""{i}"""' for i in range(300)]
    lines.insert(place, bad)
    content = "".join(line + end for line in [HEADER, *lines]).encode()
    path = tmp_path / f"part-00002{suffix}"
    half = len(content) // 2
    compressed = {
        ".csv": content,
        ".csv.gz": gzip.compress(content),
        ".csv.zst": b"".join(pa.compress(piece, "zstd", asbytes=True) for piece in (content[:half], content[half:])),
    }
    path.write_bytes(compressed[suffix])
    record = inspect(path, ordinal=2)
    assert (record.rows, record.pairs, record.quarantined, record.reading.mode) == (301, 300, 1, "loose")
    assert [(each.line, each.reason, each.text) for each in record.rejected] == [(2 + 2 * place, "line_malformed", bad)]
    assert rows_of(connection, record) == [(f"http://a/{i}", f'a tench,\nnumber "{i}"') for i in range(300)]


def test_a_line_is_split_once_however_often_its_columns_are_mentioned(
    connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    """Else a million rows take three minutes, in place of seven seconds."""
    path = tmp_path / "part-0.csv"
    lines = ["url,caption,width,height,punsafe", 'http://a/0,"a tench,1,1,0.1', "http://a/1,a tench,0,1,7"]
    path.write_text("\n".join([*lines, "http://a/2,a tench,1,1,0.1\n"]))
    record = inspect(path)
    assert (record.reading.mode, record.pairs, {each.reason for each in record.breaches}) == (
        "loose",
        1,
        {"line_malformed", "size_out_of_bounds", "punsafe_out_of_bounds"},
    )
    for select in (pairs_sql(record), quarantine_sql(record)):
        plan = connection.execute(f"explain (format json) {select}").fetchall()[0][1]
        assert plan.count("regexp_extract_all") <= 1
        again = select.replace("split as materialized", "split as not materialized")
        assert connection.execute(f"explain (format json) {again}").fetchall()[0][1].count("regexp_extract_all") > 1


def test_bytes_that_are_no_text_in_a_row_of_several_lines_cost_that_row(
    connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    lines = [HEADER.encode(), GOOD[0].encode(), b'http://x,"one\ncaf\xe9\nthree"', GOOD[1].encode(), b'http://x,"open']
    path.write_bytes(b"\n".join([*lines, GOOD[2].encode()]))
    record = inspect(path)
    assert [(each.line, each.reason) for each in record.rejected] == [(4, "not_utf8"), (7, "line_malformed")]
    assert rows_of(connection, record) == [tuple(each.split(",")) for each in GOOD[:3]]


def test_a_carriage_return_inside_a_line_of_a_csv_costs_its_pieces(
    connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("\n".join([HEADER, GOOD[0], "http://x,a\rhttp://y,b", GOOD[1], 'x,"open', GOOD[2]]).encode())
    record = inspect(path)
    assert [each.line for each in record.rejected] == [3, 4, 6]
    assert rows_of(connection, record) == [tuple(each.split(",")) for each in GOOD[:3]]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_carriage_return_inside_a_quoted_field_costs_its_row_alone(
    end: str, connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    lines = [HEADER, 'http://x,"b\rc"', GOOD[0], "http://c,d,e", GOOD[1]]
    path.write_bytes("".join(line + end for line in lines).encode())
    record = inspect(path)
    assert [each.line for each in record.rejected] == [2, 5], "a carriage return ends a line"
    assert {tuple(each.split(",")) for each in GOOD[:2]} <= set(rows_of(connection, record))


def test_a_file_whose_lines_end_in_returns_loses_the_bad_one(
    connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("\r".join([HEADER, GOOD[0], "http://x,c,d", GOOD[1], ""]).encode())
    record = inspect(path)
    assert (record.rows, record.pairs, record.quarantined) == (3, 2, 1)
    assert rows_of(connection, record) == [tuple(each.split(",")) for each in GOOD[:2]]


def test_lines_that_cannot_be_told_apart_refuse_the_part(inspect: Inspect, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("\n".join([HEADER, GOOD[0], 'http://x,"a\r\r\rb', GOOD[1], ""]).encode())
    with pytest.raises(SourceError, match=r"lines, of which .* can be told apart"):
        inspect(path)


@pytest.mark.parametrize("last", ["", 'http://x,"q"', 'http://x,c,"', '",it closes'])
def test_a_header_whose_quote_is_not_closed_refuses_the_part(last: str, inspect: Inspect, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for many in (GOOD, [f"http://{i},{'c' * 200}" for i in range(1_200)]):
        path.write_text("\n".join([f'{HEADER},"more', *many, last, ""]))
        with pytest.raises(SourceError, match="a header with a quote that is not closed"):
            inspect(path)


def test_a_header_of_several_lines(connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f'{HEADER},"of two\nlines"\nhttp://a,b,c\nhttp://x,"open,c\nhttp://b,b,c\n')
    record = inspect(path)
    assert rows_of(connection, record) == [("http://a", "b"), ("http://b", "b")]
    assert [each.line for each in record.rejected] == [4]


@pytest.mark.parametrize("size", [1, 7, 64, 10**9])
@pytest.mark.parametrize("length", [MAX_RECORD_BYTES - 100, MAX_RECORD_BYTES, 3 * MAX_RECORD_BYTES])
def test_accounts_do_not_depend_on_how_the_bytes_come(size: int, length: int) -> None:
    text = f'{HEADER}\nx,"open\n' + "y,a line\n" * (length // 9) + 'z,b"\nv,w\n'
    content = text.encode()
    step = size if size > 1000 else size * 100_000
    found = account(
        (content[i : i + step] for i in range(0, len(content), step)), delimiter=",", width=2, skipped_lines=0
    )
    lines = text.count("\n")
    assert found.lines == lines
    is_one = length < MAX_RECORD_BYTES
    assert (found.rows, len(found.rejected)) == ((2, 0) if is_one else (lines - 2, 1))


@pytest.mark.parametrize("content", [b"x", b'"', b'",'])
def test_a_line_of_any_length_is_one_line_and_is_not_kept(content: bytes) -> None:
    piece = content * (2**20 // len(content))
    chunks = itertools.chain([b"url,caption\nhttp://a/0,"], itertools.repeat(piece, 60), [b"\nhttp://a/1,a tench\n"])
    tracemalloc.start()
    found = account(chunks, delimiter=",", width=2, skipped_lines=0)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (found.lines, found.rows, [each.line for each in found.rejected]) == (3, 1, [2])
    assert peak_bytes < 40 * MAX_RECORD_BYTES
