"""A part of a million rows of every kind that the files of others have goes through, and every row is accounted for."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laionet_assets.warehouse.catalog import open_catalog
from tests.integration.conftest import Project

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROWS = 1_000_000
COLUMNS = ("SAMPLE_ID", "URL", "TEXT", "HEIGHT", "WIDTH", "LICENSE", "NSFW", "similarity")
CLASSES = (
    "tench",
    "goldfish",
    "hammerhead",
    "ostrich",
    "junco",
    "bulbul",
    "axolotl",
    "tailed frog",
    "agama",
    "triceratops",
)
NOTHING = (b"", b"NA", b"NaN", b"nan", b"None", b"null", b"NULL", b"<NA>")
COPY_URL, COPY_CAPTION = b"http://copies.invalid/one.jpg", b"a goldfish that is everywhere"
Row = dict[str, bytes] | bytes
"""What differs from a sound row, or a line that is none."""


@dataclass(frozen=True)
class Kind:
    """A kind of row: how often it is drawn, how it is made, and what becomes of it in the recipe (`reasons` of
    raw.quarantine and of the funnel; none: it is in LAIONet).
    """

    name: str
    weight: float
    make: Callable[[random.Random, int], Row]
    reason: str | None
    is_line: bool = False
    """Only a file of lines can have it."""


def text(caption: bytes | str, **more: bytes) -> dict[str, bytes]:
    return {"TEXT": caption if isinstance(caption, bytes) else caption.encode(), **more}


def named(draw: random.Random, number: int = 0) -> bytes:
    return f"photo {draw.randrange(20)} of a {draw.choice(CLASSES)}".encode()


def without(*columns: str) -> Callable[[random.Random, int], Row]:
    return lambda draw, number: {column: draw.choice(NOTHING) for column in columns}


def line(text: bytes) -> Callable[[random.Random, int], Row]:
    return lambda draw, number: text


def of(column: str, *values: str) -> Callable[[random.Random, int], Row]:
    return lambda draw, number: {column: draw.choice(values).encode()}


KINDS: Sequence[Kind] = (
    Kind("plain", 800_000, lambda draw, number: {}, "no_lemma"),
    Kind("empty caption", 2_000, lambda draw, number: text(""), "no_lemma"),
    Kind("bidirectional", 2_000, lambda draw, number: text("qqz \u202exyzzy\u202c \u2066qwz\u2069"), "no_lemma"),
    Kind("NUL", 2_000, lambda draw, number: text("qqz\x00xyzzy"), "no_lemma"),
    Kind("control characters", 2_000, lambda draw, number: text("\x1b[31mqqz\x07\x9b\u2028"), "no_lemma"),
    Kind("two lines", 3_000, lambda draw, number: text('qqz\n""xyzzy"", qwz'), "no_lemma"),
    Kind("long", 200, lambda draw, number: text("qz " * 10_000), "no_lemma"),
    Kind("missing numbers", 5_000, without("HEIGHT", "similarity"), "no_lemma"),
    Kind("missing key", 3_000, without("SAMPLE_ID"), "no_lemma"),
    Kind("names a class", 40_000, lambda draw, number: text(named(draw)), None),
    Kind("reversed around a class", 1_000, lambda draw, number: text("\u202e qqz \u202c a goldfish"), None),
    Kind("emoji before a class", 1_000, lambda draw, number: text("\u2764\ufe0fgoldfish"), None),
    Kind("punctuation in the lemma", 1_000, lambda draw, number: text("R/V Polarstern"), None),
    Kind("copies", 500, lambda draw, number: text(COPY_CAPTION, URL=COPY_URL), "duplicate"),
    Kind("two classes", 5_000, lambda draw, number: text("a tench beside a goldfish"), "several_classes"),
    Kind("no tag", 5_000, lambda draw, number: text(named(draw), NSFW=draw.choice(NOTHING)), "nsfw_unknown"),
    Kind("tag", 5_000, lambda draw, number: text(named(draw), NSFW=draw.choice((b"UNSURE", b"NSFW"))), "nsfw_tag"),
    Kind(
        "odd tag",
        5_000,
        lambda draw, number: text(named(draw), NSFW=draw.choice(("💥", "0.5", "\u202eUNLIKELY", "U" * 3_000)).encode()),
        "nsfw_tag",
    ),
    Kind("no caption", 3_000, lambda draw, number: text(draw.choice(NOTHING[1:])), "caption_missing"),
    Kind("no address", 3_000, without("URL"), "url_missing"),
    Kind("no size", 3_000, of("WIDTH", "0", "-1", "wide", "1e30"), "size_out_of_bounds"),
    Kind("no similarity", 3_000, of("similarity", "7", "-1.01", "high", "inf"), "similarity_out_of_bounds"),
    Kind("too long", 100, lambda draw, number: text("qz " * 20_000), "caption_too_long"),
    Kind("a megabyte", 6, lambda draw, number: text("qz" * 500_000), "caption_too_long"),
    Kind("no UTF-8", 3_000, lambda draw, number: text(b"caf\xe9 goldfish"), "not_utf8"),
    Kind("no UTF-8 in a tag", 1_000, lambda draw, number: {"NSFW": b"\xff\xfe"}, "not_utf8"),
    Kind("too few fields", 2_000, line(b"7,http://a.invalid"), "line_malformed", is_line=True),
    Kind("too many fields", 2_000, line(b",".join([b"7"] * 11)), "line_malformed", is_line=True),
    Kind("quotes", 2_000, line(b'7,http://a,"a" goldfish,1,1,?,NSFW,0'), "line_malformed", is_line=True),
    Kind("3 MB", 4, line(b"7,http://a,%b,1,1,?,NSFW,0" % (b"x" * 3_000_000)), "line_too_long", is_line=True),
)  # fmt: skip


def sound(number: int) -> dict[str, bytes]:
    """A row that names no class."""
    values = (
        b"%d" % number,
        b"http://images.invalid/%d" % number,
        b"qqz %d" % number,
        b"480",
        b"640",
        b"?",
        b"UNLIKELY",
        b"0.3",
    )
    return dict(zip(COLUMNS, values, strict=True))  # fmt: skip


def draw_rows(kinds: Sequence[Kind]) -> tuple[list[Row], Counter[str]]:
    """A million rows, and how many of each kind: at least one of each."""
    draw = random.Random(20230627)
    drawn = [*kinds, *draw.choices(kinds, [kind.weight for kind in kinds], k=ROWS - len(kinds))]
    draw.shuffle(drawn)
    rows = [kind.make(draw, number) for number, kind in enumerate(drawn)]
    return rows, Counter(kind.name for kind in drawn)


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    with path.open("wb") as file:
        file.write(",".join(COLUMNS).encode() + b"\n")
        for number, row in enumerate(rows):
            if isinstance(row, dict):
                fields = {**sound(number), **row}
                fields["TEXT"] = b'"%b"' % fields["TEXT"]
                row = b",".join(fields.values())
            file.write(row + b"\n")


def write_parquet(path: Path, rows: Sequence[Row]) -> None:
    fields = [{**sound(number), **row} for number, row in enumerate(rows) if isinstance(row, dict)]
    columns = {}
    for name in COLUMNS:
        raw = pa.array([each[name] for each in fields], pa.large_binary())
        columns[name] = pa.LargeStringArray.from_buffers(len(raw), raw.buffers()[1], raw.buffers()[2])
    pq.write_table(pa.table(columns), path, row_group_size=50_000)


WRITERS = {"part-00000.csv": write_csv, "part-00000.parquet": write_parquet}


def ask(project: Project, query: str) -> list[tuple[Any, ...]]:
    with open_catalog(project.pipeline.warehouse) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.parametrize("name", WRITERS)
def test_a_million_rows_of_every_kind(name: str, project: Project) -> None:
    kinds = [kind for kind in KINDS if name.endswith(".csv") or not kind.is_line]
    rows, counts = draw_rows(kinds)
    project.parts.mkdir(parents=True)
    WRITERS[name](project.parts / name, rows)
    del rows
    project.edit("adapter: laion400m", "adapter: auto")
    recipe = "matching: corrected, encoder: minilm, text_threshold: "
    project.edit(f"{recipe}0.5", f"{recipe}-1, nsfw: [UNLIKELY], duplicates: drop")
    assert project.run(select='+key:"marts/funnel" or key:"raw/quarantine"') == 0, project.printed[-1]

    expected: Counter[str] = Counter()
    for kind in kinds:
        expected[kind.reason or "none"] += counts[kind.name]
    expected["duplicate"] -= 1  # the first of the copies stays
    expected["none"] += 1
    bounds = {reason for _, reason in ask(project, "select distinct 0, reason from raw.quarantine")}
    quarantined = {reason: n for reason, n in expected.items() if reason in bounds}
    found = dict(ask(project, "select reason, count(*) from raw.quarantine group by all"))
    assert found == quarantined and sum(found.values()) == project.count("select quarantined from raw.parts")
    assert ask(project, "select rows, pairs from raw.parts") == [(ROWS, ROWS - sum(found.values()))]
    assert project.count("select count(*) from raw.pairs") == ROWS - sum(found.values())

    total = ask(
        project,
        "select key, sum(value)::bigint from (select unnest(map_entries(dropped_by_reason), recursive := true) "
        "from marts.funnel where recipe = 'corrected' and wnid = '*') group by key",
    )
    kept = {reason: n for reason, n in expected.items() if reason not in quarantined and reason != "none"}
    assert dict(total) == {**kept, "quarantined": sum(quarantined.values())}
    assert project.count("select count(*) from core.laionet where recipe = 'corrected'") == expected["none"]
    stages = ask(
        project,
        "select recipe, max(rows_in) filter (stage_position = 1), sum(rows_dropped)::bigint, min(rows_out) "
        "from marts.funnel where wnid = '*' group by recipe",
    )
    assert {recipe for recipe, *_ in stages} == {"paper", "corrected"}
    for recipe, entered, dropped, left in stages:
        assert entered == ROWS == dropped + left, recipe
        assert left == project.count(f"select count(*) from core.laionet where recipe = '{recipe}'")
