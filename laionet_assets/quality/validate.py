"""Run expectations over a relation of a DuckDB connection and say what came out.

Here: `validate`, its `Outcome`s, and reading Great Expectations' result dictionaries. Not here: Great Expectations
(`gx_backend`, imported when something is validated), pages on disk (`data_docs`), Dagster (`asset_checks`).
"""

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laionet_assets.quality.data_docs import DocsTarget, Tally, publish
from laionet_assets.quality.expectations import UNEXPECTED_ROWS, Expectation, QualityError

if TYPE_CHECKING:
    import duckdb

    from laionet_assets.quality.gx_backend import SuiteRun

SAMPLE_SIZE = 10

_RELATION = re.compile(r"(\w+)\.(\w+)")
_OUT_OF_MEMORY = "Out of Memory Error"
"""What DuckDB's message begins with."""


@dataclass(frozen=True)
class Outcome:
    """What one expectation found.

    rows: of the relation. unexpected: values (or rows of the query) that break the rule, None where the rule is about
    an aggregate. unexpected_percent: of the values looked at, 0-100; None for queries, whose rows need not be rows of
    the table. observed_value: of an aggregate. sample: at most 10 values or row dicts that break the rule. error: why
    the expectation could not run; then it has not passed. seconds: wall time of the suite it ran in (Great
    Expectations runs a suite in few queries). page: the run's page in Data Docs.
    """

    expectation: Expectation
    passed: bool
    rows: int | None = None
    unexpected: int | None = None
    unexpected_percent: float | None = None
    observed_value: Any = None
    sample: tuple[Any, ...] = ()
    error: str | None = None
    seconds: float = 0.0
    page: Path | None = None

    @property
    def blocks(self) -> bool:
        """Whether it must keep the table from being published."""
        return not self.passed and self.expectation.is_critical


def is_asked_of_each_row(expectation: Expectation) -> bool:
    """Whether a table keeps the rule if and only if each of several parts that make it up does: a rule about single
    rows or values, all of them, or a query, which has to keep the parts apart itself. Not so what is about a table as a
    whole, such as its row count, a mean, or a share of values (`mostly`).
    """
    from laionet_assets.quality import gx_backend

    return expectation.type == UNEXPECTED_ROWS or (
        gx_backend.is_about_values(expectation.type) and expectation.kwargs.get("mostly", 1) == 1
    )


def validate(
    connection: "duckdb.DuckDBPyConnection",
    relation: str,
    expectations: Sequence[Expectation],
    *,
    suite: str,
    docs: DocsTarget | None = None,
) -> tuple[Outcome, ...]:
    """Outcomes of `expectations` on `relation`, in their order; none for none.

    relation: `schema.name` of a view or table in `connection`, neither temporary nor inside an open transaction: the
    queries run on cursors of the connection, and may read its other schema-qualified tables. suite: name of the rules
    in Data Docs, usually the table. An expectation that cannot run (unknown type, bad kwargs, broken SQL) is an
    outcome that has not passed, with the error. Raises QualityError if the relation does not exist or the docs cannot
    be written; DuckDB's own error if the relation cannot be read, and its OutOfMemoryException where an expectation
    does not fit into memory: that says nothing of the rows.
    """
    if not expectations:
        return ()
    if not re.fullmatch(r"\w+(\.\w+)*", suite):
        raise QualityError(f"suite must be named by words with dots between, such as core.candidates; found {suite!r}.")
    schema, table = _checked(connection, relation)
    import duckdb

    from laionet_assets.quality import gx_backend

    started = time.perf_counter()
    with connection.cursor() as cursor:
        (rows,) = cursor.execute(f'select count(*) from "{schema}"."{table}"').fetchone() or (0,)
    run = gx_backend.run_suite(connection, schema=schema, table=table, expectations=expectations, suite=suite)
    found = [
        _read(result, error=gx_backend.error_of(result), expectation=expectation)
        for expectation, result in zip(expectations, run.results, strict=True)
    ]
    for each in found:
        if (each["error"] or "").startswith(_OUT_OF_MEMORY):
            raise duckdb.OutOfMemoryException(each["error"])
    seconds = time.perf_counter() - started
    page = _document(run, found, docs=docs) if docs else None
    return tuple(Outcome(**each, rows=rows, seconds=seconds, page=page) for each in found)


def _checked(connection: "duckdb.DuckDBPyConnection", relation: str) -> tuple[str, str]:
    parts = _RELATION.fullmatch(relation)
    if not parts:
        raise QualityError(f"relation must be named schema.table, found {relation!r}.")
    with connection.cursor() as cursor:
        known = cursor.execute(
            "select 1 from duckdb_columns() where database_name = current_database() "
            "and lower(schema_name) = lower(?) and lower(table_name) = lower(?) limit 1",
            list(parts.groups()),
        ).fetchall()
    if not known:
        raise QualityError(
            f"no relation {relation} in the connection; expected a committed view or table, not a temporary one."
        )
    schema, table = parts.groups()
    return schema, table


def _read(result: Mapping[str, Any], *, error: str | None, expectation: Expectation) -> dict[str, Any]:
    """The part of an Outcome that Great Expectations' result dictionary holds."""
    detail = result["result"] or {}
    base = {"expectation": expectation, "passed": bool(result["success"]) and error is None, "error": error}
    if "details" in detail and "unexpected_rows" in detail["details"]:
        rows = detail["details"]["unexpected_rows"]
        return {**base, "unexpected": detail["observed_value"], "sample": tuple(rows[:SAMPLE_SIZE])}
    return {
        **base,
        "unexpected": detail.get("unexpected_count"),
        "unexpected_percent": detail.get("unexpected_percent"),
        "observed_value": detail.get("observed_value"),
        "sample": tuple((detail.get("partial_unexpected_list") or ())[:SAMPLE_SIZE]),
    }


def _document(run: "SuiteRun", found: Sequence[Mapping[str, Any]], *, docs: DocsTarget) -> Path:
    from laionet_assets.quality import gx_backend

    now = datetime.now(UTC)
    failed = [each["expectation"] for each in found if not each["passed"]]
    critical = sum(expectation.is_critical for expectation in failed)
    rules = [
        (each["expectation"].name, each["expectation"].severity_in_words, each["expectation"].rule()) for each in found
    ]
    return publish(
        docs,
        suite=run.suite.name,
        tally=Tally(passed=len(found) - len(failed), warned=len(failed) - critical, failed=critical),
        run_at=now,
        page=gx_backend.render_validation(run, run_name=docs.partition or docs.table, run_at=now),
        suite_page=lambda: gx_backend.render_suite(run.suite),
        suite_digest=hashlib.sha256(repr(rules).encode()).hexdigest(),
    )
