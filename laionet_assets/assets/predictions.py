"""Stage predictions: core.image_predictions (by part) and core.set_predictions, made by the predictors of the settings.

Belongs here: which pictures each table wants predicted, and where their bytes are. Does not belong here: what is
predicted already and what is not (`predicting`), models (`predictors`), who counts (core.predictions is SQL).
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

from laionet_assets.assets.image_sets import open_local_set
from laionet_assets.assets.images import open_store
from laionet_assets.assets.predicting import PREDICTED, WANTED, Model, predict_missing
from laionet_assets.assets.steps import Step, Work, by_provider, forget_checkpoint, labelled, same_for_all_parts
from laionet_assets.errors import UserError
from laionet_assets.images.sets import ImageItem
from laionet_assets.models.prompts import ClassPrompts, query_prompts, template_prompts
from laionet_assets.models.spec import PREDICTOR, ModelSpec, parse_model
from laionet_assets.pictures.reading import Content
from laionet_assets.predictors import predictor_identity
from laionet_assets.settings import PredictorSettings, Settings, SettingsError
from laionet_assets.sqlmodels.loader import Project
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse, digest

Predictors = Sequence[tuple[PredictorSettings, ModelSpec]]

PREDICTOR_POOL = "predictor"
NOT_STORED = "the picture is not in the image store, or damaged there"
_QUERY_TEMPLATE = "name_def"
"""Template of the paper's one query a class for zero-shot prediction (method.md 1.13)."""


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
            computations=by_provider([spec for _, spec in specs], predict_missing),
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
    specs, problems = [], []
    for i, predictor in enumerate(settings.predictors):
        weights = Path(settings.resolve(predictor.weights)) if predictor.weights is not None else None
        try:
            spec = parse_model(
                PREDICTOR,
                predictor.model,
                name=predictor.name,
                weights=weights,
                device=predictor.device,
                allow_torchscript=predictor.allow_torchscript,
            )
            specs.append((predictor, spec))
        except UserError as error:
            problems.append(f"  predictors[{i}].model: {error}")
    if problems:
        raise SettingsError(f"{settings.config_path}: {len(problems)} problem(s)\n" + "\n".join(problems))
    return specs


def _write_image_predictions(settings: Settings, specs: Predictors, work: Work) -> None:
    """Every content of the part's images. Its mode tells which profiles may want it: RGB both, others corrected."""
    work.connection.execute("""
        create temp table pictures as
        select source, part, sha256, any_value(mode) as mode from core.images where status = 'success' group by all
    """)
    work.connection.execute(f"""
        create temp table {WANTED} as
        select sha256, unnest(if(mode = 'RGB', ['paper', 'corrected'], ['corrected'])) as seen from pictures
    """)

    def contents(sha256s: Collection[str]) -> Iterator[tuple[str, Content]]:
        for sha256, found in open_store(settings, work.warehouse).contents(sha256s):
            if isinstance(found, bytes):
                yield sha256, found
            else:
                work.log(str(found))

    predict_missing(work, _models(specs, work), contents, not_predicted=NOT_STORED)
    work.write_select(
        f"""
        select
            source,
            part,
            sha256,
            coalesce(profile, 'both') as profile,
            model,
            coalesce(rank, 1)::integer as rank,
            wnid,
            score,
            if(rank is null, $not_stored, error) as error,
            model_identity,
        from pictures
        cross join models
        left join {PREDICTED} using (sha256, model_identity)
        """,
        {"not_stored": NOT_STORED},
    )


def _write_set_predictions(settings: Settings, specs: Predictors, work: Work) -> None:
    """Every content of the local sets, as the set's admission sees it."""
    work.connection.execute("""
        create temp table pictures as
        select
            image_set,
            image_id,
            sha256,
            error as not_read,
            if(admission = 'paper' and mode = 'RGB', 'paper', 'corrected') as seen,
        from core.set_images
    """)
    work.connection.execute(f"""
        create temp table {WANTED} as
        select distinct sha256, seen from pictures where sha256 is not null
    """)
    predict_missing(work, _models(specs, work), partial(_set_contents, settings, work))
    work.write_select(f"""
        with seen_by as (
            select *, unnest(if(profile = 'both', ['paper', 'corrected'], [profile])) as seen from {PREDICTED}
        )

        select
            image_set,
            image_id,
            model,
            coalesce(rank, 1)::integer as rank,
            wnid,
            score,
            if(rank is null, not_read, error) as error,
            sha256,
            coalesce(profile, 'both') as profile,
            model_identity,
        from pictures
        cross join models
        left join seen_by using (sha256, model_identity, seen)
    """)


def _set_contents(settings: Settings, work: Work, sha256s: Collection[str]) -> Iterator[tuple[str, Content]]:
    """Each content from the first picture that has it, in the order of the sets."""
    work.connection.execute(
        "create or replace temp table asked as select unnest($1::varchar[]) as sha256", [list(sha256s)]
    )
    rows = work.connection.execute("""
        select image_set, image_id, sha256 from pictures semi join asked using (sha256)
        qualify row_number() over (partition by sha256 order by image_set, image_id) = 1
    """).fetchall()
    asked: dict[str, dict[str, str]] = {}
    for image_set, image_id, sha256 in rows:
        asked.setdefault(image_set, {})[image_id] = sha256
    for image_set in sorted(settings.image_sets, key=lambda one: one.name):
        if image_set.name in asked:
            opened = open_local_set(settings, image_set)
            yield from _read_later(image_set.name, opened.iterate(), asked[image_set.name])


def _read_later(name: str, items: Iterable[ImageItem], asked: Mapping[str, str]) -> Iterator[tuple[str, Content]]:
    """The pictures asked for, each with a function that reads it. Raises UserError for one that is gone."""
    found = 0
    for item in items:
        if item.image_id in asked:
            found += 1
            yield asked[item.image_id], partial(_read_unchanged, name, item, asked[item.image_id])
    if found < len(asked):
        raise _changed(name, f"{len(asked) - found} pictures are gone")


def _read_unchanged(name: str, item: ImageItem, sha256: str) -> bytes:
    try:
        data = item.read()
    except OSError as error:
        raise _changed(name, f"{item.image_id} cannot be read any more ({error})") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise _changed(name, f"{item.image_id} has another content")
    return data


def _changed(name: str, what: str) -> UserError:
    return UserError(f"image set {name}: {what}, since core.set_images was made. Run again: laionet run")


def _models(specs: Predictors, work: Work) -> list[Model]:
    """The predictors, with the prompts of zero-shot ones."""
    models = []
    for predictor, parsed in specs:
        spec = labelled(parsed, work)
        prompts = _prompts(predictor, spec, work) if spec.provider == "open_clip" else None
        models.append(Model(spec, prompts, predictor_identity(spec, prompts=prompts)))
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
