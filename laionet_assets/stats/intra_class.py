"""The rows of marts.intra_class_similarity and marts.similarity_histogram, one class at a time.

Reads nothing and keeps nothing: the caller streams the classes of an image set through, so memory does not grow with
their number. The statistics themselves are `similarity`'s and `duplicates`'.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from laionet_assets.stats.bootstrap import SEED
from laionet_assets.stats.comparison import ClassMeans, DrawnMeans
from laionet_assets.stats.duplicates import MAX_HASH_BITS, MIN_COSINE, find_duplicates
from laionet_assets.stats.sampling import seeded_sample
from laionet_assets.stats.similarity import GRAM_IMAGES, HISTOGRAM_BINS, ClassVectors
from laionet_assets.stats.threads import matrix_threads

if TYPE_CHECKING:
    import pyarrow as pa

PAPER, CORRECTED = "paper", "corrected"

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
    pairs_ci_high (pairs taken for independent), n_exact, n_near, mean_distinct and se_distinct (of one of each group of
    duplicates, jackknife), vendi, drawn_pairs, drawn_mean (pairs drawn for the published pooled mean). What needs two
    images, or three for an error, is None where there are fewer.

    What needs the whole matrix of a class (histogram, Vendi score) is made of at most `max_images` images, a seeded
    sample. Raises ValueError as `ClassVectors` and `find_duplicates` do.
    """
    for each in classes:
        with matrix_threads(len(each.ids)):
            summary = _summarise(each, bins, max_images, max_hash_bits, min_cosine, seed)
        yield summary


def class_means(rows: "pa.Table", profile: str, *, is_distinct: bool = False) -> ClassMeans:
    """What `comparison.compare` takes, from the rows of one image set and encoder.

    `corrected`: jackknife errors, of distinct pictures if `is_distinct`; `paper`: errors of independent pairs, for
    classes of at least PAPER_MIN_PAIRS pairs. Classes without a mean are left out. Raises ValueError for another
    profile, and for distinct pictures in the paper's.
    """
    if profile not in (PAPER, CORRECTED) or (profile == PAPER and is_distinct):
        raise ValueError(
            f"found profile {profile!r}, distinct {is_distinct}; expected paper, or corrected as it may be"
        )
    mean, se = ("mean_distinct", "se_distinct") if is_distinct else ("mean_similarity", "se")
    columns = {name: rows[name].to_numpy() for name in ("wnid", "images", "pairs", "n_exact", "n_near")}
    means = rows[mean].to_numpy(zero_copy_only=False).astype(np.float64)
    has_mean = ~np.isnan(means)
    if profile == PAPER:
        errors = rows["pairs_se"].to_numpy(zero_copy_only=False).astype(np.float64)
        errors = np.where(columns["pairs"] >= PAPER_MIN_PAIRS, errors, np.nan)
        degrees = None
    else:
        errors = rows[se].to_numpy(zero_copy_only=False).astype(np.float64)
        left_out = columns["n_exact"] + columns["n_near"] if is_distinct else 0
        degrees = (columns["images"] - left_out - 1).astype(np.float64)[has_mean]
    return ClassMeans(columns["wnid"][has_mean].astype(str), means[has_mean], errors[has_mean], degrees)


def drawn_means(rows: "pa.Table") -> DrawnMeans:
    """What `comparison.pooled_means` takes, from the rows of one image set and encoder."""
    return DrawnMeans(
        rows["wnid"].to_numpy().astype(str),
        rows["drawn_mean"].to_numpy(zero_copy_only=False).astype(np.float64),
        rows["drawn_pairs"].to_numpy(),
    )


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
        **_distinct(vectors, duplicates.stays),
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


def _distinct(vectors: ClassVectors, stays: NDArray[np.bool_]) -> dict[str, float | None]:
    if stays.sum() < 2:
        return {"mean_distinct": None, "se_distinct": None}
    found = (vectors if stays.all() else ClassVectors(vectors.unit[stays])).jackknife()
    return {"mean_distinct": found.mean, "se_distinct": found.se}


def _drawn(vectors: ClassVectors, wnid: str, seed: int) -> dict[str, Any]:
    drawn = vectors.drawn_pairs(wnid, seed=seed)
    return {"drawn_pairs": len(drawn), "drawn_mean": float(drawn.mean()) if len(drawn) else None}
