"""Stage results: from predictions to recalls, intervals and accuracies, a million images by ten models."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from laionet_assets.assets.pipeline import Pipeline
from laionet_assets.warehouse.table import PartKey
from tests.bench.captions import Captions, write_part
from tests.bench.measure import Cost, apart, best_of, cost_of
from tests.bench.options import Options
from tests.bench.published import accuracy, evaluate, recalls
from tests.bench.report import Section, Table, Target, gigabytes, number, times
from tests.bench.workspace import Made, make, open_pipeline, parts_of, publish_unchecked, step_of, write_config

MODELS = 10
IMAGE_SET = "paper"
PART = "part-00000.snappy.parquet"
BASE = ("raw.synsets", "raw.recipes", "raw.published_correctness", "raw.published_labels", "raw.class_lists")
MEASURED = ("core.correctness", "marts.class_recall", "marts.accuracy")
TARGET_CPU_SECONDS = 15.0
SAMPLE_IMAGES = 20_000

# Images as those of a recipe, `<source>/<sample_id>`, one class each, one in two hundred with a second one.
_LABELS = """
    with synsets as (select wnid, row_number() over (order by wnid) - 1 as number from ({synsets})),
    images as (select image, hash(image) % {classes} as number from range({images}) i (image)),
    classes as (
        from images union all select image, (number + 1) % {classes} from images where hash(image, 1) % 200 = 0
    )
    select
        '{image_set}' as image_set, 'web/' || (100000000 * (image % 4) + image) as image_id, wnid, image, number,
        true as is_admitted
    from classes join synsets using (number)
"""

# The class is the first, ..., fifth of five distinct predictions or none of them, as often as with real classifiers. One
# image in two hundred has no prediction by any model, one in a thousand none by a model.
_PREDICTIONS = """
    with labels as ({labels}),
    synsets as (select wnid, row_number() over (order by wnid) - 1 as number from ({synsets})),
    asked as (
        select image_id, image, number, model, hash(image, model, 2) % 100 as luck
        from (select image_id, image, min(number) as number from labels group by all)
        cross join range({models}) m (model)
        where hash(image, 3) % 200 > 0 and hash(image, model, 4) % 1000 > 0
    ),
    placed as (
        select *, case
            when luck < 65 + model then 1 when luck < 80 then 2 when luck < 86 then 3 when luck < 90 then 4
            when luck < 92 then 5 else 0
        end as place
        from asked
    )
    select
        '{image_set}' as image_set, image_id, 'model-' || model as model, rank::integer as rank, synsets.wnid as wnid,
        1.0 / (rank + 1) + hash(image, model, rank) % 1000 / 10000.0 as score
    from placed
    cross join range(1, 6) r (rank)
    join synsets
        on synsets.number = (placed.number + case when rank = place then 0 else 1 + 150 * rank + hash(image, model, rank) % 150 end) % {classes}
