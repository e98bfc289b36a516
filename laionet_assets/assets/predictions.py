"""Stage predictions: core.image_predictions (by part) and core.set_predictions, made by the predictors of the settings.

Belongs here: the predictors of the settings, and what they make of a picture as rows. Does not belong here: what is
predicted already and what is not (`by_content`), models (`predictors`), who counts (core.predictions is SQL).
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from importlib.metadata import version

from laionet_assets.assets.by_content import Model, Results, Rows, write_of_part, write_of_sets
from laionet_assets.assets.named_models import named_models
from laionet_assets.assets.progress import Rate
from laionet_assets.assets.steps import Step, Work, by_provider, forget_checkpoint, labelled, same_for_all_parts
from laionet_assets.models.prompts import ClassPrompts, query_prompts, template_prompts
from laionet_assets.models.spec import PREDICTOR, ModelSpec
from laionet_assets.pictures.reading import Content
from laionet_assets.predictors import ImageNetClasses, load_predictor, predict_stream, predictor_identity
from laionet_assets.settings import PredictorSettings, Settings
from laionet_assets.sqlmodels.loader import Project
from laionet_assets.taxonomy import load_synsets
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse, digest

Predictors = Sequence[tuple[PredictorSettings, ModelSpec]]

PREDICTOR_POOL = "predictor"
RANKS = 5
_QUERY_TEMPLATE = "name_def"
"""Template of the paper's one query a class for zero-shot prediction (docs/method.md, 11)."""


def steps(settings: Settings, project: Project) -> Mapping[str, Step]:
    """The steps of the two tables. Raises SettingsError naming every predictor of the settings that is not possible."""
    specs = predictor_specs(settings)

    def models(warehouse: Warehouse, part: PartKey | None) -> str:
        return digest(*(f"{spec.name}={predictor_identity(spec)} {_prompts_version(one, spec)}" for one, spec in specs))

    images, sets = project.models["core.image_predictions"], project.models["core.set_predictions"]
    return {
        model.name: Step(
            model=model,
            write=partial(write, settings, specs),
            computations=by_provider([spec for _, spec in specs], predicted),
            outside=models,
            outside_by=same_for_all_parts,
            pool=PREDICTOR_POOL,
            after_publish=forget_checkpoint,
        )
        for model, write in ((images, _write_image_predictions), (sets, _write_set_predictions))
    }


def predictor_specs(settings: Settings) -> Predictors:
    """The predictors of the settings. Raises SettingsError listing all that are not possible, by the path of their
    key.
    """
    specs = named_models(settings, "predictors", PREDICTOR, fault=_prompts_without_a_use)
    return list(zip(settings.predictors, specs, strict=True))


def _prompts_without_a_use(predictor: PredictorSettings, spec: ModelSpec) -> str | None:
    if predictor.prompts == "query" or spec.provider == "open_clip":
        return None
    return f"prompts: found {predictor.prompts}, but {predictor.model} is not asked by prompts; take the key away"


def _write_image_predictions(settings: Settings, specs: Predictors, work: Work) -> None:
    write_of_part(settings, PREDICTIONS, _models(specs, work), work)


def _write_set_predictions(settings: Settings, specs: Predictors, work: Work) -> None:
    write_of_sets(settings, PREDICTIONS, _models(specs, work), work)


def predicted(work: Work, models: Sequence[Model], items: Iterable[tuple[str, Content]]) -> Rows:
    """A row a rank, or one with the error."""
    from laionet_assets.pictures.processes import are_worth_it
    from laionet_assets.pictures.stream import available_cores

    cache = work.warehouse.scratch / "class_embeddings"
    classes = ImageNetClasses.of_rows((synset.wnid, synset.lemmas) for synset in load_synsets("imagenet-1k"))
    predictors = [load_predictor(model.spec, classes=classes, prompts=model.prompts, cache=cache) for model in models]
    workers, rate = available_cores(), Rate()
    outcomes = predict_stream(
        items, predictors, k=RANKS, workers=workers, processes=are_worth_it(workers), log=work.log
    )
    for outcome in rate.counted(outcomes):
        for rank, (wnid, score) in enumerate(outcome.ranked or [(None, None)], 1):
            yield outcome.image_id, outcome.profile, outcome.model, rank, wnid, score, outcome.error
    for predictor in predictors:
        told = f"{rate.told('pictures', each=len(predictors))} through {len(predictors)} predictors"
        work.tell(predictor.name, f"{predictor.told()}, {told}")


PREDICTIONS = Results(
    label="model",
    done="predicted",
    columns={"rank": "coalesce(rank, 1)::integer", "wnid": "wnid", "score": "score"},
    compute=predicted,
    pictures="""
        with predicting as (
            select coalesce(list(recipe), []) as seen_by from raw.recipes where predicts_pictures
        ),
        unseen as (
            select source, sample_id from core.image_requests, predicting
            where not is_neighbour and not list_has_any(recipes, seen_by)
        )
        from core.images anti join unseen using (source, sample_id) where status = 'success'
    """,
)


def _models(specs: Predictors, work: Work) -> list[Model]:
    """The predictors, with the prompts of zero-shot ones."""
    models = []
    for predictor, parsed in specs:
        spec = labelled(parsed, work)
        prompts = _prompts(predictor, spec, work) if spec.provider == "open_clip" else None
        models.append(Model(spec, predictor_identity(spec, prompts=prompts), prompts))
    return models


def _prompts(predictor: PredictorSettings, spec: ModelSpec, work: Work) -> ClassPrompts:
    """The texts of every class of the taxonomy; OpenAI's templates have names for those of ImageNet-1k alone."""
    if predictor.prompts == "query":
        rows = work.connection.execute(
            "select wnid, query from staging.queries where template = ? order by wnid", [_QUERY_TEMPLATE]
        ).fetchall()
        return query_prompts(dict(rows))
    rows = work.connection.execute(
        "select wnid, class_index from raw.synsets where class_index is not null order by class_index"
    ).fetchall()
    if not rows:
        raise spec.error("prompts: templates are for classes of ImageNet-1k, and the taxonomy has none; use query")
    return template_prompts(dict(rows))


def _prompts_version(predictor: PredictorSettings, spec: ModelSpec) -> str:
    """What the prompts depend on besides the tables: the templates come with open_clip."""
    if spec.provider != "open_clip":
        return ""
    return f"templates of open_clip {version('open_clip_torch')}" if predictor.prompts == "templates" else "query"
