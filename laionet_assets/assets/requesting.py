"""From the plan to the runs that are asked for by themselves: what the sensor and the schedule have in common.

They go through the phases as `laionet run` does. Nothing is asked for twice: what an unfinished run or backfill makes
is left to it. What failed is left alone until something that it is made from changes (or a night has passed); it keeps
back what reads it, and nothing else.

Belongs here: which runs to ask for, and why none. Does not belong here: when to look (`refresh`), what is out of date
(`planning`).
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg

from laionet_assets.assets.audits import Rules
from laionet_assets.assets.build import asset_key, table_name
from laionet_assets.assets.failures import failure_message
from laionet_assets.assets.ingestion import PARTS_TABLE
from laionet_assets.assets.parts import load_register
from laionet_assets.assets.pipeline import Pipeline
from laionet_assets.assets.planning import Task, Tasks, kept_back, levels, never_made, phases
from laionet_assets.assets.steps import Step
from laionet_assets.assets.versions import Versions
from laionet_assets.assets.workers import DIED, ENDED_TAG, GROUP_TAG, UNFINISHED
from laionet_assets.errors import UserError
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import digest, how_to_make

FAILED = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
PARTITION_TAG, RANGE_TAG = "dagster/partition", "dagster/asset_partition_range_start"
WANTED_TAG = "laionet/wanted"
"""Tag of a run that was asked for: the version that each of its tables was to get, as JSON."""
MOST_DEATHS = 3
"""How often what died is asked for: what takes its machine down with it does so again."""

Plan = Callable[..., list[Task]]

_SHOWN = 3
_BACKFILLS = 25
"""The newest backfills are looked at: one that is under way is among them."""
_MADE: dict[str, frozenset[str]] = {}
"""Tables that a run made, though it failed: each such run is looked at once a process."""


@dataclass
class Requests:
    """What to ask for now. `waiting`: what comes later, or is being made. `left`: what somebody else asks for.
    `kept_back`: by the run that failed, the tables and parts that failed in it and those that read them.
    """

    runs: list[dg.RunRequest] = field(default_factory=list)
    waiting: list[Task] = field(default_factory=list)
    left: list[Task] = field(default_factory=list)
    kept_back: defaultdict[str, list[Task]] = field(default_factory=lambda: defaultdict(list))

    def reason(self, instance: dg.DagsterInstance) -> str:
        """Why nothing is asked for, or why something is not."""
        lines = [_why_kept_back(instance, run_id, tasks) for run_id, tasks in list(self.kept_back.items())[:_SHOWN]]
        if len(self.kept_back) > _SHOWN:
            lines.append(f"and so in {len(self.kept_back) - _SHOWN} more runs")
        if self.waiting and not self.runs:
            lines.append(f"{_listed(self.waiting)}: left to the runs that are under way")
        if self.left and not self.runs:
            lines.append(f"{_listed(self.left)}: left to the sensor that is switched on")
        return "\n".join(lines) or "everything is up to date"


def requests_for(
    pipeline: Pipeline,
    instance: dg.DagsterInstance,
    plan: Plan,
    *,
    leave: Sequence[Task] = (),
    failed_since: float = 0.0,
) -> Requests:
    """The runs to ask for, of what a plan says is out of date.

    `plan(without=parts)`: what is, if tables over all parts are made without parts that cannot be had. `leave`: tasks
    that somebody else asks for. `failed_since` (seconds since 1970): what failed before is tried again.
    """
    steps = {step.name: step for step in pipeline.steps}
    wish = _Wish(pipeline, instance)
    under_way, pending = _UnderWay(instance), Tasks(pipeline.steps, leave)
    mine = [task for task in plan(without=()) if task not in pending]
    wanted = {task: wish.version_of(steps[task.name], task.part) for task in mine}
    failed = _failed_again(pipeline, mine, _failures(instance, wanted, wish.group_of, since=failed_since))
    without = never_made(pipeline.warehouse, pipeline.steps, failed)
    if without:
        still = set(plan(without=without))
        mine = [task for task in mine if task in still]
    kept = kept_back(mine, pipeline.steps, failed, without=without)
    found = Requests(left=list(leave))
    for task in sorted(kept, key=lambda task: task not in failed):
        found.kept_back[kept[task]].append(task)
    for phase in phases((task for task in mine if task not in kept), pipeline.steps):
        for part, names in phase:
            group = [Task(name, part) for name in names]
            late = [
                task
                for task in group
                if pending.has_read_by(steps[task.name], part) or under_way.touches(steps[task.name], part)
            ]
            if part is None:  # what can be made is made: the tables over all parts are one run, not one a part
                late = list(kept_back(group, pipeline.steps, dict.fromkeys(late)))
            elif late:
                late = group
            found.waiting += late
            if able := {task.name: wanted[task] for task in group if task not in late}:
                found.runs.append(wish.request(part, able))
        for part, names in phase:
            for name in names:
                pending.add(Task(name, part))
    return found


def _failed_again(pipeline: Pipeline, tasks: Sequence[Task], failures: Mapping[Task, str]) -> dict[Task, str]:
    """Of the failures, those that would be tried with nothing changed: not those that read what is made again."""
    steps = {step.name: step for step in pipeline.steps}
    renewed = Tasks(pipeline.steps)
    failed = {}
    for task in tasks:
        if task in failures and not renewed.has_read_by(steps[task.name], task.part):
            failed[task] = failures[task]
        else:
            renewed.add(task)
    return failed


class _Wish:
    """How what is wanted is written into the run that is asked for."""

    def __init__(self, pipeline: Pipeline, instance: dg.DagsterInstance) -> None:
        self._versions = Versions(pipeline.warehouse)
        self._register = load_register(pipeline.warehouse)
        self._levels = levels(pipeline.steps)
        self._rules: dict[str, str] = {}
        newest = instance.get_runs(limit=1)
        self._after = newest[0].run_id if newest else ""

    def version_of(self, step: Step, part: PartKey | None) -> str:
        """What the table would be made from now, and audited by. A new file is known by its signature: it is read in
        the run, not in the tick of a sensor. What cannot be used outside is known by what is wrong with it.
        """
        if step.name not in self._rules:
            self._rules[step.name] = Rules.of(step.model).with_severities
        rules = self._rules[step.name]
        if step.name == PARTS_TABLE and part is not None:
            return digest(rules, self._register[part].path, self._register[part].signature)
        try:
            return digest(rules, self._versions.next_of(step, part))
        except UserError as error:
            return digest(rules, str(error))

    def group_of(self, name: str, part: PartKey | None) -> str:
        """The run that makes a table: of which part, or of none, and in which phase."""
        return f"{part.key if part else 'tables'}:{self._levels[name]}"

    def request(self, part: PartKey | None, wanted: Mapping[str, str]) -> dg.RunRequest:
        """The run. Its key says what its tables are to become, and after which other run: asked for twice in between,
        it is made once; a table that is lost is made again.
        """
        group = self.group_of(next(iter(wanted)), part)
        told = json.dumps(dict(wanted))
        return dg.RunRequest(
            run_key=f"{group}:{digest(self._after, told)}",
            partition_key=part.key if part else None,
            asset_selection=[asset_key(name) for name in wanted],
            tags={GROUP_TAG: group, WANTED_TAG: told},
        )


class _UnderWay:
    """Tables and parts that unfinished runs and backfills make, or are going to; without those that are made."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._parts: defaultdict[str, set[str | None]] = defaultdict(set)
        for run in instance.get_runs(filters=dg.RunsFilter(statuses=UNFINISHED)):
            part = None if RANGE_TAG in run.tags else run.tags.get(PARTITION_TAG)
            made = _made_in(instance, run.run_id) if run.status == dg.DagsterRunStatus.STARTED else frozenset()
            for name in set(map(table_name, run.asset_selection or ())) - made:
                self._parts[name].add(part)
        for backfill in instance.get_backfills(limit=_BACKFILLS):
            if backfill.status.value == "REQUESTED":
                for key in backfill.asset_selection or ():
                    self._parts[table_name(key)].add(None)

    def touches(self, step: Step, part: PartKey | None) -> bool:
        """Whether a table, or one part of it, or one that it reads is being made."""
        found = (self._parts[name] for name in (step.name, *step.model.dependencies) if name in self._parts)
        return any(part is None or None in parts or part.key in parts for parts in found)


