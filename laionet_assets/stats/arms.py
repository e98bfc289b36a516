"""The counterfactual: what selecting by caption, by picture, or blindly makes of one and the same pool of images.

Each arm takes equally many images of a class from the same pool, so arms differ in nothing but how they choose; their
difference is what the way of choosing does. Not here: which images are in the pool, and measuring an arm (`similarity`,
recalls), which the model that chose never does. Source: docs/method.md, 19.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from laionet_assets.stats.bootstrap import RESAMPLES, SEED, Estimate, Floats, mean_estimate
from laionet_assets.stats.sampling import seeded_sample

TEXT, IMAGE, RANDOM = "text", "image", "random"
ARMS = (TEXT, IMAGE, RANDOM)
ARM_IMAGES = 50
"""The most images of a class in an arm; never more than half of its pool."""


class ArmDifference(NamedTuple):
    """The mean over classes of an arm's figure minus that of another arm, classes resampled."""

    arm: str
    other_arm: str
    difference: Estimate


def choose_arms(
    ids: Sequence[Any],
    caption_similarity: Floats,
    image_similarity: Floats,
    *,
    limit: int = ARM_IMAGES,
    seed: int = SEED,
) -> dict[str, NDArray[np.intp]]:
    """The images of each arm, as ascending positions in the pool of one class.

    Text and image arm: the n of the highest similarity, the smallest id first among equal ones; random arm: n of a
    seeded sample; n = min(limit, half the pool, rounded down). `ids` are distinct and of one type that sorts.
    Raises ValueError where lengths differ or a similarity is nan: such a row is not of the pool.
    """
    similarities = {TEXT: np.asarray(caption_similarity), IMAGE: np.asarray(image_similarity)}
    for arm, similarity in similarities.items():
        lost = int(np.isnan(similarity).sum())
        if len(similarity) != len(ids) or lost:
            raise ValueError(
                f"found {len(similarity)} similarities for the {arm} arm, {lost} of them nan, and {len(ids)} ids; "
                "expected one similarity an image: leave out images without one"
            )
    size = min(limit, len(ids) // 2)
    by_id = np.argsort(np.asarray(ids), kind="stable")
    arms = {}
    for arm, similarity in similarities.items():
        highest_first = by_id[np.argsort(-similarity[by_id], kind="stable")]
        arms[arm] = np.sort(highest_first[:size])
    return arms | {RANDOM: seeded_sample(ids, size, seed=seed)}


def arm_differences(
    figures: Mapping[str, Floats], *, resamples: int = RESAMPLES, seed: int = SEED
) -> list[ArmDifference]:
    """Differences between every two arms, in the order text, image, random.

    `figures`: for each arm one figure a class (mean similarity, recall), shape (classes,), the classes in the same
    order; nan where an arm has none. A class counts where both arms have it. Raises ValueError for another arm.
    """
    if not set(figures) <= set(ARMS):
        raise ValueError(f"found arms {sorted(figures)}; expected of {', '.join(ARMS)}")
    return [
        ArmDifference(arm, other, mean_estimate(figures[arm] - figures[other], resamples=resamples, seed=seed))
        for arm, other in combinations([arm for arm in ARMS if arm in figures], 2)
    ]
