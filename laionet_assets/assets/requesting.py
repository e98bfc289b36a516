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
from typing import Any

import dagster as dg

from laionet_assets.assets.audits import Rules
from laionet_assets.assets.batches import batches, range_tags
from laionet_assets.assets.build import asset_key, table_name
from laionet_assets.assets.failures import FAILED_PARTS, failure_message
from laionet_assets.assets.ingestion import PARTS_TABLE
from laionet_assets.assets.parts import load_register
from laionet_assets.assets.pipeline import Pipeline
from laionet_assets.assets.planning import Run, Task, Tasks, kept_back, levels, never_made, phases
from laionet_assets.assets.steps import Step
from laionet_assets.assets.versions import Versions
from laionet_assets.assets.workers import DIED, ENDED_TAG, GROUP_TAG, UNFINISHED
from laionet_assets.errors import UserError
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import digest, how_to_make

FAILED = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
PARTITION_TAG, RANGE_TAG = "dagster/partition", "dagster/asset_partition_range_start"
WANTED_TAG = "laionet/wanted"
"""Tag of a run that was asked for: the version that each of its tables was to get, as JSON; of a run of several parts,
its tables, and by part the versions that they were to get.
"""
SEVERAL = "parts:"
"""How the group of a run of several parts begins."""
MOST_PARTS = 100
"""So many parts are asked for together: each has its versions in a tag of the run."""
MOST_DEATHS = 3
"""How often what died is asked for: what takes its machine down with it does so again."""

Plan = Callable[..., list[Task]]

_SHOWN = 3
_BACKFILLS = 25
"""The newest backfills are looked at: one that is under way is among them."""
_ENDED: dict[str, "_Ended"] = {}
"""What became of runs that failed: each is looked at once a process."""


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
    known: Sequence[str],
    leave: Sequence[Task] = (),
    failed_since: float = 0.0,
) -> Requests:
    """The runs to ask for, of what a plan says is out of date. Small parts of which the same is to be made are one run.

    `known`: the partition keys that Dagster has once it is asked, in its order. `plan(without=parts)`: what is, if
    tables over all parts are made without parts that cannot be had. `leave`: tasks that somebody else asks for.
    `failed_since` (seconds since 1970): what failed before is tried again.
    """
    steps = {step.name: step for step in pipeline.steps}
    wish = _Wish(pipeline, instance)
    under_way, pending = _UnderWay(instance), Tasks(pipeline.steps, leave)
    mine = [task for task in plan(without=()) if task not in pending]
    wanted = {task: wish.version_of(steps[task.name], task.part) for task in mine}
    failures, died = _failures(instance, wanted, wish.group_of, since=failed_since)
    failed = _failed_again(pipeline, mine, failures)
    without = never_made(pipeline.warehouse, pipeline.steps, failed)
    if without:
        still = set(plan(without=without))
        mine = [task for task in mine if task in still]
    kept = kept_back(mine, pipeline.steps, failed, without=without)
    found = Requests(left=list(leave))
    for task in sorted(kept, key=lambda task: task not in failed):
        found.kept_back[kept[task]].append(task)
    for phase in phases((task for task in mine if task not in kept), pipeline.steps):
        runs: list[Run] = []
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
            if able := [task.name for task in group if task not in late]:
                runs.append((part, able))
        alone = [part for part, names in runs if any(Task(name, part) in died for name in names)]
        others = [run for run in runs if run[0] not in alone]
        asked = [
            *batches(others, pipeline.warehouse, known, most_parts=MOST_PARTS),
            *(([part], names) for part, names in runs if part in alone),
        ]
        place = {part: number for number, (part, _) in enumerate(runs)}
        for parts, names in sorted(asked, key=lambda run: place[run[0][0]]):
            found.runs.append(wish.request(parts, names, wanted))
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

    def request(
        self, parts: Sequence[PartKey | None], names: Sequence[str], wanted: Mapping[Task, str]
    ) -> dg.RunRequest:
        """The run. Its key says what its tables are to become, and after which other run: asked for twice in between,
        it is made once; a table that is lost is made again.
        """
        if len(parts) == 1:
            group = self.group_of(names[0], parts[0])
            told = json.dumps({name: wanted[Task(name, parts[0])] for name in names})
        else:
            group = f"{SEVERAL}{self._levels[names[0]]}"
            versions = {part.key: [wanted[Task(name, part)] for name in names] for part in parts if part}
            told = json.dumps({"tables": names, "parts": versions})
        return dg.RunRequest(
            run_key=f"{group}:{digest(self._after, told)}",
            partition_key=parts[0].key if len(parts) == 1 and parts[0] else None,
            asset_selection=[asset_key(name) for name in names],
            tags={GROUP_TAG: group, WANTED_TAG: told, **range_tags(parts)},
        )


@dataclass(frozen=True)
class _Wanted:
    """What a run was to make: the version of a table of a group. `part`: its key, if the run was of several."""

    group: str
    name: str
    version: str
    part: str | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        return self.group, self.name, self.version

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> "list[_Wanted]":
        """All that a run was asked for."""
        group, told = tags[GROUP_TAG], json.loads(tags[WANTED_TAG])
        if not group.startswith(SEVERAL):
            return [cls(group, name, version) for name, version in told.items()]
        phase = group.removeprefix(SEVERAL)
        return [
            cls(f"{part}:{phase}", name, version, part)
            for part, versions in told["parts"].items()
            for name, version in zip(told["tables"], versions, strict=True)
        ]


