"""What the files of others are like: one bad row costs one row, and every row is accounted for."""

import gzip
import random
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from laionet_assets.sources import PartRecord, SourceError, pairs_sql, pairs_view_sql, quarantine_sql
from laionet_assets.sources.rejects import MAX_REJECTED
from tests.unit.sources.conftest import Inspect
from tests.unit.sources.files import LAION400M, laion400m_with, write_parquet, write_text

HEADER = "SAMPLE_ID,URL,TEXT,NSFW,WIDTH,similarity\n"


def not_utf8(*values: bytes | None) -> pa.Array:
    """Texts as a program writes them that does not look at their bytes."""
    raw = pa.array(values, pa.binary())
    return pa.StringArray.from_buffers(len(raw), raw.buffers()[1], raw.buffers()[2], raw.buffers()[0], raw.null_count)


def captions(connection: duckdb.DuckDBPyConnection, record: PartRecord) -> list[tuple[int, str]]:
    return connection.execute(f"select sample_id, caption from ({pairs_sql(record)}) order by 1").fetchall()


def quarantine(connection: duckdb.DuckDBPyConnection, record: PartRecord) -> list[tuple[Any, ...]]:
    select = quarantine_sql(record)
    assert select is not None
    rows = connection.execute(f"select sample_id, reason, value, line from ({select}) order by all").fetchall()
    assert len({row[0] for row in rows}) == record.quarantined == record.rows - record.pairs
    return rows


def write_csv(path: Path, *lines: bytes | str, end: str = "\n") -> Path:
    path.write_bytes(b"".join((line if isinstance(line, bytes) else line.encode()) + end.encode() for line in lines))
    return path


def row(number: int, caption: str = "a tench") -> str:
    return f"{number},http://images.invalid/{number},{caption},UNLIKELY,640,0.5"


# Parquet


