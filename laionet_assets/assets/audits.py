"""What the audit of a published table found, kept beside it, so that a table that is up to date reports it again.

Belongs here: outcomes as text and back. Does not belong here: auditing (`publishing`), check results
(`quality.checks`).

Samples of rows that broke a rule, and observed values that are no numbers, are not kept: no removal would reach them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from laionet_assets.quality.expectations import Expectation
from laionet_assets.quality.validate import Outcome
from laionet_assets.warehouse.table import PartKey, Table
from laionet_assets.warehouse.warehouse import Warehouse, digest


@dataclass(frozen=True)
class Audit:
    """What was found of the rows of one version."""

    version: str
    rows: int
    outcomes: tuple[Outcome, ...]


def keep_audit(warehouse: Warehouse, table: Table, part: PartKey | None, audit: Audit) -> None:
    """Keep it beside the published file, in place of the one before."""
    found = {outcome.expectation.name: _plain(outcome) for outcome in audit.outcomes}
    rules = rules_of([outcome.expectation for outcome in audit.outcomes])
    told = {"version": audit.version, "rules": rules, "rows": audit.rows, "outcomes": found}
    warehouse.lake.write_note(table, part, json.dumps(told, indent=1) + "\n")


def kept_audit(
    warehouse: Warehouse, table: Table, part: PartKey | None, *, version: str, expectations: Sequence[Expectation]
) -> Audit | None:
    """The audit of this version by these rules; None if there was none. Severities are those of now."""
    text = warehouse.lake.read_note(table, part)
    told = json.loads(text) if text is not None else {}
    if told.get("version") != version or told.get("rules") != rules_of(expectations):
        return None
    outcomes = tuple(_outcome(each, told["outcomes"][each.name], rows=told["rows"]) for each in expectations)
    return Audit(version, told["rows"], outcomes)


def rules_of(expectations: Sequence[Expectation]) -> str:
    """Digest of what the rules demand, whatever their severity and description."""
    return digest(*sorted(f"{each.name} {each.rule()}" for each in expectations))


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
