"""`laionet run` and `laionet ui`: Dagster runs from the command line, with a progress display and a closing summary."""

import os
import sys
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import dagster as dg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable

from laionet_assets.assets.build import asset_key
from laionet_assets.assets.partitions import PARTS
from laionet_assets.assets.parts import sync_parts
from laionet_assets.assets.pipeline import Pipeline, build_pipeline
from laionet_assets.assets.release import RELEASE, release_version, released_tables
from laionet_assets.assets.steps import Task, phases, stale_tasks
from laionet_assets.definitions import build_defs
from laionet_assets.errors import UserError
from laionet_assets.settings import CONFIG_VARIABLE, Settings, find_config, load_settings
from laionet_assets.warehouse.catalog import refresh_catalog
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import database_version

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class Tally:
    """What happened in the runs so far."""

    made: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    checks_passed: int = 0
    warnings: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def run_pipeline(
    config: Path | None, *, select: str | None, parts: Sequence[str], force: bool, console: Console | None = None
) -> int:
    """Materialize what is missing or out of date. Returns the exit code: 0 only if all of it succeeded.

    Raises UserError if the configuration, the selection or a source cannot be used.
    """
    console = console or Console(width=None if sys.stdout.isatty() else 160)
    settings = load_settings(config)
    pipeline = build_pipeline(settings)
    for notice in settings.unused_keys():
        console.print(f"[yellow]note[/] {notice}")
    defs = build_defs(settings, pipeline=pipeline)
    names = selected_tables(defs, pipeline, select)
    synced = sync_parts(settings, pipeline.warehouse)
    for notice in synced.notices:
        console.print(f"[yellow]note[/] {notice}")
    wanted = chosen_parts(synced.present, parts)
    started = time.monotonic()
    refresh_catalog(pipeline.warehouse)
    tasks = stale_tasks(pipeline.warehouse, pipeline.steps, wanted, names=names - {RELEASE}, force=force)
    tally = Tally()
    with dagster_instance(settings) as instance:
        instance.add_dynamic_partitions(PARTS.name or "", [part.key for part in synced.present])
        _execute(defs, instance, pipeline, tasks, tally, console)
        if RELEASE in names and not tally.failures and _release_is_stale(pipeline, force=force):
            _execute_phase(defs, instance, {None: [RELEASE]}, tally, lambda name, part: None)
    _summarize(console, pipeline, tally, time.monotonic() - started, parts=len(wanted))
    return 1 if tally.failures else 0


def selected_tables(defs: dg.Definitions, pipeline: Pipeline, select: str | None) -> set[str]:
    """Names of the tables that a selection in Dagster's syntax names; all without one. Raises UserError."""
    graph = defs.resolve_asset_graph()
    every = {".".join(key.path) for key in graph.get_all_asset_keys()}
    if select is None:
        return every
    try:
        chosen = dg.AssetSelection.from_string(select).resolve(graph)
    except Exception as error:  # Dagster raises several kinds for bad syntax and for unknown keys
        raise UserError(f"--select {select!r}: {error}") from None
    if not chosen:
        raise UserError(f"--select {select!r} selects nothing; expected some of: {', '.join(sorted(every))}")
    return {".".join(key.path) for key in chosen}


def chosen_parts(present: Collection[PartKey], patterns: Sequence[str]) -> list[PartKey]:
    """Parts whose name or key matches a pattern; all without patterns. Raises UserError if a pattern matches none."""
    if not patterns:
        return sorted(present)
    chosen: set[PartKey] = set()
    for pattern in patterns:
        found = [part for part in present if fnmatch(part.part, pattern) or fnmatch(part.key, pattern)]
        if not found:
            listing = ", ".join(part.key for part in sorted(present)[:20]) + (", ..." if len(present) > 20 else "")
            raise UserError(f"--parts {pattern!r} matches no part; expected some of: {listing or 'none is there'}")
        chosen.update(found)
    return sorted(chosen)


