"""Stand-ins of the branch `results` for tables that other stages make: goes away when they are there."""

from collections.abc import Mapping

from laionet_assets.assets.steps import Step, Work
from laionet_assets.settings import Settings
from laionet_assets.sqlmodels.loader import Project
from laionet_assets.warehouse.warehouse import digest


def steps(settings: Settings, project: Project) -> Mapping[str, Step]:
    """raw.image_sets of the settings; the others without rows."""
    first = settings.recipes[0].name
    rows = [("recipe", item.name, None, item.name, None, False) for item in settings.recipes]
    rows += [
        ("local", item.name, item.layout, item.weighted_by or first, None, item.classes is not None)
        for item in settings.image_sets
    ]
    rows += [
        ("published", item.name, None, item.weighted_by or first, item.zero_shot_missing, item.classes is not None)
        for item in settings.published_results
    ]

    def write_sets(work: Work) -> None:
        work.connection.execute(
            "create table sets (kind varchar, image_set varchar, layout varchar, weighted_by varchar, "
            "zero_shot_missing varchar, has_class_list boolean, position integer)"
        )
        for position, row in enumerate(rows):
            work.connection.execute("insert into sets values (?, ?, ?, ?, ?, ?, ?)", [*row, position])
        work.write_select("select *, null::varchar as admission from sets")

    def write_nothing(work: Work) -> None:
        columns = ", ".join(f"null::{column.type} as {column.name}" for column in work.model.table.columns)
        work.write_select(f"select {columns} limit 0")

    made = {
        name: Step(model=project.models[name], code_version="1", write=write_nothing)
        for name in ("core.image_labels", "core.predictions", "raw.real_labels")
    }
    sets = project.models["raw.image_sets"]
    return {**made, sets.name: Step(model=sets, code_version=digest("1", repr(rows)), write=write_sets)}
