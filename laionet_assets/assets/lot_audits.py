"""The audit of many parts of a table at once: of each part, what an audit of that part alone would find.

Belongs here: asking the checks, and whose rows break them. Does not belong here: making and publishing (`together`).

A check is asked once of all parts. Where they keep it, each of them does; where not, the rows that break it say whose
they are, or it is asked of halves of the parts. So a check of a partitioned table has to group and to join by `source`
and `part`: the rows of one part must not answer for another (tests/unit/sql/test_lots.py spoils a part of a lot for
every check). What is about a table as a whole, such as a share of its rows, is asked of each part.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from laionet_assets.assets.publishing import AUDITED
from laionet_assets.errors import UserError
from laionet_assets.quality.data_docs import DocsTarget
from laionet_assets.quality.expectations import BATCH, UNEXPECTED_ROWS, Expectation
from laionet_assets.quality.validate import SAMPLE_SIZE, Outcome, is_asked_of_each_row, validate
from laionet_assets.sqlmodels.loader import Model
from laionet_assets.warehouse.sql import identifier
from laionet_assets.warehouse.table import PartKey

Show = Callable[[Sequence[PartKey]], None]
"""Makes the audited relation, and the tables that its checks read, those of these parts."""
_Broken = dict[tuple[PartKey, str], Outcome]
"""Outcomes that have not passed, by part and check."""


@dataclass(frozen=True)
class PartAudit:
    """What was found of one part."""

    outcomes: tuple[Outcome, ...]
    rows: int


def audit_lot(
    connection: duckdb.DuckDBPyConnection,
    model: Model,
    parts: Sequence[PartKey],
    *,
    show: Show,
    docs: Path,
) -> Mapping[PartKey, PartAudit]:
    """Audit several parts; rows, checks that failed, their counts and severities are those of each part alone.

    docs: the folder of Data Docs, which get a page of each part that was looked at alone. `show` is left at all parts.
    Raises UserError if rows are of none of the parts: which of them made these cannot be told.
    """
    show(parts)
    counts = _count(connection, model, parts)
    shared = [check for check in model.expectations if is_asked_of_each_row(check)]
    found = {each.expectation.name: each for each in validate(connection, AUDITED, shared, suite=model.name)}
    broken: _Broken = {}
    unnamed = []
    for outcome in found.values():
        if outcome.passed:
            continue
        named = _named_offenders(connection, outcome, parts)
        if named is None:
            unnamed.append(outcome.expectation)
        else:
            broken.update(named)
    lone = [check for check in model.expectations if check.name not in found]
    if unnamed or lone:
        audit = _Search(connection, model.name, show, docs)
        broken.update(audit.offenders(parts, unnamed))
        each_alone = {part: audit.alone(part, lone) for part in parts} if lone else {}
        show(parts)
    else:
        each_alone = {}

    def outcome_of(part: PartKey, check: Expectation) -> Outcome:
        if check.name not in found:
            return each_alone[part][check.name]
        outcome = broken.get((part, check.name)) or _kept(found[check.name])
        return replace(outcome, rows=counts[part])

    return {
        part: PartAudit(tuple(outcome_of(part, check) for check in model.expectations), counts[part]) for part in parts
    }


def _count(connection: duckdb.DuckDBPyConnection, model: Model, parts: Sequence[PartKey]) -> Mapping[PartKey, int]:
    if len(parts) == 1:
        (rows,) = connection.execute(f"select count(*) from {identifier(AUDITED)}").fetchone() or (0,)
        return {parts[0]: rows}
    counted = connection.execute(f"select source, part, count(*) from {identifier(AUDITED)} group by all").fetchall()
    counts = {PartKey(source, part): rows for source, part, rows in counted}
    strangers = [f"{part.source}/{part.part}" for part in counts.keys() - set(parts)]
    if strangers:
        raise UserError(
            f"{model.name}: found rows of {', '.join(sorted(strangers))}, expected rows of the parts that are made "
            f"alone: {', '.join(part.key for part in parts)}"
        )
    return {part: counts.get(part, 0) for part in parts}


def _kept(outcome: Outcome) -> Outcome:
    """The outcome of a part that keeps a check, from that of all parts together."""
    if outcome.passed:
        return outcome
    percent = None if outcome.unexpected_percent is None else 0.0
    return Outcome(outcome.expectation, passed=True, unexpected=0, unexpected_percent=percent, seconds=outcome.seconds)


def _named_offenders(
    connection: duckdb.DuckDBPyConnection, outcome: Outcome, parts: Sequence[PartKey]
) -> _Broken | None:
    """The outcomes of the parts that break a rule, if the rows that break it say of which part they are."""
    if outcome.expectation.type != UNEXPECTED_ROWS or outcome.error is not None:
        return None
    query = str(outcome.expectation.kwargs["query"]).replace(BATCH, identifier(AUDITED))
    names = [name for name, *_ in connection.execute(f"describe {query}").fetchall()]
    if not {"source", "part"} <= set(names):
        return None
    rows = connection.execute(
        f"""
        select source, part, count(*), list("a broken row")[:{SAMPLE_SIZE}]
        from ({query}
        ) as "a broken row" group by source, part
        """
    ).fetchall()
    broken = {
        (PartKey(source, part), outcome.expectation.name): replace(outcome, unexpected=count, sample=tuple(sample))
        for source, part, count, sample in rows
    }
    return broken if {part for part, _ in broken} <= set(parts) else None


@dataclass(frozen=True)
class _Search:
    """Asks checks of fewer and fewer of the parts."""

    connection: duckdb.DuckDBPyConnection
    suite: str
    show: Show
    docs: Path

    def alone(self, part: PartKey, checks: Sequence[Expectation]) -> Mapping[str, Outcome]:
        """The outcomes of one part, by check."""
        self.show([part])
        docs = DocsTarget(self.docs, self.suite, part.key)
        found = validate(self.connection, AUDITED, checks, suite=self.suite, docs=docs)
        return {outcome.expectation.name: outcome for outcome in found}

    def offenders(self, parts: Sequence[PartKey], checks: Sequence[Expectation]) -> _Broken:
        """Of checks that these parts break together, the outcomes of the parts that break them."""
        if not checks:
            return {}
        if len(parts) == 1:
            found = self.alone(parts[0], checks)
            return {(parts[0], name): outcome for name, outcome in found.items() if not outcome.passed}
        half = len(parts) // 2
        return {
            key: outcome
            for each in (parts[:half], parts[half:])
            for key, outcome in self.offenders(each, self._broken_by(each, checks)).items()
        }

    def _broken_by(self, parts: Sequence[PartKey], checks: Sequence[Expectation]) -> Sequence[Expectation]:
        if len(parts) == 1:
            return checks
        self.show(parts)
        found = validate(self.connection, AUDITED, checks, suite=self.suite)
        return [outcome.expectation for outcome in found if not outcome.passed]