@contextmanager
def dagster_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance that this configuration's runs are recorded in: the same one that the UI shows."""
    os.environ["DAGSTER_HOME"] = str(dagster_home(settings))
    with dg.DagsterInstance.get() as instance:
        yield instance


def dagster_home(settings: Settings) -> Path:
    """Folder of Dagster's state: $DAGSTER_HOME, else .dagster beside the configuration, with the dagster.yaml of the
    project.
    """
    if os.environ.get("DAGSTER_HOME"):
        return Path(os.environ["DAGSTER_HOME"])
    home = settings.home / ".dagster"
    home.mkdir(exist_ok=True)
    package = Path(__file__).resolve().parents[1]
    candidates = (settings.home / "dagster.yaml", package.parent / "dagster.yaml", package / "_dagster.yaml")
    target = next(path for path in candidates if path.is_file())
    link = home / "dagster.yaml"
    if not link.exists() or link.resolve() != target.resolve():
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    return home


def serve_ui(config: Path | None, *, host: str, port: int) -> int:
    """Register the parts that are there, then become `dagster dev`."""
    path = find_config(config)
    settings = load_settings(path)
    pipeline = build_pipeline(settings)
    synced = sync_parts(settings, pipeline.warehouse)
    with dagster_instance(settings) as instance:
        instance.add_dynamic_partitions(PARTS.name or "", [part.key for part in synced.present])
    os.environ[CONFIG_VARIABLE] = str(path)
    command = ["-W", "ignore", "-m", "dagster", "dev", "-m", "laionet_assets.definitions", "--host", host, "--port", str(port)]
    workspace = settings.home / "workspace.yaml"
    if workspace.is_file():
        command[5:7] = ["-w", str(workspace)]
    print(f"Dagster UI: http://{host}:{port} (stop with Ctrl-C)", flush=True)
    os.execv(sys.executable, [sys.executable, *command])


def _execute(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    pipeline: Pipeline,
    tasks: Sequence[Task],
    tally: Tally,
    console: Console,
) -> None:
    """Run phase after phase; parts whose run failed are left out of later phases, tables that need them too."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console, transient=not console.is_terminal, disable=not console.is_terminal
    ) as progress:
        bar = progress.add_task("materializing", total=len(tasks))

        def show(name: str, part: PartKey | None) -> None:
            where = f" {part.key}" if part else ""
            progress.update(bar, description=f"{name}{where}")
            if not console.is_terminal:
                console.print(f"  {name}{where}")

        def advance() -> None:
            progress.advance(bar)

        for phase in phases(tasks, pipeline.steps):
            _execute_phase(defs, instance, dict(phase), tally, show, advance)
            if tally.failures:
                return


def _execute_phase(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    runs: Mapping[PartKey | None, Sequence[str]],
    tally: Tally,
    show: Any,
    advance: Any = lambda: None,
) -> None:
    job = defs.resolve_implicit_global_asset_job_def()
    for part, names in runs.items():
        run_id = str(uuid.uuid4())

        def listen(event: Any, part: PartKey | None = part) -> None:
            dagster_event = event.dagster_event
            if dagster_event is None:
                return
            if dagster_event.event_type == dg.DagsterEventType.STEP_START:
                show(".".join(dagster_event.node_name.split("__")), part)
            elif dagster_event.event_type == dg.DagsterEventType.STEP_SUCCESS:
                advance()
            _record(dagster_event, part, tally)

        instance.add_event_listener(run_id, listen)
        job.execute_in_process(
            run_id=run_id,
            instance=instance,
            asset_selection=[asset_key(name) for name in names],
            partition_key=part.key if part else None,
            run_config=QUIET,
            raise_on_error=False,
        )


def _record(event: Any, part: PartKey | None, tally: Tally) -> None:
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


def _release_is_stale(pipeline: Pipeline, *, force: bool) -> bool:
    names = released_tables(pipeline)
    return force or database_version(pipeline.warehouse.release_path) != release_version(pipeline.warehouse, names)


def _summarize(console: Console, pipeline: Pipeline, tally: Tally, seconds: float, *, parts: int) -> None:
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
