"""Stages fresh and parts: what a run costs that does not grow with its rows.

A first run on little input, and many small parts beside the same rows in one.
"""

import shutil
import sys
from functools import partial
from itertools import groupby
from pathlib import Path
from time import time

import yaml

from laionet_assets.assets.steps import Step
from tests.bench.measure import Cost, apart, cost_of, run_command
from tests.bench.options import Options
from tests.bench.report import Section, Table, Target, gigabytes, number, times
from tests.bench.runs import ENVIRONMENT, LAIONET, materialized_since
from tests.bench.workspace import open_pipeline, parts_of, write_config

CAPTIONS = 950
PICTURES_A_CLASS = 5
FRESH_SECONDS = 30.0
LIBRARIES = "dagster, duckdb, great_expectations, onnxruntime, pandas, sentence_transformers, timm, torch"
"""What such a run imports: its floor."""

PARTS = 1_000
QUICK_PARTS = 20
ROWS_A_PART = 1_000
PARTS_SECONDS = 100.0
TEXTS = ("a tench", "goldfish", "a red fox", "two cranes", "toaster", "a car on the road", "a house", "flowers")
BEFORE = ("core.query_embeddings", "core.removals", "raw.recipes", "raw.neighbours")
LAST = ("core.image_requests", "core.similarity_counts", "core.matching_counts", "core.neighbour_requests")


def fresh(options: Options) -> Section:
    """Everything from nothing, on a few hundred captions and pictures."""
    folder = options.folder / "fresh"
    set_folder = apart(draw_set, folder / "set").value
    config = _fresh_config(folder, set_folder)
    log, started = folder / "run.log", time()
    command = [str(LAIONET), "run", "--config", str(config)]
    finished = run_command(command, cwd=folder, environment=ENVIRONMENT, log=log)
    if finished.exit_code != 0:
        raise RuntimeError(f"laionet run: exit code {finished.exit_code}\n{log.read_text()[-4000:]}")
    imports = run_command([sys.executable, "-c", f"import {LIBRARIES}"], cwd=folder, log=folder / "imports.log").cost
    made = apart(materialized_since, config, started).value
    wall, cpu = finished.cost.wall_seconds, finished.cost.cpu_seconds
    count = sum(each.made for each in made.values())
    longest = sorted(made.items(), key=lambda item: -item[1].seconds)[:8]
    with_models = ", ".join(f"{name} {number(each.seconds)}" for name, each in longest)
    return Section(
        title="A first run on little input",
        body=[
            f"One part of {CAPTIONS} captions of the synthetic web, whose pictures are fetched, a set of"
            f" {PICTURES_A_CLASS * 24} pictures, two recipes, one model of each kind; `laionet run` as a command, from"
            " nothing: imports, all checks, Data Docs and the catalog included. The pictures of the web are drawn as"
            " they are asked for, those of the set before.",
            Table(
                (
                    *("tables and parts", "wall s", "cpu-s", "peak memory", "wall s a table or part"),
                    *("wall s of the imports alone", "x floor"),
                ),
                [
                    (
                        f"{count:,}",
                        number(wall),
                        number(cpu),
                        gigabytes(finished.peak_bytes),
                        number(wall / count),
                        number(imports.wall_seconds),
                        times(wall / imports.wall_seconds),
                    )
                ],
            ),
            f"The floor: {LIBRARIES} imported by one process.",
            f"The longest, in wall seconds: {with_models}; all others"
            f" {number(sum(each.seconds for each in made.values()) - sum(each.seconds for _, each in longest))}.",
        ],
        targets=[
            Target(
                "a first run on little input",
                f"under {FRESH_SECONDS:.0f} s of wall time",
                f"{number(wall)} s",
                wall < FRESH_SECONDS,
            )
        ],
    )


def parts(options: Options) -> Section:
    """Many small parts through all tables by part that read no picture, and the same rows in one part."""
    count = QUICK_PARTS if options.quick else PARTS
    many = apart(run_parts, options.folder / "many", count, count)
    one = apart(run_parts, options.folder / "one", 1, count)
    (many_sql, many_other), (one_sql, one_other) = many.value, one.value
    more = many_sql.cpu_seconds - one_sql.cpu_seconds
    rows = [
        (what, *(number(each.cpu_seconds) for each in (in_many, in_one)), number((in_many - in_one).cpu_seconds))
        for what, in_many, in_one in (
            ("tables that are SQL", many_sql, one_sql),
            ("tables that Python makes", many_other, one_other),
        )
    ]
    return Section(
        title="Many small parts",
        body=[
            f"{count:,} parts of {ROWS_A_PART:,} rows, and the same rows in one part: every table by part that needs no"
            " picture, by `laionet run --select` of those in a row that are of one kind (cpu-s of the runs: planning, checks,"
            " Data Docs and Dagster's own included). Captions"
            f" repeat ({len(TEXTS)} texts), so that embedding them costs next to nothing.",
            Table(("cpu-s", f"{count:,} parts", "one part", "more"), rows),
            f"Peak memory: {gigabytes(many.peak_bytes)} and {gigabytes(one.peak_bytes)}.",
        ],
        targets=[
            Target(
                f"{count:,} parts of {ROWS_A_PART:,} rows through the SQL tables by part",
                f"at most {PARTS_SECONDS:.0f} cpu-s more than in one part",
                f"{number(more)} cpu-s more",
                more <= PARTS_SECONDS,
            )
        ],
    )


