"""Trading text for image similarity at a fixed number of images: the frontier of section 4.2 of the paper.

For a lower text threshold, the image threshold that leaves as many images as the reference. The published search
(golden section) is replaced by the order statistic that it looks for. All thresholds are strict, as recipes' are.
Source: docs/method.md, 19.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from laionet_assets.stats.bootstrap import Floats

CLIP_POINTS: Mapping[str, float] = {"A": 0.81, "B": 0.79, "C": 0.76, "D": 0.72}
"""Text thresholds of the paper's points, for its CLIP."""

CLIP_REFERENCE = 0.82
"""Text threshold of the paper's recipe, whose number of images all points have."""

POOL_SHARES: Mapping[str, float] = {"A": 0.28, "B": 0.40, "C": 0.62, "D": 1.0}
"""Share of the pool (CLIP text similarity above 0.72) that each point's text threshold leaves, read off the published
curve of size by threshold."""

REFERENCE_SHARE = 0.22
"""Share of the same pool above the reference threshold."""


@dataclass(frozen=True)
class FrontierPoint:
    """A text threshold and the image threshold that goes with it, both strict, and how many images pass both.

    `image_threshold` is None where the text threshold alone leaves no more images than wanted. `images` is below the
    number wanted there, and where images are equally similar at the threshold.
    """

    text_threshold: float
    image_threshold: float | None
    images: int


def equal_count_frontier(
    text_similarity: Floats, image_similarity: Floats, text_thresholds: Sequence[float], images: int
) -> list[FrontierPoint]:
    """The image threshold of each text threshold, so that `images` images pass both, in the order of the thresholds.

    `text_similarity`, `image_similarity`: of each image of the pool, shape (images,). The threshold is the similarity
    of the first image that is one too many. Raises ValueError where lengths differ, a similarity is nan, or less than
    one image is wanted.
    """
    text, image = np.asarray(text_similarity), np.asarray(image_similarity)
    if len(text) != len(image) or np.isnan(text).any() or np.isnan(image).any():
        raise ValueError(f"found {len(text)} text and {len(image)} image similarities; expected pairs, none nan")
    if images < 1:
        raise ValueError(f"found {images} images wanted; expected at least one")
    order = np.argsort(-image, kind="stable")
    text, image = text[order], image[order]
    points = []
    for threshold in text_thresholds:
        passing = image[text > threshold]
        if len(passing) <= images:
            points.append(FrontierPoint(float(threshold), None, len(passing)))
        else:
            cut = passing[images]
            points.append(FrontierPoint(float(threshold), float(cut), int((passing > cut).sum())))
    return points


def thresholds_at_shares(similarity: Floats, shares: Mapping[str, float]) -> dict[str, float]:
    """For each share the strict threshold that leaves at most that share of the pool, and as much of it as it can.

    So the paper's points are found for another encoder (`POOL_SHARES`), whose similarities have another scale. A share
    of 1 is the float just below the least similarity. Raises ValueError for an empty pool or a share outside (0, 1].
    """
    ranked = np.sort(np.asarray(similarity, dtype=np.float64))[::-1]
    if not len(ranked) or any(not 0 < share <= 1 for share in shares.values()):
        raise ValueError(
            f"found a pool of {len(ranked)} and shares {dict(shares)}; expected a pool, and shares in (0, 1]"
        )
    found = {}
    for name, share in shares.items():
        kept = int(np.floor(share * len(ranked) + 1e-9))
        found[name] = float(ranked[kept] if kept < len(ranked) else np.nextafter(ranked[-1], -np.inf))
    return found