"""


@dataclass(frozen=True)
class Ours:
    """The measured steps, by table; and the accuracy of every model at k = 1."""

    made: Mapping[str, Made]
    accuracies: Mapping[str, float]


@dataclass(frozen=True)
class Published:
    """The published way on a sample: costs of one model and one k, and the accuracy that it found."""

    evaluate: Cost
    recalls: Cost
    accuracy: float
    ours: float


def results(options: Options) -> Section:
    """core.correctness, marts.class_recall and marts.accuracy beside pandas."""
    images = 20_000 if options.quick else 1_000_000
    repeats = 1 if options.quick else 2
    folder = options.folder / "results"
    apart(prepare_results, folder, options.captions, images)
    measured = apart(make_results, folder, repeats)
    ours: Ours = measured.value
    floor: Cost = apart(read_and_write, folder, repeats).value
    sample = min(SAMPLE_IMAGES, images)
    theirs: Published = apart(published_results, folder, sample).value
    scale = images / sample * MODELS
    path = sum((ours.made[name].path for name in MEASURED), Cost())
    checks = sum((ours.made[name].checks for name in MEASURED), Cost())
    published_cpu = (theirs.evaluate + theirs.recalls).cpu_seconds * scale
    lines = [
        (
            name,
            f"{ours.made[name].rows:,}",
            number(ours.made[name].path.cpu_seconds),
            number(ours.made[name].checks.cpu_seconds),
            number(ours.made[name].path.wall_seconds),
            "",
            "",
        )
        for name in MEASURED
    ]
    together = (
        "together",
        "",
        number(path.cpu_seconds),
        number(checks.cpu_seconds),
        number(path.wall_seconds),
        times(published_cpu / path.cpu_seconds),
        times(path.cpu_seconds / floor.cpu_seconds),
    )
    return Section(
        title="Recalls, intervals and accuracies",
        body=[
            f"{images:,} made-up images of 1,000 classes (one in two hundred of two classes) and five predictions each by"
            f" {MODELS} models, {images * MODELS * 5:,} rows but for missing ones: one image in two hundred has none, one in a"
            " thousand lacks those of a model. Measured: the tables as a run makes them, from the file of core.predictions:"
            " right or wrong for k = 1 to 5 of every image and model, sorted and written; recall, Wilson interval and"
            f" standard error of every class, model and k; accuracies. Best of {repeats}. Published way: pandas, the rows of"
            " one model's predictions one after the other, then class after class with the set of all images made anew for"
            f" each, on {sample:,} images, **one model and one k; extrapolated** to all images and models, but to one k, by"
            f" {scale:,.0f} (its time grows with the images); its predictions are in memory already. Floor: DuckDB reads"
            " core.predictions and copies core.correctness from one file to another, sorting it.",
            Table(
                ("work", "rows", "cpu-s", "checks, cpu-s", "wall s", "published / ours", "x floor"),
                [
                    *lines,
                    together,
                    (
                        "published way, one k, extrapolated",
                        "",
                        number(published_cpu),
                        "",
                        "",
                        "1 x",
                        times(published_cpu / floor.cpu_seconds),
                    ),
                    ("floor", "", number(floor.cpu_seconds), "", number(floor.wall_seconds), "", "1 x"),
                ],
            ),
            f"Peak memory {gigabytes(measured.peak_bytes)}, checks included. On the sample both ways find the same accuracy of"
            f" the model: {theirs.accuracy:.6f}"
            + ("." if abs(theirs.accuracy - theirs.ours) < 1e-9 else f", **ours is another**: {theirs.ours:.6f}."),
        ],
        targets=[]
        if options.quick
        else [
            Target(
                what=f"recalls, intervals and accuracies, {images:,} images x {MODELS} models, cpu-s",
                wanted=f"< {TARGET_CPU_SECONDS:.0f}",
                found=number(path.cpu_seconds),
                is_met=path.cpu_seconds < TARGET_CPU_SECONDS,
            )
        ],
    )


def prepare_results(folder: Path, captions: Captions, images: int) -> None:
    """Publish labels, predictions and equal weights in a warehouse of its own."""
    write_part(captions, folder / PART, 1_000)
    pipeline = open_pipeline(write_config(folder, str(folder / PART)))
    (part,) = parts_of(pipeline)
    for name in ("raw.synsets", "staging.queries", *BASE[1:]):
        make(pipeline, step_of(pipeline, name))
    synsets = pipeline.warehouse.select("raw.synsets")
    with pipeline.warehouse.connect() as connection:
        ((classes,),) = connection.execute(f"select count(*) from ({synsets})").fetchall()
    known: dict[str, Any] = {
        "image_set": IMAGE_SET,
        "images": images,
        "classes": classes,
        "models": MODELS,
        "synsets": synsets,
    }
    labels = _LABELS.format(**known)
    publish_rows(
        pipeline, "raw.image_sets", f"select '{IMAGE_SET}' as image_set, 'recipe' as kind, false as has_class_list"
    )
    publish_rows(pipeline, "core.image_labels", labels)
    publish_rows(pipeline, "core.predictions", _PREDICTIONS.format(**known, labels=labels))
    publish_rows(pipeline, "core.selection_counts", "select 1 as nothing limit 0", part)
    make(pipeline, step_of(pipeline, "core.class_weights"))


def publish_rows(pipeline: Pipeline, name: str, select: str, part: PartKey | None = None) -> None:
    """Publish the rows of a SELECT as a table's: columns that it does not name are null, others of its are left out."""
    with pipeline.warehouse.connect() as connection:
        named = {row[0] for row in connection.execute(f"describe {select}").fetchall()}
    columns = [column.name for column in pipeline.project.tables[name].columns]
    picked = ", ".join(column if column in named else f"null as {column}" for column in columns)
    publish_unchecked(pipeline, name, f"select {picked} from ({select})", part)


