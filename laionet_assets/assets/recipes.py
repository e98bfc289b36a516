"""Stage laionet: raw.recipes, the recipes of laionet.yaml as rows."""

from collections.abc import Mapping

from laionet_assets.assets.steps import Step
from laionet_assets.settings import Settings
from laionet_assets.sqlmodels.loader import Project
from laionet_assets.warehouse.warehouse import digest


def steps(settings: Settings, project: Project) -> Mapping[str, Step]:
    """The step of raw.recipes. Its code version covers the recipes: changing one makes what reads it stale, and
    nothing else.
    """
    rows = [
        {
            "recipe": recipe.name,
            "position": position,
            "matching": recipe.matching,
            "encoder": recipe.encoder,
            "text_threshold": recipe.text_threshold,
            "multi_label": recipe.multi_label,
            "nsfw_tags": list(recipe.nsfw),
            "max_punsafe": recipe.max_punsafe,
            "top_k": recipe.top_k,
            "drop_text_in_image": recipe.drop_text_in_image,
        }
        for position, recipe in enumerate(settings.recipes)
    ]

    model = project.models["raw.recipes"]
    code_version = digest("1", repr(rows))
    return {model.name: Step(model=model, code_version=code_version, write=lambda work: work.write_rows(rows))}