@dataclass(frozen=True)
class _Ended:
    """What became of a run that failed: the tables that it made, and of those that failed the parts that did (none
    named: all).
    """

    made: frozenset[str]
    failed: Mapping[str, frozenset[str]]

    @classmethod
    def look(cls, instance: dg.DagsterInstance, run_id: str) -> "_Ended":
        """By what the run logged."""
        failed = {
            _table_of(event): frozenset(_messages_by_part(event))
            for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
            if (event := entry.dagster_event) is not None
        }
        return cls(_made_in(instance, run_id), failed)

    def is_failure(self, wanted: _Wanted) -> bool:
        """Whether a table failed in it, or was left by it when it was cancelled. Of several parts, those that are sound
        failed nothing, though what comes after a part that is not was made of none.
        """
        if wanted.name in self.made:
            return False
        if wanted.part is None or not self.failed:
            return True
        parts = self.failed.get(wanted.name)
        return parts is not None and (not parts or wanted.part in parts)


class _UnderWay:
    """Tables and parts that unfinished runs and backfills make, or are going to; without those that are made."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._parts: defaultdict[str, set[str | None]] = defaultdict(set)
        for run in instance.get_runs(filters=dg.RunsFilter(statuses=UNFINISHED)):
            parts: set[str | None] = {None if RANGE_TAG in run.tags else run.tags.get(PARTITION_TAG)}
            if run.tags.get(GROUP_TAG, "").startswith(SEVERAL):
                parts = {wanted.part for wanted in _Wanted.of(run.tags)}
            made = _made_in(instance, run.run_id) if run.status == dg.DagsterRunStatus.STARTED else frozenset()
            for name in set(map(table_name, run.asset_selection or ())) - made:
                self._parts[name] |= parts
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
) -> tuple[dict[Task, str], set[Task]]:
    """Tasks that a run was to make of the very same, and failed or was cancelled: the last such run of each. And those
    during which a process died.

    What a process left when it was killed is no failure, unless it comes to that again and again.
    """
    keys = {task: (group_of(task.name, task.part), task.name, version) for task, version in wanted.items()}
    single = {group for group, _, _ in keys.values()}
    groups = sorted(single | {SEVERAL + group.rpartition(":")[2] for group in single})
    last: dict[tuple[str, str, str], str] = {}
    deaths: Counter[tuple[str, str, str]] = Counter()
    if groups:
        filters = dg.RunsFilter(statuses=FAILED, tags={GROUP_TAG: groups})
        for record in reversed(instance.get_run_records(filters=filters)):
            if (record.end_time or record.update_timestamp.timestamp()) < since:
                continue
            run, has_died = record.dagster_run, record.dagster_run.tags.get(ENDED_TAG) == DIED
            if run.run_id not in _ENDED:
                _ENDED[run.run_id] = _Ended.look(instance, run.run_id)
            for each in _Wanted.of(run.tags):
                deaths[each.key] += has_died
                if has_died and deaths[each.key] < MOST_DEATHS:
                    continue
                if _ENDED[run.run_id].is_failure(each):
                    last[each.key] = run.run_id
                else:
                    last.pop(each.key, None)
    failed = {task: last[key] for task, key in keys.items() if key in last}
    return failed, {task for task, key in keys.items() if deaths[key]}


def _made_in(instance: dg.DagsterInstance, run_id: str) -> frozenset[str]:
    """Tables that a run has made so far."""
    logs = instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_SUCCESS)
    return frozenset(_table_of(entry.dagster_event) for entry in logs if entry.dagster_event is not None)


def _table_of(event: dg.DagsterEvent) -> str:
    return (event.node_name or "").replace("__", ".")


def _messages_by_part(event: dg.DagsterEvent) -> Mapping[str, str]:
    """Of a failed step of several parts, the message of each that failed."""
    told: Any = event.step_failure_data.user_failure_data
    messages: Mapping[str, str] = told.metadata[FAILED_PARTS].value if told and FAILED_PARTS in told.metadata else {}
    return messages


def _why_kept_back(instance: dg.DagsterInstance, run_id: str, tasks: Sequence[Task]) -> str:
    """What failed, in which run, with what message; what is not made because of it; what to do."""
    errors: dict[str, str] = {}
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        if (event := entry.dagster_event) is not None:
            name, of_parts = _table_of(event), _messages_by_part(event)
            messages = {f"{name} {part}": message for part, message in of_parts.items()}
            for task_told, message in (messages or {name: failure_message(event.step_failure_data)}).items():
                errors[task_told] = message.splitlines()[0]
    where, unchanged = f"run {run_id[:8]}", "Nothing that it is made from has changed since."
    failed = [task for task in tasks if task.name in errors or str(task) in errors]
    if not failed:
        run = instance.get_run_by_id(run_id)
        ended = run.status.value.lower() if run is not None else "gone"
        return f"{where} of {_listed(tasks)}: {ended}. {unchanged} Make them by hand: laionet run"
    others = [task for task in tasks if task not in failed]
    why = "; ".join(f"{task} failed in {where}: {errors.get(str(task)) or errors[task.name]}" for task in failed)
    kept = f" Not made because of it: {_listed(others)}." if others else ""
    how = how_to_make(*sorted({task.name for task in failed}))
    return f"{why}. {unchanged}{kept} Mend the cause, then materialize it, or: {how}"


def _listed(tasks: Sequence[Task]) -> str:
    """`core.images s/a, core.laionet and 7 more`."""
    more = f" and {len(tasks) - _SHOWN} more" if len(tasks) > _SHOWN else ""
    return ", ".join(map(str, tasks[:_SHOWN])) + more
