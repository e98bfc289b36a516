"""Rank correlations, against scipy's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from laionet_assets.stats import correlations
from laionet_assets.stats.bootstrap import class_draws, interval_of
from laionet_assets.stats.correlations import kendall, ranking_agreement, spearman

few = st.integers(0, 4).map(float)
pairs = st.lists(st.tuples(few, few), min_size=2, max_size=15)
KINDS = [(spearman, stats.spearmanr), (kendall, stats.kendalltau)]


@pytest.mark.filterwarnings("ignore::scipy.stats.ConstantInputWarning")
@pytest.mark.parametrize(("ours", "scipys"), KINDS)
@settings(deadline=None)
@given(data=pairs)
def test_with_many_ties_as_scipy(ours, scipys, data: list[tuple[float, float]]) -> None:
    x, y = np.array(data).T
    found = ours(x, y, resamples=20)
    expected = scipys(x, y).statistic
    if np.isnan(expected):
        assert found.value is found.low is found.high is None
    else:
        assert found.value == pytest.approx(expected, abs=1e-12)
    assert found.units == len(data)


@pytest.mark.filterwarnings("ignore::scipy.stats.ConstantInputWarning")
@pytest.mark.parametrize(("ours", "scipys"), KINDS)
def test_intervals_are_those_of_scipy_on_repeated_rows(ours, scipys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correlations, "_BLOCK", 7)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 8, 25).astype(float)
    y = x + rng.integers(0, 8, 25)
    found = ours(x, y, resamples=100, seed=3)
    drawn = [np.repeat(np.arange(25), counts) for counts in class_draws(25, 100, 3)]
    values = [scipys(x[at], y[at]).statistic for at in drawn]
    assert (found.low, found.high) == pytest.approx(interval_of(np.array(values), 25), abs=1e-12)
    assert found.low < found.value < found.high


@pytest.mark.parametrize(("ours", "scipys"), KINDS)
def test_pairs_with_a_missing_value_do_not_count(ours, scipys) -> None:
    x, y = np.array([1.0, np.nan, 3, 4, 2]), np.array([2.0, 5, np.nan, 1, 7])
    assert ours(x, y).units == 3
    assert ours(x, y).value == pytest.approx(scipys(x[[0, 3, 4]], y[[0, 3, 4]]).statistic)
    assert ours(np.array([]), np.array([])).value is None
    assert ours(np.array([1.0]), np.array([1.0])).value is None
    with pytest.raises(ValueError, match="found 1 and 2 values"):
        ours(np.ones(1), np.ones(2))


def test_a_thousand_classes_take_little_memory_and_give_a_narrow_interval() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=1000)
    y = x + rng.normal(size=1000)
    for ours, scipys in KINDS:
        found = ours(x, y)
        assert found.value == pytest.approx(scipys(x, y).statistic, abs=1e-12)
        assert 0.03 < found.high - found.low < 0.12


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.integers(2, 8), st.integers(2, 6))
def test_agreement_of_rankings(seed: int, classes: int, models: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.integers(0, 5, (classes, models)) / 4, rng.integers(0, 5, (classes, models)) / 4
    found = ranking_agreement(
        np.vstack([one, np.full(models, np.nan)]), np.vstack([other, np.ones(models)]), resamples=30
    )
    expected = stats.kendalltau(one.mean(axis=0).round(12), other.mean(axis=0).round(12)).statistic
    assert found.units == classes
    if np.isnan(expected):
        assert found.value is None
    else:
        assert found.value == pytest.approx(expected, abs=1e-12)


def test_rankings_that_agree_on_every_class() -> None:
    recalls = np.linspace(0.2, 0.9, 6)[None] + np.zeros((12, 1))
    found = ranking_agreement(recalls, recalls - 0.1)
    assert (found.value, found.low, found.high) == (1, 1, 1)
    assert ranking_agreement(recalls, -recalls).value == -1
