"""Stand-ins of core.image_requests, core.images and core.removals, made in another branch: empty tables, so that the
pipeline builds here; and of its `open_store`. Dropped at the merge.
"""

from collections.abc import Mapping

from laionet_assets.assets.steps import Step, Work
from laionet_assets.images.store import ImageStore
from laionet_assets.settings import Settings
from laionet_assets.sqlmodels.loader import Project
from laionet_assets.warehouse.warehouse import Warehouse


def steps(settings: Settings, project: Project) -> Mapping[str, Step]:
    """Steps that write no row."""
    names = ("core.image_requests", "core.images", "core.removals")
    return {name: Step(model=project.models[name], code_version="1", write=_write_nothing) for name in names}


def _write_nothing(work: Work) -> None:
    columns = ", ".join(f"null::{column.type} as {column.name}" for column in work.model.table.columns)
    work.write_select(f"select {columns} limit 0")


def open_store(settings: Settings, warehouse: Warehouse) -> ImageStore:
    """The image store of these settings."""
    images = settings.images
    options = images.storage_options or ({} if images.location else settings.storage_options)
    return ImageStore(settings.image_location, storage_options=options, staging=warehouse.scratch / "images")
