"""Versions: whether what is published is still what a step would make."""

from collections.abc import Hashable, Mapping

from laionet_assets.assets.steps import Step
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Stamp, Warehouse, digest


class Versions:
    """Versions of what is published, each table looked up once; with `part`, of partitioned tables that part alone."""

    def __init__(self, warehouse: Warehouse, part: PartKey | None = None) -> None:
        self._warehouse = warehouse
        self._part = part
        self._known: dict[str, dict[PartKey | None, Stamp]] = {}
        self._of_all_parts: dict[str, str | None] = {}
        self._outside: dict[Hashable, str] = {}

    def of(self, name: str, part: PartKey | None = None) -> str | None:
        """Version of a table or of one part of it; of a partitioned table without `part`, of all parts together."""
        known = self._stamps(name)
        if part is not None or not self._warehouse.table(name).is_partitioned:
            stamp = known.get(part if self._warehouse.table(name).is_partitioned else None)
            return stamp.version if stamp else None
        if name not in self._of_all_parts:
            stamped = (f"{key.key}={stamp.version}" for key, stamp in sorted(known.items()))
            self._of_all_parts[name] = digest(*stamped) if known else None
        return self._of_all_parts[name]

    def is_current(self, step: Step, part: PartKey | None) -> bool:
        """Whether what is published is what the step would make now, from the same input by the same code."""
        stamp = self._stamps(step.name).get(part)
        return stamp is not None and stamp.inputs == self.next_of(step, part)

    def _stamps(self, name: str) -> Mapping[PartKey | None, Stamp]:
        if name not in self._known:
            self._known[name] = self._warehouse.stamps(name, self._part)
        return self._known[name]

    def next_of(self, step: Step, part: PartKey | None) -> str:
        """What a step would make a file from now: its code and settings, what is outside, and what it reads."""
        inputs = [f"{name}={self.of(name, part)}" for name in sorted(step.model.dependencies)]
        return digest(step.code_version, self._outside_of(step, part), *inputs)

    def _outside_of(self, step: Step, part: PartKey | None) -> str:
        key = (step.name, step.outside_by(part))
        if key not in self._outside:
            self._outside[key] = step.outside(self._warehouse, part)
        return self._outside[key]
