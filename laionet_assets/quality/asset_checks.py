"""Expectations and their outcomes in Dagster's terms, and in words for the terminal.

Here: check specs, check results, the text of a failure. Not here: running anything (`validate`), and Great
Expectations, which this module must never import: it is loaded with the code location.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from laionet_assets.quality.expectations import UNEXPECTED_ROWS, Expectation
from laionet_assets.quality.validate import Outcome

CELL_CHARACTERS = 600
"""So much of a text is shown: what a message says to do stands at its end."""


def check_specs(
    asset_key: dg.AssetKey,
    expectations: Sequence[Expectation],
    *,
    partitions_def: dg.PartitionsDefinition | None = None,
) -> list[dg.AssetCheckSpec]:
    """One spec an expectation; critical ones block what is downstream.

    partitions_def: of the asset, to record checks by partition (in preview in Dagster 1.13: it warns).
    """
    return [
        dg.AssetCheckSpec(
            name=expectation.name,
            asset=asset_key,
            description=_spec_description(expectation),
            blocking=expectation.is_critical,
            metadata={
                "type": expectation.type,
                "severity": expectation.severity_in_words,
                "written in": expectation.where,
            },
            partitions_def=partitions_def,
        )
        for expectation in expectations
    ]


def _spec_description(expectation: Expectation) -> str:
    chosen = f"Severity: {expectation.severity_in_words}." if expectation.written_severity else ""
    return "\n\n".join(filter(None, [expectation.description, chosen, f"`{expectation.rule()}`"]))


def check_result(
    outcome: Outcome, *, asset_key: dg.AssetKey, partition: str | None = None, docs_url: str | None = None
) -> dg.AssetCheckResult:
    """The outcome with its counts, sample, error and Data Docs page as metadata. docs_url: where the page is served,
    if it is.
    """
    expectation = outcome.expectation
    metadata: dict[str, Any] = {
        "expectation": dg.MetadataValue.json(
            {
                "type": expectation.type,
                "kwargs": _json(expectation.kwargs),
                "severity": expectation.severity_in_words,
            }
        ),
        "partition": partition,
        "rows": outcome.rows,
        "unexpected": outcome.unexpected,
        "unexpected_percent": outcome.unexpected_percent,
        "observed_value": _observed(outcome.observed_value),
        "sample": _table(outcome.sample) if outcome.sample else None,
        "error": dg.MetadataValue.text(outcome.error) if outcome.error else None,
        "suite_seconds": round(outcome.seconds, 3),
        "data_docs": _docs(outcome.page, docs_url),
    }
    return dg.AssetCheckResult(
        asset_key=asset_key,
        check_name=expectation.name,
        passed=outcome.passed,
        severity=dg.AssetCheckSeverity.ERROR if expectation.is_critical else dg.AssetCheckSeverity.WARN,
        description=None if outcome.passed else _finding(outcome),
        metadata={key: value for key, value in metadata.items() if value is not None},
    )


def describe_failures(
    outcomes: Sequence[Outcome], *, table: str, partition: str | None = None, stands: bool = False
) -> str:
    """What failed, how much, examples, where the rule is written, what to do; empty if nothing failed. Critical
    failures come first. stands: the rows are published, and were audited again.
    """
    failed = sorted((outcome for outcome in outcomes if not outcome.passed), key=lambda outcome: not outcome.blocks)
    if not failed:
        return ""
    subject = f"{table} [{partition}]" if partition else table
    blocking = sum(outcome.blocks for outcome in failed)
    lines = [f"{subject}: {len(failed)} of {len(outcomes)} checks failed, {blocking} of them critical."]
    for outcome in failed:
        lines += _paragraph(outcome)
    if pages := sorted({str(outcome.page) for outcome in failed if outcome.page}):
        lines.append(f"Data Docs: {', '.join(pages)}")
    if blocking:
        what = "stays published as it is" if stands else "was not published: what was there before stands"
        lines.append(
            f"{subject} {what}. Mend the data or what makes it; if a rule is wrong, mend the rule where it is written, "
            "or make it a warning (`checks` in laionet.yaml). Then run again."
        )
    else:
        lines.append(f"Warnings do not stop {subject} from being published.")
    return "\n".join(lines)


def _paragraph(outcome: Outcome) -> list[str]:
    expectation = outcome.expectation
    first, *more = _finding(outcome).splitlines()
    lines = [f"  {expectation.severity.upper()} {expectation.name}: {first}"]
    if expectation.written_severity:
        lines.append(f"    severity: {expectation.severity_in_words}")
    lines += [f"      {line}" for line in more if line.strip()]
    if expectation.description:
        lines.append(f"    meaning: {expectation.description}")
    lines.append(f"    rule: {_short(expectation.rule())}")
    if outcome.sample:
        lines.append("    for example:")
        lines += [f"      {_short(_row(value))}" for value in outcome.sample[:5]]
    if expectation.where:
        lines.append(f"    written in: {expectation.where}")
    return lines


def _finding(outcome: Outcome) -> str:
    """One sentence: how much is wrong, or why it could not be told."""
    if outcome.error:
        return f"could not run: {outcome.error}"
    if outcome.expectation.type == UNEXPECTED_ROWS:
        return f"{_counted(outcome.unexpected or 0, 'row')} that should not exist; the table has {outcome.rows:,}"
    if outcome.unexpected is not None:
        percent = "" if outcome.unexpected_percent is None else f" ({outcome.unexpected_percent:.3g}%)"
        return f"{_counted(outcome.unexpected, 'unexpected value')}{percent} in {_counted(outcome.rows or 0, 'row')}"
    return f"observed {_short(outcome.observed_value)}"


def _observed(value: Any) -> Any:
    """The value itself, so that Dagster can plot a number, or the beginning of a long one as text."""
    whole = _json(value)
    return whole if len(str(whole)) <= CELL_CHARACTERS else _short(whole)


def _docs(page: Path | None, url: str | None) -> dg.MetadataValue | None:
    if url:
        return dg.MetadataValue.url(url)
    return dg.MetadataValue.path(page) if page else None  # browsers refuse file:// links on served pages


def _table(sample: Sequence[Any]) -> dg.MetadataValue:
    """Rows as a table of texts; plain values in the column `value`."""
    rows = [value if isinstance(value, Mapping) else {"value": value} for value in sample]
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    schema = dg.TableSchema(columns=[dg.TableColumn(name, "string") for name in names])
    return dg.MetadataValue.table(
        records=[dg.TableRecord({name: _short(row.get(name)) for name in names}) for row in rows], schema=schema
    )


def _row(value: Any) -> str:
    return ", ".join(f"{name}={cell!r}" for name, cell in value.items()) if isinstance(value, Mapping) else repr(value)


def _short(value: Any) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= CELL_CHARACTERS else f"{text[:CELL_CHARACTERS]}…"


def _json(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
