"""The rows of marts.intra_class_similarity and marts.similarity_histogram, one class at a time.

Reads nothing and keeps nothing: the caller streams the classes of an image set through, so memory does not grow with
their number. The statistics themselves are `similarity`'s and `duplicates`'.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laionet_assets.stats.bootstrap import SEED
from laionet_assets.stats.duplicates import MAX_HASH_BITS, MIN_COSINE, find_duplicates
from laionet_assets.stats.sampling import seeded_sample
from laionet_assets.stats.similarity import GRAM_IMAGES, HISTOGRAM_BINS, ClassVectors
from laionet_assets.stats.threads import matrix_threads

PAPER_IMAGES = 100
"""Images of a class that the paper looks at: the first so many by sample_id, before any is downloaded."""

PAPER_MIN_PAIRS = 7
"""A class enters the paper's comparison if it has at least so many pairs in both image sets."""


@dataclass(frozen=True)
class ClassImages:
    """The images of one class with their embeddings: distinct ids of one type, vectors of shape (images, dimension).

    `sha256` and `hashes` (64-bit perceptual hashes) are the marks of duplicates, None where there is none.
    """

    wnid: str
    ids: Sequence[Any]
    vectors: NDArray[np.floating[Any]]
    sha256: Sequence[str | None] | None = None
    hashes: Sequence[int | None] | None = None


@dataclass(frozen=True)
class ClassSummary:
    """A row of marts.intra_class_similarity by column name, and how many of the pairs lie in each bin of cosine."""

    row: dict[str, Any]
    histogram: NDArray[np.int64]


def summarise_classes(
    classes: Iterable[ClassImages],
    *,
    bins: int = HISTOGRAM_BINS,
    max_images: int = GRAM_IMAGES,
    max_hash_bits: int = MAX_HASH_BITS,
    min_cosine: float = MIN_COSINE,
    seed: int = SEED,
) -> Iterator[ClassSummary]:
    """Each class summarised, in the order given. Classes of no image give a row of counts alone.

    Row: wnid, images, pairs, mean_similarity, se, ci_low, ci_high (jackknife over images), pairs_se, pairs_ci_low,
    pairs_ci_high (pairs taken for independent), n_exact, n_near, mean_distinct (one of each group of duplicates; None
    for fewer than two), vendi, drawn_pairs, drawn_mean (pairs drawn for the published pooled mean).

    What needs the whole matrix of a class (histogram, Vendi score) is made of at most `max_images` images, a seeded
    sample. Raises ValueError as `ClassVectors` and `find_duplicates` do.
    """
    for each in classes:
        with matrix_threads(len(each.ids)):
            summary = _summarise(each, bins, max_images, max_hash_bits, min_cosine, seed)
        yield summary


def _summarise(
    images: ClassImages, bins: int, max_images: int, max_hash_bits: int, min_cosine: float, seed: int
) -> ClassSummary:
    vectors = ClassVectors(images.vectors)
    duplicates = find_duplicates(
        images.ids,
        sha256=images.sha256,
        hashes=images.hashes,
        unit=vectors.unit,
        max_hash_bits=max_hash_bits,
        min_cosine=min_cosine,
    )
    sample = vectors
    if vectors.images > max_images:
        sample = ClassVectors(vectors.unit[seeded_sample(images.ids, max_images, seed=seed)])
    row: dict[str, Any] = {
        "wnid": images.wnid,
        "images": vectors.images,
        "pairs": vectors.pairs,
        **_intervals(vectors),
        "n_exact": duplicates.n_exact,
        "n_near": duplicates.n_near,
        "mean_distinct": _mean(vectors, duplicates.stays),
        "vendi": sample.vendi() if sample.images else None,
        **_drawn(vectors, images.wnid, seed),
    }
    return ClassSummary(row, sample.histogram(bins))


def _intervals(vectors: ClassVectors) -> dict[str, float | None]:
    names = ("se", "ci_low", "ci_high", "pairs_se", "pairs_ci_low", "pairs_ci_high")
    if vectors.images < 2:
        return {"mean_similarity": None, **dict.fromkeys(names)}
    right, published = vectors.jackknife(), vectors.independent_pairs()
    values = (right.se, right.low, right.high, published.se, published.low, published.high)
    return {"mean_similarity": right.mean, **dict(zip(names, values, strict=True))}


def _mean(vectors: ClassVectors, stays: NDArray[np.bool_]) -> float | None:
    if stays.sum() < 2:
        return None
    return vectors.mean() if stays.all() else ClassVectors(vectors.unit[stays]).mean()


def _drawn(vectors: ClassVectors, wnid: str, seed: int) -> dict[str, Any]:
    drawn = vectors.drawn_pairs(wnid, seed=seed)
    return {"drawn_pairs": len(drawn), "drawn_mean": float(drawn.mean()) if len(drawn) else None}
