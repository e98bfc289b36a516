"""The class-clustered bootstrap: how an average over classes would vary with the classes.

A resample draws as many classes as there are, with replacement; a class comes with all its images and its weight.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2_000
SEED = 20_230_627
LEVEL = 0.95
_BLOCK = 256

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BootstrapIntervals:
    """Standard deviation and percentile interval of each column over resamples: arrays of shape (columns,)."""

    se: Floats
    low: Floats
    high: Floats


def bootstrap_classes(
    values: Floats, weights: Floats, *, resamples: int = RESAMPLES, seed: int = SEED, level: float = LEVEL
) -> BootstrapIntervals:
    """Percentile intervals of the weighted mean of each column over resamples of the rows.

    `values` has a row a class and a column a statistic, shape (classes, columns); `weights`, shape (classes,), are
    positive. The draws depend on `seed` and the number of classes alone, so every column, and every call with as many
    classes, sees the same ones. Source: Efron and Tibshirani (1993), percentile intervals; clusters are the classes.
    Raises ValueError for fewer than two classes, or weights that are not positive.
    """
    classes = len(values)
    if classes < 2:
        raise ValueError(f"found {classes} classes; expected at least two to resample")
    if weights.shape != (classes,) or not (weights > 0).all():
        raise ValueError(f"found weights of shape {weights.shape}; expected {classes} positive ones")
    draws = _draws(classes, resamples, seed)
    means = np.concatenate(
        [_weighted_means(draws[i : i + _BLOCK], values, weights) for i in range(0, resamples, _BLOCK)]
    )
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return BootstrapIntervals(se=means.std(axis=0, ddof=1), low=low, high=high)


def _weighted_means(draws: NDArray[np.uint16], values: Floats, weights: Floats) -> Floats:
    drawn = draws * weights
    return (drawn @ values) / drawn.sum(axis=1, keepdims=True)


@lru_cache(maxsize=4)
def _draws(classes: int, resamples: int, seed: int) -> NDArray[np.uint16]:
    """How often each resample draws each class: shape (resamples, classes), every row summing to `classes`."""
    rng = np.random.default_rng([seed, classes])
    counts = np.empty((resamples, classes), dtype=np.uint16)
    for row in counts:
        row[:] = np.bincount(rng.integers(0, classes, size=classes), minlength=classes)
    counts.flags.writeable = False
    return counts
