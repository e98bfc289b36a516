"""How alike the images of a class are: means of cosine similarities over pairs of unit vectors, and their intervals.

One class (or two, or a class in two image sets) at a time, from its embeddings; which images those are, and what is
stored of them, is the caller's. A mean over pairs needs no matrix of pairs: with s the sum of the n unit vectors, the
similarities of all ordered pairs sum to |s|^2 - n. Source: docs/method.md, 17; the jackknife of a
U-statistic is Arvesen (1969).
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laionet_assets.stats.bootstrap import SEED, Floats
from laionet_assets.stats.intervals import Z_PUBLISHED
from laionet_assets.stats.sampling import seeded_generator

GRAM_IMAGES = 1_000
"""The most images of a class whose matrix of similarities is kept at once (8 MB)."""

HISTOGRAM_BINS = 200
"""Bins of equal width over [-1, 1]."""

DRAWN_PAIRS = 100
"""The most pairs of a class that enter the published pooled mean."""


@dataclass(frozen=True)
class Interval:
    """A mean of similarities, its standard error and 95% interval; None where there are too few images for one."""

    mean: float
    se: float | None
    low: float | None
    high: float | None


class ClassVectors:
    """The images of one class as unit vectors, with what several statistics need computed once.

    `vectors`: shape (images, dimension), any floating type; they are brought to length one in float64, so that
    embeddings stored in half precision give true cosines. Raises ValueError where a vector has no direction (zero, or
    not finite): such an image has no embedding, and the caller leaves it out and counts it.
    """

    def __init__(self, vectors: NDArray[np.floating[Any]]) -> None:
        self._vectors = vectors
        self._rows, self._lengths = _rows_and_lengths(vectors)

    @property
    def images(self) -> int:
        return len(self._rows)

    @property
    def pairs(self) -> int:
        return self.images * (self.images - 1) // 2

    @cached_property
    def unit(self) -> Floats:
        """The vectors at length one, shape (images, dimension)."""
        return self._rows / self._lengths[:, None]

    @cached_property
    def sum(self) -> Floats:
        """Sum of the unit vectors, shape (dimension,)."""
        return (1 / self._lengths) @ self._rows

    @cached_property
    def gram(self) -> Floats:
        """Cosine of every image with every image, shape (images, images).

        Raises ValueError for more than GRAM_IMAGES images, of which the caller takes a sample.
        """
        self._check_size()
        return self.unit @ self.unit.T

    def mean(self) -> float:
        """Mean cosine over all pairs. Raises ValueError for fewer than two images."""
        if self.images < 2:
            raise ValueError(f"found {self.images} images; expected at least two to make a pair")
        return (float(self.sum @ self.sum) - self.images) / (self.images * (self.images - 1))

    def jackknife(self) -> Interval:
        """The mean over pairs with the interval that is right for it: jackknife over images, Student's t (n - 1).

        A pair shares its images with others, so the images, not the pairs, are what was drawn independently. Leaving
        out image i changes the mean by a multiple of its sum of similarities to the others, which is its product with
        the sum of all vectors. At least three images for an interval.
        """
        n, mean = self.images, self.mean()
        if n < 3:
            return Interval(mean, None, None, None)
        to_others = (self._rows @ self.sum) / self._lengths - 1.0
        se = float(2 / (n - 2) * to_others.std(ddof=1) / np.sqrt(n))
        half_width = student_quantile(n - 1) * se
        return Interval(mean, se, mean - half_width, mean + half_width)

    def independent_pairs(self) -> Interval:
        """The mean over pairs with the published interval, which takes pairs for independent: 1.96 s / sqrt(pairs - 1).

        s is the standard deviation over pairs (divided by their number). Several times too narrow for many images: it
        is there to repeat published figures. At least two pairs for an interval.
        """
        mean = self.mean()
        if self.pairs < 2:
            return Interval(mean, None, None, None)
        se = float(np.sqrt(self._pair_variance(mean) / (self.pairs - 1)))
        return Interval(mean, se, mean - Z_PUBLISHED * se, mean + Z_PUBLISHED * se)

    def vendi(self) -> float:
        """Vendi score: the effective number of different images, from 1 (all alike) to their number (all orthogonal).

        The exponential of the entropy of the eigenvalues of the matrix of cosines over n, which is that of the vectors'
        covariance too: the smaller of the two is decomposed. Source: Friedman and Dieng (2023).
        Raises ValueError for no image.
        """
        from scipy.linalg import eigvalsh

        if not self.images:
            raise ValueError("found no image; expected at least one")
        is_wide = self.images <= min(self.unit.shape[1], GRAM_IMAGES)
        matrix = self.gram if is_wide else self.unit.T @ self.unit
        shares = eigvalsh(matrix / self.images, check_finite=False)
        shares = shares[shares > 0]
        return float(np.exp(-(shares * np.log(shares)).sum()))

    def histogram(self, bins: int = HISTOGRAM_BINS) -> NDArray[np.int64]:
        """How many pairs have a cosine in each of `bins` bins of equal width over [-1, 1], the last one closed.

        Cosines are computed in single precision (error about 1e-7), which halves the work. Raises ValueError as `gram`.
        """
        self._check_size()
        single = self._vectors.astype(np.float32, copy=False)
        per_length = (1 / self._lengths).astype(np.float32)
        products = single @ single.T
        products *= per_length[:, None]
        products *= per_length
        places = products.ravel().take(_lower_triangle(self.images))
        places += 1
        places *= bins / 2
        return np.bincount(np.minimum(places.astype(np.intp), bins - 1), minlength=bins)

    def drawn_pairs(self, key: str, draws: int = DRAWN_PAIRS, *, seed: int = SEED) -> Floats:
        """Cosines of min(pairs, draws) pairs, drawn with replacement: what a class gives to the published pooled mean.

        `key` names the class, so that it draws the same pairs whatever other classes there are.
        """
        count = min(self.pairs, draws)
        rng = seeded_generator(seed, key)
        one = rng.integers(0, max(self.images, 1), size=count)
        other = rng.integers(0, max(self.images - 1, 1), size=count)
        other += other >= one
        return np.vecdot(self.unit[one], self.unit[other])

    def _check_size(self) -> None:
        if self.images > GRAM_IMAGES:
            raise ValueError(f"found {self.images} images; expected at most {GRAM_IMAGES}: take a sample of them")

    def _pair_variance(self, mean: float) -> float:
        """Variance (ddof 0) of the cosines of pairs: of the pairs themselves, or from the vectors' covariance."""
        if self.images <= GRAM_IMAGES:
            return float(self.gram.ravel().take(_lower_triangle(self.images)).var())
        moments = self.unit.T @ self.unit
        sum_of_squares = (float((moments * moments).sum()) - self.images) / 2
        return max(0.0, sum_of_squares / self.pairs - mean * mean)


