"""Do captions name their class? For each text, how many of the other classes' queries are nearer to it than its own.

Makes the rows of marts.text_rank from text and query embeddings. Of the table of every text by every class only a
block of rows exists at a time; what stays of a text is its own similarity, its rank and the nearest few classes.
`paper` and `corrected` differ in the denominator of the share, and in texts whose class is not in the list. Source:
docs/method.md, 20.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laionet_assets.stats.bootstrap import Draws, Estimate, Floats, bootstrap_statistic
from laionet_assets.stats.intervals import Z_PUBLISHED
from laionet_assets.stats.similarity import unit_rows

PAPER, CORRECTED = "paper", "corrected"
_BLOCK = 8_192
_FIFTHS = 5


@dataclass(frozen=True)
class TextRanks:
    """Of each text, arrays of shape (texts,) or (texts, k): what stays of its similarities to all classes.

    `own`: cosine with its own class's query, nan if the class is not among the queries. `nearer`: how many of the
    classes are strictly nearer, so its own has rank `nearer` + 1; -1 if it is not there. `top` and `top_similarity`:
    the k nearest classes as rows of the queries, nearest first, equal ones by row.
    """

    own: Floats
    nearer: NDArray[np.int64]
    top: NDArray[np.int64]
    top_similarity: Floats
    classes: int

    def share(self, profile: str) -> Floats:
        """Share of false classes nearer than the true one, shape (texts,).

        `paper`: over all classes, the true one included, and 0 for a text whose class is not there; `corrected`: over
        the false ones, and nan.
        """
        is_known = self.nearer >= 0
        if profile == PAPER:
            return np.where(is_known, self.nearer / self.classes, 0.0)
        if profile == CORRECTED:
            return np.where(is_known, self.nearer / max(self.classes - 1, 1), np.nan)
        raise ValueError(f"found profile {profile!r}; expected {PAPER!r} or {CORRECTED!r}")


def text_ranks(
    texts: NDArray[np.floating[Any]],
    queries: NDArray[np.floating[Any]],
    own: NDArray[np.integer[Any]],
    *,
    k: int = 5,
) -> TextRanks:
    """Rank of the true class of each text, and the k nearest classes.

    `texts`: shape (texts, dimension); `queries`: a row a class; `own`: the row of each text's class, or -1.
    Similarities are single precision (error about 1e-7). Raises ValueError for a row outside `queries`.
    """
    own = np.asarray(own)
    classes = len(queries)
    if len(own) != len(texts) or (len(own) and not -1 <= own.min() <= own.max() < classes):
        raise ValueError(f"found {len(own)} rows of {classes} classes for {len(texts)} texts; expected one each")
    k = min(k, classes)
    targets = unit_rows(queries).astype(np.float32).T
    found = TextRanks(
        own=np.full(len(texts), np.nan),
        nearer=np.full(len(texts), -1, dtype=np.int64),
        top=np.empty((len(texts), k), dtype=np.int64),
        top_similarity=np.empty((len(texts), k)),
        classes=classes,
    )
    for start in range(0, len(texts), _BLOCK):
        here = slice(start, start + _BLOCK)
        similarity = unit_rows(texts[here]).astype(np.float32) @ targets
        rows = np.flatnonzero(own[here] >= 0)
        true = similarity[rows, own[here][rows]]
        found.own[start + rows] = true
        found.nearer[start + rows] = (similarity[rows] > true[:, None]).sum(axis=1)
        found.top[here], found.top_similarity[here] = _nearest(similarity, k)
    return found


@dataclass(frozen=True)
class ShareBin:
    """Texts whose own similarity is in [low, high): how many, mean share of nearer false classes, and its band."""

    low: float
    high: float
    texts: int
    share: float
    band_low: float
    band_high: float


def share_by_similarity(own: Floats, share: Floats, *, bins: int = 50) -> list[ShareBin]:
    """Mean share by own similarity, in `bins` bins of equal width from its least to its greatest value.

    The last bin is closed; bins without a text are left out. Band: +-1.96 sqrt(p (1 - p) / texts), as published, which
    takes a mean of shares for a proportion. Texts without either value do not count.
    """
    is_known = ~np.isnan(own) & ~np.isnan(share)
    own, share = own[is_known], share[is_known]
    if not len(own):
        return []
    edges = np.histogram_bin_edges(own, bins=bins)
    place = np.clip(np.searchsorted(edges, own, side="right") - 1, 0, bins - 1)
    texts = np.bincount(place, minlength=bins)
    total = np.bincount(place, weights=share, minlength=bins)
    found = []
    for i in np.flatnonzero(texts):
        mean = float(total[i] / texts[i])
        band = Z_PUBLISHED * float(np.sqrt(max(0.0, mean * (1 - mean)) / texts[i]))
        found.append(ShareBin(float(edges[i]), float(edges[i + 1]), int(texts[i]), mean, mean - band, mean + band))
    return found


def cumulative_share(share: Floats, points: Floats) -> Floats:
    """Share of texts with at most so large a share of nearer false classes, at each point; nan without texts."""
    known = np.sort(share[~np.isnan(share)])
    if not len(known):
        return np.full(len(points), np.nan)
    return np.searchsorted(known, points, side="right") / len(known)


def lowest_minus_highest_fifth(own: Floats, share: Floats, wnids: NDArray[np.str_], **resampling: int) -> Estimate:
    """Mean share of nearer false classes in the fifth of texts that are least like their class, minus that in the fifth
    that are most, with an interval over resampled classes (claim C8).

    The fifths are those of all texts; a resample draws classes with all their texts. Texts without a value do not
    count.
    """
    is_known = ~np.isnan(own) & ~np.isnan(share)
    own, share = own[is_known], share[is_known]
    names, class_at = np.unique(wnids[is_known], return_inverse=True)
    low, high = np.quantile(own, [1 / _FIFTHS, 1 - 1 / _FIFTHS]) if len(own) else (np.nan, np.nan)
    sides = []
    for is_in in (own <= low, own >= high):
        texts = np.bincount(class_at[is_in], minlength=len(names)).astype(np.float64)
        sides.append((texts, np.bincount(class_at[is_in], weights=share[is_in], minlength=len(names))))

    def difference(draws: Draws) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            lowest, highest = ((draws @ total) / (draws @ texts) for texts, total in sides)
        return lowest - highest

    return bootstrap_statistic(difference, len(names), **resampling)


def _nearest(similarity: NDArray[np.float32], k: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The k greatest of each row, greatest first, equal ones by column."""
    if not k:
        return np.empty((len(similarity), 0), dtype=np.intp), np.empty((len(similarity), 0), dtype=np.float32)
    least = np.partition(similarity, -k, axis=1)[:, -k]
    rows, columns = np.nonzero(similarity >= least[:, None])
    order = np.lexsort((columns, -similarity[rows, columns], rows))
    first = np.searchsorted(rows[order], np.arange(len(similarity)))
    chosen = order[first[:, None] + np.arange(k)]
    return columns[chosen], similarity[rows[chosen], columns[chosen]]
