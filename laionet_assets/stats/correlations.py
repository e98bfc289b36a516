"""Rank correlations with intervals: whether two figures of a class, or of a model, rise together.

Spearman's rho and Kendall's tau-b, each with an interval over resampled classes; a class drawn twice counts
twice, tied with itself. The published scatter plots come without a coefficient (docs/method.md, 24). All resamples are
computed at once from how often they draw each class, which gives what scipy gives on the repeated rows.
"""

import numpy as np

from laionet_assets.stats.bootstrap import RESAMPLES, SEED, Draws, Estimate, Floats, bootstrap_statistic

_BLOCK = 1_024


def spearman(x: Floats, y: Floats, *, resamples: int = RESAMPLES, seed: int = SEED) -> Estimate:
    """Spearman's rho: Pearson's correlation of mid-ranks. Pairs in which either value is nan do not count.

    None where fewer than two pairs are left, or one side is all the same. Source: Spearman (1904).
    """
    x, y = _complete(x, y)
    by_x, by_y = _TieGroups(x), _TieGroups(y)

    def rho(draws: Draws) -> Floats:
        counts = draws.astype(np.float64)
        total = counts.sum(axis=1)
        centre = ((total + 1) / 2)[:, None]
        one, other = by_x.ranks(counts) - centre, by_y.ranks(counts) - centre
        with np.errstate(invalid="ignore", divide="ignore"):
            return (counts * one * other).sum(axis=1) / np.sqrt(
                (counts * one * one).sum(axis=1) * (counts * other * other).sum(axis=1)
            )

    return bootstrap_statistic(rho, len(x), resamples=resamples, seed=seed)


def kendall(x: Floats, y: Floats, *, resamples: int = RESAMPLES, seed: int = SEED) -> Estimate:
    """Kendall's tau-b: concordant minus discordant pairs, over the pairs that are not tied. nan and None as `spearman`.

    Source: Kendall (1945).
    """
    x, y = _complete(x, y)
    by_x, by_y = _TieGroups(x), _TieGroups(y)

    def tau(draws: Draws) -> Floats:
        counts = draws.astype(np.float64)
        agreement = np.zeros(len(counts))
        for start in range(0, len(x), _BLOCK):
            here = slice(start, start + _BLOCK)
            signs = np.sign(x[here, None] - x) * np.sign(y[here, None] - y)
            agreement += ((counts @ signs.T) * counts[:, here]).sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return agreement / np.sqrt(by_x.untied(counts) * by_y.untied(counts))

    return bootstrap_statistic(tau, len(x), resamples=resamples, seed=seed)


def ranking_agreement(one: Floats, other: Floats, *, resamples: int = RESAMPLES, seed: int = SEED) -> Estimate:
    """Kendall's tau-b of the rankings of models by their accuracy on two image sets, classes resampled (claim N3).

    `one`, `other`: recall of each class (row) and model (column) in the two sets, shape (classes, models), nan where it
    is not known. Accuracy is the mean recall over the classes that both sets and all models have. `units`: classes.
    """
    is_complete = ~np.isnan(one).any(axis=1) & ~np.isnan(other).any(axis=1)
    one, other = one[is_complete], other[is_complete]

    def tau(draws: Draws) -> Floats:
        counts = draws.astype(np.float64)
        signs = []
        for recalls in (one, other):
            # rounded: recalls are ratios of counts, and equal accuracies must not differ by the order of summation
            accuracy = np.round(counts @ recalls / counts.sum(axis=1, keepdims=True), 12)
            signs.append(np.sign(accuracy[:, :, None] - accuracy[:, None, :]))
        with np.errstate(invalid="ignore", divide="ignore"):
            return (signs[0] * signs[1]).sum(axis=(1, 2)) / np.sqrt(
                np.abs(signs[0]).sum(axis=(1, 2)) * np.abs(signs[1]).sum(axis=(1, 2))
            )

    return bootstrap_statistic(tau, len(one), resamples=resamples, seed=seed)


class _TieGroups:
    """The values in ascending order, and which of them are equal."""

    def __init__(self, values: Floats) -> None:
        self._order = np.argsort(values, kind="stable")
        ranked = values[self._order]
        is_first = np.append(True, ranked[1:] != ranked[:-1]) if len(ranked) else np.array([], dtype=bool)
        self._starts = np.flatnonzero(is_first)
        self._group = np.empty(len(values), dtype=np.intp)
        self._group[self._order] = np.cumsum(is_first) - 1

    def ranks(self, counts: Floats) -> Floats:
        """Mid-rank of each value when it is there `counts` times, shape (resamples, values), from 1."""
        totals = self._totals(counts)
        return (np.cumsum(totals, axis=1) - totals + (totals + 1) / 2)[:, self._group]

    def untied(self, counts: Floats) -> Floats:
        """Ordered pairs of values that differ, shape (resamples,)."""
        return counts.sum(axis=1) ** 2 - (self._totals(counts) ** 2).sum(axis=1)

    def _totals(self, counts: Floats) -> Floats:
        return np.add.reduceat(counts[:, self._order], self._starts, axis=1)


def _complete(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    if len(x) != len(y):
        raise ValueError(f"found {len(x)} and {len(y)} values; expected pairs")
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    is_known = ~np.isnan(x) & ~np.isnan(y)
    return x[is_known], y[is_known]
