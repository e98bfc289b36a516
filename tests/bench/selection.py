"""Stage selection: a recipe over a million candidates: filter, and the top 50 of each class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.captions import Captions, write_part
from tests.bench.measure import Cost, apart, cheapest, cost_of
from tests.bench.options import Options
from tests.bench.published import select, top_k
from tests.bench.report import Section, Table, number, times
from tests.bench.workspace import (
    TAXONOMY,
    Made,
    make,
    open_pipeline,
    parts_of,
    publish_unchecked,
    step_of,
    write_config,
)

CLASSES = 915
THRESHOLD = 0.5
TOP_K = 50
PART = "part-00000.snappy.parquet"
FLAT = "published.parquet"
LAIONET = "core.laionet"
CHAIN = ("core.selection", "core.removed_samples", "core.selection_seen", "core.duplicate_samples", LAIONET)
RECIPE: Mapping[str, Any] = {
    "name": "paper",
    "matching": "paper",
    "encoder": "minilm",
    "text_threshold": THRESHOLD,
    "nsfw": ["UNLIKELY"],
}
RECIPES: Mapping[str, Mapping[str, Any]] = {"filter": RECIPE, "top": {**RECIPE, "top_k": TOP_K}}

# One candidate a row of the part, of one of 915 classes; similarities as bell-shaped as real ones (mean 0.33).
_CANDIDATES = """
    select
        'paper' as matching, 'bench' as source, 'part-00000' as part, file_row_number as sample_id,
        wnid, 1 as classes, md5_number_lower(TEXT) as caption_id, TEXT as caption, URL as url, WIDTH as width,
        HEIGHT as height, NSFW as nsfw, null as punsafe, similarity as image_text_similarity, LICENSE as license,
        SAMPLE_ID::varchar as source_key, 'minilm' as encoder,
        0.33 + 0.13 * (
            (hash(file_row_number, 1) % 10000 + hash(file_row_number, 2) % 10000 + hash(file_row_number, 3) % 10000)
            / 10000.0 - 1.5
        ) * 2 as text_similarity,
    from read_parquet('{part}', file_row_number = true)
    join (select wnid, row_number() over (order by wnid) - 1 as number from ({synsets}))
        on number = hash(file_row_number, 0) % {classes}
"""


# What was read in the image of every row above the threshold: nothing in one of five, the class's name in 1.1%.
_NAMES = """
    select source, part, sample_id, wnid, found as has_name_paper, found as has_name_corrected,
    from (
        select *, case when hash(sample_id, 4) % 5 > 0 then hash(sample_id, 5) % 1000 < 11 end as found
        from ({candidates}) where text_similarity > {threshold}
    )
"""

# A thousand rows that someone wants gone, by sample or by address, none of which is a candidate.
_REMOVALS = """
    select
        case when i % 2 = 0 then 'sample' else 'url_hash' end as kind,
        case when i % 2 = 0 then 'other/' || i else sha256('https://example.org/' || i) end as value,
        'request' as reason, true as is_requested, now() as removed_at,
    from range(1000) t (i)