def test_text_that_is_not_utf8_costs_its_row(
    connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    texts = not_utf8(b"a tench", b"caf\xe9 goldfish", "what \ufffd is".encode())
    record = inspect(write_parquet(tmp_path / "part-00000.parquet", laion400m_with(TEXT=texts)))
    assert record.reading.mode == "lenient"
    assert captions(connection, record) == [(0, "a tench"), (2, "what \ufffd is")]
    ((sample, reason, value, line),) = quarantine(connection, record)
    assert (sample, reason, line) == (1, "not_utf8", None) and value.startswith("caf") and value.endswith("goldfish")


@pytest.mark.parametrize("column", ["URL", "NSFW", "LICENSE"])
def test_every_column_that_is_read_must_be_utf8(column: str, inspect: Inspect, tmp_path: Path) -> None:
    record = inspect(
        write_parquet(tmp_path / "part-00000.parquet", laion400m_with(**{column: not_utf8(b"a", b"\xff", b"c")}))
    )
    assert [(each.reason, each.samples) for each in record.breaches] == [("not_utf8", 1)]


def test_text_that_nothing_needs_may_be_anything(
    connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    columns = laion400m_with(exif=not_utf8(b"\xff", None, b"\xfe"))
    record = inspect(write_parquet(tmp_path / "part-00000.parquet", columns))
    assert record.reading.mode == "strict" and record.breaches == () and len(captions(connection, record)) == 3


def test_damaged_parts_beside_sound_ones(
    connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    texts = (LAION400M["TEXT"], not_utf8(b"a", b"\xe9", b"c"), LAION400M["TEXT"], not_utf8(b"\xe9", b"b", b"c"))
    records = [
        inspect(write_parquet(tmp_path / f"part-{i}.parquet", laion400m_with(TEXT=each)), ordinal=i)
        for i, each in enumerate(texts)
    ]
    select = f"select sample_id from ({pairs_view_sql(records)}) order by 1"
    expected = [0, 1, 2, 100_000_000, 100_000_002, 200_000_000, 200_000_001, 200_000_002, 300_000_001, 300_000_002]
    assert [sample for (sample,) in connection.execute(select).fetchall()] == expected
    assert pairs_view_sql(records).count(" as laionet_place") == 1


def test_text_stored_as_bytes_is_read(connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path) -> None:
    columns = {
        name: array.cast(pa.binary()) if pa.types.is_string(array.type) else array for name, array in LAION400M.items()
    }
    record = inspect(write_parquet(tmp_path / "part-00000.parquet", columns))
    assert (record.adapter, record.pairs) == ("laion400m", 3)
    assert captions(connection, record)[0] == (0, "a tench on a plate")


@pytest.mark.parametrize(
    "name", ["file_row_number", "FILE_ROW_NUMBER", "filename", "laionet_row", "laionet_file", "laionet_column_1", "a.b"]
)
def test_no_column_of_a_file_takes_the_place_of_one_of_ours(
    name: str, connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    numbers = pa.array([70, 80, 90])
    records = [
        inspect(write_parquet(tmp_path / f"part-{i}.parquet", {name: numbers, **LAION400M}), ordinal=i) for i in (0, 1)
    ]
    select = (
        f"select part, list(sample_id order by sample_id) from ({pairs_view_sql(records)}) group by part order by 1"
    )
    first = 100_000_000
    assert connection.execute(select).fetchall() == [
        ("part-0", [0, 1, 2]),
        ("part-1", [first, first + 1, first + 2]),
    ]
    assert len(captions(connection, records[1])) == 3


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_of_names_that_differ_in_case_the_one_as_documented_is_read(
    suffix: str, order: int, connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    names = ["SAMPLE_ID", "URL", "url", "TEXT", "text", "NSFW"][::order]
    values = ["1", "http://a", "http://wrong", "a tench", "wrong", "UNLIKELY"][::order]
    path = tmp_path / f"part-00000{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.table([pa.array([value]) for value in values], names=names), path)
    elif suffix == ".csv":
        write_csv(path, ",".join(names), ",".join(values))
    else:
        pairs = ", ".join(f'"{name}": "{value}"' for name, value in zip(names, values, strict=True))
        write_text(path, f"{{{pairs}}}\n")
    select = f"select caption, url from ({pairs_sql(inspect(path))})"
    assert connection.execute(select).fetchall() == [("a tench", "http://a")]


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("names", [("TEXT", "TEXT"), ("text", "Text")])
def test_a_name_that_is_there_twice_is_ambiguous(
    names: tuple[str, str], suffix: str, inspect: Inspect, tmp_path: Path
) -> None:
    every = ["SAMPLE_ID", "URL", *names, "NSFW"]
    path = tmp_path / f"part-00000{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.table([pa.array(["1"])] * 5, names=every), path)
    else:
        write_csv(path, ",".join(every), "1,2,3,4,5")
    with pytest.raises(SourceError, match=f"caption is ambiguous: found {', '.join(names)}; keep one of them"):
        inspect(path)


def test_what_is_wrong_with_the_columns_of_a_known_format_is_said(inspect: Inspect, tmp_path: Path) -> None:
    wrong = laion400m_with(TEXT=pa.array([["a"], ["b"], []]), NSFW=None)
    with pytest.raises(SourceError, match="its columns cannot be read") as failure:
        inspect(write_parquet(tmp_path / "part-00000.parquet", wrong))
    said = str(failure.value)
    assert "caption cannot be read: column TEXT is VARCHAR[], expected text (adapter laion400m)" in said
    assert "nsfw is missing: expected a column NSFW (adapter laion400m)" in said


def test_scores_that_are_partly_there_are_used(
    connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    columns = {
        "id": pa.array([1, 2]),
        "url": pa.array(["http://a", "http://b"]),
        "text": pa.array(["a", "b"]),
        "nsfw_score_gantman": pa.array([0.5, None], pa.float32()),
        "watermark_score": pa.array([None, 0.25], pa.float32()),
    }
    record = inspect(write_parquet(tmp_path / "part-00000.parquet", columns))
    select = f"select punsafe, pwatermark from ({pairs_sql(record)}) order by sample_id"
    assert connection.execute(select).fetchall() == [(0.5, None), (None, 0.25)]


# Missing values

WORDS = ["", "NA", "NaN", "nan", "None", "null", "NULL", "<NA>"]


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("word", WORDS)
def test_words_for_nothing_are_missing_in_a_csv(
    word: str, quote: str, connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    nothing = f"{quote}{word}{quote}"
    path = write_csv(tmp_path / "a.csv", HEADER.strip(), f"{nothing},http://a,a tench,{nothing},{nothing},{nothing}")
    record = inspect(path)
    select = f"select source_key, nsfw, width, image_text_similarity from ({pairs_sql(record)})"
    assert connection.execute(select).fetchall() == [(None, None, None, None)] and record.breaches == ()


@pytest.mark.parametrize("word", WORDS)
def test_words_for_nothing_are_missing_in_parquet_and_json(
    word: str, connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    values = {"SAMPLE_ID": word, "URL": "http://a", "TEXT": "a tench", "NSFW": word, "WIDTH": word, "similarity": word}
    parquet = write_parquet(tmp_path / "a.parquet", {name: pa.array([value]) for name, value in values.items()})
    json_lines = write_text(
        tmp_path / "b.jsonl", "{" + ", ".join(f'"{key}": "{value}"' for key, value in values.items()) + "}\n"
    )
    for path in (parquet, json_lines):
        record = inspect(path)
        select = f"select source_key, nsfw, width, image_text_similarity from ({pairs_sql(record)})"
        assert connection.execute(select).fetchall() == [(None, None, None, None)] and record.breaches == ()


def test_a_caption_may_be_empty_but_not_a_word_for_nothing(
    connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    record = inspect(write_parquet(tmp_path / "a.parquet", laion400m_with(TEXT=pa.array(["", "None", "nano"]))))
    assert captions(connection, record) == [(0, ""), (2, "nano")]
    assert [each.reason for each in record.breaches] == ["caption_missing"]


# Comma-separated


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('7,http://a,"a" goldfish,UNLIKELY,1,0.5', "line_malformed"),
        ('7,http://a,"a \\"b\\" c",UNLIKELY,1,0.5', "line_malformed"),
        ("7,http://a,too few", "line_malformed"),
        ("7,http://a,too,many,1,0.5,x,y", "line_malformed"),
        (b"7,http://a,caf\xe9,UNLIKELY,1,0.5", "not_utf8"),
        (f"7,http://a,{'x' * 2_500_000},UNLIKELY,1,0.5", "line_too_long"),
    ],
)
@pytest.mark.parametrize("place", [1, 150, 299])
def test_a_line_of_a_csv_that_is_no_row_costs_itself(
    line: str | bytes,
    reason: str,
    place: int,
    connection: duckdb.DuckDBPyConnection,
    inspect: Inspect,
    tmp_path: Path,
) -> None:
    lines: list[str | bytes] = [row(i) for i in range(300)]
    lines.insert(place, line)
    record = inspect(write_csv(tmp_path / "part-00002.csv", HEADER.strip(), *lines), ordinal=2)
    assert (record.rows, record.pairs, record.quarantined) == (301, 300, 1)
    ((sample, why, value, number),) = quarantine(connection, record)
    assert (sample, why, number) == (200_000_300, reason, place + 2) and value.startswith("7,http://a,")
    ids = connection.execute(f"select sample_id, source_key from ({pairs_sql(record)}) order by 1").fetchall()
    assert ids == [(200_000_000 + i, str(i)) for i in range(300)]


def test_lines_of_a_csv_may_end_in_different_ways(
    connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    text = HEADER + row(0) + "\r\n" + row(1) + "\n" + row(2) + "\r\n"
    record = inspect(write_text(tmp_path / "a.csv", text))
    assert (record.reading.mode, record.pairs, record.rows) == ("loose", 3, 3)
    assert captions(connection, record) == [(0, "a tench"), (1, "a tench"), (2, "a tench")]


@pytest.mark.parametrize(
    ("first", "delimiter"), [("\n", ","), ("sep=,\n", ","), ('"sep=;"\n', ";"), ("\r\nsep=;\r\n", ";"), ("\ufeff", ",")]
)
def test_what_comes_before_the_header_of_a_csv(
    first: str, delimiter: str, connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    end = "\r\n" if "\r" in first else "\n"
    text = first + (HEADER.strip() + end + row(0) + end).replace(",", delimiter)
    record = inspect(write_text(tmp_path / "a.csv", text))
    assert record.reading.mode == "strict" and captions(connection, record) == [(0, "a tench")]


def test_a_csv_of_another_encoding_is_refused(inspect: Inspect, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes((HEADER + row(0) + "\n").encode("utf-16"))
    with pytest.raises(SourceError, match="UTF-16"):
        inspect(path)


def test_too_many_bad_lines_refuse_the_part(inspect: Inspect, tmp_path: Path) -> None:
    lines = [row(0), *("1,too few" for _ in range(MAX_REJECTED + 1))]
    with pytest.raises(SourceError, match=r"more than 100,000 lines cannot be read \(the first: 3, 4, 5, 6, 7\)"):
        inspect(write_csv(tmp_path / "a.csv", HEADER.strip(), *lines))


def test_every_row_of_a_damaged_csv_is_accounted_for_whatever_is_asked_of_it(
    connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    """Large enough for several threads, with quoted line ends, and rows that each kind of damage costs."""
    draw = random.Random(7)
    damages: Sequence[bytes] = (
        b'%d,http://a,"x" y,,,',
        b"%d,http://a,caf\xe9,,,",
        b"%d,http://a",
        b"%d,http://a,b,\xff,,",
    )
    sound, bad = [], 0
    with open(tmp_path / "a.csv", "wb") as file:
        file.write(HEADER.encode())
        for number in range(150_000):
            if draw.random() < 0.002:
                file.write(draw.choice(damages) % number + b"\n")
                bad += 1
                continue
            sound.append(number)
            text = b'"two\nlines, ""%d"" %s"' % (number, b"x" * draw.randrange(200)) if draw.random() < 0.1 else b"one"
            file.write(b"%d,http://a,%s,UNLIKELY,1,0.5\n" % (number, text))
    record = inspect(tmp_path / "a.csv")
    assert (record.pairs, record.quarantined, record.rows) == (len(sound), bad, 150_000)
    assert len(quarantine(connection, record)) == bad
    for columns in ("sample_id, source_key", "sample_id, source_key, length(caption), nsfw"):
        rows = connection.execute(f"select {columns} from ({pairs_sql(record)}) order by sample_id").fetchall()
        assert [(each[0], each[1]) for each in rows] == [(i, str(number)) for i, number in enumerate(sound)]


# Tab-separated


def tsv(number: int) -> bytes:
    return b"caption %d\thttp://images.invalid/%d" % (number, number)


@pytest.mark.parametrize(
    ("line", "reason"),
    [(b"caf\xe9\thttp://a", "not_utf8"), (b"x" * 2_500_000 + b"\thttp://a", "line_too_long")],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_line_of_a_tsv_that_cannot_be_read_costs_itself(
    line: bytes, reason: str, end: str, connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    lines = [*map(tsv, range(100)), line, *map(tsv, range(100, 200))]
    record = inspect(write_csv(tmp_path / "cc3m.tsv", *lines, end=end))
    assert (record.rows, record.pairs) == (201, 200)
    ((sample, why, value, number),) = quarantine(connection, record)
    assert (sample, why, number) == (200, reason, 101) and value.startswith(line[:3].decode(errors="ignore"))
    assert captions(connection, record) == [(i, f"caption {i}") for i in range(200)]


@pytest.mark.parametrize("suffix", [".tsv", ".tsv.gz"])
def test_a_carriage_return_inside_a_line_costs_that_line(
    suffix: str, connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    lines = [tsv(0), b"bad \xe9 byte\thttp://x", tsv(1) + b"\r", b"broken \r line\thttp://b", tsv(2), tsv(3) + b"\r"]
    content = b"\n".join(lines) + b"\n"
    path = tmp_path / f"cc3m{suffix}"
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    record = inspect(path)
    assert record.reading.mode == "loose" and record.pairs == 4
    assert [caption for _, caption in captions(connection, record)] == [f"caption {i}" for i in range(4)]
    found = {(sample, reason): value for sample, reason, value, _ in quarantine(connection, record)}
    assert found[2, "line_malformed"] == "broken " and found[3, "line_malformed"].endswith("line\thttp://b")
    assert found[6, "not_utf8"].startswith("bad ")


PIECE = st.sampled_from([b"a\thttp://a", b"b\thttp://b", b"one field", b"", b"\xe9\thttp://c", b"\xc3\xa9\thttp://d"])
END = st.sampled_from([b"\n", b"\n", b"\r\n", b"\r"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.tuples(PIECE, END), min_size=1, max_size=12))
def test_no_piece_of_a_line_becomes_a_pair(
    lines: list[tuple[bytes, bytes]], connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    """Of lines that end in every way: those are pairs that no stray carriage return touches."""
    path = Path(tempfile.mkdtemp(dir=tmp_path)) / "cc3m.tsv"
    sound = [(b"first\thttp://f", b"\n")] * 8 + [(b"second\thttp://s", b"\r\n")] * 8
    content = b"".join(piece + end for piece, end in [*sound, *lines, (b"last\thttp://l", b"\n")])
    path.write_bytes(content)
    if b"\r\r" in content:
        with pytest.raises(SourceError, match="two carriage returns in a row"):
            inspect(path, adapter="cc3m")
        return
    record = inspect(path, adapter="cc3m")
    whole = [line for line in re.split(rb"\r\n|(?<!\r)\n", content.removesuffix(b"\r")) if b"\r" not in line]
    expected = [
        line.split(b"\t")[0].decode() for line in whole if line.count(b"\t") == 1 and not line.startswith(b"\xe9")
    ]
    assert [caption for _, caption in captions(connection, record)] == expected
    if record.quarantined:
        quarantine(connection, record)


@pytest.mark.parametrize("header", ["caption\turl", "Title\tURL", "TEXT\timage_url"])
@pytest.mark.parametrize("first", ["", "\n", "\n\n\n\n"])
@pytest.mark.parametrize("adapter", ["cc3m", "cc12m"])
def test_a_header_of_a_tsv_is_no_pair(
    adapter: str, first: str, header: str, connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    lines = [header, "a tench\thttp://a", "the word caption\thttp://b", header, "caption\thttp://c"]  # two joined files
    if adapter == "cc12m":
        lines = ["\t".join(reversed(line.split("\t"))) for line in lines]
    record = inspect(write_text(tmp_path / "a.tsv", first + "\n".join(lines) + "\n"))
    assert (record.adapter, record.pairs) == (adapter, 3)
    assert [caption for _, caption in captions(connection, record)] == ["a tench", "the word caption", "caption"]
    reasons = {(sample, reason) for sample, reason, *_ in quarantine(connection, record)}
    assert {(len(first), "line_of_names"), (len(first) + 3, "line_of_names")} <= reasons and (
        (0, "line_malformed") in reasons
    ) == bool(first)


# JSON lines


def test_json_lines(connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path) -> None:
    text = (
        '{"image_url": "http://a", "caption": "a \\"tench\\" \\u00e9\\n", "width": 640, "NSFW": null}\n'
        "not json\n"
        "[1, 2]\n"
        "\n"
        '{"caption": "without an address", "width": "wide"}\n'
        '{"caption": null, "image_url": "http://b", "extra": {"a": [1]}}\n'
        '{"caption": "late", "image_url": "http://c", "width": 1.0}\n'
    )
    record = inspect(write_text(tmp_path / "part-00001.jsonl", text), ordinal=1)
    assert (record.adapter, record.part, record.rows, record.pairs) == ("captions", "part-00001", 7, 2)
    select = f"select sample_id, caption, url, width from ({pairs_sql(record)}) order by 1"
    assert connection.execute(select).fetchall() == [
        (100_000_000, 'a "tench" é\n', "http://a", 640),
        (100_000_006, "late", "http://c", 1),
    ]
    reasons = {(sample - 100_000_000, reason) for sample, reason, *_ in quarantine(connection, record)}
    assert {(1, "line_malformed"), (2, "line_malformed"), (3, "line_malformed")} <= reasons
    assert {(4, "url_missing"), (4, "size_out_of_bounds"), (5, "caption_missing")} <= reasons


# Columns as the settings say


def test_the_settings_say_which_of_two_captions_is_read(
    connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    from tests.unit.sources.files import RECAP

    path = write_parquet(tmp_path / "part-00000.parquet", RECAP)
    with pytest.raises(SourceError, match=r"caption is ambiguous: found org_caption, re_caption.*columns: \{caption:"):
        inspect(path)
    for column in ("re_caption", "org_caption"):
        record = inspect(path, mapping={"caption": column})
        assert record.adapter == "recap"
        assert [caption for _, caption in captions(connection, record)] == RECAP[column].to_pylist()


@pytest.mark.parametrize("adapter", ["auto", "captions"])
def test_columns_of_any_names_are_read_where_the_settings_say(
    adapter: str, connection: duckdb.DuckDBPyConnection, inspect: Inspect, tmp_path: Path
) -> None:
    columns = {
        "a.b": pa.array(["a tench"]),
        "Link": pa.array(["http://a"]),
        "w": pa.array([7]),
        "text": pa.array(["x"]),
    }
    mapping = {"caption": "a.b", "url": "link", "width": "w"}
    record = inspect(write_parquet(tmp_path / "x.parquet", columns), adapter=adapter, mapping=mapping)
    select = f"select caption, url, width from ({pairs_sql(record)})"
    assert connection.execute(select).fetchall() == [("a tench", "http://a", 7)]
    with pytest.raises(SourceError, match="width is missing: expected a column h"):
        inspect(tmp_path / "x.parquet", adapter=adapter, mapping={**mapping, "width": "h"})
