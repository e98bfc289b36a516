"""The bootstrap over classes."""

import numpy as np
import pytest
from scipy import stats

from laionet_assets.stats.bootstrap import (
    Estimate,
    bootstrap_classes,
    bootstrap_statistic,
    class_draws,
    interval_of,
    mean_estimate,
)


def normal_values(classes: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.1, 0.3, size=(classes, 2))


def test_every_resample_draws_as_many_classes_as_there_are() -> None:
    draws = class_draws(37, 500, 1)
    assert draws.shape == (500, 37)
    assert (draws.sum(axis=1) == 37).all()
    assert draws.mean() == 1
    assert draws.var() == pytest.approx(1 - 1 / 37, rel=0.05)


def test_the_interval_is_that_of_the_mean_of_independent_classes() -> None:
    values = normal_values(400)
    found = bootstrap_classes(values, np.ones(400), resamples=4000)
    expected = values.std(axis=0) / 20
    assert found.se == pytest.approx(expected, rel=0.05)
    assert found.low == pytest.approx(values.mean(axis=0) - 1.96 * expected, abs=0.1 * expected.max())
    assert found.high == pytest.approx(values.mean(axis=0) + 1.96 * expected, abs=0.1 * expected.max())


@pytest.mark.parametrize("classes", [10, 24, 60])
def test_it_covers_the_truth_about_as_often_as_it_says(classes: int) -> None:
    covered = []
    for seed in range(400):
        found = bootstrap_classes(normal_values(classes, seed), np.ones(classes), resamples=1_000)
        covered.append((found.low <= 0.1) & (found.high >= 0.1))
    assert 0.93 < np.mean(covered) < 0.97


@pytest.mark.parametrize(("units", "tail"), [(12, 0.01076), (1_000, 0.02489)])
def test_percentiles_lie_further_out_the_fewer_the_units(units: int, tail: float) -> None:
    expected = stats.norm.cdf(stats.t.ppf(0.025, units - 1) * np.sqrt(units / (units - 1)))
    assert expected == pytest.approx(tail, abs=1e-4)
    values = np.arange(100_001) / 100_000
    assert interval_of(values, units) == pytest.approx((expected, 1 - expected), abs=1e-9)


def test_one_heavy_class_rules_the_weighted_mean() -> None:
    values = np.array([[0.0], [1.0], [1.0], [1.0]])
    heavy = bootstrap_classes(values, np.array([1000.0, 1.0, 1.0, 1.0]))
    assert heavy.low[0] < 0.001 and heavy.high[0] == 1.0
    assert bootstrap_classes(values, np.ones(4)).low[0] < 0.3


def test_the_same_seed_gives_the_same_bits_whatever_else_is_asked() -> None:
    values, weights = normal_values(50), np.linspace(1, 2, 50)
    both = bootstrap_classes(values, weights)
    class_draws.cache_clear()
    again = bootstrap_classes(values, weights)
    assert (both.low == again.low).all() and (both.se == again.se).all()
    assert bootstrap_classes(values[:, :1], weights).low == pytest.approx(both.low[:1], abs=1e-12)
    assert (bootstrap_classes(values, weights, seed=1).low != both.low).all()


def test_a_wider_level_is_wider() -> None:
    values = normal_values(50)
    wide, narrow = (bootstrap_classes(values, np.ones(50), level=level) for level in (0.99, 0.5))
    assert (wide.low < narrow.low).all() and (narrow.high < wide.high).all()


@pytest.mark.parametrize(
    ("values", "weights"),
    [(np.ones((1, 1)), np.ones(1)), (np.ones((2, 1)), np.array([1.0, 0.0])), (np.ones((2, 1)), np.ones(3))],
)
def test_what_cannot_be_resampled(values: np.ndarray, weights: np.ndarray) -> None:
    with pytest.raises(ValueError, match="found"):
        bootstrap_classes(values, weights)


def test_a_mean_with_its_interval_leaves_out_what_has_no_value_or_no_weight() -> None:
    values = np.array([0.1, np.nan, 0.3, 0.9])
    found = mean_estimate(values, np.array([1.0, 5.0, 3.0, 0.0]))
    plain = bootstrap_classes(np.array([[0.1], [0.3]]), np.array([1.0, 3.0]))
    assert found.value == pytest.approx(0.25) and found.units == 2
    assert (found.low, found.high) == (plain.low[0], plain.high[0])


def test_too_few_classes_have_no_interval_and_none_has_no_value() -> None:
    assert mean_estimate(np.array([0.5])) == Estimate(0.5, None, None, 1)
    assert mean_estimate(np.array([np.nan])) == Estimate(None, None, None, 0)
    assert bootstrap_statistic(lambda draws: draws @ np.array([0.5]), 1) == Estimate(0.5, None, None, 1)
    assert bootstrap_statistic(lambda draws: np.full(len(draws), np.nan), 3) == Estimate(None, None, None, 3)


def test_any_statistic_goes_through_the_same_draws_as_a_mean() -> None:
    values = normal_values(30)[:, 0]
    found = bootstrap_statistic(lambda draws: draws @ values / draws.sum(axis=1), 30)
    mean = mean_estimate(values)
    assert (found.value, found.low, found.high) == pytest.approx((mean.value, mean.low, mean.high), abs=1e-12)


def test_resamples_without_a_value_are_left_out_of_the_interval() -> None:
    def spread(draws: np.ndarray) -> np.ndarray:
        return np.where((draws > 0).sum(axis=1) > 1, 1.0, np.nan)

    assert bootstrap_statistic(spread, 2) == Estimate(1.0, 1.0, 1.0, 2)
