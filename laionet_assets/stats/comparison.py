"""Two image sets compared class by class: which classes of the one are less alike than those of the other.

A class has one mean in each image set (cosine over pairs, or image to query), with a standard error; here they become
differences, verdicts, shares of classes, pooled means and the published curves. Both profiles go through the same code:
`corrected` has jackknife errors, Student's t and Benjamini-Hochberg beside, `paper` errors of independent pairs and the
normal 1.96. Not here: the means of a class (`similarity`). Source: docs/method.md, 17 and 18.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from laionet_assets.stats.bootstrap import RESAMPLES, SEED, Draws, Estimate, Floats, bootstrap_statistic, mean_estimate
from laionet_assets.stats.intervals import Z_PUBLISHED
from laionet_assets.stats.similarity import welch_degrees

FALSE_DISCOVERY_RATE = 0.05

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class ClassMeans:
    """One mean a class of an image set, arrays of shape (classes,), each wnid once.

    `se` is nan where a class has too few images for an error; `degrees` are those of freedom of the error (images - 1),
    or None where the error counts as known, as the paper does.
    """

    wnids: NDArray[np.str_]
    mean: Floats
    se: Floats
    degrees: Floats | None = None

    def __post_init__(self) -> None:
        columns = (self.wnids, self.mean, self.se, self.wnids if self.degrees is None else self.degrees)
        lengths = {len(column) for column in columns}
        if len(lengths) > 1 or len(np.unique(self.wnids)) != len(self.wnids):
            raise ValueError(f"found arrays of lengths {sorted(lengths)}; expected one entry a class, each class once")


@dataclass(frozen=True)
class Differences:
    """The first image set minus the second over the classes of both, sorted by wnid; arrays of shape (classes,).

    `low`, `high`: 95% interval; `p`: two-sided, of difference over error; nan where a side has no error. Such a class
    is not tested, and neither lower nor higher. `is_lower`: the interval lies below 0; `is_lower_bh`: lower, and the
    difference is kept when 5% of the differences kept may be false (Benjamini and Hochberg 1995).
    """

    wnids: NDArray[np.str_]
    difference: Floats
    se: Floats
    low: Floats
    high: Floats
    p: Floats
    is_lower: Bools
    is_higher: Bools
    is_lower_bh: Bools
    is_higher_bh: Bools

    @property
    def is_tested(self) -> Bools:
        return ~np.isnan(self.p)


@dataclass(frozen=True)
class Shares:
    """Shares of classes, each with its interval over resampled classes (the verdict of a class stays as it is).

    `mean_lower` is of all classes of both sets, whatever their errors; the others are of tested classes.
    """

    classes: int
    tested: int
    mean_lower: Estimate
    lower: Estimate
    higher: Estimate
    lower_minus_higher: Estimate
    lower_bh: Estimate
    higher_bh: Estimate
    lower_minus_higher_bh: Estimate


@dataclass(frozen=True)
class DrawnMeans:
    """What the classes of an image set give to the published pooled mean, arrays of shape (classes,).

    `mean`: of the pairs drawn from a class; `draws`: how many those are (`ClassVectors.drawn_pairs`: min(pairs, 100)).
    A class of no pair has 0 draws and does not count.
    """

    wnids: NDArray[np.str_]
    mean: Floats
    draws: NDArray[np.int_]

    def of(self, wnids: NDArray[np.str_]) -> tuple[Floats, Floats]:
        """Means and draws of these classes, all of which it has."""
        order = np.argsort(self.wnids)
        at = order[np.searchsorted(self.wnids, wnids, sorter=order)]
        return self.mean[at].astype(np.float64), self.draws[at].astype(np.float64)


def means_of_values(wnids: NDArray[np.str_], values: Floats, *, is_paper: bool = False) -> ClassMeans:
    """The mean of independent values of each class, such as the similarity of each image to its class's query.

    `wnids`, `values`: of each image, shape (images,); nan does not count. The error is s / sqrt(n), which the published
    std / sqrt(n - 1) is too, nan for a single value; with n - 1 degrees of freedom, or none if `is_paper`.
    """
    is_known = ~np.isnan(values)
    names, class_at = np.unique(wnids[is_known], return_inverse=True)
    images = np.bincount(class_at, minlength=len(names)).astype(np.float64)
    mean = np.bincount(class_at, weights=values[is_known], minlength=len(names)) / images
    squares = np.bincount(class_at, weights=(values[is_known] - mean[class_at]) ** 2, minlength=len(names))
    with np.errstate(invalid="ignore", divide="ignore"):
        se = np.where(images > 1, np.sqrt(squares / (images - 1) / images), np.nan)
    return ClassMeans(names, mean, se, None if is_paper else images - 1)


def compare(one: ClassMeans, other: ClassMeans) -> Differences:
    """`one` minus `other`, for the classes of both.

    The error of a difference is sqrt(se^2 + se^2). With degrees of freedom on both sides the interval and p are
    Student's with Welch's degrees; otherwise the interval is +-1.96 errors, as published, and p the normal's.
    """
    from scipy import stats

    wnids, here, there = np.intersect1d(one.wnids, other.wnids, assume_unique=True, return_indices=True)
    difference = one.mean[here] - other.mean[there]
    errors = np.stack([one.se[here], other.se[there]])
    se = np.hypot(*errors)
    if one.degrees is None or other.degrees is None:
        quantile, degrees = np.full(len(wnids), Z_PUBLISHED), np.full(len(wnids), np.inf)
    else:
        degrees = welch_degrees(errors, np.stack([one.degrees[here], other.degrees[there]]))
        quantile = stats.t.ppf(0.975, degrees)
    low, high = difference - quantile * se, difference + quantile * se
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(difference == 0, 0.0, np.abs(difference) / se)
    p = np.where(np.isnan(se), np.nan, 2 * stats.t.sf(ratio, degrees))
    is_discovery = _discoveries(p)
    return Differences(
        wnids=wnids,
        difference=difference,
        se=se,
        low=low,
        high=high,
        p=p,
        is_lower=high < 0,
        is_higher=low > 0,
        is_lower_bh=is_discovery & (difference < 0),
        is_higher_bh=is_discovery & (difference > 0),
    )


def shares(found: Differences, *, resamples: int = RESAMPLES, seed: int = SEED) -> Shares:
    """How many classes are lower, and how many higher, as shares in [0, 1] with intervals."""

    def share(values: NDArray[np.int_], among: Bools) -> Estimate:
        return mean_estimate(values[among].astype(np.float64), resamples=resamples, seed=seed)

    tested, every = found.is_tested, np.ones(len(found.wnids), dtype=bool)
    return Shares(
        classes=len(found.wnids),
        tested=int(tested.sum()),
        mean_lower=share((found.difference < 0) * 1, every),
        lower=share(found.is_lower * 1, tested),
        higher=share(found.is_higher * 1, tested),
        lower_minus_higher=share(found.is_lower * 1 - found.is_higher, tested),
        lower_bh=share(found.is_lower_bh * 1, tested),
        higher_bh=share(found.is_higher_bh * 1, tested),
        lower_minus_higher_bh=share(found.is_lower_bh * 1 - found.is_higher_bh, tested),
    )


def pooled_means(
    sets: Mapping[str, DrawnMeans], *, resamples: int = RESAMPLES, seed: int = SEED
) -> dict[str, Estimate]:
    """Mean over the pooled draws of the classes that all sets have, for each set, with intervals over those classes.

    Source: docs/method.md, 17.
    """
    common = _common(sets.values())
    found = {}
    for name, drawn in sets.items():
        mean, draws = drawn.of(common)
        found[name] = mean_estimate(mean, draws, resamples=resamples, seed=seed)
    return found


def pooled_difference(one: DrawnMeans, other: DrawnMeans, *, resamples: int = RESAMPLES, seed: int = SEED) -> Estimate:
    """Pooled mean of `one` minus that of `other` over their common classes, which are resampled for both together."""
    common = _common([one, other])
    (mean, draws), (other_mean, other_draws) = one.of(common), other.of(common)

    def difference(drawn: Draws) -> Floats:
        return (drawn @ (draws * mean)) / (drawn @ draws) - (drawn @ (other_draws * other_mean)) / (drawn @ other_draws)

    return bootstrap_statistic(difference, len(common), resamples=resamples, seed=seed)


def sorted_curves(found: Differences) -> dict[str, NDArray[np.generic]]:
    """The curves of the paper's figures 6b and 9b: of tested classes the difference, and the ends of its interval.

    Each of the three is sorted by itself, so a row is no class. Columns class_rank (from 1), difference, high, low.
    """
    tested = found.is_tested
    columns = {"difference": found.difference, "high": found.high, "low": found.low}
    return {
        "class_rank": np.arange(1, int(tested.sum()) + 1),
        **{name: np.sort(values[tested]) for name, values in columns.items()},
    }


def _discoveries(p: Floats) -> Bools:
    from scipy.stats import false_discovery_control

    is_tested = ~np.isnan(p)
    found = np.zeros(len(p), dtype=bool)
    if is_tested.any():
        found[is_tested] = false_discovery_control(p[is_tested], method="bh") <= FALSE_DISCOVERY_RATE
    return found


def _common(sets: Iterable[DrawnMeans]) -> NDArray[np.str_]:
    """The classes of which every set has pairs, sorted."""
    return reduce(np.intersect1d, (each.wnids[each.draws > 0] for each in sets))
