"""`laionet run`: Dagster runs from the command line, with a progress display."""

import os
import re
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from laionet_assets.assets.batches import batches, range_tags
from laionet_assets.assets.build import GROUPS, asset_key, group_name, table_name
from laionet_assets.assets.housekeeping import keep_house
from laionet_assets.assets.image_sets import TELLS_UNREADABLE
from laionet_assets.assets.ingestion import untagged_sources
from laionet_assets.assets.partitions import PARTS
from laionet_assets.assets.parts import sync_parts
from laionet_assets.assets.pipeline import Pipeline, build_pipeline
from laionet_assets.assets.planning import Task, kept_back, never_made, phases, stale_tasks
from laionet_assets.collector import pass_over_libraries
from laionet_assets.commands.instance import dagster_instance
from laionet_assets.commands.interrupting import is_told_to_end
from laionet_assets.commands.summary import Tally, record, summarize
from laionet_assets.commands.terminal import open_console, tell
from laionet_assets.commands.waiting import wait_for_pool
from laionet_assets.definitions import build_defs
from laionet_assets.errors import UserError
from laionet_assets.full_disk import full_disk_told
from laionet_assets.inert import inert
from laionet_assets.settings import load_settings
from laionet_assets.warehouse.catalog import refresh_catalog
from laionet_assets.warehouse.history import history_kept_open
from laionet_assets.warehouse.processes import Process
from laionet_assets.warehouse.table import PartKey

FIRST = PartKey("", "")
"""Before every part, in an order."""
MOST_TIMES_OVERTAKEN = 3
"""How often a run plans again because a table was overtaken by what it made."""
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def run_pipeline(
    config: Path | None, *, select: str | None, parts: Sequence[str], force: bool, console: Console | None = None
) -> int:
    """Materialize what is missing or out of date. Returns the exit code: 0 only if all of it succeeded.

    Raises UserError if the configuration, the selection or a source cannot be used.
    """
    console = console or open_console()
    settings = load_settings(config)
    pipeline = build_pipeline(settings)
    defs = build_defs(settings, pipeline=pipeline)
    pass_over_libraries()
    names = selected_tables(defs, pipeline, select)
    synced = sync_parts(settings, pipeline.warehouse)
    for note in synced.notes:
        tell(console, "note", note)
    for problem in synced.problems:
        tell(console, "failed", problem, style="red")
    wanted = chosen_parts(synced.present, parts)
    for source in sorted(pipeline.warehouse.set_aside()):
        tell(console, "note", f"source {source} is not in the settings: its rows are set aside, its files stay")
    started = time.monotonic()
    sealed = [] if parts else synced.sealed
    plan = partial(stale_tasks, pipeline.warehouse, pipeline.steps, wanted, names=names, sealed=sealed)
    tally = Tally()
    told: set[str] = set()

    def tell_untagged() -> None:
        for note in untagged_sources(settings, pipeline.warehouse):
            if note not in told:
                tell(console, "note", note)
            told.add(note)

    with full_disk_told(pipeline.warehouse.lake.root), dagster_instance(settings) as instance:
        refresh_catalog(pipeline.warehouse)
        instance.add_dynamic_partitions(PARTS.name or "", [part.key for part in (*synced.present, *sealed)])
        for done in keep_house(pipeline, instance):
            tell(console, "note", done)
        _execute(defs, instance, pipeline, plan, tally, console, force=force, after_phase=tell_untagged)
        refresh_catalog(pipeline.warehouse)
    tell_untagged()
    summarize(console, pipeline, tally, time.monotonic() - started, names=names, parts=len(wanted))
    if synced.problems:
        tell(
            console,
            "left out",
            f"{len(synced.problems)} sources or parts that cannot be used, named above",
            style="red",
        )
    return 1 if tally.failures or synced.problems else 0


