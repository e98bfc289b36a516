"""The counterfactual: what selecting by caption, by picture, or blindly makes of one and the same pool of images.

Each arm takes equally many images of a class from the same pool, so arms differ in nothing but how they choose; their
difference is what the way of choosing does. Not here: the pool and its arms (core.arms is SQL), and measuring an arm
(`similarity`, recalls), which the model that chose never does. Source: docs/method.md, 19.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

from laionet_assets.stats.bootstrap import RESAMPLES, SEED, Estimate, Floats, mean_estimate

TEXT, IMAGE, RANDOM = "text", "image", "random"
ARMS = (TEXT, IMAGE, RANDOM)


class ArmDifference(NamedTuple):
    """The mean over classes of an arm's figure minus that of another arm, classes resampled."""

    arm: str
    other_arm: str
    difference: Estimate


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
