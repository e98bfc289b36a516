"""From a step to a Dagster asset: description, columns, checks, partitions, retries. One policy for all tables.

An asset that is asked for (in the UI, by a backfill, a sensor or `laionet run`) and is up to date returns at once. It
still reports a materialization, with the version, the rows and the checks of what is published: without its output
Dagster would skip what comes after it in the same run, and a check that a run does not report counts as a failure.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from pydantic import Field

from laionet_assets.assets.batches import version_of_lot
from laionet_assets.assets.failures import (
    FAILED_PARTS,
    is_of_every_part,
    told,
    transient_faults_retried,
    user_errors_shown,
)
from laionet_assets.assets.partitions import PARTS
from laionet_assets.assets.planning import is_stale, is_stale_by
from laionet_assets.assets.publishing import Published, make, standing, tell_catalog
from laionet_assets.assets.steps import Step
from laionet_assets.assets.together import make_together
from laionet_assets.assets.versions import Versions
from laionet_assets.collector import pass_over_libraries
from laionet_assets.errors import UserError
from laionet_assets.quality.asset_checks import check_result, check_specs, describe_failures
from laionet_assets.quality.validate import Outcome
from laionet_assets.warehouse.catalog import refresh_catalog
from laionet_assets.warehouse.history import partitions_read_once
from laionet_assets.warehouse.resource import WarehouseResource
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse

GROUPS = ("sources", "taxonomy", "matching", "similarity", "images", "laionet", "predictions", "marts")
"""Stages in pipeline order; their number goes into the name of the group, because the UI sorts groups by name."""

MADE, AUDITED, UP_TO_DATE = "made", "audited again", "up to date"
"""What the metadata `status` of a materialization says."""

NO_PREVIEW = "none of a part that is made together with others; its rows: laionet sql"

OpenWarehouse = Callable[[WarehouseResource], Warehouse]


class MakeConfig(dg.Config):
    """Run config of every table."""

    force: bool = Field(
        default=False,
        description="Make the table again though it is up to date. Without it, a table that is up to date returns at "
        "once and says so.",
    )


def asset_key(name: str) -> dg.AssetKey:
    """`core.laionet` -> core/laionet."""
    return dg.AssetKey(name.split("."))


def table_name(key: dg.AssetKey) -> str:
    """core/laionet -> `core.laionet`."""
    return ".".join(key.path)


def group_name(stage: str) -> str:
    """Name of the group of a stage. Raises UserError for an unknown stage."""
    if stage not in GROUPS:
        raise UserError(f"found group {stage!r}, expected one of: {', '.join(GROUPS)}")
    return f"{GROUPS.index(stage) + 1}_{stage}"


def build_asset(step: Step, open_warehouse: OpenWarehouse, *, is_last: bool = False) -> dg.AssetsDefinition:
    """The Dagster asset of a step, with its checks. `is_last`: nothing reads it, so that the catalog of a remote lake
    is written after it (each look at such a lake costs many requests).
    """
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
        pool=step.pool,
    )
    def table(context: dg.AssetExecutionContext, config: MakeConfig, warehouse: WarehouseResource) -> Iterator[Any]:
        parts = [PartKey.parse(partition) for partition in context.partition_keys] if step.is_partitioned else []
        if len(parts) > 1:
            yield from _several(context, step, open_warehouse(warehouse), parts, force=config.force)
            return
        part = parts[0] if parts else None
        started = time.monotonic()
        opened = open_warehouse(warehouse)
        with transient_faults_retried(), user_errors_shown(opened.lake.root):
            step.look(opened, part)
            if config.force or is_stale(opened, step, part):
                status = MADE
                published = make(opened, step, part, log=context.log.info)
                if is_last and published.is_published and not opened.lake.is_local:
                    refresh_catalog(opened)
            else:
                published = standing(opened, step, part, log=context.log.info)
                tell_catalog(opened, step)
                status = AUDITED if published.is_audited_now else UP_TO_DATE
                context.log.info("up to date: made of what is there now, by the code and settings of now")
        for outcome in published.outcomes:
            yield check_result(outcome, asset_key=key, partition=part.key if part else None)
        if not published.is_published:
            failures = describe_failures(
                published.outcomes, table=step.name, partition=part.key if part else None, stands=status == AUDITED
            )
            kept = f"\nThe rejected rows are kept in {published.rejected}." if published.rejected else ""
            raise dg.Failure(failures + kept, allow_retries=False)
        pass_over_libraries()
        yield dg.MaterializeResult(
            asset_key=key,
            metadata={
                "status": status,
                "seconds": round(time.monotonic() - started, 3),
                **_result_metadata(opened, step, part, published),
            },
            data_version=dg.DataVersion(published.version),
        )

    return table


def _several(
    context: dg.AssetExecutionContext, step: Step, opened: Warehouse, parts: Sequence[PartKey], *, force: bool
) -> Iterator[Any]:
    """Several parts of a table, made together. Parts that fail are told by name, each with its message; the others are
    materialized though the step fails, so that what reads them can be asked for.
    """
    key, started = asset_key(step.name), time.monotonic()
    with transient_faults_retried(), user_errors_shown(opened.lake.root):
        made: dict[PartKey, Published | Exception] = {}
        stale: dict[PartKey, None] = {}  # in order, and looked up for each part
        versions = Versions(opened, parts)
        due = () if force else step.due(opened, parts)
        for part in parts:
            try:
                step.look(opened, part)
                if force or is_stale_by(versions, due, opened, step, part):
                    stale[part] = None
            except Exception as error:
                if is_of_every_part(error):
                    raise
                made[part] = error
        if stale:
            made |= make_together(opened, step, list(stale), log=context.log.info)
        if left := [part for part in parts if part not in made]:
            made |= {part: standing(opened, step, part, log=context.log.info) for part in left}
            tell_catalog(opened, step)
    seconds = round((time.monotonic() - started) / len(parts), 3)
    done: dict[PartKey, Published] = {}
    failures: dict[str, str] = {}
    for part, each in made.items():
        if isinstance(each, Published) and each.is_published:
            done[part] = each
        elif isinstance(each, Published):
            broken = describe_failures(each.outcomes, table=step.name, partition=part.key, stands=part not in stale)
            kept = f"\nThe rejected rows are kept in {each.rejected}." if each.rejected else ""
            failures[part.key] = broken + kept
        else:
            failures[part.key] = told(each, warehouse=opened.lake.root)
    statuses = {
        part: MADE if part in stale else AUDITED if each.is_audited_now else UP_TO_DATE for part, each in done.items()
    }
    metadata = {
        part: {
            "status": statuses[part],
            "seconds": seconds,
            **({"preview": NO_PREVIEW} if part in stale and not each.preview else {}),
            **_result_metadata(opened, step, part, each),
        }
        for part, each in done.items()
    }
    for outcome in _all_outcomes([each for each in made.values() if isinstance(each, Published)]):
        yield check_result(outcome, asset_key=key, partition=f"{len(parts)} parts")
    if failures:
        for part, told_of_part in metadata.items():
            tags = {DATA_VERSION_TAG: done[part].version}
            context.log_event(dg.AssetMaterialization(key, partition=part.key, metadata=told_of_part, tags=tags))
        raise dg.Failure(
            f"{len(failures)} of {len(parts)} parts failed: {', '.join(sorted(failures))}\n"
            + "\n".join(failures[name] for name in sorted(failures)),
            metadata={FAILED_PARTS: dg.MetadataValue.json(failures)},
            allow_retries=False,
        )
    with partitions_read_once(context.instance):
        for part, told_of_part in metadata.items():
            context.add_asset_metadata(told_of_part, asset_key=key, partition_key=part.key)
    version = version_of_lot({part: each.version for part, each in done.items()})
    yield dg.MaterializeResult(asset_key=key, data_version=dg.DataVersion(version))


def _all_outcomes(published: Sequence[Published]) -> Iterator[Outcome]:
    """Of each check, what it found of several parts: an outcome that has not passed, if any, and how many rows broke
    it.
    """
    for of_parts in zip(*(each.outcomes for each in published), strict=True):
        worst = min(of_parts, key=lambda outcome: outcome.passed)
        broken = [outcome.unexpected for outcome in of_parts if outcome.unexpected is not None]
        yield replace(
            worst,
            rows=sum(outcome.rows or 0 for outcome in of_parts),
            unexpected=sum(broken) if broken else None,
            unexpected_percent=None,
        )


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


def _result_metadata(warehouse: Warehouse, step: Step, part: PartKey | None, published: Published) -> Mapping[str, Any]:
    metadata: dict[str, Any] = {"version": published.version}
    if published.preview:
        metadata["preview"] = dg.MetadataValue.md(published.preview)
    rows = "dagster/partition_row_count" if step.is_partitioned else "dagster/row_count"
    metadata[rows] = published.rows
    metadata |= {f"ran/{model}": text for model, text in published.told.items()}
    if step.write is not None:
        metadata["path"] = dg.MetadataValue.path(warehouse.lake.path(step.model.table, part))
        metadata["size_bytes"] = published.size_bytes
    page = next((outcome.page for outcome in published.outcomes if outcome.page), None)
    if page is not None:
        metadata["data_docs"] = dg.MetadataValue.path(str(page))
    return metadata
