"""Great Expectations over a shared DuckDB connection: the one module that imports it.

Import this module inside functions only: Great Expectations costs seconds and 230 MB. Here: its context, data source,
the expectation `unexpected_rows`, running a suite, rendering its pages. Not here: what the project makes of a result
(`validate`) and where a page lies on disk (`data_docs`).

One ephemeral context serves the whole process (nothing is written to disk, nothing is sent), one data source each
schema: a validation puts its connection behind it. Validations of one process run one after another.
"""

import copy
import html
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read when Great Expectations is imported

import duckdb
import great_expectations as gx
from great_expectations.compatibility.pydantic import validator
from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
from great_expectations.core.batch_definition import BatchDefinition
from great_expectations.core.run_identifier import RunIdentifier
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.datasource.fluent import SQLDatasource
from great_expectations.datasource.fluent.interfaces import Batch
from great_expectations.exceptions import ExpectationNotFoundError
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.core import UnexpectedRowsExpectation
from great_expectations.expectations.expectation import (
    BatchExpectation,
    ColumnMapExpectation,
    ColumnPairMapExpectation,
    MulticolumnMapExpectation,
)
from great_expectations.expectations.expectation import Expectation as GXExpectation
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.query_metric_provider import QueryMetricProvider
from great_expectations.expectations.registry import get_expectation_impl
from great_expectations.render import CollapseContent, LegacyDiagnosticRendererType, RenderedTableContent
from great_expectations.render.components import LegacyRendererType, RenderedStringTemplateContent
from great_expectations.render.renderer import ExpectationSuitePageRenderer, ValidationResultsPageRenderer
from great_expectations.render.renderer.renderer import renderer
from great_expectations.render.view import DefaultJinjaPageView

from laionet_assets.quality import duckdb_dialect
from laionet_assets.quality.expectations import BATCH, UNEXPECTED_ROWS, Expectation

SAMPLE_ROWS = 10
CELL_CHARACTERS = 600
CELL_ITEMS = 50

_RESULT_FORMAT = {"result_format": "SUMMARY", "partial_unexpected_count": SAMPLE_ROWS}
_TOKEN = "audited"
_WRAPPED = re.compile(r'^(?:An SQL execution Exception occurred\.\s+\w+: ")?\(_?duckdb\.\w+\) ')
"""What SQLAlchemy and Great Expectations put before DuckDB's message."""
_ABOUT_VALUES = (ColumnMapExpectation, ColumnPairMapExpectation, MulticolumnMapExpectation)
_ONE_AT_A_TIME = threading.Lock()


class DuckDBDatasource(SQLDatasource):
    """A schema of a shared DuckDB connection.

    The data source names the schema, because `schema_name` of a table asset is deprecated.
    """

    type: Literal["laionet_duckdb"] = "laionet_duckdb"  # type: ignore[assignment]  # as its own subclasses do
    schema_name: str

    _EXTRA_EXCLUDED_EXEC_ENG_ARGS: ClassVar[set[str]] = {"schema_name"}

    @property
    def schema_(self) -> str:
        return self.schema_name

    def get_execution_engine(self) -> SqlAlchemyExecutionEngine:
        engine = super().get_execution_engine()
        engine.dialect_module = duckdb_dialect.types
        return engine


