"""Stage marts: marts.claims, what the warehouse says to each claim.

Belongs here: which rows of which tables a claim is judged by, and what lacks where one cannot be. Does not belong here:
when a claim holds (`stats.claims`), the figures themselves (SQL and `alikeness`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from laionet_assets.assets.alikeness import PROFILES, class_means, pairs_of_sets
from laionet_assets.assets.claims_of_captions import claims_of_captions
from laionet_assets.assets.claims_of_doubts import claims_of_doubts
from laionet_assets.assets.claims_of_pools import claims_of_pools
from laionet_assets.assets.steps import Step, Work
from laionet_assets.settings import Settings
from laionet_assets.sqlmodels.loader import Project

if TYPE_CHECKING:
    import numpy as np

    from laionet_assets.stats.claims import ClaimRow
    from laionet_assets.stats.comparison import Differences

ANY = "*"
"""In the grain: of no one recipe, image set or model."""
SYNTHETIC = "synthetic web"
WHOLE_LAION400M = 413_871_335 * 0.99
"""Pairs from which on LAION-400M counts as whole."""

_NO_MODELS = "predictors in laionet.yaml that have a recall on both image sets"
_NO_ENCODERS = "image_encoders in laionet.yaml, and classes of two pictures in both image sets"
_NO_ZERO_SHOT = "a zero-shot predictor (open_clip) that has a recall on both image sets"
_NO_SETS = "an image set beside LAIONet (image_sets in laionet.yaml)"


def steps(settings: Settings, project: Project) -> Mapping[str, Step]:
    """The step of the table."""
    is_drawn = any(path.startswith("sample://") for source in settings.sources for path in source.paths)
    data = SYNTHETIC if is_drawn else ", ".join(source.name for source in settings.sources)
    return {
        "marts.claims": Step(
            model=project.models["marts.claims"],
            write=partial(_write_claims, data),
            settings=(data,),
        )
    }


def _write_claims(data: str, work: Work) -> None:
    rows = [
        *_of_recipes(work, data),
        *_of_models(work, data),
        *_of_similarity(work, data),
        *claims_of_pools(work, data),
        *claims_of_doubts(work, _sets(work)["recipe"], data),
        *claims_of_captions(work, data),
    ]
    table = [{**asdict(row), "mended": list(row.mended)} for row in rows]
    for row in table:
        row |= {name: row[name] or ANY for name in ("recipe", "image_set", "model")}
    work.write_rows({name: [row[name] for row in table] for name in work.model.table.column_names})


def _of_recipes(work: Work, data: str) -> "Iterator[ClaimRow]":
    """C1, of every recipe of the profile paper."""
    from laionet_assets.stats.claims import Subject, paper

    (pairs,) = work.connection.execute("select sum(pairs) from raw.parts where adapter = 'laion400m'").fetchone() or (
        0,
    )
    is_whole = (pairs or 0) >= WHOLE_LAION400M and data != SYNTHETIC
    for recipe, images, classes in work.connection.execute("""
        select r.recipe, count(distinct (l.source, l.sample_id)), count(distinct l.wnid)
        from raw.recipes as r left join core.laionet as l using (recipe)
        where r.matching = 'paper' and not r.is_pool group by r.recipe, r.position order by r.position
    """).fetchall():
        yield from paper.c1(Subject(recipe, None, None, "paper", data), images, classes, is_whole_laion400m=is_whole)


def _of_models(work: Work, data: str) -> "Iterator[ClaimRow]":
    """C2, C3 and N3, of every recipe and every image set beside it."""
    from laionet_assets.stats.claims import Subject, beyond, paper

    sets = _sets(work)
    zero_shot = {
        model for (model,) in work.connection.execute("select model from raw.predictors where is_zero_shot").fetchall()
    }
    for recipe, profile in sets["recipe"]:
        known = sorted({model for model, _ in _recalls(work, recipe)})
        heads = [model for model in known if model not in zero_shot]
        wnids, recalls = _matrix(_recalls(work, recipe), heads)
        weights = dict(
            work.connection.execute(
                "select wnid, weight from core.class_weights where image_set = ? and weighting = 'laion'", [recipe]
            ).fetchall()
        )
        yield paper.c3b(
            Subject(recipe, None, None, profile, data),
            recalls if heads else None,
            _column([weights.get(wnid, 0.0) for wnid in wnids]),
            missing=_NO_MODELS,
        )
        for image_set in sets["beside"]:
            of_recipe, of_set = _recalls(work, recipe), _recalls(work, image_set)
            subject = Subject(recipe, image_set, None, profile, data, ("classes of both sides",))
            for model in sorted(each for each in zero_shot if each in known) or [None]:
                yield from paper.c2(
                    Subject(recipe, image_set, model, profile, data),
                    None if model is None else _gaps(of_recipe, of_set, [model])[:, 0],
                    None if model is None else _gap_as_wrong(work, recipe, image_set, model),
                    missing=_NO_ZERO_SHOT,
                )
            common = [model for model in heads if any(model == each for each, _ in of_set)]
            gaps = _gaps(of_recipe, of_set, common) if common else None
            yield paper.c3a(subject, gaps, missing=_NO_MODELS)
            (_, one), (_, other) = _aligned(of_recipe, of_set, common)
            yield beyond.n3(subject, one if common else None, other if common else None, missing=_NO_MODELS)


def _of_similarity(work: Work, data: str) -> "Iterator[ClaimRow]":
    """C4, C5 and C6, of every recipe, encoder and profile."""
    from laionet_assets.stats.claims import Subject, paper
    from laionet_assets.stats.comparison import compare

    sets = _sets(work)
    recipes = [recipe for recipe, _ in sets["recipe"]]
    by_pair: dict[tuple[str, str, str], dict[str, Differences]] = {}
    for key, one, other in pairs_of_sets(work):
        if key["image_set"] in recipes and key["other_image_set"] in sets["beside"]:
            found = compare(class_means(key["profile"], one), class_means(key["profile"], other))
            pair = by_pair.setdefault((key["profile"], key["image_set"], key["encoder"]), {})
            pair[key["other_image_set"]] = found
    frequencies = dict(
        work.connection.execute(
            "select image_set, selection_frequency from raw.image_sets where selection_frequency is not null"
        ).fetchall()
    )
    mended = {"corrected": ("interval over images, not over pairs",), "paper": ()}
    for (profile, recipe, encoder), beside in by_pair.items():
        for image_set, differences in beside.items():
            yield paper.c4(Subject(recipe, image_set, encoder, profile, data, mended[profile]), differences)
        of_frequency = {frequencies[name]: each for name, each in beside.items() if name in frequencies}
        yield paper.c6(Subject(recipe, None, encoder, profile, data, mended[profile]), of_frequency)
    judged = {(recipe, profile) for profile, recipe, _ in by_pair}
    for recipe in recipes:
        for profile in PROFILES:
            if (recipe, profile) not in judged:
                lacks = _NO_ENCODERS if sets["beside"] else _NO_SETS
                yield paper.c4(Subject(recipe, None, None, profile, data), None, missing=lacks)
                yield paper.c6(Subject(recipe, None, None, profile, data), None, missing=lacks)
    yield from _recall_with_similarity(work, recipes, sets["beside"], data)


def _recall_with_similarity(
    work: Work, recipes: Sequence[str], beside: Sequence[str], data: str
) -> "Iterator[ClaimRow]":
    """C5, of every recipe, image set, encoder and predictor."""
    from laionet_assets.stats.claims import Subject, paper

    rows = work.connection.execute(
        """
        select image_set, other_image_set, encoder || ', ' || model, similarity_difference, recall
        from marts.class_profile
        where image_set in (select unnest($1::varchar[])) and other_image_set in (select unnest($2::varchar[]))
        order by all
        """,
        [list(recipes), list(beside)],
    ).fetchall()
    for (recipe, image_set, model), group in groupby(rows, key=lambda row: row[:3]):
        _, _, _, differences, recalls = zip(*group, strict=True)
        yield paper.c5(Subject(recipe, image_set, model, "corrected", data), _column(differences), _column(recalls))
    for recipe in recipes:
        if all(row[0] != recipe for row in rows):
            yield paper.c5(
                Subject(recipe, None, None, "corrected", data), None, None, missing=f"{_NO_ENCODERS}; {_NO_MODELS}"
            )


def _sets(work: Work) -> dict[str, list[Any]]:
    """Recipes with their profile, without pools, and the image sets beside them, in the order of the settings."""
    rows = work.connection.execute("""
        select image_set, kind, profile from raw.image_sets
        where image_set not in (select recipe from raw.recipes where is_pool) order by position
    """).fetchall()
    return {
        "recipe": [(name, profile) for name, kind, profile in rows if kind == "recipe"],
        "beside": [name for name, kind, _ in rows if kind in ("local", "published")],
    }


Recalls = dict[tuple[str, str], float]
"""Recall@1 by model and class."""


def _recalls(work: Work, image_set: str) -> Recalls:
    rows = work.connection.execute(
        """
        select model, wnid, recall from marts.class_recall
        semi join (select image_set, wnid from core.class_weights where weighting = 'equal') using (image_set, wnid)
        where k = 1 and image_set = ? order by all
        """,
        [image_set],
    ).fetchall()
    return {(model, wnid): recall for model, wnid, recall in rows}


def _gap_as_wrong(work: Work, recipe: str, image_set: str, model: str) -> "np.ndarray":
    """Recall@1 of each class on the first minus the second where what a model has no prediction for is wrong, as
    published: pictures that could not be had, or do not take part, count against it.
    """
    rows = work.connection.execute(
        """
        with labels as (
            select image_set, image_id, wnid from core.image_labels
            where rejected_because is distinct from 'not_asked_for' and image_set in ($1, $2)
            union
            select image_set, image_id, wnid from core.correctness where image_set in ($1, $2)
        ),
        answers as (
            select image_set, image_id, wnid, top_1_is_correct from core.correctness where model = $3
        )
        select image_set, wnid, count_if(coalesce(top_1_is_correct, false)) / count(*)
        from labels
        semi join (select image_set, wnid from core.class_weights where weighting = 'equal') using (image_set, wnid)
        left join answers using (image_set, image_id, wnid)
        group by all
        """,
        [recipe, image_set, model],
    ).fetchall()
    one: Recalls = {(model, wnid): recall for name, wnid, recall in rows if name == recipe}
    other: Recalls = {(model, wnid): recall for name, wnid, recall in rows if name == image_set}
    return _gaps(one, other, [model])[:, 0]


def _matrix(
    recalls: Recalls, models: Sequence[str], wnids: Sequence[str] | None = None
) -> "tuple[list[str], np.ndarray]":
    """Classes, and recalls of shape (classes, models), nan where there is none."""
    import numpy as np

    rows = sorted({wnid for _, wnid in recalls}) if wnids is None else list(wnids)
    table = [[recalls.get((model, wnid), np.nan) for model in models] for wnid in rows]
    return rows, np.array(table, dtype=np.float64).reshape(len(rows), len(models))


def _aligned(one: Recalls, other: Recalls, models: Sequence[str]) -> Any:
    """Both as matrices over the classes that both have."""
    common = sorted({wnid for _, wnid in one} & {wnid for _, wnid in other})
    return _matrix(one, models, common), _matrix(other, models, common)


def _gaps(one: Recalls, other: Recalls, models: Sequence[str]) -> "np.ndarray":
    """The first minus the second, shape (classes, models), nan where a side has none."""
    (_, first), (_, second) = _aligned(one, other, models)
    return first - second


def _column(values: Sequence[float]) -> "np.ndarray":
    import numpy as np

    return np.array(values, dtype=np.float64)