def _failures(
    instance: dg.DagsterInstance,
    wanted: Mapping[Task, str],
    group_of: Callable[[str, PartKey | None], str],
    *,
    since: float,
) -> dict[Task, str]:
    """Tasks that a run was to make of the very same, and failed or was cancelled: the last such run of each.

    What a process left when it was killed is no failure, unless it comes to that again and again.
    """
    keys = {task: (group_of(task.name, task.part), task.name, version) for task, version in wanted.items()}
    groups = sorted({group for group, _, _ in keys.values()})
    if not groups:
        return {}
    last: dict[tuple[str, str, str], str] = {}
    deaths: Counter[tuple[str, str, str]] = Counter()
    filters = dg.RunsFilter(statuses=FAILED, tags={GROUP_TAG: groups})
    for record in reversed(instance.get_run_records(filters=filters)):
        if (record.end_time or record.update_timestamp.timestamp()) >= since:
            tags = record.dagster_run.tags
            for name, version in json.loads(tags[WANTED_TAG]).items():
                key = tags[GROUP_TAG], name, version
                deaths[key] += tags.get(ENDED_TAG) == DIED
                if tags.get(ENDED_TAG) != DIED or deaths[key] >= MOST_DEATHS:
                    last[key] = record.dagster_run.run_id
    found = {task: last[key] for task, key in keys.items() if key in last}
    for run_id in {*found.values()} - _MADE.keys():
        _MADE[run_id] = _made_in(instance, run_id)
    return {task: run_id for task, run_id in found.items() if task.name not in _MADE[run_id]}


