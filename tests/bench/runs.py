"""Stages sample and real: `laionet run` as a user calls it, on the synthetic sample and on real captions."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import time

import yaml

from tests.bench.measure import Finished, apart, run_command
from tests.bench.options import Options
from tests.bench.report import Section, Table, gigabytes, number, percent
from tests.bench.workspace import open_pipeline, write_config

ROOT = Path(__file__).resolve().parents[2]
LAIONET = Path(sys.executable).parent / "laionet"
ENVIRONMENT = {"DAGSTER_HOME": None, "LAIONET_CONFIG": None}
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
THRESHOLDS = (0.5, 0.58, 0.82)
DEMO_SECONDS = 360
ROWS = 4_000  # of a part, in laionet.yaml


@dataclass(frozen=True)
class Materialized:
    """A table in one run: how many parts of it were made, and how long they took together."""

    made: int
    seconds: float


Run = tuple[Finished, Mapping[str, Materialized]]


def sample(options: Options) -> Section:
    """The demo: from nothing, once more, and after a fifth part has come."""
    folder = options.folder / "sample"
    folder.mkdir()
    settings = yaml.safe_load((ROOT / "laionet.yaml").read_text(encoding="utf-8"))
    config = folder / "laionet.yaml"
    config.write_text(yaml.safe_dump({**settings, "warehouse": "./warehouse"}, sort_keys=False), encoding="utf-8")
    runs: dict[str, Run] = {"fresh": _run(config), "again, nothing to do": _run(config)}
    (drawn,) = (folder / "warehouse" / "sample").rglob("synthetic-web")
    apart(add_part, drawn, 4)
    runs["a fifth part"] = _run(config)
    tables = [name for name in runs["fresh"][1]]
    fresh = runs["fresh"][0].cost.wall_seconds
    return Section(
        title="`laionet run` on the sample",
        body=[
            "The synthetic web of the demo (4 parts of 4,000 rows, 4 recipes) by the command `laionet run` with the"
            " checkout's laionet.yaml: everything is made, then nothing is out of date, then one part of 4,000 rows is"
            " added. cpu-s, wall seconds and memory are of the whole command, imports of Dagster, torch and Great"
            " Expectations, all checks and Data Docs included. The published way has nothing like it: its scripts start"
            " over.",
            _commands(runs),
            "Wall seconds a table, checks included (in brackets: parts made):",
            Table(
                ("table", *runs),
                [(name, *(_materialized(made.get(name)) for _, made in runs.values())) for name in tables],
            ),
            f"`make demo` has {DEMO_SECONDS} s on 2 cores after the install; the fresh run took"
            f" {number(fresh)} s of wall time here, with the load that the head of this page gives, and"
            f" {number(runs['fresh'][0].cost.cpu_seconds)} cpu-s.",
        ],
    )


def real(options: Options) -> Section:
    """The main job: both profiles over the real captions."""
    folder = options.folder / "real"
    pattern = str(Path(options.captions.files[0]).parent / "*.parquet")
    if not options.captions.are_real:
        return Section(
            title="The main job on real captions",
            body=["Not run: no folder of real captions was given (`--real` or LAIONET_REAL_DATA)."],
        )
    config = write_config(folder, pattern)
    runs = {"fresh": _run(config)}
    found = apart(distribution, config).value
    rows = [
        ("captions read", *(f"{each['read']:,}" for each in found)),
        ("rows matched (a class or more)", *(f"{each['matched']:,}" for each in found)),
        ("rows of a single class", *(f"{each['single']:,}" for each in found)),
        ("classes matched", *(f"{each['classes_matched']:,}" for each in found)),
        ("classes of the single-class rows", *(f"{each['classes_single']:,}" for each in found)),
        ("similarity: mean", *(f"{each['mean']:.3f}" for each in found)),
        *(
            (f"similarity: quantile {share:g}", *(f"{each['quantiles'][i]:.3f}" for each in found))
            for i, share in enumerate(QUANTILES)
        ),
        ("similarity: least, most", *(f"{each['least']:.3f}, {each['most']:.3f}" for each in found)),
        *(
            (
                f"above {threshold:g}",
                *(f"{each['above'][i]:,} ({percent(each['above'][i] / each['single'])})" for each in found),
            )
            for i, threshold in enumerate(THRESHOLDS)
        ),
        ("LAIONet at 0.5 (UNLIKELY only): rows", *(f"{each['laionet']:,}" for each in found)),
        ("LAIONet at 0.5 (UNLIKELY only): classes", *(f"{each['laionet_classes']:,}" for each in found)),
    ]
    return Section(
        title="The main job on real captions",
        body=[
            f"`laionet run` on {len(options.captions.files)} parts of {options.captions.description} (adapter: auto), bundled"
            " MiniLM, recipes `paper` and `corrected` at 0.5. Similarity: cosine of the caption and `name which is"
            " definition` of its class, over the rows of a single class, before tag and threshold. Thresholds do not"
            " carry over between encoders: 0.58 is the paper's for MPNet, 0.82 for CLIP.",
            Table(("", *(str(each["matching"]) for each in found)), rows),
            _commands(runs),
            "Wall seconds a table, checks included (in brackets: parts made):",
            Table(("table", *runs), [(name, _materialized(made)) for name, made in runs["fresh"][1].items()]),
        ],
    )


def add_part(folder: Path, number_of_part: int) -> None:
    """Draw one more part of the synthetic web into its folder."""
    from laionet_assets.sample import write_sample_part

    write_sample_part(folder, number_of_part, rows=ROWS)


def materialized_since(config: Path, since: float) -> dict[str, Materialized]:
    """What Dagster recorded of every table since a moment (seconds since 1970), in the order of the pipeline."""
    import os

    import dagster as dg

    from laionet_assets.assets.build import asset_key
    from laionet_assets.commands.instance import dagster_instance

    os.environ.pop("DAGSTER_HOME", None)
    pipeline = open_pipeline(config)
    found: dict[str, Materialized] = {}
    with dagster_instance(pipeline.settings) as instance:
        for name in [step.name for step in pipeline.steps]:
            wanted = dg.AssetRecordsFilter(asset_key=asset_key(name), after_timestamp=since)
            records = instance.fetch_materializations(wanted, limit=1000).records
            made = [record.asset_materialization for record in records if record.asset_materialization is not None]
            seconds = [str(each.metadata["seconds"].value) for each in made]
            if seconds:
                found[name] = Materialized(len(seconds), sum(map(float, seconds)))
    return found


def distribution(config: Path) -> list[dict[str, object]]:
    """For each profile: rows matched, rows of a single class, classes, and how their similarities are distributed."""
    pipeline = open_pipeline(config)
    warehouse = pipeline.warehouse
    above = ", ".join(f"count(*) filter (similarity > {threshold})" for threshold in THRESHOLDS)
    query = f"""
        with judged as (
            select * from core.candidates left join core.caption_similarity using (source, part, sample_id, wnid)
        ),
        matched as (
            select matching, count(distinct sample_id) as matched, count(distinct wnid) as classes_matched,
            from judged group by matching
        ),
        single as (
            select
                matching, count(*) as single, count(distinct wnid) as classes_single, avg(similarity) as mean,
                quantile_cont(similarity, {list(QUANTILES)}) as quantiles, min(similarity) as least,
                max(similarity) as most, [{above}] as above,
            from judged where classes = 1 group by matching
        ),
        laionet as (
            select recipe as matching, count(*) as laionet, count(distinct wnid) as laionet_classes,
            from core.laionet group by recipe
        )
        select *, (select count(*) from raw.pairs) as read,
        from matched join single using (matching) left join laionet using (matching)
        order by matching desc
    """
    with warehouse.connect() as connection:
        warehouse.bind(connection, ["core.candidates", "core.caption_similarity", "core.laionet", "raw.pairs"])
        cursor = connection.execute(query)
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _run(config: Path) -> Run:
    """Run `laionet run` and read what Dagster recorded. Raises RuntimeError with the output if it failed."""
    log = config.parent / "run.log"
    started = time()
    finished = run_command(
        [str(LAIONET), "run", "--config", str(config)], cwd=config.parent, environment=ENVIRONMENT, log=log
    )
    if finished.exit_code != 0:
        raise RuntimeError(f"laionet run: exit code {finished.exit_code}\n{log.read_text()[-4000:]}")
    return finished, apart(materialized_since, config, started).value


def _commands(runs: Mapping[str, Run]) -> Table:
    rows: Sequence[tuple[str, ...]] = [
        (
            what,
            number(finished.cost.wall_seconds),
            number(finished.cost.cpu_seconds),
            gigabytes(finished.peak_bytes),
            str(sum(each.made for each in made.values())),
        )
        for what, (finished, made) in runs.items()
    ]
    return Table(("run", "wall s", "cpu-s", "peak memory", "tables and parts made"), rows)


def _materialized(found: Materialized | None) -> str:
    if found is None:
        return ""
    return number(found.seconds) + (f" ({found.made})" if found.made > 1 else "")
