"""The planner: what has to be made, and in which order, over all steps and parts."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from laionet_assets.assets.steps import Step
from laionet_assets.assets.versions import Versions
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse


@dataclass(frozen=True)
class Task:
    """A table, or one part of it, that has to be made."""

    name: str
    part: PartKey | None


def stale_tasks(
    warehouse: Warehouse,
    steps: Sequence[Step],
    parts: Collection[PartKey],
    *,
    names: Collection[str] | None = None,
    force: bool = False,
    sealed: Collection[PartKey] = (),
) -> list[Task]:
    """What has to be made, in order, so that the tables `names` (all, without it) are up to date for these parts.

    A task is stale if its file is missing, was made by other code or settings or from other input, is due again, or
    reads what is stale itself. Steps come in the order given, each after those that it reads. With `force`, everything
    is. Of `sealed` parts (their file is gone), tables that do not read the file are kept up to date too.
    """
    tasks: list[Task] = []
    stale: set[Task] = set()
    versions = Versions(warehouse)
    for step in steps:
        if names is not None and step.name not in names:
            continue
        kept = (
            [] if _reads_source(steps, step) else [part for part in sealed if _inputs_are_there(versions, step, part)]
        )
        for part in sorted({*parts, *kept}) if step.is_partitioned else [None]:
            task = Task(step.name, part)
            reads_stale = any(_reads(step, task, other) for other in stale)
            if force or reads_stale or not versions.is_current(step, part) or step.is_due(warehouse, part):
                stale.add(task)
                tasks.append(task)
    return tasks


def _reads_source(steps: Sequence[Step], step: Step) -> bool:
    """Whether a table is made from the files of the sources themselves."""
    at_source = {other.name for other in steps if other.name.startswith("raw.") and other.is_partitioned}
    return step.name in at_source or bool(at_source & step.model.dependencies)


def _inputs_are_there(versions: Versions, step: Step, part: PartKey) -> bool:
    return all(versions.of(name, part) is not None for name in step.model.dependencies)


def _reads(step: Step, task: Task, other: Task) -> bool:
    return other.name in step.model.dependencies and (task.part is None or other.part in (None, task.part))


def phases(tasks: Iterable[Task], steps: Sequence[Step]) -> list[list[tuple[PartKey | None, list[str]]]]:
    """Tasks grouped into runs, and runs into phases: runs of one phase do not depend on each other.

    A phase is either one run of tables that are not partitioned, or one run a part.
    """
    by_name = {step.name: step for step in steps}
    level: dict[str, int] = {}
    for step in steps:
        levels = [
            level[name] + (by_name[name].is_partitioned != step.is_partitioned)
            for name in step.model.dependencies
            if name in level
        ]
        level[step.name] = max([int(step.is_partitioned), *levels])
    grouped: dict[int, dict[PartKey | None, list[str]]] = {}
    for task in tasks:
        grouped.setdefault(level[task.name], {}).setdefault(task.part, []).append(task.name)
    return [list(grouped[key].items()) for key in sorted(grouped)]