class UnexpectedRowsOfQuery(QueryMetricProvider):
    """First rows of a query and how many it has. A query without rows, the usual case, runs once.

    `{batch}` becomes the name of the relation, so it can be aliased and joined; nothing else in the query is touched,
    braces and colons included.
    """

    metric_name = "laionet.unexpected_rows"
    value_keys = ("unexpected_rows_query",)
    query_param_name: ClassVar[str] = "unexpected_rows_query"

    @metric_value(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(
        cls,
        execution_engine: SqlAlchemyExecutionEngine,
        metric_domain_kwargs: Mapping[str, Any],
        metric_value_kwargs: Mapping[str, Any],
        metrics: Mapping[str, Any],
        runtime_configuration: Mapping[str, Any],
    ) -> dict[str, Any]:
        batch: Any = execution_engine.batch_manager.active_batch_data
        relation = f'"{batch.source_schema_name}"."{batch.source_table_name}"'
        query = metric_value_kwargs["unexpected_rows_query"].replace(BATCH, relation)
        with execution_engine.get_connection() as connection:
            result = connection.exec_driver_sql(query)
            rows = [dict(row._mapping) for row in result.fetchmany(SAMPLE_ROWS + 1)]
            result.close()
            if len(rows) <= SAMPLE_ROWS:
                return {"count": len(rows), "rows": rows}
            count = connection.exec_driver_sql(f"select count(*) from ({query}\n)").scalar_one()
        return {"count": count, "rows": rows[:SAMPLE_ROWS]}


class UnexpectedRows(UnexpectedRowsExpectation):
    """Great Expectations' own "query whose rows should not exist", with a sample of the rows at every result format."""

    metric_dependencies: ClassVar[tuple[str, ...]] = (UnexpectedRowsOfQuery.metric_name,)

    @validator("unexpected_rows_query")
    def _validate_query(cls, query: str) -> str:
        return query

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: Any = None,
    ) -> dict[str, Any]:
        found = metrics[UnexpectedRowsOfQuery.metric_name]
        result = {"observed_value": found["count"], "details": {"unexpected_rows": found["rows"]}}
        return {"success": found["count"] == 0, "result": result}

    @classmethod
    def _get_observed_value_from_evr(cls, result: ExpectationValidationResult | None) -> str:
        count = result.result.get("observed_value") if result else None
        return "--" if count is None else f"{count:,} unexpected row{'' if count == 1 else 's'}"

    @classmethod
    @renderer(renderer_type=LegacyRendererType.PRESCRIPTIVE)
    def _prescriptive_renderer(
        cls,
        configuration: ExpectationConfiguration | None = None,
        result: ExpectationValidationResult | None = None,
        runtime_configuration: dict[Any, Any] | None = None,
        **kwargs: Any,
    ) -> list[RenderedStringTemplateContent]:
        return _sentence(configuration, code="unexpected_rows_query")

    @classmethod
    @renderer(renderer_type=LegacyDiagnosticRendererType.UNEXPECTED_TABLE)
    def _diagnostic_unexpected_table_renderer(
        cls,
        configuration: ExpectationConfiguration | None = None,
        result: ExpectationValidationResult | None = None,
        runtime_configuration: dict[Any, Any] | None = None,
    ) -> list[RenderedTableContent | CollapseContent] | None:
        rows = ((result.result if result else {}).get("details") or {}).get("unexpected_rows")
        if not rows:
            return None
        styling = {"body": {"classes": ["table-bordered", "table-sm", "mt-3"]}}
        table = [[str(value) for value in row.values()] for row in rows]
        return [RenderedTableContent(header_row=list(rows[0]), table=table, styling=styling)]


class Refused(BatchExpectation):
    """Stands for an expectation that Great Expectations does not take: fails with the reason, in results and pages
    alike.
    """

    rule: str
    reason: str

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: Any = None,
    ) -> dict[str, Any]:
        raise ValueError(self.reason)

    @classmethod
    @renderer(renderer_type=LegacyRendererType.PRESCRIPTIVE)
    def _prescriptive_renderer(
        cls,
        configuration: ExpectationConfiguration | None = None,
        result: ExpectationValidationResult | None = None,
        runtime_configuration: dict[Any, Any] | None = None,
        **kwargs: Any,
    ) -> list[RenderedStringTemplateContent]:
        return _sentence(configuration, code="rule")


def _sentence(configuration: ExpectationConfiguration | None, *, code: str) -> list[RenderedStringTemplateContent]:
    """The notes of an expectation, then the value of its argument `code` as code."""
    if configuration is None:
        return []
    params = {"about": " ".join(configuration.notes or []), "code": configuration.kwargs[code]}
    template = {"template": "$about\n$code", "params": params, "styling": {"params": {"code": {"tag": "code"}}}}
    return [RenderedStringTemplateContent(string_template=template)]


@dataclass(frozen=True)
class SuiteRun:
    """Results in the order of the expectations that were asked for, and Great Expectations' own objects of the run."""

    results: tuple[dict[str, Any], ...]
    suite_result: ExpectationSuiteValidationResult
    suite: gx.ExpectationSuite


def run_suite(
    connection: duckdb.DuckDBPyConnection, *, schema: str, table: str, expectations: Sequence[Expectation], suite: str
) -> SuiteRun:
    """Validate `schema.table` of the connection. Every expectation has a result; one that cannot run has failed.

    Great Expectations bundles many metrics into one query: where that query fails, all its expectations do. Those are
    run again one by one, so that an error stays with the expectation that caused it.
    """
    built = [_build(expectation) for expectation in expectations]
    with _ONE_AT_A_TIME, _batch(connection, schema=schema, table=table) as batch:
        gx_suite = gx.ExpectationSuite(name=suite, expectations=built)
        suite_result = batch.validate(gx_suite, result_format=_RESULT_FORMAT)
        results = _in_order(suite_result.results, built)
        errors = [index for index, result in enumerate(results) if error_of(result)]
        if len(errors) > 1:
            for index in errors:
                results[index] = batch.validate(built[index], result_format=_RESULT_FORMAT)
    suite_result.results = results
    suite_result.success = all(result.success for result in results)
    suite_result.statistics = _statistics(results)
    return SuiteRun(tuple(result.to_json_dict() for result in results), suite_result, gx_suite)


def is_about_values(type: str) -> bool:
    """Whether Great Expectations asks an expectation of this type of each row by itself; False if there is no such."""
    try:
        return issubclass(get_expectation_impl(type), _ABOUT_VALUES)
    except ExpectationNotFoundError:
        return False