def between_sets(one: ClassVectors, other: ClassVectors) -> Interval:
    """Mean cosine of an image of `one` with an image of `other`, over all such pairs, with its 95% interval.

    The two sides share no image. The error is the jackknife's over the images of both sides, the interval Student's
    with Welch's degrees of freedom; at least two images a side for it. Source: docs/method.md, 17.
    Raises ValueError for an empty side.
    """
    n, m = one.images, other.images
    if not n or not m:
        raise ValueError(f"found {n} and {m} images; expected at least one on each side")
    mean = float(one.sum @ other.sum) / (n * m)
    if n < 2 or m < 2:
        return Interval(mean, None, None, None)
    errors = np.array(
        [(one.unit @ other.sum).std(ddof=1) / m / np.sqrt(n), (other.unit @ one.sum).std(ddof=1) / n / np.sqrt(m)]
    )
    se = float(np.hypot(*errors))
    half_width = student_quantile(float(welch_degrees(errors, np.array([n - 1, m - 1])))) * se
    return Interval(mean, se, mean - half_width, mean + half_width)


def unit_rows(vectors: NDArray[np.floating[Any]]) -> Floats:
    """The rows at length one, in float64. Raises ValueError for a row without a direction (zero, or not finite)."""
    rows, lengths = _rows_and_lengths(vectors)
    return rows / lengths[:, None]


def welch_degrees(errors: Floats, degrees: Floats) -> Floats:
    """Welch's degrees of freedom of a sum or difference of two independent means, along the first axis.

    `errors`: their standard errors; `degrees`: their degrees of freedom, inf for a known error. inf where both errors
    are 0. Source: Welch (1947), Satterthwaite (1946).
    """
    variances = np.asarray(errors, dtype=np.float64) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        found = variances.sum(axis=0) ** 2 / (variances**2 / degrees).sum(axis=0)
    return np.where(variances.sum(axis=0) == 0, np.inf, found)


def _rows_and_lengths(vectors: NDArray[np.floating[Any]]) -> tuple[Floats, Floats]:
    rows = np.asarray(vectors, dtype=np.float64)
    if rows.ndim != 2:
        raise ValueError(f"found an array of shape {rows.shape}; expected (images, dimension)")
    lengths = np.sqrt(np.vecdot(rows, rows))
    is_lost = ~(lengths > 0) | ~np.isfinite(lengths)
    if is_lost.any():
        raise ValueError(f"found {int(is_lost.sum())} of {len(rows)} vectors without a direction; leave them out")
    return rows, lengths


@lru_cache(maxsize=65_536)
def student_quantile(degrees: float) -> float:
    """97.5% quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.975))


@lru_cache(maxsize=8)
def _lower_triangle(images: int) -> NDArray[np.intp]:
    """Places of the strictly lower triangle in a flattened square matrix, row by row."""
    rows, columns = np.tril_indices(images, -1)
    return rows * images + columns
