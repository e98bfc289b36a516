"""Images of one set beside their nearest image of another: pictures that both sets have, and sets thinned until they
are equally near to a reference.

Nearest images are found exactly, block by block. Source: docs/method.md, 22; pruning to equal similarity follows
Mayilvahanan et al. (2024), "Does CLIP's generalization performance mainly stem from high train-test similarity?".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laionet_assets.stats.bootstrap import SEED, Floats
from laionet_assets.stats.duplicates import MIN_COSINE
from laionet_assets.stats.sampling import seeded_order

QUANTILES = 20
_ROWS, _COLUMNS = 1_024, 65_536


@dataclass(frozen=True)
class Nearest:
    """Of each image its nearest image in the other set: position there and cosine; arrays of shape (images,).

    The smallest position among equally near ones; -1 and nan where the other set is empty.
    """

    position: NDArray[np.int64]
    similarity: Floats

    def is_shared(self, min_cosine: float = MIN_COSINE) -> NDArray[np.bool_]:
        """Whether the other set has the same picture: a cosine of at least `min_cosine`."""
        return self.similarity >= min_cosine


def nearest_in(unit: NDArray[np.floating[Any]], other: NDArray[np.floating[Any]]) -> Nearest:
    """The nearest image of `other` for each image, by brute force in single precision.

    Unit vectors, shapes (images, dimension) and (others, dimension). 50,000 against 50,000 of 512 dimensions are 2.6
    TFLOP: about a minute on one core.
    """
    unit, other = np.asarray(unit, dtype=np.float32), np.asarray(other, dtype=np.float32)
    similarity = np.full(len(unit), np.nan)
    position = np.full(len(unit), -1, dtype=np.int64)
    for start in range(0, len(unit), _ROWS):
        block = unit[start : start + _ROWS]
        best = np.full(len(block), -np.inf, dtype=np.float32)
        at = np.full(len(block), -1, dtype=np.int64)
        for first in range(0, len(other), _COLUMNS):
            products = block @ other[first : first + _COLUMNS].T
            found = products.argmax(axis=1)
            value = products[np.arange(len(block)), found]
            is_nearer = value > best
            best[is_nearer], at[is_nearer] = value[is_nearer], first + found[is_nearer]
        if len(other):
            similarity[start : start + len(block)], position[start : start + len(block)] = best, at
    return Nearest(position, similarity)


def equally_similar(
    ids: Sequence[Any],
    similarity: Floats,
    other_ids: Sequence[Any],
    other_similarity: Floats,
    *,
    quantiles: int = QUANTILES,
    seed: int = SEED,
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The images of two sets that stay when both are thinned until they are equally near to a reference.

    `similarity`, `other_similarity`: of each image to its nearest in the reference set. All of them together are cut at
    `quantiles` equal quantiles; in each slice the larger set is thinned, by a seeded sample, to the number of the
    smaller. So both keep as many images in every slice, and images nearer or farther than any of the other set go.
    Returns ascending positions. Raises ValueError for a nan.
    """
    similarity, other_similarity = np.asarray(similarity), np.asarray(other_similarity)
    if np.isnan(similarity).any() or np.isnan(other_similarity).any():
        raise ValueError("found images without a similarity; expected one each: leave the others out")
    both = np.concatenate([similarity, other_similarity])
    if not len(both):
        return np.array([], dtype=np.intp), np.array([], dtype=np.intp)
    cuts = np.quantile(both, np.arange(1, quantiles) / quantiles)
    sides = [np.searchsorted(cuts, values, side="right") for values in (similarity, other_similarity)]
    kept = np.minimum(*(np.bincount(side, minlength=quantiles) for side in sides))
    one, other = (
        _thinned(side, kept, seeded_order(names, seed=seed))
        for side, names in zip(sides, (ids, other_ids), strict=True)
    )
    return one, other


def _thinned(slices: NDArray[np.intp], kept: NDArray[np.intp], order: NDArray[np.intp]) -> NDArray[np.intp]:
    """The first `kept[slice]` of each slice, in the order given; ascending positions."""
    by_slice = order[np.argsort(slices[order], kind="stable")]
    sizes = np.bincount(slices, minlength=len(kept))
    place = np.arange(len(slices)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(by_slice[place < kept[slices[by_slice]]])
