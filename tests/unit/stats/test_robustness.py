"""Effective robustness and relative improvement."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laionet_assets.stats.robustness import effective_robustness, relative_improvement

accuracies = st.floats(0.01, 0.99)


def logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


@given(st.lists(st.tuples(accuracies, accuracies, st.booleans()), min_size=7, max_size=12))
def test_residuals_of_the_least_squares_line_over_baselines(models: list[tuple[float, float, bool]]) -> None:
    y, x, is_baseline = (np.array(each) for each in zip(*models, strict=True))
    found = effective_robustness(y, x, is_baseline)
    line = [i for i in range(len(y)) if is_baseline[i]]
    assert found.baselines == len(line)
    if len(line) < 5 or np.ptp([logit(x[i]) for i in line]) == 0:
        assert np.isnan(found.effective_robustness).all() and found.slope is None
        return
    if np.ptp(x[line]) < 1e-6:
        return
    design = np.array([[1, logit(x[i])] for i in line])
    intercept, slope = np.linalg.lstsq(design, np.array([logit(y[i]) for i in line]), rcond=None)[0]
    assert found.slope == pytest.approx(slope, rel=1e-6, abs=1e-6)
    expected = [logit(a) - intercept - slope * logit(b) for a, b in zip(y, x, strict=True)]
    assert found.effective_robustness == pytest.approx(np.array(expected), rel=1e-6, abs=1e-6)


def test_what_has_no_logit_makes_no_line_and_has_no_residual() -> None:
    y = np.array([0.3, 0.4, 0.5, 0.6, 0.7, 1.0, np.nan, 0.9])
    x = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 0.9, 0.5, 0.7])
    is_baseline = np.array([True] * 7 + [False])
    found = effective_robustness(y, x, is_baseline)
    assert found.baselines == 5
    assert np.isnan(found.effective_robustness).tolist() == [False] * 5 + [True, True, False]
    assert found.effective_robustness[7] > 1, "far above the line"
    assert np.isnan(effective_robustness(y, x, is_baseline, min_baselines=6).effective_robustness).all()
    assert effective_robustness(y[:5], np.full(5, 0.5), np.ones(5, dtype=bool)).slope is None


def test_relative_improvement() -> None:
    assert relative_improvement(np.array([0.6, 0.5, np.nan, 0.75]))[[0, 1, 3]] == pytest.approx([0.2, 0, 0.5])
    assert np.isnan(relative_improvement(np.array([0.0, 0.5]))).all()
    assert np.isnan(relative_improvement(np.array([np.nan]))).all()
