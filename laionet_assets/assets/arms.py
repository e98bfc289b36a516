"""Stage similarity, what choosing by caption, by picture or blindly makes of one pool: core.arm_similarity,
marts.counterfactual, marts.frontier_similarity.

Belongs here: which figures of arms are set beside each other. Does not belong here: the pool, its arms and the frontier
(SQL), how alike pictures are (`alikeness`), the statistics (`stats`).
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from laionet_assets.assets.alikeness import (
    SUMMARY,
    class_means,
    drawn_means,
    interval,
    write_class_summaries,
    write_mappings,
)
from laionet_assets.assets.steps import Computation, Step, Work
from laionet_assets.settings import Settings
from laionet_assets.sqlmodels.loader import Project
from laionet_assets.stats.arms import ARMS, arm_differences
from laionet_assets.stats.intra_class import summarise_classes

ARM_SIMILARITY = "core.arm_similarity"
POINTS = ("A", "B", "C", "D")
SIMILARITY, RECALL = "similarity", "recall"

_COMPARED = """
    select
        a.recipe,
        a.arm,
        a.arm as image_set,
        e.encoder,
        a.wnid,
        a.source || '/' || a.sample_id as image_id,
        a.source,
        a.part,
        a.sha256,
        e.profile as look,
        a.phash,
        1 as copies,
        e.model_identity,
    from core.arms as a
    join raw.recipes as r using (recipe)
    join core.image_embeddings as e using (source, part, sha256)
    where e.error is null and e.profile in ('both', r.matching) and not list_contains(r.choosing_encoders, e.encoder)
"""
"""Pictures of arms with the encoders that measure them: not those that chose."""

_SIMILARITIES = f"""
    select recipe, '{SIMILARITY}' as measure, encoder as model, arm, wnid, mean_similarity as figure
    from {ARM_SIMILARITY} where pairs > 0
"""
_RECALLS = f"""
    select a.recipe, '{RECALL}' as measure, c.model, a.arm, a.wnid, avg(c.top_1_is_correct::integer) as figure
    from core.arms as a
    join raw.recipes as r using (recipe)
    join core.correctness as c
        on c.image_set = a.recipe and c.image_id = a.source || '/' || a.sample_id and c.wnid = a.wnid
    where c.top_1_is_correct is not null and not list_contains(r.choosing_predictors, c.model)
    group by all
