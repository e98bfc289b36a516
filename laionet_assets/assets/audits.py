"""What the audit of a published table found, kept beside it: which rows by which rules, so that a table that is up to
date reports it again, and rules that are new or stricter are applied to what is there.

Belongs here: the name of a record, outcomes as text and back. Does not belong here: auditing (`publishing`), check
results (`quality.asset_checks`).

The planner asks for every table and part whether it was audited: it looks for a file of the right name, and opens none.
The name is a digest of the version of the rows and of the rules. Severities belong to it only where a rule was broken:
whoever chooses another severity of a rule that all rows keep has nothing audited again.

Samples of rows that broke a rule, and observed values that are no numbers, are not kept: no removal would reach them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from laionet_assets.quality.expectations import Expectation
from laionet_assets.quality.validate import Outcome
from laionet_assets.sqlmodels.loader import Model
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse, digest


@dataclass(frozen=True)
class Audit:
    """What was found of the rows of one version."""

    version: str
    rows: int
    outcomes: tuple[Outcome, ...]

    @property
    def blocks(self) -> bool:
        """Whether such rows must not be published."""
        return any(outcome.blocks for outcome in self.outcomes)


@dataclass(frozen=True)
class Rules:
    """Digests of the checks of a table: of what they demand, and with their severities."""

    demands: str
    with_severities: str

    @classmethod
    def of(cls, model: Model) -> "Rules":
        """The rules of a table. Descriptions do not count."""
        checks = sorted(model.expectations, key=lambda check: check.name)
        macros = [macro.statement for macro in model.check_macros]
        demands = digest(*(f"{check.name} {check.rule()}" for check in checks), *macros)
        return cls(demands, digest(demands, *(f"{check.name} {check.severity}" for check in checks)))

    def record_names(self, version: str) -> tuple[str, str]:
        """Names of the record of an audit by these rules: where all of them are kept, and where one is broken."""
        return digest(version, self.demands), digest(version, self.with_severities)


def keep_audit(warehouse: Warehouse, model: Model, part: PartKey | None, audit: Audit) -> None:
    """Keep an audit beside the published file, in place of the one before."""
    kept, broken = Rules.of(model).record_names(audit.version)
    name = kept if all(outcome.passed for outcome in audit.outcomes) else broken
    found = {outcome.expectation.name: _plain(outcome) for outcome in audit.outcomes}
    told = {"version": audit.version, "rows": audit.rows, "outcomes": found}
    warehouse.lake.write_note(model.table, part, name, json.dumps(told, indent=1) + "\n")


def kept_audit(warehouse: Warehouse, model: Model, part: PartKey | None, version: str) -> Audit | None:
    """The audit of this version by the rules of now; None if there was none."""
    for name in Rules.of(model).record_names(version):
        text = warehouse.lake.read_note(model.table, part, name)
        if text is not None:
            told = json.loads(text)
            outcomes = (_outcome(each, told["outcomes"][each.name], rows=told["rows"]) for each in model.expectations)
            return Audit(version, told["rows"], tuple(outcomes))
    return None


def is_audited(warehouse: Warehouse, model: Model, part: PartKey | None, version: str, rules: Rules) -> bool:
    """Whether the rows of this version have passed the rules: those of the model, made once for all of its parts."""
    return any(warehouse.lake.has_note(model.table, part, name) for name in rules.record_names(version))


def broken_rules(
    warehouse: Warehouse, model: Model, part: PartKey | None, version: str, rules: Rules
) -> tuple[Outcome, ...]:
    """Outcomes of the rules, warnings all, that the rows of this version are known to break."""
    _, broken = rules.record_names(version)
    if not warehouse.lake.has_note(model.table, part, broken):
        return ()
    audit = kept_audit(warehouse, model, part, version)
    return tuple(outcome for outcome in audit.outcomes if not outcome.passed) if audit else ()


def _plain(outcome: Outcome) -> dict[str, Any]:
    observed = outcome.observed_value
    is_number = isinstance(observed, int | float) and not isinstance(observed, bool)
    return {
        "passed": outcome.passed,
        "unexpected": outcome.unexpected,
        "unexpected_percent": outcome.unexpected_percent,
        "observed_value": observed if is_number else None,
        "error": outcome.error,
        "page": str(outcome.page) if outcome.page else None,
    }


def _outcome(expectation: Expectation, found: Mapping[str, Any], *, rows: int) -> Outcome:
    page = Path(found["page"]) if found["page"] else None
    return Outcome(expectation, rows=rows, **{**found, "page": page})