def _made_in(instance: dg.DagsterInstance, run_id: str) -> frozenset[str]:
    """Tables that a run has made so far."""
    logs = instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_SUCCESS)
    return frozenset(_table_of(entry.dagster_event) for entry in logs if entry.dagster_event is not None)


def _table_of(event: dg.DagsterEvent) -> str:
    return (event.node_name or "").replace("__", ".")


def _why_kept_back(instance: dg.DagsterInstance, run_id: str, tasks: Sequence[Task]) -> str:
    """What failed, in which run, with what message; what is not made because of it; what to do."""
    errors = {}
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        if (event := entry.dagster_event) is not None:
            errors[_table_of(event)] = failure_message(event.step_failure_data).splitlines()[0]
    where, unchanged = f"run {run_id[:8]}", "Nothing that it is made from has changed since."
    failed = [task for task in tasks if task.name in errors]
    if not failed:
        run = instance.get_run_by_id(run_id)
        ended = run.status.value.lower() if run is not None else "gone"
        return f"{where} of {_listed(tasks)}: {ended}. {unchanged} Make them by hand: laionet run"
    others = [task for task in tasks if task not in failed]
    why = "; ".join(f"{task} failed in {where}: {errors[task.name]}" for task in failed)
    kept = f" Not made because of it: {_listed(others)}." if others else ""
    how = how_to_make(*sorted({task.name for task in failed}))
    return f"{why}. {unchanged}{kept} Mend the cause, then materialize it, or: {how}"


def _listed(tasks: Sequence[Task]) -> str:
    """`core.images s/a, core.laionet and 7 more`."""
    more = f" and {len(tasks) - _SHOWN} more" if len(tasks) > _SHOWN else ""
    return ", ".join(map(str, tasks[:_SHOWN])) + more
