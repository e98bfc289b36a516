"""What `laionet run` tells at its end: what was made, what LAIONet holds now, what failed."""

from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from rich.console import Console
from rich.table import Table as RichTable

from laionet_assets.assets.pipeline import Pipeline
from laionet_assets.assets.release import RELEASE
from laionet_assets.warehouse.table import PartKey


@dataclass
class Tally:
    """What happened in the runs so far."""

    made: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    checks_passed: int = 0
    warnings: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    is_interrupted: bool = False


def record(event: Any, part: PartKey | None, tally: Tally) -> None:
    """Take a Dagster event into the tally."""
    where = f" {part.key}" if part else ""
    if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION:
        name = ".".join(event.asset_key.path)
        tally.made[name] = tally.made.get(name, 0) + 1
        seconds = event.materialization.metadata.get("seconds")
        tally.seconds[name] = tally.seconds.get(name, 0.0) + (float(seconds.value) if seconds else 0.0)
    elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        evaluation = event.asset_check_evaluation_data
        if evaluation.passed:
            tally.checks_passed += 1
        elif evaluation.severity == dg.AssetCheckSeverity.WARN:
            tally.warnings.append(f"{'.'.join(evaluation.asset_key.path)}{where}: {evaluation.check_name}")
    elif event.event_type == dg.DagsterEventType.STEP_FAILURE:
        error = event.step_failure_data.error
        if error is not None and error.cls_name == "DagsterExecutionInterruptedError":
            tally.is_interrupted = True
        name = ".".join(event.node_name.split("__"))
        tally.failures.append(f"{name}{where}: {_message(event.step_failure_data)}")


def _message(data: Any) -> str:
    """What a failed step says: the user's message alone, or the error with its traceback."""
    if data.user_failure_data is not None:
        return str(data.user_failure_data.description)
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.to_string() if error is not None else "failed without a message"


def summarize(console: Console, pipeline: Pipeline, tally: Tally, seconds: float, *, parts: int) -> None:
    if tally.made:
        table = RichTable("table", "parts", "rows now", "seconds", title="materialized", title_justify="left")
        table.columns[2].justify = table.columns[3].justify = table.columns[1].justify = "right"
        for step in pipeline.steps:
            if step.name in tally.made:
                count = str(tally.made[step.name]) if step.is_partitioned else ""
                table.add_row(step.name, count, _rows_now(pipeline, step.name), f"{tally.seconds[step.name]:.1f}")
        if RELEASE in tally.made:
            table.add_row(RELEASE, "", "", "")
        console.print(table)
    _headline(console, pipeline)
    for warning in tally.warnings:
        console.print(f"[yellow]warning[/] {warning}")
    for failure in tally.failures:
        console.print("[red]failed[/] ", end="")
        console.print(failure, markup=False, highlight=False)
    made = sum(tally.made.values())
    if tally.failures:
        console.print(
            f"[red]{len(tally.failures)} failed[/], {made} made in {seconds:.1f} s. What was published before stands; "
            "mend the cause and run again: only what is missing is made."
        )
    elif made:
        console.print(
            f"[green]done[/] {made} tables and parts made, {tally.checks_passed} checks passed, "
            f"{len(tally.warnings)} warnings, {seconds:.1f} s"
        )
    else:
        console.print(f"[green]up to date[/]: nothing to make for {parts} parts (--force makes everything again)")


def _rows_now(pipeline: Pipeline, name: str) -> str:
    if not pipeline.warehouse.is_published(name):
        return "-"
    with pipeline.warehouse.connect() as connection:
        row = connection.execute(f"select count(*) from ({pipeline.warehouse.select(name)})").fetchone()
    return f"{row[0]:,}" if row else "-"


def _headline(console: Console, pipeline: Pipeline) -> None:
    """What the warehouse found, in one line a recipe."""
    warehouse = pipeline.warehouse
    if not all(name in warehouse.tables and warehouse.is_published(name) for name in ("marts.funnel", "core.laionet")):
        return
    query = """
        with laionet as (
            select
                recipe,
                count(distinct (source, sample_id)) as images,
                count(distinct wnid) as classes,
                avg(similarity) as similarity,
            from core.laionet group by recipe
        )
        select recipe, f1.rows_in, f2.rows_out, coalesce(images, 0), coalesce(classes, 0), similarity
        from (from marts.funnel where wnid = '*' and stage = 'admitted') f1
        join (from marts.funnel where wnid = '*' and stage = 'matched') f2 using (recipe)
        left join laionet using (recipe)
        order by recipe
    """
    with warehouse.connect() as connection:
        warehouse.bind(connection, ["marts.funnel", "core.laionet"])
        rows = connection.execute(query).fetchall()
    table = RichTable(
        "recipe",
        "captions read",
        "name a class",
        "in LAIONet",
        "classes",
        "mean similarity",
        title="LAIONet",
        title_justify="left",
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for recipe, read, matched, images, classes, similarity in rows:
        mean = f"{similarity:.3f}" if similarity is not None else "-"
        table.add_row(recipe, f"{read:,}", f"{matched:,}", f"{images:,}", f"{classes:,}", mean)
    console.print(table)
