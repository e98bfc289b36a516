"""All steps of a configuration, in order, and the warehouse that they work on."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from laionet_assets.assets import (
    alikeness,
    arms,
    claims,
    closeness,
    embeddings,
    equally_near,
    image_sets,
    image_text,
    images,
    ingestion,
    judging,
    matching,
    nearest_captions,
    neighbour_sweep,
    noise,
    predictions,
    rankings,
    recipes,
    results,
    set_captions,
    similarity,
    taxonomy,
    telling_apart,
)
from laionet_assets.assets.steps import Step, sql_step
from laionet_assets.settings import Settings, SettingsError
from laionet_assets.sqlmodels.loader import Project, load_project
from laionet_assets.sqlmodels.parse import SqlModelError
from laionet_assets.warehouse.resource import WarehouseResource
from laionet_assets.warehouse.warehouse import Warehouse
from laionet_assets.yaml_file import YamlFileError, read_yaml

DAGSTERS_RUNS_AT_ONCE = 10
"""What Dagster allows where its configuration says nothing."""


@dataclass(frozen=True)
class Pipeline:
    """What a configuration amounts to."""

    settings: Settings
    project: Project
    steps: Sequence[Step]

    @cached_property
    def resource(self) -> WarehouseResource:
        """The Dagster resource for this configuration."""
        return warehouse_resource(self.settings)

    def open_warehouse(self, resource: WarehouseResource) -> Warehouse:
        """The warehouse behind a resource."""
        sources = frozenset(source.name for source in self.settings.sources)
        return resource.open(self.project.tables, ingestion.source_views(self.settings), sources)

    @cached_property
    def warehouse(self) -> Warehouse:
        """The warehouse of this configuration."""
        return self.open_warehouse(self.resource)


def build_pipeline(settings: Settings, *, project: Project | None = None) -> Pipeline:
    """All steps of a configuration, each after those that it reads.

    Raises UserError if a model, a source or an encoder of the settings cannot be used.
    """
    project = project_of(settings, project)
    python_steps: dict[str, Step] = {}
    stages = (
        ingestion,
        taxonomy,
        matching,
        similarity,
        recipes,
        images,
        image_text,
        image_sets,
        predictions,
        embeddings,
        closeness,
        alikeness,
        arms,
        set_captions,
        nearest_captions,
        neighbour_sweep,
        results,
        judging,
        noise,
        rankings,
        telling_apart,
        equally_near,
        claims,
    )
    for stage in stages:
        python_steps.update(stage.steps(settings, project))
    steps = []
    for model in project.in_order():
        if model.select is not None:
            steps.append(sql_step(project, model))
        elif model.name in python_steps:
            steps.append(python_steps[model.name])
        else:
            raise SqlModelError(
                f"{model.documentation}: no SQL beside it, and no stage of laionet_assets/assets makes it"
            )
    return Pipeline(settings=settings, project=project, steps=tuple(steps))


def project_of(settings: Settings, project: Project | None = None) -> Project:
    """The project with the severities of the settings. Raises SettingsError listing all that are not possible."""
    try:
        return (project or load_project()).with_severities(settings.checks)
    except SqlModelError as error:
        problems = [f"  checks.{line}" for line in str(error).splitlines()]
        raise SettingsError(f"{settings.config_path}: {len(problems)} problem(s)\n" + "\n".join(problems)) from None


def warehouse_resource(settings: Settings) -> WarehouseResource:
    """The Dagster resource for these settings."""
    config: Mapping[str, Any] = settings.duckdb.model_dump(exclude_none=True)
    filesystems = {
        path: source.storage_options for source in settings.sources for path in source.paths if _is_remote(path)
    }
    return WarehouseResource(
        root=settings.warehouse_root,
        storage_options=settings.storage_options,
        docs=str(docs_folder(settings)),
        connection_config=dict(config),
        filesystems=filesystems,
        runs_at_once=runs_at_once(settings),
    )


def dagster_yaml(settings: Settings) -> Path:
    """The project's description of its Dagster instance: beside the configuration, else the one that comes along."""
    package = Path(__file__).resolve().parents[1]
    candidates = (settings.home / "dagster.yaml", package.parent / "dagster.yaml", package / "_dagster.yaml")
    return next(path for path in candidates if path.is_file())


def runs_at_once(settings: Settings) -> int:
    """How many runs the Dagster instance lets go at once. Raises SettingsError if its dagster.yaml cannot be read."""
    homes = [Path(os.environ["DAGSTER_HOME"])] if os.environ.get("DAGSTER_HOME") else [settings.home / ".dagster"]
    found = next((home / "dagster.yaml" for home in homes if (home / "dagster.yaml").is_file()), dagster_yaml(settings))
    try:
        data = read_yaml(found) or {}
        runs = data.get("concurrency", {}).get("runs", {}).get("max_concurrent_runs", DAGSTERS_RUNS_AT_ONCE)
        return max(1, int(runs))
    except (YamlFileError, AttributeError, TypeError, ValueError) as error:
        raise SettingsError(f"{found}: concurrency.runs.max_concurrent_runs cannot be read: {error}") from None


def docs_folder(settings: Settings) -> Path:
    """Folder of Data Docs: in the warehouse, or beside the configuration if the warehouse is remote."""
    return Path(settings.home if _is_remote(settings.warehouse_root) else settings.warehouse_root) / "data_docs"


def _is_remote(path: str) -> bool:
    return "://" in path and not path.startswith(("file://", "sample://"))
