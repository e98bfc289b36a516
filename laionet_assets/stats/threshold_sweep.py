"""Similarity within a class as a threshold rises: of the images that a similarity of their captions lets in, at each of
several thresholds.

Here: the means of one class at each threshold (`sweep_class`), and all classes as `comparison.compare` takes them
(`SweptClasses`). Not here: what the similarity is of, and which images there are. Source: docs/method.md, 21.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from laionet_assets.stats.bootstrap import Floats
from laionet_assets.stats.comparison import ClassMeans
from laionet_assets.stats.duplicates import find_duplicates
from laionet_assets.stats.intra_class import CORRECTED, PAPER, PAPER_MIN_PAIRS, ClassImages
from laionet_assets.stats.similarity import ClassVectors

THRESHOLDS = 20
RANGE = 0.25
"""As published: 20 thresholds from 0.5 to 0.75."""


def thresholds_from(lowest: float) -> Floats:
    """The thresholds of a sweep that begins at `lowest`."""
    return np.linspace(lowest, lowest + RANGE, THRESHOLDS)


@dataclass(frozen=True)
class SweptClass:
    """A class at each threshold, arrays of shape (thresholds,): images, their mean cosine over pairs and its error, nan
    where there are too few.
    """

    images: NDArray[np.int64]
    mean: Floats
    se: Floats


def sweep_class(images: ClassImages, similarity: Floats, thresholds: Floats, *, profile: str) -> SweptClass:
    """The images of a class whose similarity is above each threshold, strictly.

    `similarity`: shape (images,). `corrected`: of each group of duplicates (of all images) the first that is above
    counts, with the jackknife's error; `paper`: all of them, also the same picture several times, with the error of
    independent pairs, from 7 pairs on. Raises ValueError for another profile, and as `find_duplicates`.
    """
    if profile not in (PAPER, CORRECTED):
        raise ValueError(f"found profile {profile!r}; expected {PAPER!r} or {CORRECTED!r}")
    vectors = ClassVectors(images.vectors)
    group = np.arange(vectors.images)
    if profile == CORRECTED:
        group = find_duplicates(images.ids, sha256=images.sha256, hashes=images.hashes, unit=vectors.unit).group
    found = SweptClass(
        np.zeros(len(thresholds), dtype=np.int64), np.full(len(thresholds), np.nan), np.full(len(thresholds), np.nan)
    )
    for i, threshold in enumerate(thresholds):
        above = np.flatnonzero(similarity > threshold)
        _, first = np.unique(group[above], return_index=True)
        chosen = above[np.sort(first)]
        found.images[i] = len(chosen)
        of_chosen = ClassVectors(vectors.unit[chosen]) if len(chosen) > 1 else None
        if of_chosen is None or (profile == PAPER and of_chosen.pairs < PAPER_MIN_PAIRS):
            continue
        interval = of_chosen.jackknife() if profile == CORRECTED else of_chosen.independent_pairs()
        found.mean[i] = interval.mean
        found.se[i] = np.nan if interval.se is None else interval.se
    return found


@dataclass
class SweptClasses:
    """The classes of an image set at each threshold, one added after the other."""

    profile: str
    wnids: list[str] = field(default_factory=list)
    classes: list[SweptClass] = field(default_factory=list)

    def add(self, wnid: str, swept: SweptClass) -> None:
        """Add a class, once."""
        self.wnids.append(wnid)
        self.classes.append(swept)

    def images(self, i: int) -> int:
        """Images of all classes at threshold number `i`."""
        return sum(int(each.images[i]) for each in self.classes)

    def means(self, i: int) -> ClassMeans:
        """Classes with a mean at threshold number `i`."""
        known: Sequence[int] = [j for j, each in enumerate(self.classes) if not np.isnan(each.mean[i])]
        images = np.array([self.classes[j].images[i] for j in known], dtype=np.float64)
        return ClassMeans(
            np.array([self.wnids[j] for j in known], dtype=np.str_),
            np.array([self.classes[j].mean[i] for j in known], dtype=np.float64),
            np.array([self.classes[j].se[i] for j in known], dtype=np.float64),
            images - 1 if self.profile == CORRECTED else None,
        )
