"""Versions: whether what is published is still what a step would make (docs/versions.md).

Belongs here: comparing the stamp of a published file with what a step would stamp now. Does not belong here: digests
of code (`source_code`, `sqlmodels.parse`), declarations that codes make the same rows (`same_rows`).
"""

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property

from laionet_assets.assets.same_rows import Accepted, SameRows, same_rows
from laionet_assets.assets.steps import Step
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Code, Stamp, Warehouse, digest


@dataclass(frozen=True, order=True)
class Edit:
    """A piece of code that is not what a published file was made by."""

    code: str
    before: str
    after: str


class Versions:
    """Versions of what is published, each table looked up once; with `parts`, of partitioned tables those alone."""

    def __init__(self, warehouse: Warehouse, parts: Collection[PartKey] | None = None) -> None:
        self._warehouse = warehouse
        self._parts = parts
        self._known: dict[str, Mapping[PartKey | None, Stamp]] = {}
        self._of_all_parts: dict[str, str | None] = {}
        self._outside: dict[Hashable, str] = {}

    @cached_property
    def _same(self) -> SameRows:
        return same_rows(self._warehouse)

    def of(self, name: str, part: PartKey | None = None) -> str | None:
        """Version of a table or of one part of it; of a partitioned table without `part`, of all parts together."""
        known = self._stamps(name)
        if part is not None or not self._warehouse.table(name).is_partitioned:
            stamp = known.get(part if self._warehouse.table(name).is_partitioned else None)
            return stamp.version if stamp else None
        if name not in self._of_all_parts:
            stamped = (f"{key.key}={stamp.version}" for key, stamp in sorted(known.items()) if key is not None)
            self._of_all_parts[name] = digest(*stamped) if known else None
        return self._of_all_parts[name]

    def is_current(self, step: Step, part: PartKey | None) -> bool:
        """Whether what is published is what the step would make now: from the same, by code that makes the same."""
        return self.edits(step, part) == []

    def edits(self, step: Step, part: PartKey | None) -> list[Edit] | None:
        """What was edited of the code since a file was made, if that is all that keeps it from being current; None if
        it is not there or was made from something else.
        """
        stamp = self._stamps(step.name).get(part)
        if stamp is None:
            return None
        outside, reads = self._outside_of(step, part), self._reads(step, part)
        inputs: str | None = digest(outside, *step.settings, *reads)
        if not stamp.codes:
            inputs = self._inputs_before_digests(step, outside, reads)
        if stamp.inputs != inputs:
            return None
        made_by, nothing = self._made_by(step, part), Code("")
        edits = [Edit(name, made_by.get(name, nothing).digest, now) for name, now in self._digests(step, part).items()]
        return [edit for edit in edits if not self._same.holds(step.name, edit.code, edit.before, edit.after)]

    def accepted(self, step: Step) -> list[Accepted]:
        """What was declared of edits of the table's code, as far as published files are current by it alone."""
        found: dict[Accepted, None] = {}
        for part in self._stamps(step.name):
            made_by, now = self._made_by(step, part), self._digests(step, part)
            edited = [name for name in now if name in made_by and made_by[name].digest != now[name]]
            if edited and self.is_current(step, part):
                found |= {one: None for name in edited for one in self._same.behind(step.name, name, now[name])}
        return list(found)

    def next_of(self, step: Step, part: PartKey | None) -> str:
        """Version of what a step would make now, if nothing more decides the rows: of its code and settings, what is
        outside, and what it reads.
        """
        return self.next_stamp(step, part).version

    def next_stamp(self, step: Step, part: PartKey | None) -> Stamp:
        """The stamp of what a step would make now."""
        outside, reads = self._outside_of(step, part), self._reads(step, part)
        labels = self.labels(step, part)
        codes = {name: Code(code, labels.get(name, "")) for name, code in self._digests(step, part).items()}
        return Stamp.of(digest(outside, *step.settings, *reads), codes)

    def labels(self, step: Step, part: PartKey | None) -> Mapping[str, str]:
        """Labels of a step's computations in the rows: those in the published rows, if they were computed by code that
        makes the same, so that they are found again.
        """
        made_by = self._made_by(step, part)
        return {
            each.name: made_by[each.name].label
            if each.name in made_by and self._same.holds(step.name, each.name, made_by[each.name].digest, each.digest)
            else self._same.first_label(each.name, each.digest)
            for each in step.computations
        }

    def known_labels(self, step: Step, part: PartKey | None) -> Mapping[str, str]:
        """Labels that a step's computations go by in the published rows; none where there are no rows."""
        made_by = self._made_by(step, part)
        return {each.name: made_by[each.name].label for each in step.computations if each.name in made_by}

    def _made_by(self, step: Step, part: PartKey | None) -> Mapping[str, Code]:
        """The codes that a published file was made by; none where there is no file."""
        stamp = self._stamps(step.name).get(part)
        if stamp is None:
            return {}
        return dict(stamp.codes) or self._same.before_digests(self._digests(step, part))

    def _digests(self, step: Step, part: PartKey | None) -> dict[str, str]:
        """Digests of all code that a step makes a file by, by name."""
        computations = (*step.computations, *step.adapters(self._warehouse, part))
        macros = {f"macros of {step.name}": step.macros} if step.macros is not None else {}
        return {step.name: step.code, **macros, **{each.name: each.digest for each in computations}}

    def _reads(self, step: Step, part: PartKey | None) -> list[str]:
        return [f"{name}={self.of(name, part)}" for name in sorted(step.model.reads.tables)]

    def _inputs_before_digests(self, step: Step, outside: str, reads: list[str]) -> str | None:
        """What commit cd80978 stamped a file with; None for tables that it did not have."""
        shipped = self._same.shipped.get(step.name)
        if shipped is None or not shipped.was:
            return None
        was = (*shipped.was, *step.settings)
        return digest(digest(*was) if len(was) > 1 else was[0], outside, *reads)

    def _stamps(self, name: str) -> Mapping[PartKey | None, Stamp]:
        if name not in self._known:
            self._known[name] = self._warehouse.stamps(name, self._parts)
        return self._known[name]

    def _outside_of(self, step: Step, part: PartKey | None) -> str:
        key = (step.name, step.outside_by(part))
        if key not in self._outside:
            self._outside[key] = step.outside(self._warehouse, part)
        return self._outside[key]
