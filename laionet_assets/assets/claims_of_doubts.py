"""Stage marts, claims that answer doubts about the gap: N4 and N5.

Belongs here: which rows a claim is judged by. Does not belong here: the other claims (`claims`), when a claim holds
(`stats.claims`), what is left out (`noise`), the probe (`telling_apart`).
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from laionet_assets.assets.noise import LABEL_ERRORS, gaps_without, zero_shot_models
from laionet_assets.assets.steps import Work
from laionet_assets.assets.telling_apart import ALL_CLASSES
from laionet_assets.stats.bootstrap import Estimate

if TYPE_CHECKING:
    from laionet_assets.stats.claims import ClaimRow

_NO_GAP = "predictors in laionet.yaml that have a recall on LAIONet and on an image set beside it"
_NO_PROBE = "image_encoders in laionet.yaml, and five pictures of a class in LAIONet and in a local image set"

_TOP_K = "nothing: the probe is of the recipe without its top k"


def claims_of_doubts(work: Work, recipes: Sequence[tuple[str, str]], data: str) -> "Iterator[ClaimRow]":
    """N4 of every recipe and image set beside it, N5 of every recipe, local set and encoder. `recipes` with their
    profile.
    """
    from laionet_assets.stats.claims import Subject, beyond

    profiles, zero_shot = dict(recipes), zero_shot_models(work)
    judged = set()
    cut = work.connection.execute("select recipe from raw.recipes where top_k is not null").fetchall()
    for found in gaps_without(work, (LABEL_ERRORS,)):
        heads = [i for i, model in enumerate(found.models) if model not in zero_shot]
        subject = Subject(found.recipe, found.image_set, None, profiles[found.recipe], data)
        judged.add(("N4", found.recipe))
        yield beyond.n4(subject, found.recall[:, heads] - found.other_recall[:, heads], missing=_NO_GAP)
    probes = work.connection.execute(
        "select image_set, other_image_set, encoder, auc, ci_low, ci_high, classes from marts.probe where wnid = ? "
        "order by all",
        [ALL_CLASSES],
    ).fetchall()
    for recipe, image_set, encoder, *area in probes:
        judged.add(("N5", recipe))
        yield beyond.n5(Subject(recipe, image_set, encoder, profiles[recipe], data), Estimate(*area))
    for recipe, profile in recipes:
        lacking = Subject(recipe, None, None, profile, data)
        if ("N4", recipe) not in judged:
            yield beyond.n4(lacking, None, missing=_NO_GAP)
        if ("N5", recipe) not in judged:
            yield beyond.n5(lacking, None, missing=_TOP_K if (recipe,) in cut else _NO_PROBE)
