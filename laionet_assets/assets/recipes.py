"""Stage laionet: raw.recipes, the recipes of laionet.yaml as rows."""

from collections.abc import Mapping
from functools import partial

from laionet_assets.assets.steps import Step, write_given
from laionet_assets.settings import Settings
from laionet_assets.sqlmodels.loader import Project


def steps(settings: Settings, project: Project) -> Mapping[str, Step]:
    """The step of raw.recipes. The recipes are its settings: changing one makes what reads it stale, nothing else."""
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
    return {model.name: Step(model=model, settings=(repr(rows),), write=partial(write_given, rows))}
