"""From a step to a Dagster asset: description, columns, checks, partitions, automation, retries. One policy for all
tables.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dagster as dg

from laionet_assets.assets.partitions import PARTS
from laionet_assets.assets.publishing import Published, make
from laionet_assets.assets.steps import Step
from laionet_assets.errors import UserError
from laionet_assets.quality.checks import check_result, check_specs, describe_failures
from laionet_assets.warehouse.resource import WarehouseResource
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse

GROUPS = ("sources", "taxonomy", "matching", "similarity", "images", "laionet", "predictions", "marts", "release")
"""Stages in pipeline order; their number goes into the name of the group, because the UI sorts groups by name."""

MAX_RETRIES = 3
RETRY_SECONDS = 10

# The SQL layers follow by themselves once everything that they read is there and all its blocking checks have passed.
FOLLOW_UPSTREAM = (
    (
        dg.AutomationCondition.missing().newly_true()
        | dg.AutomationCondition.any_deps_updated()
        | dg.AutomationCondition.code_version_changed()
    ).since(dg.AutomationCondition.newly_requested() | dg.AutomationCondition.newly_updated())
    & ~dg.AutomationCondition.any_deps_missing()
    & ~dg.AutomationCondition.any_deps_in_progress()
    & ~dg.AutomationCondition.in_progress()
    & dg.AutomationCondition.all_deps_blocking_checks_passed()
).with_label("follow_upstream")

OpenWarehouse = Callable[[WarehouseResource], Warehouse]


def asset_key(name: str) -> dg.AssetKey:
    """`core.laionet` -> core/laionet."""
    return dg.AssetKey(name.split("."))


def group_name(stage: str) -> str:
    """Name of the group of a stage. Raises UserError for an unknown stage."""
    if stage not in GROUPS:
        raise UserError(f"found group {stage!r}, expected one of: {', '.join(GROUPS)}")
    return f"{GROUPS.index(stage) + 1}_{stage}"


def build_asset(step: Step, open_warehouse: OpenWarehouse) -> dg.AssetsDefinition:
    """The Dagster asset of a step, with its checks."""
    model, key = step.model, asset_key(step.name)

    @dg.asset(
        key=key,
        deps=[asset_key(name) for name in sorted(model.dependencies)],
        group_name=group_name(model.group),
        kinds=set(step.kinds),
        description=_description(step),
        code_version=step.code_version,
        owners=list(model.owners),
        metadata=_definition_metadata(step),
        partitions_def=PARTS if step.is_partitioned else None,
        check_specs=check_specs(key, model.expectations),
        automation_condition=None if step.is_partitioned else FOLLOW_UPSTREAM,
        pool=step.pool,
    )
    def table(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> Iterator[Any]:
        part = PartKey.parse(context.partition_key) if step.is_partitioned else None
        started = time.monotonic()
        opened = open_warehouse(warehouse)
        with transient_faults_retried(), user_errors_shown():
            published = make(opened, step, part, log=context.log.info)
        for outcome in published.outcomes:
            yield check_result(outcome, asset_key=key, partition=part.key if part else None)
        if not published.is_published:
            failures = describe_failures(published.outcomes, table=step.name, partition=part.key if part else None)
            kept = f"\nThe rejected rows are kept in {published.rejected}." if published.rejected else ""
            raise dg.Failure(failures + kept, allow_retries=False)
        yield dg.MaterializeResult(
            asset_key=key,
            metadata=_result_metadata(opened, step, part, published, time.monotonic() - started),
            data_version=dg.DataVersion(published.version),
        )

    return table


class user_errors_shown:
    """What the user can mend fails the step with its one message, without retries."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> bool:
        if isinstance(error, UserError):
            raise dg.Failure(str(error), allow_retries=False) from error
        return False


class transient_faults_retried:
    """Faults that may be gone in a moment (network, object storage) are retried after a pause; nothing else is."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> bool:
        if error is not None and is_transient(error):
            raise dg.RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=RETRY_SECONDS) from error
        return False


def is_transient(error: BaseException) -> bool:
    """Whether an error comes from the network or the object store, by the error or one of its causes."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ConnectionError | TimeoutError):
            return True
        if (
            type(seen).__module__.split(".")[0] in ("botocore", "aiohttp", "urllib3")
            and "NotFound" not in type(seen).__name__
        ):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _description(step: Step) -> str:
    model = step.model
    text = f"{model.table.description}\n\n**Grain:** {', '.join(model.table.grain)}"
    if model.select is not None:
        text += f"\n\n```sql\n{model.select}\n```"
    return text


def _definition_metadata(step: Step) -> Mapping[str, Any]:
    columns = [
        dg.TableColumn(
            name=column.name,
            type=column.type,
            description=column.description,
            constraints=dg.TableColumnConstraints(nullable=column.name not in step.model.table.grain),
        )
        for column in step.model.table.columns
    ]
    return {
        "dagster/table_name": step.name,
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "documented_in": dg.MetadataValue.text(f"sql/{step.model.documentation}"),
    }


def _result_metadata(
    warehouse: Warehouse, step: Step, part: PartKey | None, published: Published, seconds: float
) -> Mapping[str, Any]:
    metadata: dict[str, Any] = {
        "preview": dg.MetadataValue.md(published.preview),
        "seconds": round(seconds, 3),
        "version": published.version,
    }
    rows = "dagster/partition_row_count" if step.is_partitioned else "dagster/row_count"
    metadata[rows] = published.rows
    if step.write is not None:
        metadata["path"] = dg.MetadataValue.path(warehouse.lake.path(step.model.table, part))
        metadata["size_bytes"] = published.size_bytes
    page = next((outcome.page for outcome in published.outcomes if outcome.page), None)
    if page is not None:
        metadata["data_docs"] = dg.MetadataValue.path(str(page))
    return metadata