def make_results(folder: Path, repeats: int) -> Ours:
    """Make the measured tables, one after the other; of each the repetition with the fewest cpu-seconds."""
    pipeline = open_pipeline(folder / "laionet.yaml")
    made = {
        name: min(
            (make(pipeline, step_of(pipeline, name)) for _ in range(repeats)), key=lambda each: each.path.cpu_seconds
        )
        for name in MEASURED
    }
    with pipeline.warehouse.connect() as connection:
        rows = connection.execute(
            f"select model, accuracy from ({pipeline.warehouse.select('marts.accuracy')}) where k = 1"
        ).fetchall()
    return Ours(made, dict(rows))


def read_and_write(folder: Path, repeats: int) -> Cost:
    """Read the predictions, and copy the sorted correctness from the published file to another one."""
    pipeline = open_pipeline(folder / "laionet.yaml")
    predictions = pipeline.warehouse.select("core.predictions")
    correctness = pipeline.warehouse.select("core.correctness")
    grain = ", ".join(pipeline.project.tables["core.correctness"].grain)
    with pipeline.warehouse.connect() as connection:

        def work() -> None:
            connection.execute(
                "select sum(strlen(image_set)), sum(strlen(image_id)), sum(strlen(model)), sum(rank), sum(strlen(wnid))"
                f" from ({predictions})"
            ).fetchall()
            connection.execute(
                f"copy (select * from ({correctness}) order by {grain}) to '{folder / 'copy.parquet'}'"
                " (format parquet, compression zstd)"
            )

        return best_of(repeats, lambda: cost_of(work))


def published_results(folder: Path, images: int) -> Published:
    """Run the published evaluation and recalls on the first images, and ours on the same ones."""
    import pandas as pd

    pipeline = open_pipeline(folder / "laionet.yaml")
    warehouse = pipeline.warehouse
    chosen = f"select distinct image_id from ({warehouse.select('core.image_labels')}) order by image_id limit {images}"
    with warehouse.connect() as connection:
        labels = connection.execute(
            f"select image_id, wnid from ({warehouse.select('core.image_labels')}) semi join ({chosen}) using (image_id)"
        ).fetchall()
        rows = connection.execute(
            f"select image_id, list(wnid order by rank) from ({warehouse.select('core.predictions')})"
            f" semi join ({chosen}) using (image_id) where model = 'model-0' group by all order by all"
        ).fetchall()
        ((ours,),) = connection.execute(
            "select avg(recall) from (select wnid, count_if(top_1_is_correct) / count(top_1_is_correct) as recall"
            f" from ({warehouse.select('core.correctness')}) semi join ({chosen}) using (image_id)"
            " where model = 'model-0' group by wnid having count(top_1_is_correct) > 0)"
        ).fetchall()
    wnids: dict[str, list[str]] = {}
    members: dict[str, list[str]] = {}
    for image, wnid in labels:
        wnids.setdefault(image, []).append(wnid)
        members.setdefault(wnid, []).append(image)
    predictions = pd.DataFrame(
        [row[1] for row in rows], index=[row[0] for row in rows], columns=[str(place) for place in range(5)]
    )
    correct, found = pd.Series(), 0.0

    def judge() -> None:
        nonlocal correct
        correct = evaluate(predictions, wnids, k=1)

    def average() -> None:
        nonlocal found
        found, _ = accuracy(recalls(correct, members))

    return Published(cost_of(judge), cost_of(average), found, ours)