def draw_set(folder: Path) -> Path:
    """Draw a small curated set; returns its folder."""
    from laionet_assets.sample.curated import CuratedSet, write_curated_set

    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir()
    return write_curated_set(folder, CuratedSet(per_class=PICTURES_A_CLASS))


def run_parts(folder: Path, count: int, of: int) -> tuple[Cost, Cost]:
    """Deal the rows of `of` parts out to `count`, and run. Cost of the SQL tables by part, and of the others by part.

    Raises RuntimeError if a run fails.
    """
    from laionet_assets.assets.build import asset_key
    from laionet_assets.commands.running import run_pipeline

    config = _parts_config(folder, count, of)
    pipeline = open_pipeline(config)
    if len(parts_of(pipeline)) != count:
        raise RuntimeError(f"{len(parts_of(pipeline))} parts are there, expected {count}")

    def run(select: str) -> None:
        exit_code = run_pipeline(config, select=select, parts=[], force=False)
        if exit_code != 0:
            raise RuntimeError(f"laionet run --select '{select}': exit code {exit_code}")

    def key(name: str) -> str:
        return f'key:"{asset_key(name).to_user_string()}"'

    run(" or ".join(f"+{key(name)}" for name in BEFORE))
    steps = {step.name: step for step in pipeline.steps}
    wanted: set[str] = set()
    ahead = list(LAST)
    while ahead:
        name = ahead.pop()
        if name not in wanted:
            wanted.add(name)
            ahead += steps[name].model.dependencies
    costs: dict[str, Cost] = {}
    for kind, group in groupby((step for step in pipeline.steps if step.name in wanted), key=_kind):
        select = " or ".join(key(step.name) for step in group)
        cost = cost_of(partial(run, select))
        costs[kind] = costs.get(kind, Cost()) + cost
    return costs["SQL"], costs["Python"]


def _kind(step: Step) -> str:
    if not step.is_partitioned:
        return "whole"
    return "SQL" if step.sql_code is not None else "Python"


def _fresh_config(folder: Path, set_folder: Path) -> Path:
    settings = {
        "warehouse": "./warehouse",
        "sources": [{"name": "sample", "adapter": "laion400m", "path": f"sample://web?parts=1&rows={CAPTIONS}"}],
        "taxonomy": "imagenet-1k",
        "text_encoders": [{"name": "minilm", "model": "sentence-transformers:all-MiniLM-L6-v2"}],
        "recipes": [
            {
                "name": name,
                "matching": name,
                "encoder": "minilm",
                "text_threshold": 0.65,
                "nsfw": ["UNLIKELY"],
                "drop_text_in_image": True,
            }
            for name in ("paper", "corrected")
        ],
        "ocr": {"model": "rapidocr:fast"},
        "predictors": [{"name": "efficientnet-lite0", "model": "timm:tf_efficientnet_lite0"}],
        "image_sets": [{"name": "curated", "layout": "imagefolder", "path": str(set_folder)}],
    }
    config = folder / "laionet.yaml"
    config.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return config


def _parts_config(folder: Path, count: int, of: int) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    shutil.rmtree(folder, ignore_errors=True)
    (folder / "parts").mkdir(parents=True)
    each = of * ROWS_A_PART // count
    for number_of_part in range(count):
        ids = range(number_of_part * each, (number_of_part + 1) * each)
        columns = {
            "SAMPLE_ID": pa.array(ids, pa.int64()),
            "URL": [f"http://x.invalid/{row}" for row in ids],
            "TEXT": [TEXTS[row % len(TEXTS)] for row in ids],
            "HEIGHT": pa.array([300] * each, pa.int32()),
            "WIDTH": pa.array([400] * each, pa.int32()),
            "LICENSE": ["?"] * each,
            "NSFW": ["UNLIKELY"] * each,
            "similarity": [0.3] * each,
        }
        pq.write_table(pa.table(columns), folder / "parts" / f"part-{number_of_part:05d}.parquet")
    return write_config(folder, str(folder / "parts" / "*.parquet"))