def selected_tables(defs: dg.Definitions, pipeline: Pipeline, select: str | None) -> set[str]:
    """Names of the tables that a selection names, in Dagster's syntax or as `in_dagsters_syntax` reads it; all without
    one. What tells that an image set cannot be read is made with what reads it. Raises UserError.
    """
    graph = defs.resolve_asset_graph()
    every = set(map(table_name, graph.get_all_asset_keys()))
    if select is None:
        return every
    try:
        chosen = dg.AssetSelection.from_string(in_dagsters_syntax(select, every)).resolve(graph)
    except Exception as error:  # Dagster raises several kinds for bad syntax and for unknown keys
        raise UserError(f"--select {select!r}: {error}") from None
    if not chosen:
        raise UserError(f"--select {select!r} selects nothing; expected some of: {', '.join(sorted(every))}")
    names = set(map(table_name, chosen))
    return names | {told for name, told in TELLS_UNREADABLE.items() if name in names}


def in_dagsters_syntax(select: str, tables: Collection[str]) -> str:
    """A selection with tables as SQL names them (`core.laionet`) as keys, and groups without their numbers
    (`group:laionet`) with them. What is quoted stays.
    """

    def key(match: re.Match[str]) -> str:
        return match[0] if match[1] or match[2] not in tables else f'key:"{match[2].replace(".", "/")}"'

    def group(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        return f'group:"{group_name(name)}"' if name in GROUPS else match[0]

    with_groups = re.sub(r'\bgroup:(?:"(\w+)"|(\w+))', group, select)
    return re.sub(r'("[^"]*")|(?:\bkey:)?(\b\w+\.\w+\b)', key, with_groups)


def chosen_parts(present: Collection[PartKey], patterns: Sequence[str]) -> list[PartKey]:
    """Parts whose name or key is a pattern, or else matches it, or else one of those that commas in it separate; all
    without patterns. Raises UserError if a pattern matches none.
    """
    if not patterns:
        return sorted(present)
    chosen: set[PartKey] = set()
    for pattern in patterns:
        pieces = [piece.strip() for piece in pattern.split(",") if piece.strip()] or [pattern]
        for piece in [pattern] if len(pieces) == 1 or _parts_called(pattern, present) else pieces:
            found = _parts_called(piece, present)
            if not found:
                listing = ", ".join(part.key for part in sorted(present)[:20]) + (", ..." if len(present) > 20 else "")
                raise UserError(f"--parts {piece!r} matches no part; expected some of: {listing or 'none is there'}")
            chosen.update(found)
    return sorted(chosen)


def _parts_called(pattern: str, present: Collection[PartKey]) -> list[PartKey]:
    exact = [part for part in present if pattern in (part.part, part.key)]
    return exact or [part for part in present if fnmatchcase(part.part, pattern) or fnmatchcase(part.key, pattern)]


def _execute(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    pipeline: Pipeline,
    plan: Callable[..., list[Task]],
    tally: Tally,
    console: Console,
    *,
    force: bool,
    after_phase: Callable[[], None],
) -> None:
    """Run phase after phase. What fails keeps back what reads it, directly or not; everything else goes on.

    What a phase overtakes (a fetch that met something removed) is made again before what comes later.
    """
    left, times_overtaken = plan(force=force), 0
    tables = {step.name for step in pipeline.steps}
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
        bar = progress.add_task("materializing", total=len(left))

        def listen(event: Any, parts: Sequence[PartKey | None], run_id: str) -> None:
            if event.event_type == dg.DagsterEventType.STEP_START:
                name = event.node_name.replace("__", ".")
                told = str(Task(name, parts[0])) if len(parts) == 1 else f"{name} ({len(parts):,} parts)"
                progress.update(bar, description=escape(inert(told)))
                if not console.is_terminal:
                    made, total = (int(count or 0) for count in (progress.tasks[0].completed, progress.tasks[0].total))
                    tell(console, " ", f"{told}  ({made + 1:,} of {total:,})")
            elif event.event_type == dg.DagsterEventType.STEP_SUCCESS:
                progress.advance(bar, len(parts))
            elif (pool := _pool_waited_for(event)) is not None:
                wait_for_pool(
                    instance,
                    pool,
                    run_id=run_id,
                    step=event.step_key,
                    tables=tables,
                    say=partial(tell, console, " "),
                )
            record(event, parts, tally)

        while left:
            phase = phases(left, pipeline.steps)[0]
            tried: set[Task] = set()
            for parts, names in batches(phase, pipeline.warehouse, instance.get_dynamic_partitions(PARTS.name or "")):
                longest = pipeline.settings.refresh.longest_run_hours
                with _no_longer_than(longest, parts, names), history_kept_open(instance):
                    _execute_run(defs, instance, parts, names, listen, tally, force=force)
                asked = {Task(name, part) for part in parts for name in names}
                told = {task for task in asked if task in tally.done or task in tally.failures}
                tried |= told if len(parts) > 1 and told else asked
            left = [task for task in left if task not in tried]
            if times_overtaken < MOST_TIMES_OVERTAKEN and (again := _overtaken(pipeline, {*left, *tally.unmade}, plan)):
                times_overtaken += 1
                left += again
            after_phase()
            left = _without_kept_back(pipeline, tried, left, tally)
            progress.update(bar, total=len(tally.done) + len(left))


@contextmanager
def _no_longer_than(hours: float, parts: Sequence[PartKey | None], names: Sequence[str]) -> Iterator[None]:
    """Within the block, a run that hangs is ended: TERM interrupts it, as a person would."""

    def end() -> None:
        of_parts = f" {parts[0].key}" if parts[0] else ""
        more = f" and {len(parts) - 1:,} more parts" if len(parts) > 1 else ""
        run = f"the run of {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}{of_parts}{more}"
        said = f"laionet: {run} takes longer than refresh.longest_run_hours ({hours:g}): ended"
        print(inert(said), file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGTERM)

    timer = threading.Timer(hours * 3600, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _pool_waited_for(event: Any) -> str | None:
    """The pool that blocks a step, if that is what an event tells."""
    data = event.event_specific_data if event.event_type == dg.DagsterEventType.ENGINE_EVENT else None
    pool = data.metadata.get("pool") if data is not None and event.step_key else None
    return str(pool.value) if pool is not None else None


def _without_kept_back(pipeline: Pipeline, tried: Collection[Task], left: Collection[Task], tally: Tally) -> list[Task]:
    """What is left to make, in order, without what reads something that failed; the tally gets to know of that."""
    place = {step.name: number for number, step in enumerate(pipeline.steps)}
    still, ordered = set(left), sorted({*tried, *left}, key=lambda task: (place[task.name], task.part or FIRST))
    tally.without = never_made(pipeline.warehouse, pipeline.steps, tally.failures)
    kept = kept_back(ordered, pipeline.steps, {task: task for task in tally.failures}, without=tally.without)
    tally.kept_back.update({task: cause for task, cause in kept.items() if task not in tally.failures})
    return [task for task in ordered if task in still and task not in kept]


def _overtaken(pipeline: Pipeline, known: Collection[Task], plan: Callable[..., list[Task]]) -> list[Task]:
    """What is out of date, and not known to be, if a whole table was overtaken by what was made just now."""
    names = {step.name for step in pipeline.steps if step.is_overtaken(pipeline.warehouse)}
    again = plan() if names else []
    return [task for task in again if task not in known] if any(task.name in names for task in again) else []


def _execute_run(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    parts: Sequence[PartKey | None],
    names: Sequence[str],
    listen: Callable[[Any, Sequence[PartKey | None], str], None],
    tally: Tally,
    *,
    force: bool,
) -> None:
    """One Dagster run in this process. What fails in it is told by its events."""
    run_id = str(uuid.uuid4())
    instance.add_event_listener(
        run_id, lambda entry: listen(entry.dagster_event, parts, run_id) if entry.dagster_event is not None else None
    )
    config = {"ops": {asset_key(name).to_python_identifier(): {"config": {"force": True}} for name in names}}
    failures = len(tally.failures)
    result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
        run_id=run_id,
        instance=instance,
        asset_selection=[asset_key(name) for name in names],
        partition_key=parts[0].key if len(parts) == 1 and parts[0] else None,
        run_config={**QUIET, **config} if force else QUIET,
        tags={**Process.this().tags, **range_tags(parts)},
        raise_on_error=False,
    )
    if tally.is_interrupted or is_told_to_end():
        raise KeyboardInterrupt
    if not result.success and len(tally.failures) == failures:
        for task in (Task(name, part) for part in parts for name in names):
            if task not in tally.done:
                tally.failures[task] = f"run {run_id} ended without making it; see it in the UI: laionet ui"
