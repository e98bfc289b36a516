"""Can one tell two image sets apart? A linear probe on embeddings, and the area under its curve.

An L2 logistic regression is trained on four fifths of the images and scores the last fifth, in turn; duplicates never
stand on both sides. 0.5 is guessing, 1 is telling every image's set. Two images are compared only if the same fold
scored them, since scores of different regressions have no common scale. Source: docs/method.md, 22; Torralba and Efros
(2011), "name that dataset"; intervals of an area: Newcombe (2006), method 5.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laionet_assets.stats.bootstrap import RESAMPLES, SEED, Draws, Estimate, Floats, bootstrap_statistic
from laionet_assets.stats.intervals import Z_95
from laionet_assets.stats.sampling import seeded_order
from laionet_assets.stats.threads import matrix_threads

FOLDS = 5
_ROWS = 16

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class ProbeScores:
    """Score of each image by the regression that has not seen it, and the fold of that; arrays of shape (images,)."""

    score: Floats
    fold: NDArray[np.int64]
    is_first: Bools


def balanced(ids: Sequence[Any], is_first: Bools, wnids: Sequence[str], *, seed: int = SEED) -> NDArray[np.intp]:
    """Positions, ascending, of equally many images of both sets in every class: all of the smaller side, a seeded
    sample of the larger one.
    """
    rank: dict[tuple[str, bool], int] = {}
    place = np.empty(len(ids), dtype=np.int64)
    for i in seeded_order(ids, seed=seed):
        side = (wnids[i], bool(is_first[i]))
        place[i] = rank[side] = rank.get(side, -1) + 1
    sizes = {wnid: min(rank.get((wnid, True), -1), rank.get((wnid, False), -1)) + 1 for wnid in set(wnids)}
    return np.flatnonzero(place < np.array([sizes[wnid] for wnid in wnids], dtype=np.int64))


def probe(
    unit: NDArray[np.floating[Any]],
    is_first: Bools,
    groups: NDArray[np.integer[Any]],
    *,
    folds: int = FOLDS,
    strength: float = 1.0,
    seed: int = SEED,
) -> ProbeScores | None:
    """Scores by regressions that have not seen the image nor a duplicate of it; None where folds cannot be made.

    `unit`: unit vectors, shape (images, dimension); `is_first`: which set an image is of; `groups`: one number for all
    duplicates of a picture, in both sets. Folds hold whole groups and about as many images of both sets; the two sets
    weigh the same. `strength` is the inverse of the L2 penalty. At least `folds` groups of each set are needed.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold

    is_first = np.asarray(is_first, dtype=bool)
    if min(len(np.unique(groups[is_first])), len(np.unique(groups[~is_first]))) < folds:
        return None
    score, fold = np.empty(len(unit)), np.empty(len(unit), dtype=np.int64)
    points = _turned(unit)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed % 2**32)
    with matrix_threads(len(unit)):
        for number, (seen, unseen) in enumerate(splitter.split(points, is_first, groups)):
            if len(np.unique(is_first[seen])) < 2:
                return None
            regression = LogisticRegression(C=strength, class_weight="balanced", max_iter=1_000)
            regression.fit(points[seen], is_first[seen])
            score[unseen] = regression.decision_function(points[unseen])
            fold[unseen] = number
    return ProbeScores(score, fold, is_first)


def _turned(vectors: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """The same points, turned into no more dimensions than there are points: a regression with an L2 penalty says the
    same of them, in a fraction of the time.
    """
    if len(vectors) >= vectors.shape[1]:
        return vectors
    with matrix_threads(len(vectors)):
        points = vectors.astype(np.float64)
        values, directions = np.linalg.eigh(points @ points.T)
    return directions * np.sqrt(np.maximum(values, 0))


def area_in_class(scores: ProbeScores, groups: NDArray[np.integer[Any]]) -> Estimate:
    """Area under the curve of one class's probe, with Newcombe's interval for as many pictures as there are groups.

    `units`: groups of duplicates. No value where no fold scored images of both sets.
    """
    area = float(_areas(scores, np.ones((1, len(scores.score))))[0])
    first, other = (len(np.unique(groups[side])) for side in (scores.is_first, ~scores.is_first))
    if np.isnan(area):
        return Estimate(None, None, None, len(np.unique(groups)))
    low, high = area_interval(area, first, other)
    return Estimate(area, low, high, len(np.unique(groups)))


def pooled_area(
    scores: ProbeScores, wnids: NDArray[np.str_], *, resamples: int = RESAMPLES, seed: int = SEED
) -> Estimate:
    """Area under the curve of one probe for all classes, with an interval over resampled classes (claim N5)."""
    names, class_at = np.unique(wnids, return_inverse=True)

    def area(draws: Draws) -> Floats:
        blocks = (draws[i : i + _ROWS, class_at].astype(np.float64) for i in range(0, len(draws), _ROWS))
        return np.concatenate([_areas(scores, block) for block in blocks])

    return bootstrap_statistic(area, len(names), resamples=resamples, seed=seed)


def area_interval(area: float, first: int, other: int) -> tuple[float, float]:
    """95% interval of an area under the curve from `first` and `other` items: where |area - a| = 1.96 se(a).

    se is Hanley and McNeil's with exponential scores and sizes averaged, so that it holds at 0 and 1 too. Source:
    Newcombe (2006), "Confidence intervals for an effect size measure based on the Mann-Whitney statistic", method 5.
    Raises ValueError for an empty side or an area outside [0, 1].
    """
    from scipy.optimize import brentq

    if first < 1 or other < 1 or not 0 <= area <= 1:
        raise ValueError(f"found area {area} of {first} and {other} items; expected [0, 1], and items on both sides")
    more = (first + other) / 2 - 1

    def excess(a: float) -> float:
        spread = 1 + more * (1 - a) / (2 - a) + more * a / (1 + a)
        return abs(area - a) - Z_95 * float(np.sqrt(a * (1 - a) * spread / (first * other)))

    # at 0 and 1 the error vanishes, so that the area itself would solve the equation there
    low = 0.0 if area == 0 else float(brentq(excess, 0.0, area * (1 - 1e-9)))
    high = 1.0 if area == 1 else float(brentq(excess, area + (1 - area) * 1e-9, 1.0))
    return low, high


def _areas(scores: ProbeScores, weights: Floats) -> Floats:
    """Weighted share of pairs, an image of each set scored by one fold, that the probe orders rightly (ties by half).

    `weights`: shape (rows, images); returns shape (rows,), nan where no pair has a weight.
    """
    right, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    for number in np.unique(scores.fold):
        here = np.flatnonzero(scores.fold == number)
        here = here[np.argsort(scores.score[here], kind="stable")]
        score, is_first = scores.score[here], scores.is_first[here]
        starts = np.flatnonzero(np.append(True, score[1:] != score[:-1]))
        first = np.add.reduceat(weights[:, here] * is_first, starts, axis=1)
        other = np.add.reduceat(weights[:, here] * ~is_first, starts, axis=1)
        below = np.cumsum(other, axis=1) - other / 2
        right += (first * below).sum(axis=1)
        pairs += first.sum(axis=1) * other.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return right / pairs
