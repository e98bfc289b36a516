"""Stages matching and memory: from the Parquet file of a part to published core.caption_matches, and what a part of
five million rows needs in memory.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.captions import HOW, Captions, resampled, write_part
from tests.bench.measure import Cost, apart, cheapest, cost_of
from tests.bench.options import Options
from tests.bench.published import lemma_to_wnid, match, match_padded_once
from tests.bench.report import Section, Table, Target, gigabytes, number, times
from tests.bench.workspace import (
    INGESTION,
    TAXONOMY,
    Made,
    make,
    open_pipeline,
    parts_of,
    prepare,
    step_of,
    write_config,
)

WANTED_RATIO = 150
WANTED_FLOORS = 15
WANTED_BYTES = 3_000_000_000
PART = "part-00000.snappy.parquet"
MATCHES = "core.caption_matches"


@dataclass(frozen=True)
class Loops:
    """The published loop, in cpu-seconds a caption, and whether it found what we found on those captions."""

    published: float
    padded_once: float
    captions: int
    is_same: bool
    found: int


def matching(options: Options) -> Section:
    """Parquet in, matches published, beside the published loop."""
    rows = 100_000 if options.quick else 1_000_000
    sample = 500 if options.quick else 4_000
    repeats = 1 if options.quick else 3
    folder = options.folder / "matching"
    apart(prepare_part, folder, options.captions, rows)
    made: Made = apart(make_matches, folder, repeats).value
    loops: Loops = apart(loop, folder, options.captions, sample, repeats).value
    floor: Cost = apart(read_texts, folder, repeats).value
    millions = rows / 1e6
    floor_cpu = floor.cpu_seconds / millions
    ours = made.path.cpu_seconds / millions
    published, kind = loops.published * 1e6, loops.padded_once * 1e6
    return Section(
        title="Matching",
        body=[
            f"One part of {rows:,} captions ({options.captions.description}). {HOW}\n\nMeasured: a step of a run, from"
            " the Parquet file of the part to the published file of core.caption_matches, both profiles (read, find,"
            " sort by the grain, zstd Parquet, column check, row count, preview, rename, catalog), best of"
            f" {repeats}. Published way, which has `paper` alone: rows of a data frame one after the other, 1,825"
            f" lemmas each, on {loops.captions:,} of the same captions, scaled; without reading a file, and without the"
            " process pool. Floor: DuckDB reads and decodes TEXT, `select sum(length(TEXT))`.",
            Table(
                (
                    "way",
                    "cpu-s a million",
                    "checks, cpu-s",
                    "wall s",
                    "published / this",
                    "x floor",
                    "matches a million",
                ),
                [
                    (
                        "ours, `paper` and `corrected`",
                        number(ours),
                        number(made.checks.cpu_seconds / millions),
                        number(made.path.wall_seconds / millions),
                        times(published / ours),
                        times(ours / floor_cpu),
                        number(made.rows / millions, digits=6),
                    ),
                    ("published loop (`paper`)", number(published), "", "", "1 x", times(published / floor_cpu), ""),
                    ("the loop, lemmas padded once", number(kind), "", "", "", times(kind / floor_cpu), ""),
                    ("floor", number(floor_cpu), "", number(floor.wall_seconds / millions), "", "1 x", ""),
                ],
            ),
            f"On these {loops.captions:,} captions the loop found {loops.found:,} pairs of caption and lemma, and the"
            f" published table has {'exactly the same' if loops.is_same else '**others**'} under `paper`. Against the"
            " loop in its kindest form (plain strings, every lemma padded once, not at each test as published), both"
            f" profiles together are {times(kind / ours)} as fast.",
        ],
        targets=[
            Target(
                "matching, both profiles, against the published loop (`paper` alone)",
                f">= {WANTED_RATIO} x",
                times(published / ours),
                published / ours >= WANTED_RATIO,
            ),
            Target(
                "matching, both profiles, against reading the captions",
                f"<= {WANTED_FLOORS} x",
                times(ours / floor_cpu),
                ours / floor_cpu <= WANTED_FLOORS,
            ),
        ],
    )


def memory(options: Options) -> Section:
    """A part of five million rows: matches and candidates of both profiles, in one process."""
    rows = 500_000 if options.quick else 5_000_000
    folder = options.folder / "memory"
    apart(prepare_part, folder, options.captions, rows)
    measured = apart(make_matches_and_candidates, folder)
    tables: Mapping[str, Made] = measured.value
    peak = measured.peak_bytes
    return Section(
        title="Memory of a large part",
        body=[
            f"One part of {rows:,} rows made as above ({gigabytes((folder / PART).stat().st_size)} of Parquet), both"
            " profiles, as `laionet run` makes it with its default settings: no limit of memory, checks included, one"
            " process. Peak: the most resident memory that the process ever had, libraries included.",
            Table(
                ("table", "cpu-s", "checks, cpu-s", "wall s with checks", "rows"),
                [
                    (
                        name,
                        number(each.path.cpu_seconds),
                        number(each.checks.cpu_seconds),
                        number(each.path.wall_seconds + each.checks.wall_seconds),
                        f"{each.rows:,}",
                    )
                    for name, each in tables.items()
                ],
            ),
            f"Peak memory: {gigabytes(peak)}.",
        ],
        targets=[
            Target(
                f"peak memory of a part of {rows / 1e6:g} million rows",
                f"< {gigabytes(WANTED_BYTES)}",
                gigabytes(peak),
                peak < WANTED_BYTES,
            )
        ],
    )


def prepare_part(folder: Path, captions: Captions, rows: int) -> None:
    """Write the part and make what its matches read."""
    write_part(captions, folder / PART, rows)
    pipeline = open_pipeline(write_config(folder, str(folder / PART)))
    (part,) = parts_of(pipeline)
    prepare(pipeline, [*TAXONOMY, *INGESTION], part)


def make_matches(folder: Path, repeats: int) -> Made:
    """Make core.caption_matches; the repetition whose path took the fewest cpu-seconds."""
    pipeline = open_pipeline(folder / "laionet.yaml")
    (part,) = parts_of(pipeline)
    step = step_of(pipeline, MATCHES)
    return min((make(pipeline, step, part) for _ in range(repeats)), key=lambda made: made.path.cpu_seconds)


def make_matches_and_candidates(folder: Path) -> dict[str, Made]:
    """Make core.caption_matches of both profiles, then core.candidates."""
    pipeline = open_pipeline(folder / "laionet.yaml")
    (part,) = parts_of(pipeline)
    return {name: make(pipeline, step_of(pipeline, name), part) for name in (MATCHES, "core.candidates")}


def loop(folder: Path, captions: Captions, rows: int, repeats: int) -> Loops:
    """Run the published loop over the first rows of the part, and compare with the published table of `paper`."""
    import pandas as pd

    from laionet_assets.taxonomy import load_synsets

    listed = [(each.paper_wnid or "", each.lemmas) for each in load_synsets("imagenet-1k") if each.in_paper_list]
    lemmas = lemma_to_wnid(listed)
    texts = resampled(captions, rows)
    frame = pd.DataFrame({"TEXT": texts})
    found: Mapping[str, list[int]] = {}

    def published() -> None:
        nonlocal found
        found = match(frame, lemmas)

    cost = cheapest([cost_of(published) for _ in range(repeats)])
    kind = cheapest([cost_of(lambda: match_padded_once(texts, lemmas)) for _ in range(repeats)])
    pairs = {(lemma, row) for lemma, hits in found.items() for row in hits}
    return Loops(
        published=cost.cpu_seconds / rows,
        padded_once=kind.cpu_seconds / rows,
        captions=rows,
        is_same=pairs == _published_pairs(folder, rows),
        found=len(pairs),
    )


def read_texts(folder: Path, repeats: int) -> Cost:
    """Read and decode the captions of the part."""
    import duckdb

    with duckdb.connect(":memory:") as connection:
        query = "select sum(length(TEXT)) from read_parquet(?)"
        return cheapest(
            [cost_of(lambda: connection.execute(query, [str(folder / PART)]).fetchall()) for _ in range(repeats)]
        )


def _published_pairs(folder: Path, rows: int) -> set[tuple[Any, ...]]:
    pipeline = open_pipeline(folder / "laionet.yaml")
    (part,) = parts_of(pipeline)
    warehouse = pipeline.warehouse
    with warehouse.connect() as connection:
        warehouse.bind(connection, [MATCHES], part)
        query = (
            f"select lemma, sample_id % 100000000 from {MATCHES} where matching = 'paper' and sample_id % 100000000 < ?"
        )
        return set(connection.execute(query, [rows]).fetchall())