"""


def steps(settings: Settings, project: Project) -> Mapping[str, Step]:
    """The steps of the three tables."""
    models = project.models
    return {
        ARM_SIMILARITY: Step(
            model=models[ARM_SIMILARITY],
            write=_write_arm_similarity,
            computations=(Computation(SUMMARY, summarise_classes),),
        ),
        "marts.counterfactual": Step(model=models["marts.counterfactual"], write=_write_counterfactual),
        "marts.frontier_similarity": Step(model=models["marts.frontier_similarity"], write=_write_frontier),
    }


def arm_figures(work: Work) -> "Iterator[tuple[tuple[str, str, str], dict[str, Any]]]":
    """(recipe, measure, model) with the figures of its arms: for each arm one a class, shape (classes,), the classes in
    the same order, nan where an arm has none.
    """
    import numpy as np

    rows = work.connection.execute(
        f"""
        select recipe, measure, model, arm, wnid, figure from ({_SIMILARITIES} union all {_RECALLS})
        where arm in ('text', 'image', 'random') order by recipe, measure desc, model, wnid
        """
    ).fetchall()
    for key, group in groupby(rows, key=lambda row: row[:3]):
        figures = {(arm, wnid): figure for *_, arm, wnid, figure in group}
        wnids = sorted({wnid for _, wnid in figures})
        arms = [arm for arm in ARMS if any(arm == each for each, _ in figures)]
        yield key, {arm: np.array([figures.get((arm, wnid), np.nan) for wnid in wnids]) for arm in arms}


def _write_arm_similarity(work: Work) -> None:
    write_class_summaries(work, _COMPARED, ("recipe", "arm"))


def _write_counterfactual(work: Work) -> None:
    """Differences between arms, of similarity by every encoder and of recall by every predictor that did not choose."""
    import numpy as np

    rows: list[dict[str, Any]] = []
    for (recipe, measure, model), figures in arm_figures(work):
        for found in arm_differences(figures):
            one, other = figures[found.arm], figures[found.other_arm]
            is_common = ~np.isnan(one) & ~np.isnan(other)
            if not is_common.any():
                continue
            row: dict[str, Any] = {
                "recipe": recipe,
                "arm": found.arm,
                "other_arm": found.other_arm,
                "measure": measure,
                "model": model,
            }
            row |= {"classes": found.difference.units, "mean": float(one[is_common].mean())}
            row |= {"other_mean": float(other[is_common].mean()), "difference": found.difference.value}
            rows.append(row | {"ci_low": found.difference.low, "ci_high": found.difference.high})
    write_mappings(work, rows)


def _write_frontier(work: Work) -> None:
    """Every point beside the other points and beside the image sets that are no recipes, by every encoder that did not
    choose.
    """
    from laionet_assets.stats.comparison import compare, pooled_difference, pooled_means, shares

    rows: list[dict[str, Any]] = []
    for (recipe, encoder), points, sets in points_and_sets(work):
        for point, classes in points.items():
            others = [("point", name, each) for name, each in points.items() if name != point]
            others += [("image_set", name, each) for name, each in sets.items()]
            for kind, other, their_classes in others:
                differences = compare(class_means("corrected", classes), class_means("corrected", their_classes))
                if not len(differences.wnids):
                    continue
                found = shares(differences)
                drawn = {"one": drawn_means(classes), "other": drawn_means(their_classes)}
                pooled = pooled_means(drawn)
                row: dict[str, Any] = {
                    "recipe": recipe,
                    "point": point,
                    "encoder": encoder,
                    "other_kind": kind,
                    "other": other,
                }
                row |= {"classes": found.classes, "tested": found.tested}
                row |= interval("pooled_mean", pooled["one"]) | interval("other_pooled_mean", pooled["other"])
                row |= interval("pooled_difference", pooled_difference(drawn["one"], drawn["other"]))
                row |= interval("mean_lower", found.mean_lower)
                row |= interval("lower", found.lower) | interval("higher", found.higher)
                rows.append(row)
    write_mappings(work, rows)


Classes = Sequence[Mapping[str, Any]]
"""Rows of core.arm_similarity or core.class_similarity of one set and encoder."""


def points_and_sets(work: Work) -> Iterator[tuple[tuple[str, str], dict[str, Classes], dict[str, Classes]]]:
    """(recipe, encoder) with the classes of the points of the frontier, and those of the image sets that are no
    recipes, by name; classes of a pair of pictures or more.
    """
    columns = "encoder, wnid, images, pairs, mean_similarity, se, drawn_pairs, drawn_mean"
    arms = work.connection.sql(f"""
        select recipe, arm, {columns} from {ARM_SIMILARITY}
        where pairs > 0 and arm in {POINTS} order by recipe, encoder, arm, wnid
    """).to_arrow_table()
    beside = work.connection.sql(f"""
        select c.image_set, {columns} from core.class_similarity as c join raw.image_sets as s using (image_set)
        where c.pairs > 0 and c.profile = 'corrected' and s.kind in ('local', 'published')
        order by encoder, s.position, wnid
    """).to_arrow_table()
    sets: dict[str, dict[str, Classes]] = {}
    for (encoder, name), group in groupby(beside.to_pylist(), key=lambda row: (row["encoder"], row["image_set"])):
        sets.setdefault(encoder, {})[name] = list(group)
    for (recipe, encoder), group in groupby(arms.to_pylist(), key=lambda row: (row["recipe"], row["encoder"])):
        points: dict[str, Classes] = {name: list(rows) for name, rows in groupby(group, key=lambda row: row["arm"])}
        yield (recipe, encoder), points, sets.get(encoder, {})