def error_of(result: ExpectationValidationResult | Mapping[str, Any]) -> str | None:
    """The text of the first exception that a result carries, without the traceback and the SQL that were put around
    it.
    """
    info = result["exception_info"] or {}
    for each in [info] if "raised_exception" in info else info.values():
        if each["raised_exception"]:
            text = re.split(r'\n\[SQL:|\.  Traceback: "', str(each["exception_message"]), maxsplit=1)[0]
            return re.sub(_WRAPPED, "", text.strip()) or "failed without a message"
    return None


def render_validation(run: SuiteRun, *, run_name: str, run_at: datetime) -> str:
    """The Data Docs page of a run as HTML. Values of the data and the name of the part are escaped: they come
    from the web.
    """
    result = ExpectationSuiteValidationResult(
        success=run.suite_result.success,
        results=[_escaped(each) for each in run.suite_result.results],
        suite_name=run.suite.name,
        statistics=run.suite_result.statistics,
        meta={**run.suite_result.meta, "run_id": RunIdentifier(run_name=html.escape(run_name), run_time=run_at)},
    )
    return _view().render(ValidationResultsPageRenderer(run_info_at_end=True).render(result), show_how_to_buttons=False)


def render_suite(suite: gx.ExpectationSuite) -> str:
    """The Data Docs page of a suite as HTML."""
    return _view().render(ExpectationSuitePageRenderer().render(suite), show_how_to_buttons=False)


@cache
def _context() -> Any:
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context


@cache
def _view() -> DefaultJinjaPageView:
    return DefaultJinjaPageView(custom_styles_directory=str(Path(__file__).with_name("styles")))


@contextmanager
def _batch(connection: duckdb.DuckDBPyConnection, *, schema: str, table: str) -> Iterator[Batch]:
    with duckdb_dialect.shared(connection, token=_TOKEN) as url:
        yield _batch_definition(url, schema, table).get_batch()


@cache
def _batch_definition(url: str, schema: str, table: str) -> BatchDefinition[Any]:
    """Made once a process: Great Expectations serialises its whole configuration whenever an asset is added."""
    asset = _source(url, schema).add_table_asset(f"{schema}.{table}", table_name=table)
    return asset.add_batch_definition_whole_table("all")


@cache
def _source(url: str, schema: str) -> DuckDBDatasource:
    return _context().data_sources.add_laionet_duckdb(
        schema, connection_string=url, schema_name=schema, create_temp_table=False
    )


def _build(expectation: Expectation) -> GXExpectation:
    """The expectation as Great Expectations' own; where it refuses the type or the kwargs, one that fails with its
    reason.
    """
    kwargs = dict(expectation.kwargs)
    if expectation.type == UNEXPECTED_ROWS:
        kwargs = {"unexpected_rows_query": kwargs["query"]}
    about = f"{expectation.name} ({expectation.severity_in_words})"
    notes = f"{about}: {expectation.description}" if expectation.description else about
    common: dict[str, Any] = {"severity": expectation.severity, "meta": {"name": expectation.name}, "notes": [notes]}
    try:
        return get_expectation_impl(expectation.type)(**kwargs, **common)
    except Exception as error:  # its own, pydantic's and plain ones
        return Refused(rule=expectation.rule(), reason=f"{type(error).__name__}: {error}", **common)


def _in_order(
    results: Sequence[ExpectationValidationResult], expectations: Sequence[GXExpectation]
) -> list[ExpectationValidationResult]:
    """Great Expectations regroups results: back to the order of the suite, by the name of the check."""
    by_name = {_name_of(result.expectation_config): result for result in results}
    return [by_name[_name_of(expectation)] for expectation in expectations]


def _name_of(built: Any) -> str:
    """Name of the check that an expectation, or its configuration, was built for."""
    return built.meta["name"]


def _statistics(results: Sequence[ExpectationValidationResult]) -> dict[str, Any]:
    passed = sum(bool(result.success) for result in results)
    return {
        "evaluated_expectations": len(results),
        "successful_expectations": passed,
        "unsuccessful_expectations": len(results) - passed,
        "success_percent": 100 * passed / len(results),
    }


def _escaped(result: ExpectationValidationResult) -> ExpectationValidationResult:
    """A copy whose cells are short and safe in HTML. Great Expectations escapes messages and parameters, not cells
    and tracebacks.
    """
    error = error_of(result)
    return ExpectationValidationResult(
        success=result.success,
        expectation_config=copy.deepcopy(result.expectation_config),
        result=_escaped_value(result.result),
        exception_info={"raised_exception": bool(error), "exception_message": error, "exception_traceback": ""},
    )


def _escaped_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_escaped_value(key): _escaped_value(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        more = len(value) - CELL_ITEMS
        return [_escaped_value(each) for each in value[:CELL_ITEMS]] + ([f"… {more:,} more"] if more > 0 else [])
    if isinstance(value, str):
        return html.escape(value if len(value) <= CELL_CHARACTERS else f"{value[:CELL_CHARACTERS]}…")
    return value
