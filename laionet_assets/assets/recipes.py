"""Stage laionet: raw.recipes, the recipes of laionet.yaml as rows."""

from collections.abc import Mapping, Sequence
from functools import partial

from laionet_assets.assets.steps import Step, write_given
from laionet_assets.settings import ModelSettings, RecipeSettings, Settings
from laionet_assets.sqlmodels.loader import Project


def steps(settings: Settings, project: Project) -> Mapping[str, Step]:
    """The step of raw.recipes. The recipes are its settings: changing one makes what reads it stale, nothing else."""
    by = {recipe.name: settings.image_similarity_of(recipe) for recipe in settings.recipes}
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
            "image_encoder": found[0].name if (found := by[recipe.name]) else None,
            "image_kind": found[1] if found else None,
            "image_threshold": recipe.image_threshold,
            "is_pool": found is not None and recipe.image_threshold is None,
            "choosing_encoders": _models_that_choose(settings, recipe, settings.image_encoders),
            "choosing_predictors": _models_that_choose(settings, recipe, settings.predictors),
            "predicts_pictures": recipe.pictures.predict,
            "pictures_per_class": recipe.pictures.per_class,
            "duplicates": recipe.duplicates,
        }
        for position, recipe in enumerate(settings.recipes)
    ]

    model = project.models["raw.recipes"]
    return {model.name: Step(model=model, settings=(repr(rows),), write=partial(write_given, rows))}


def _models_that_choose(settings: Settings, recipe: RecipeSettings, models: Sequence[ModelSettings]) -> list[str]:
    """Those of the models by which the recipe chooses, under whatever name."""
    found = settings.image_similarity_of(recipe)
    chosen = [encoder for encoder in settings.text_encoders if encoder.name == recipe.encoder]
    checkpoints = {_checkpoint(model) for model in (*chosen, *([found[0]] if found else []))}
    return sorted(model.name for model in models if _checkpoint(model) in checkpoints)


def _checkpoint(model: ModelSettings) -> tuple[str, str]:
    """What a model is, whatever it is used for."""
    return model.model, str(model.weights or "")
