"""How models do on one image set, given how they do on another: effective robustness and relative improvement.

Source: docs/method.md, 24; Taori et al. (2020), "Measuring robustness to natural distribution shifts".
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from laionet_assets.stats.bootstrap import Floats

MIN_BASELINES = 5
"""Fewer models than this make no line."""


@dataclass(frozen=True)
class Robustness:
    """Of each model, arrays of shape (models,), nan where it has none; the line, and the models that made it.

    `effective_robustness`: logit of its accuracy minus what the line says for its accuracy on the reference set.
    """

    effective_robustness: Floats
    slope: float | None
    intercept: float | None
    baselines: int


def effective_robustness(
    accuracy: Floats, reference: Floats, is_baseline: NDArray[np.bool_], *, min_baselines: int = MIN_BASELINES
) -> Robustness:
    """Residuals from the least-squares line of logit(accuracy) on logit(reference accuracy) over the baseline models.

    `accuracy`, `reference`: of each model on the image set and on the reference set, in [0, 1], nan where not known.
    Accuracies of exactly 0 or 1 have no logit: such models make no line and have no residual. All nan where fewer than
    `min_baselines` baselines are left, or all of them are equally accurate on the reference set.
    """
    from scipy.special import logit
    from scipy.stats import linregress

    y, x = logit(np.asarray(accuracy, dtype=np.float64)), logit(np.asarray(reference, dtype=np.float64))
    has_line = np.isfinite(x) & np.isfinite(y)
    makes_line = has_line & is_baseline
    baselines = int(makes_line.sum())
    if baselines < min_baselines or np.ptp(x[makes_line]) == 0:
        return Robustness(np.full(len(y), np.nan), None, None, baselines)
    line = linregress(x[makes_line], y[makes_line])
    residual = np.where(has_line, y - (line.intercept + line.slope * x), np.nan)
    return Robustness(residual, float(line.slope), float(line.intercept), baselines)


def relative_improvement(accuracy: Floats) -> Floats:
    """(accuracy - accuracy of the weakest) / accuracy of the weakest, of each model; nan where that is 0 or unknown."""
    accuracy = np.asarray(accuracy, dtype=np.float64)
    known = accuracy[~np.isnan(accuracy)]
    weakest = known.min() if len(known) else np.nan
    return (accuracy - weakest) / weakest if weakest > 0 else np.full(len(accuracy), np.nan)
