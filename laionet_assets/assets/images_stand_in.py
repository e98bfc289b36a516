"""Temporary: core.images without rows, until the stage images makes it. Nothing else belongs here."""

from collections.abc import Mapping

from laionet_assets.assets.steps import Step, Work
from laionet_assets.settings import Settings
from laionet_assets.sqlmodels.loader import Project


def steps(settings: Settings, project: Project) -> Mapping[str, Step]:
    """The step of core.images."""
    model = project.models["core.images"]

    def write(work: Work) -> None:
        columns = ", ".join(f"null::{column.type} as {column.name}" for column in model.table.columns)
        work.write_select(f"select {columns} where false")

    return {model.name: Step(model=model, code_version="stand-in", write=write)}
