"""Stage release: the whole warehouse as one database, the last asset of the graph."""

from collections.abc import Callable

import dagster as dg

from laionet_assets.assets.build import (
    FOLLOW_UPSTREAM,
    asset_key,
    group_name,
    transient_faults_retried,
    user_errors_shown,
)
from laionet_assets.assets.pipeline import Pipeline
from laionet_assets.assets.same_rows import same_rows
from laionet_assets.assets.source_code import this_package
from laionet_assets.assets.versions import Versions
from laionet_assets.warehouse.catalog import refresh_catalog, write_release
from laionet_assets.warehouse.resource import WarehouseResource
from laionet_assets.warehouse.warehouse import Warehouse, digest

RELEASE = "release"
REMOVALS = "core.removals"


def build_release_asset(pipeline: Pipeline) -> dg.AssetsDefinition:
    """The asset of release.duckdb. It reads every table that goes into it."""
    names = released_tables(pipeline)

    @dg.asset(
        key=RELEASE,
        deps=[asset_key(name) for name in names],
        group_name=group_name("release"),
        kinds={"duckdb"},
        description=(
            "The whole warehouse as one self-contained DuckDB database of native tables (everything but vectors and "
            "the sources' own rows): copy it to a laptop or archive it. It is built aside and swapped in whole."
        ),
        owners=["team:laionet"],
        code_version=release_code(),
        automation_condition=FOLLOW_UPSTREAM,
    )
    def release(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:
        opened = pipeline.open_warehouse(warehouse)
        version = release_version(opened, names)
        refresh_catalog(opened)
        with transient_faults_retried(), user_errors_shown():
            rows = write_release(opened, opened.release_path, version=version, select=released_select(opened))
        listing = "\n".join(
            ["| table | rows |", "|---|---|", *(f"| {name} | {count:,} |" for name, count in rows.items())]
        )
        return dg.MaterializeResult(
            metadata={
                "path": dg.MetadataValue.path(opened.release_path),
                "tables": dg.MetadataValue.md(listing),
                "dagster/row_count": sum(rows.values()),
            },
            data_version=dg.DataVersion(version),
        )

    return release


def released_tables(pipeline: Pipeline) -> list[str]:
    """Names of the tables that go into the release, in the order of the pipeline."""
    tables = pipeline.project.tables
    return [step.name for step in pipeline.steps if tables[step.name].is_in_release and not tables[step.name].is_view]


def released_select(warehouse: Warehouse) -> Callable[[str], str]:
    """The SELECT of a table as it leaves the warehouse: without address and caption of what was removed.

    core.candidates keeps them, as published by the source, so that the source need not be read again.
    """
    removals = warehouse.select(REMOVALS) if warehouse.is_published(REMOVALS) else None

    def select(name: str) -> str:
        columns = warehouse.table(name).column_names
        private = [column for column in ("url", "caption", "caption_id") if column in columns]
        if removals is None or not private or not {"source", "sample_id"} <= set(columns):
            return warehouse.select(name)
        removed = (
            "exists (from removals r where r.kind = 'sample' and r.value = t.source || '/' || t.sample_id) "
            "or exists (from removals r where r.kind = 'url_hash' and r.value = sha256(t.url))"
            if "url" in columns
            else "exists (from removals r where r.kind = 'sample' and r.value = t.source || '/' || t.sample_id)"
        )
        blanked = ", ".join(f"case when not ({removed}) then {column} end as {column}" for column in private)
        return f"with removals as ({removals}) select * replace ({blanked}) from ({warehouse.select(name)}) t"

    return select


def release_version(warehouse: Warehouse, names: list[str]) -> str:
    """Version of a release written now."""
    versions = Versions(warehouse)
    label = same_rows(warehouse).first_label(RELEASE, release_code())
    return digest(label, *(f"{name}={versions.of(name)}" for name in names))


def release_code() -> str:
    return this_package().digest(released_select)
