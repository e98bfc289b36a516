"""The Wilson interval of a recall and the combination of recalls into an accuracy.

The reference of the macros in `sql/macros/intervals.sql` and of `marts.accuracy`, which compute the same in SQL; one
value at a time, in plain Python.
"""

from collections.abc import Sequence
from math import fsum, sqrt

Z_95 = 1.959963984540054
"""97.5% quantile of the standard normal distribution: two-sided 95%."""

Z_PUBLISHED = 1.96
"""What the published code turns the width of a 95% interval into a standard error with."""


def wilson_interval(correct: float, n: float, *, z: float = Z_95) -> tuple[float, float]:
    """Wilson score interval of a binomial proportion.

    Returns (low, high), both in [0, 1]; low is 0 if nothing is correct, high is 1 if everything is. Counts need not be
    whole: those of a weighted sample are effective ones.
    Source: Wilson (1927); statsmodels' proportion_confint(method="wilson") agrees to 1e-12.
    Raises ValueError if n < 1 or not 0 <= correct <= n.
    """
    if n < 1 or not 0 <= correct <= n:
        raise ValueError(f"found {correct} correct of {n}; expected n >= 1 and 0 <= correct <= n")
    proportion = correct / n
    shrink = 1 + z * z / n
    center = (proportion + z * z / (2 * n)) / shrink
    half_width = z * sqrt(proportion * (1 - proportion) / n + z * z / (4 * n * n)) / shrink
    low = 0.0 if correct == 0 else center - half_width
    high = 1.0 if correct == n else center + half_width
    return low, high


def wilson_se(correct: int, n: int) -> float:
    """Standard error of a recall as published: half the width of its 95% Wilson interval over 1.96.

    Raises ValueError as `wilson_interval` does.
    """
    low, high = wilson_interval(correct, n)
    return (high - low) / 2 / Z_PUBLISHED


def combine_recalls(
    recalls: Sequence[float], standard_errors: Sequence[float], weights: Sequence[float] | None = None
) -> tuple[float, float]:
    """Accuracy and its standard error from the recalls of classes, their standard errors and weights (1 if None).

    sum(w r) / sum(w) and sqrt(sum((w se)^2)) / sum(w), for recalls that are independent. Source: docs/method.md, 10.
    Raises ValueError if the lengths differ, a weight is negative, or the weights sum to 0.
    """
    weights = [1.0] * len(recalls) if weights is None else weights
    if not len(recalls) == len(standard_errors) == len(weights):
        raise ValueError(f"found {len(recalls)} recalls, {len(standard_errors)} errors, {len(weights)} weights")
    total = fsum(weights)
    if not total > 0 or min(weights) < 0:
        raise ValueError(
            f"found weights from {min(weights, default=0)} with sum {total}; expected a positive sum of none below 0"
        )
    accuracy = fsum(w * r for w, r in zip(weights, recalls, strict=True)) / total
    return accuracy, sqrt(fsum((w * se) ** 2 for w, se in zip(weights, standard_errors, strict=True))) / total