"""


@dataclass(frozen=True)
class Published:
    """The published filter and the top k after it: costs, and the rows that each chose."""

    filter: Cost
    top_k: Cost
    filter_rows: int
    top_k_rows: int


def selection(options: Options) -> Section:
    """core.laionet of one recipe without and with top 50, beside pandas."""
    rows = 50_000 if options.quick else 1_000_000
    repeats = 1 if options.quick else 3
    folder = options.folder / "selection"
    apart(prepare_candidates, folder, options.captions, rows)
    ours: dict[str, Made] = {name: apart(make_laionet, folder / name, repeats).value for name in RECIPES}
    floors: dict[str, Cost] = {name: apart(read_and_write, folder / name, repeats).value for name in RECIPES}
    theirs: Published = apart(published_selection, folder, repeats).value
    both = theirs.filter + theirs.top_k

    def line(what: str, chosen: int, cost: Cost, theirs: Cost, floor: Cost, checks: str) -> tuple[str, ...]:
        return (
            what,
            f"{chosen:,}",
            number(cost.cpu_seconds),
            checks,
            number(cost.wall_seconds),
            times(theirs.cpu_seconds / cost.cpu_seconds),
            times(cost.cpu_seconds / floor.cpu_seconds),
        )

    top = f"filter, then top {TOP_K} a class"
    same = ours["filter"].rows == theirs.filter_rows and ours["top"].rows == theirs.top_k_rows
    return Section(
        title=f"A recipe: filter and top {TOP_K}",
        body=[
            f"{rows:,} made-up candidates of {CLASSES} classes, one class a caption ({options.captions.description}), eight"
            f" in nine tagged UNLIKELY or UNSURE, similarities bell-shaped around 0.33, threshold {THRESHOLD}. Measured:"
            f" {', '.join(CHAIN)} together, as a run makes them (join of candidates and similarities, the reasons for"
            " dropping, a thousand tombstones and what is named in the images of the chosen, samples that repeat another, rank in class, each table"
            f" sorted by its grain and published), one recipe at a time, best of {repeats}. Published way: pandas"
            " over a file that has every row's similarity already, class by class, from the dictionary of the classes'"
            " rows (in memory already), chosen rows written; its top 50 reads what the filter wrote. Floor: DuckDB"
            " reads the columns that decide and copies the chosen rows from one file to another.",
            Table(
                ("work", "rows chosen", "cpu-s", "checks, cpu-s", "wall s", "published / ours", "x floor"),
                [
                    line("published: filter", theirs.filter_rows, theirs.filter, theirs.filter, floors["filter"], ""),
                    line(
                        "ours: filter",
                        ours["filter"].rows,
                        ours["filter"].path,
                        theirs.filter,
                        floors["filter"],
                        number(ours["filter"].checks.cpu_seconds),
                    ),
                    line(f"published: {top}", theirs.top_k_rows, both, both, floors["top"], ""),
                    line(
                        f"ours: {top}",
                        ours["top"].rows,
                        ours["top"].path,
                        both,
                        floors["top"],
                        number(ours["top"].checks.cpu_seconds),
                    ),
                ],
            ),
            f"Both ways choose {'the same number' if same else '**different numbers**'} of rows.",
        ],
    )


def prepare_candidates(folder: Path, captions: Captions, rows: int) -> None:
    """Publish candidates and similarities of `rows` rows in a warehouse a recipe, and write them as one flat file for
    pandas.
    """
    part_file = folder / PART
    write_part(captions, part_file, rows)
    for name, recipe in RECIPES.items():
        pipeline = open_pipeline(write_config(folder / name, str(part_file), recipes=[recipe]))
        (part,) = parts_of(pipeline)
        for table in (*TAXONOMY, "raw.recipes"):
            make(pipeline, step_of(pipeline, table))
        synsets = pipeline.warehouse.select("raw.synsets")
        candidates = _CANDIDATES.format(part=part_file, synsets=synsets, classes=CLASSES)
        alone = f"select * exclude (encoder, text_similarity) from ({candidates})"
        publish_unchecked(pipeline, "core.candidates", alone, part)
        similarities = (
            f"select encoder, source, part, sample_id, wnid, text_similarity as similarity from ({candidates})"
        )
        publish_unchecked(pipeline, "core.caption_similarity", similarities, part)
        names = _NAMES.format(candidates=candidates, threshold=THRESHOLD)
        publish_unchecked(pipeline, "core.names_in_images", names, part)
        nothing = pipeline.warehouse.table("core.sample_query_similarity").column_names
        publish_unchecked(
            pipeline,
            "core.sample_query_similarity",
            f"select {', '.join(f'null as {name}' for name in nothing)} where false",
            part,
        )
        publish_unchecked(pipeline, "core.removals", _REMOVALS)
    with pipeline.warehouse.connect() as connection:
        connection.execute(
            f"copy (select sample_id, wnid, text_similarity as similarity, source_key as SAMPLE_ID, url as URL,"
            " caption as TEXT, height as HEIGHT, width as WIDTH, license as LICENSE, nsfw as NSFW,"
            f" image_text_similarity from ({candidates}) order by sample_id) to '{folder / FLAT}'"
            " (format parquet, compression snappy)"
        )


def make_laionet(folder: Path, repeats: int) -> Made:
    """Make core.laionet and what it is made from; the repetition whose path took the fewest cpu-seconds."""
    pipeline = open_pipeline(folder / "laionet.yaml")
    (part,) = parts_of(pipeline)

    def once() -> Made:
        steps = [step_of(pipeline, name) for name in CHAIN]
        made = [make(pipeline, step, part if step.is_partitioned else None) for step in steps]
        path, checks = (sum((getattr(each, of) for each in made), Cost()) for of in ("path", "checks"))
        return Made(path, checks, made[-1].rows)

    return min((once() for _ in range(repeats)), key=lambda made: made.path.cpu_seconds)


def read_and_write(folder: Path, repeats: int) -> Cost:
    """Read the columns that decide, and copy the chosen rows from the published file to another one."""
    pipeline = open_pipeline(folder / "laionet.yaml")
    warehouse = pipeline.warehouse
    (part,) = parts_of(pipeline)
    candidates = warehouse.select("core.candidates", part)
    similarities = warehouse.select("core.caption_similarity", part)
    chosen = warehouse.select(LAIONET)
    copy = f"copy ({chosen}) to '{folder / 'copy.parquet'}' (format parquet, compression zstd)"
    with warehouse.connect() as connection:

        def work() -> None:
            connection.execute(
                f"select sum(sample_id), sum(strlen(wnid)), sum(strlen(nsfw)), sum(classes) from ({candidates})"
            ).fetchall()
            connection.execute(
                f"select sum(sample_id), sum(strlen(wnid)), sum(similarity) from ({similarities})"
            ).fetchall()
            connection.execute(copy)

        return cheapest([cost_of(work) for _ in range(repeats)])


def published_selection(folder: Path, repeats: int) -> Published:
    """Run the published filter and top k over the flat file."""
    import pandas as pd

    flat, filtered, skimmed = folder / FLAT, folder / "filtered.parquet", folder / "skimmed.parquet"
    labels = pd.read_parquet(flat, columns=["sample_id", "wnid"])
    members: dict[str, Sequence[int]] = {str(wnid): rows.tolist() for wnid, rows in labels.groupby("wnid")["sample_id"]}
    chosen: Mapping[str, Sequence[int]] = {}
    top: Mapping[str, Sequence[int]] = {}

    def filter_rows() -> None:
        nonlocal chosen
        chosen = select(flat, members, filtered, threshold=THRESHOLD)

    def top_rows() -> None:
        nonlocal top
        top = top_k(filtered, chosen, skimmed, k=TOP_K)

    filter_cost = cheapest([cost_of(filter_rows) for _ in range(repeats)])
    top_cost = cheapest([cost_of(top_rows) for _ in range(repeats)])
    return Published(filter_cost, top_cost, sum(map(len, chosen.values())), sum(map(len, top.values())))
