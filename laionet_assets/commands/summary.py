"""What `laionet run` tells at its end: what was made, what LAIONet holds and how models do on it, what failed.

`laionet report` prints the middle of it, `findings` and accepted edits, at any time.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from laionet_assets.assets.audits import Rules, broken_rules
from laionet_assets.assets.build import AUDITED, MADE, table_name
from laionet_assets.assets.failures import FAILED_PARTS, failure_message
from laionet_assets.assets.pipeline import Pipeline
from laionet_assets.assets.planning import Task
from laionet_assets.assets.same_rows import Accepted
from laionet_assets.assets.versions import Versions
from laionet_assets.commands.terminal import cells, tell
from laionet_assets.inert import inert
from laionet_assets.sqlmodels.loader import Model
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse

SHOWN_ACCURACIES = 40
SHOWN_CLAIMS = 40


@dataclass
class Tally:
    """What happened in the runs so far.

    done: what was made, audited again, or found up to date when its turn came. made: the parts of each table, once each
    however often they were made (a removal reaches what was made before it). seconds: by table. failures: what
    failed, with its message. kept_back: what was not made, with the failed task that it reads. without: parts that
    failed and of which nothing is published: tables over all parts are made without them.
    """

    done: set[Task] = field(default_factory=set)
    made: dict[str, set[PartKey | None]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    audited: set[Task] = field(default_factory=set)
    checks_passed: int = 0
    warnings: list[str] = field(default_factory=list)
    failures: dict[Task, str] = field(default_factory=dict)
    kept_back: dict[Task, Task] = field(default_factory=dict)
    without: set[PartKey] = field(default_factory=set)
    is_interrupted: bool = False

    @property
    def unmade(self) -> set[Task]:
        """What failed, or was kept back by it."""
        return {*self.failures, *self.kept_back}


def record(event: Any, parts: Sequence[PartKey | None], tally: Tally) -> None:
    """Take a Dagster event of a run of these parts (None: of tables that are not partitioned) into the tally."""
    if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION:
        part = PartKey.parse(event.partition) if event.partition else None
        task = Task(table_name(event.asset_key), part)
        tally.done.add(task)
        metadata = event.materialization.metadata
        if metadata["status"].value == AUDITED:
            tally.audited.add(task)
        if metadata["status"].value == MADE:
            tally.made.setdefault(task.name, set()).add(part)
            tally.seconds[task.name] = tally.seconds.get(task.name, 0.0) + float(metadata["seconds"].value)
    elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        evaluation = event.asset_check_evaluation_data
        if evaluation.passed:
            tally.checks_passed += 1
        elif evaluation.severity == dg.AssetCheckSeverity.WARN:
            told = (
                Task(table_name(evaluation.asset_key), parts[0])
                if len(parts) == 1
                else table_name(evaluation.asset_key)
            )
            tally.warnings.append(f"{told}: {evaluation.check_name}")
    elif event.event_type == dg.DagsterEventType.STEP_FAILURE:
        error = event.step_failure_data.error
        if error is not None and error.cls_name == "DagsterExecutionInterruptedError":
            tally.is_interrupted = True
        name, told = event.node_name.replace("__", "."), event.step_failure_data.user_failure_data
        if told is not None and FAILED_PARTS in told.metadata:
            for key, message in told.metadata[FAILED_PARTS].value.items():
                tally.failures[Task(name, PartKey.parse(key))] = message
        else:
            for part in parts:
                tally.failures[Task(name, part)] = failure_message(event.step_failure_data)


def summarize(
    console: Console, pipeline: Pipeline, tally: Tally, seconds: float, *, names: Collection[str], parts: int
) -> None:
    """Print the end of a run of the tables `names`: what was made, what they hold, warnings, failures, and one line."""
    if tally.made:
        table = RichTable("table", "parts", "rows now", "seconds", title="materialized", title_justify="left")
        table.columns[2].justify = table.columns[3].justify = table.columns[1].justify = "right"
        made_steps = [step for step in pipeline.steps if step.name in tally.made]
        rows = _rows_now(pipeline, [step.name for step in made_steps])
        empty = sum(count == "0" for count in rows.values())
        if 0 < empty < len(rows):
            table.caption, table.caption_justify = f"{empty:,} more without rows", "left"
        for step in made_steps:
            if rows[step.name] == "0" and empty < len(rows):
                continue
            count = str(len(tally.made[step.name])) if step.is_partitioned else ""
            table.add_row(*cells(step.name, count, rows[step.name], f"{tally.seconds[step.name]:.1f}"))
        console.print(table)
    models = [step.model for step in pipeline.steps]
    for table in (*findings(pipeline.warehouse, models, names), *accepted_edits(pipeline)):
        console.print(table)
    if tally.made and any(model.name not in names for model in models):
        tell(console, "note", "of other tables than those asked for, nothing is told here: laionet report does")
    for warning in tally.warnings:
        tell(console, "warning", warning)
    for task, message in tally.failures.items():
        tell(console, "failed", f"{task}: {message}", style="red")
    if tally.without:
        absent = ", ".join(part.key for part in sorted(tally.without))
        tell(console, "note", f"tables over all parts are made without {absent}, of which nothing could be made")
    for line in kept_back_lines(tally.kept_back):
        tell(console, "not made", line, style="red")
    made = {Task(name, part) for name, parts_made in tally.made.items() for part in parts_made}
    unchanged = len(tally.done - made - tally.audited)
    current = f"{unchanged} found up to date, " if unchanged else ""
    audited = f"{len(tally.audited)} audited again, " if tally.audited else ""
    if tally.failures:
        kept = f"{len(tally.kept_back)} not made because of that, " if tally.kept_back else ""
        console.print(
            f"[red]{len(tally.failures)} failed[/], {kept}{len(made)} made in {seconds:.1f} s. What was published "
            "before stands; mend the cause and run again: only what is missing is made."
        )
    elif made or tally.audited:
        console.print(
            f"[green]done[/] {len(made)} tables and parts made, {current}{audited}{tally.checks_passed} checks passed, "
            f"{len(tally.warnings)} warnings, {seconds:.1f} s"
        )
    else:
        console.print(f"[green]up to date[/]: nothing to make for {parts} parts (--force makes everything again)")


def kept_back_lines(kept_back: Mapping[Task, Task]) -> list[str]:
    """What was not made because of what: a line for each table that failed, with the tables that read it."""
    tables: dict[str, dict[str, int]] = {}
    for task, cause in kept_back.items():
        counts = tables.setdefault(cause.name, {})
        counts[task.name] = counts.get(task.name, 0) + (task.part is not None)
    return [
        f"{', '.join(_counted(name, parts) for name, parts in counts.items())}: read {cause}, which failed"
        for cause, counts in tables.items()
    ]


def _counted(name: str, parts: int) -> str:
    return f"{name} ({parts:,} {'part' if parts == 1 else 'parts'})" if parts else name


def _rows_now(pipeline: Pipeline, names: Iterable[str]) -> dict[str, str]:
    """Rows of tables as they are published, by name; a dash where nothing is."""
    with pipeline.warehouse.connect() as connection:

        def count(name: str) -> str:
            if not pipeline.warehouse.is_published(name):
                return "-"
            row = connection.execute(f"select count(*) from ({pipeline.warehouse.select(name)})").fetchone()
            return f"{row[0]:,}" if row else "-"

        return {name: count(name) for name in names}


def findings(warehouse: Warehouse, models: Iterable[Model], names: Collection[str] | None = None) -> list[RichTable]:
    """What the published tables hold: LAIONet by recipe, its images, how models do on it, and checks that are broken;
    with `names`, of these tables alone.

    A finding whose tables are not published, or have no rows, is left out.
    """
    told = {
        "core.laionet": _laionet,
        "marts.image_outcomes": _images,
        "core.set_files": _image_sets,
        "marts.accuracy": _accuracy,
        "marts.claims": _claims,
    }
    found = [tell_of(warehouse) for name, tell_of in told.items() if names is None or name in names]
    found.append(_checks(warehouse, [model for model in models if names is None or model.name in names]))
    return [table for table in found if table.row_count]


def accepted_edits(pipeline: Pipeline) -> list[RichTable]:
    """Tables that are current because somebody declared that an edit keeps their rows; nothing without such.

    Raises UserError if what a table is made from outside cannot be looked at.
    """
    versions = Versions(pipeline.warehouse)
    return declared_edits([one for step in pipeline.steps for one in versions.accepted(step)])


def declared_edits(declared: Sequence[Accepted], *, caption: str = "") -> list[RichTable]:
    """A table of declarations; none without any."""
    table = _table("edits accepted as keeping the rows", "table", "code", "because", "by", "at", text=5)
    table.caption = escape(inert(caption)) or None
    for one in declared:
        table.add_row(*cells(one.table, one.code, one.because, one.by, one.at))
    return [table] if table.row_count else []


def _rows(warehouse: Warehouse, query: str, *names: str) -> list[tuple[Any, ...]]:
    """Rows of a query over these tables; none while one of them is not published."""
    if not all(name in warehouse.tables and warehouse.is_published(name) for name in names):
        return []
    with warehouse.connect() as connection:
        warehouse.bind(connection, names)
        return connection.execute(query).fetchall()


def _table(title: str, *columns: str, text: int = 1) -> RichTable:
    """A table whose first `text` columns are texts, the others numbers."""
    table = RichTable(*columns, title=title, title_justify="left", caption_justify="left")
    for column in table.columns[text:]:
        column.justify = "right"
    return table


def _laionet(warehouse: Warehouse) -> RichTable:
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
    rows = _rows(warehouse, query, "marts.funnel", "core.laionet")
    table = _table("LAIONet", "recipe", "captions read", "name a class", "in LAIONet", "classes", "mean similarity")
    for recipe, read, matched, images, classes, similarity in rows:
        mean = f"{similarity:.3f}" if similarity is not None else "-"
        table.add_row(*cells(recipe, f"{read:,}", f"{matched:,}", f"{images:,}", f"{classes:,}", mean))
    return table


def _images(warehouse: Warehouse) -> RichTable:
    query = """
        select source, status, coalesce(error_class, ''), sum(images)::bigint as n
        from marts.image_outcomes group by all order by source, n desc
    """
    rows = _rows(warehouse, query, "marts.image_outcomes")
    table = _table("images asked for", "source", "outcome", "reason", "images", text=3)
    for source, status, error, images in rows:
        table.add_row(*cells(source, status, error, f"{images:,}"))
    return table


def _image_sets(warehouse: Warehouse) -> RichTable:
    query = """
        select image_set, sum(files) filter (outcome = 'taken')::bigint as taken, any_value(expected) as expected, list(
            (files, reason, examples) order by files desc, reason
        ) filter (outcome <> 'taken') as left_out
        from core.set_files group by image_set order by image_set
    """
    table = _table("pictures of local image sets", "image set", "taken", "of", "left out", text=1)
    table.columns[3].justify = "left"
    for image_set, taken, expected, left_out in _rows(warehouse, query, "core.set_files"):
        reasons = [
            f"{files:,} {reason} ({', '.join(examples[:3])})" if files is not None else reason
            for files, reason, examples in left_out or ()
        ]
        numbers = [f"{number:,}" if number is not None else "-" for number in (taken, expected)]
        table.add_row(*cells(image_set, *numbers), Text(inert("\n".join(reasons), keep="\n")))
    return table


def _accuracy(warehouse: Warehouse) -> RichTable:
    """Top-1 and top-5 accuracy of each model on each image set, and the gap to the first local or published set."""
    query = """
        with reference as (
            select image_set from raw.image_sets where kind <> 'recipe' order by position limit 1
        ),

        gaps as (
            select
                g.image_set,
                model,
                gap,
                coalesce(bootstrap_low, ci_low) as low,
                coalesce(bootstrap_high, ci_high) as high,
            from marts.accuracy_gap g join reference r on g.other_image_set = r.image_set
            where k = 1 and weighting = 'equal'
        )

        select
            a.model,
            a.image_set,
            any_value(a.classes) filter (a.k = 1 and a.weighting = 'equal'),
            any_value((a.accuracy, a.ci_low, a.ci_high)) filter (a.k = 1 and a.weighting = 'equal'),
            any_value((a.accuracy, a.ci_low, a.ci_high)) filter (a.k = 1 and a.weighting = 'laion'),
            any_value((a.accuracy, a.ci_low, a.ci_high)) filter (a.k = 5 and a.weighting = 'equal'),
            any_value((g.gap, g.low, g.high)),
        from marts.accuracy a
        join raw.image_sets s using (image_set)
        left join gaps g using (image_set, model)
        group by a.model, a.image_set, s.kind, s.position
        order by a.model, s.kind = 'recipe', s.position
    """
    rows = _rows(warehouse, query, "marts.accuracy", "marts.accuracy_gap", "raw.image_sets")
    table = _table(
        "accuracy (95% intervals; gap over the classes of both, classes resampled)",
        "model", "image set", "classes", "top-1", "top-1, LAION-weighted", "top-5", "top-1 gap", text=2,
    )  # fmt: skip
    for model, image_set, classes, *values in rows[:SHOWN_ACCURACIES]:
        table.add_row(*cells(model, image_set, f"{classes or 0:,}", *(_interval(value) for value in values)))
    if len(rows) > SHOWN_ACCURACIES:
        table.caption = f"{len(rows) - SHOWN_ACCURACIES:,} more in marts.accuracy"
    return table


def _checks(warehouse: Warehouse, models: Iterable[Model]) -> RichTable:
    """Checks that published rows break, all of them warnings, and checks whose severity the settings chose."""
    table = _table("checks that are broken, or of a severity that was chosen", "table", "check", "severity",
                   "tables or parts", "rows or values", text=3)  # fmt: skip
    for model in models:
        rules = Rules.of(model)
        broken: dict[str, list[int]] = {check.name: [] for check in model.expectations if check.written_severity}
        for part, stamp in warehouse.stamps(model.name).items():
            for outcome in broken_rules(warehouse, model, part, stamp.version, rules):
                broken.setdefault(outcome.expectation.name, []).append(outcome.unexpected or 0)
        severities = {check.name: check.severity_in_words for check in model.expectations}
        for name, unexpected in broken.items():
            table.add_row(*cells(model.name, name, severities[name], f"{len(unexpected):,}", f"{sum(unexpected):,}"))
    return table


def _claims(warehouse: Warehouse) -> RichTable:
    """The claims: of the first recipe, of pools, and of none; of each measure the first two rows."""
    query = """
        with first as (select recipe from raw.recipes order by position limit 1)

        select
            claim,
            measure,
            concat_ws(', ', nullif(image_set, '*'), nullif(model, '*'), profile) as about,
            (here, ci_low, ci_high) as here,
            paper,
            holds,
            missing,
            (select count(*) from marts.claims) as claims,
        from marts.claims
        where recipe = '*' or recipe in (from first) or recipe in (select recipe from raw.recipes where is_pool)
        qualify row_number() over (partition by claim, measure order by image_set, model, profile) <= 2
        order by claim, measure, image_set, model, profile
    """
    rows = _rows(warehouse, query, "marts.claims", "raw.recipes")
    recipe = _rows(warehouse, "select recipe, data from marts.claims where recipe <> '*' limit 1", "marts.claims")
    data = f" ({recipe[0][1]})" if recipe else ""
    table = _table(f"claims{escape(inert(data))}", "claim", "measure", "on", "here", "paper", "holds", text=3)
    for claim, measure, about, here, paper, holds, missing, _ in rows[:SHOWN_CLAIMS]:
        verdict = f"{holds}: {missing}" if missing else holds
        table.add_row(*cells(claim, measure, about, _interval(here), paper, verdict))
    if rows and rows[0][-1] > table.row_count:
        table.caption = f"{rows[0][-1] - table.row_count:,} more in marts.claims"
    return table


def _interval(value: tuple[float, float, float] | None) -> str:
    """`0.712 [0.690, 0.733]`."""
    if value is None or value[0] is None:
        return "-"
    middle, low, high = value
    return f"{middle:.3f}" + (f" [{low:.3f}, {high:.3f}]" if low is not None else "")
