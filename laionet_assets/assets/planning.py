"""The planner: what has to be made, and in which order, over all steps and parts.

It looks at the lake, not at Dagster's history: a lost file is made again, whoever lost it. The command line, the
sensor, the schedule and an asset that is asked for all decide by it. Its cost grows with tables times parts.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from laionet_assets.assets.audits import Rules, is_audited
from laionet_assets.assets.steps import Step
from laionet_assets.assets.versions import Versions
from laionet_assets.errors import UserError
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse

Cause = TypeVar("Cause")
Run = tuple[PartKey | None, list[str]]
"""What one Dagster run makes: tables of one part, or tables that are not partitioned (None)."""


@dataclass(frozen=True)
class Task:
    """A table, or one part of it, that has to be made; with `is_audit`, only to be audited again as it is."""

    name: str
    part: PartKey | None
    is_audit: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        return f"{self.name} {self.part.key}" if self.part else self.name


def stale_tasks(
    warehouse: Warehouse,
    steps: Sequence[Step],
    parts: Collection[PartKey],
    *,
    names: Collection[str] | None = None,
    force: bool = False,
    sealed: Collection[PartKey] = (),
    without: Collection[PartKey] = (),
    with_due: bool = True,
) -> list[Task]:
    """What has to be made, or audited again as it is, in order, so that the tables `names` (all, without it) are up to
    date for these parts.

    A task is stale if its file is missing, was made by other code or settings or from other input, is overtaken, or
    reads what is stale itself; `with_due`, also if its time has come to be tried again. With `force`, everything is. A
    task that is not stale, but was not audited by the rules of now, is among the tasks too; nothing follows from it.
    Steps come in the order given, each after those that it reads. Of `sealed` parts (their file is gone), tables that
    do not read the file are kept up to date too. Tables over all parts are made `without` parts that cannot be had:
    they are not stale for those.
    """
    stale, tasks = Tasks(steps, without=without), list[Task]()
    versions = Versions(warehouse)
    at_source, present = _at_source(steps), sorted(parts)
    for step in steps:
        if names is not None and step.name not in names:
            continue
        wanted: Sequence[PartKey | None] = [None]
        if step.is_partitioned:
            kept = [] if step.name in at_source else [part for part in sealed if _has_inputs(versions, step, part)]
            wanted = sorted({*present, *kept}) if kept else present
        due = step.due(warehouse, wanted) if with_due else ()
        rules = Rules.of(step.model)
        for part in wanted:
            if (
                force
                or part in due
                or not _is_current(warehouse, versions, step, part)
                or stale.has_read_by(step, part)
            ):
                task = Task(step.name, part)
                stale.add(task)
                tasks.append(task)
            elif not is_audited(warehouse, step.model, part, versions.of(step.name, part) or "", rules):
                tasks.append(Task(step.name, part, is_audit=True))
    return tasks


def is_stale(warehouse: Warehouse, step: Step, part: PartKey | None) -> bool:
    """Whether one table, or one part of it, has to be made, of what is published now of the tables that it reads."""
    versions = Versions(warehouse, [part] if part else None)
    return is_stale_by(versions, step.due(warehouse, [part]), warehouse, step, part)


def is_stale_by(
    versions: Versions, due: Collection[PartKey | None], warehouse: Warehouse, step: Step, part: PartKey | None
) -> bool:
    """The same, by versions that are known, and by what of the table is due."""
    return part in due or not _is_current(warehouse, versions, step, part)


class Tasks:
    """Tasks in the order in which they were added; finds those that another one reads without going through all.

    Tables over all parts do not read those of the parts in `without`.
    """

    def __init__(self, steps: Iterable[Step], tasks: Iterable[Task] = (), *, without: Collection[PartKey] = ()) -> None:
        self._steps = {step.name: step for step in steps}
        self._without = without
        self._parts: defaultdict[str, dict[PartKey | None, Task]] = defaultdict(dict)
        self._tasks: list[Task] = []
        for task in tasks:
            self.add(task)

    def add(self, task: Task) -> None:
        """Take a task in."""
        if task not in self:
            self._parts[task.name][task.part] = task
            self._tasks.append(task)

    def read_by(self, step: Step, part: PartKey | None) -> Iterator[Task]:
        """Those that a table, or one part of it, reads itself."""
        for name in sorted(step.model.dependencies & self._parts.keys()):
            found = self._parts[name]
            if part is None:
                yield from (task for task in found.values() if task.part not in self._without)
            elif (task := found.get(part if self._steps[name].is_partitioned else None)) is not None:
                yield task

    def has_read_by(self, step: Step, part: PartKey | None) -> bool:
        """Whether a table, or one part of it, reads any of them itself."""
        return next(self.read_by(step, part), None) is not None

    def __iter__(self) -> Iterator[Task]:
        return iter(self._tasks)

    def __contains__(self, task: object) -> bool:
        return isinstance(task, Task) and task.part in self._parts.get(task.name, {})

    def __len__(self) -> int:
        return len(self._tasks)


def kept_back(
    tasks: Iterable[Task], steps: Sequence[Step], failed: Mapping[Task, Cause], *, without: Collection[PartKey] = ()
) -> dict[Task, Cause]:
    """Of tasks in order, those that failed and those that read them, directly or by way of another; each with what the
    mapping has of the failed one behind it (of the first, where there are several).

    Tables over all parts are made `without` these parts.
    """
    by_name = {step.name: step for step in steps}
    reached = Tasks(steps, without=without)
    causes: dict[Task, Cause] = {}
    for task in tasks:
        read = next(reached.read_by(by_name[task.name], task.part), None)
        if task in failed or read is not None:
            reached.add(task)
            causes[task] = failed[task] if task in failed or read is None else causes[read]
    return causes


def never_made(warehouse: Warehouse, steps: Sequence[Step], failed: Iterable[Task]) -> set[PartKey]:
    """Parts of failed tasks of which nothing is published, where something is of others: a bad file costs its part, not
    the tables over all parts.
    """
    tables = [step.name for step in steps if step.is_partitioned]
    parts = {task.part for task in failed if task.part is not None}
    absent = {part for part in parts if not any(warehouse.has_part(name, part) for name in tables)}
    return absent if absent and any(warehouse.is_published(name) for name in tables) else set()


def levels(steps: Sequence[Step]) -> Mapping[str, int]:
    """The phase of each table: after those that it reads, with its neighbours of the same part.

    A by-part table that reads a table over all parts comes after it, and so on. Of the tables over all parts, those
    that no part needs do not keep the parts waiting: they are made beside them, in the next phase.
    """
    partitioned = {step.name: step.is_partitioned for step in steps}
    needed: set[str] = set()
    for step in reversed(steps):
        if step.is_partitioned or step.name in needed:
            needed |= step.model.dependencies
    earliest: dict[str, int] = {}
    for step in steps:
        read = [name for name in step.model.dependencies if name in earliest]
        after = [earliest[name] + (partitioned[name] != step.is_partitioned) for name in read]
        earliest[step.name] = max([int(step.is_partitioned), *after])
    beside = {name for name, is_partitioned in partitioned.items() if not is_partitioned and name not in needed}
    return {name: level + (name in beside) for name, level in earliest.items()}


def phases(tasks: Iterable[Task], steps: Sequence[Step]) -> list[list[Run]]:
    """Tasks grouped into runs, and runs into phases: runs of one phase do not depend on each other.

    A run is of one part, or of tables that are not partitioned.
    """
    level = levels(steps)
    grouped: dict[int, dict[PartKey | None, list[str]]] = {}
    for task in tasks:
        grouped.setdefault(level[task.name], {}).setdefault(task.part, []).append(task.name)
    return [list(grouped[key].items()) for key in sorted(grouped)]


def _is_current(warehouse: Warehouse, versions: Versions, step: Step, part: PartKey | None) -> bool:
    """What depends on something outside that cannot be used is not current: making it says what is wrong, and keeps
    back what reads it, and nothing else.
    """
    try:
        return versions.is_current(step, part) and not step.is_overtaken(warehouse)
    except UserError:
        return False


def _at_source(steps: Sequence[Step]) -> set[str]:
    """Tables that are made from the files of the sources themselves."""
    raw = {step.name for step in steps if step.name.startswith("raw.") and step.is_partitioned}
    return raw | {step.name for step in steps if raw & step.model.dependencies}


def _has_inputs(versions: Versions, step: Step, part: PartKey) -> bool:
    return all(versions.of(name, part) is not None for name in step.model.dependencies)
