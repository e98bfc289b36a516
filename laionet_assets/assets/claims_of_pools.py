"""Stage marts, claims about ways of choosing from one pool: C7, N1 and N2.

Belongs here: which arms of which pool a claim is judged by. Does not belong here: the other claims (`claims`), when a
claim holds (`stats.claims`), the arms' figures (`arms`).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from laionet_assets.assets.alikeness import drawn_means
from laionet_assets.assets.arms import RECALL, SIMILARITY, arm_figures, points_and_sets
from laionet_assets.assets.steps import Work
from laionet_assets.stats.arms import IMAGE, TEXT

if TYPE_CHECKING:
    from laionet_assets.stats.claims import ClaimRow

_NO_POOL = "a pool (a recipe with image_similarity and without image_threshold)"
_NO_MEASURE = {
    SIMILARITY: "an image encoder besides the one that chooses, and classes of four pictures in the pool",
    RECALL: "a predictor besides the model that chooses, and classes of two pictures in the pool",
}


def claims_of_pools(work: Work, data: str) -> "Iterator[ClaimRow]":
    """Rows of every pool, by every model that measures it."""
    from laionet_assets.stats.claims import Subject, beyond, paper

    pools = work.connection.execute(
        "select recipe, matching from raw.recipes where is_pool order by position"
    ).fetchall()
    missing = dict(_NO_MEASURE) if pools else dict.fromkeys(_NO_MEASURE, _NO_POOL)
    along, figures = list(points_and_sets(work)), list(arm_figures(work))
    for recipe, profile in pools or [(None, "corrected")]:
        lacking = Subject(recipe, None, None, profile, data)
        measured = [(encoder, points, sets) for (name, encoder), points, sets in along if name == recipe]
        for encoder, points, sets in measured:
            drawn = {name: drawn_means(classes) for name, classes in points.items()}
            subject = Subject(recipe, None, encoder, profile, data)
            yield paper.c7_points(subject, drawn.get("D"), drawn.get("A"), missing=missing[SIMILARITY])
            for image_set, classes in sets.items():
                subject = Subject(recipe, image_set, encoder, profile, data)
                beside = drawn_means(classes)
                yield paper.c7_imagenet(subject, drawn.get("D"), beside, missing=missing[SIMILARITY])
        if not measured:
            yield paper.c7_points(lacking, None, None, missing=missing[SIMILARITY])
            yield paper.c7_imagenet(lacking, None, None, missing=missing[SIMILARITY])
        for measure, judge in ((SIMILARITY, beyond.n1), (RECALL, beyond.n2)):
            found = [(model, arms) for (name, what, model), arms in figures if (name, what) == (recipe, measure)]
            for model, arms in found:
                subject = Subject(recipe, None, model, profile, data)
                yield judge(subject, arms.get(TEXT), arms.get(IMAGE), missing=missing[measure])
            if not found:
                yield judge(lacking, None, None, missing=missing[measure])
