"""The Dagster definitions of a configuration; nothing else."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from laionet_assets.assets.build import build_asset
from laionet_assets.assets.pipeline import Pipeline, build_pipeline
from laionet_assets.assets.refresh import automation
from laionet_assets.settings import Settings, load_settings


def build_defs(
    settings: Settings, *, pipeline: Pipeline | None = None, resources: Mapping[str, Any] | None = None
) -> dg.Definitions:
    """Assets, checks, jobs, schedules and sensors of a configuration.

    `resources` replaces resources by name (tests). Raises UserError if the configuration cannot be used.
    """
    pipeline = pipeline or build_pipeline(settings)
    read = {name for step in pipeline.steps for name in step.model.dependencies}
    assets = [build_asset(step, pipeline.open_warehouse, is_last=step.name not in read) for step in pipeline.steps]
    return dg.Definitions.merge(
        dg.Definitions(
            assets=assets,
            resources={"warehouse": pipeline.resource, **(resources or {})},
            executor=dg.in_process_executor,
        ),
        automation(pipeline),
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions of the configuration found by LAIONET_CONFIG or in the working directory."""
    return build_defs(load_settings())
