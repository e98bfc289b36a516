"""Wilson intervals and combined recalls."""

from fractions import Fraction
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laionet_assets.stats.intervals import Z_95, combine_recalls, wilson_interval, wilson_se

counts = st.integers(1, 10**7).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [
        (40, 50, 0.6696289406777458, 0.8875624998422389),
        (7, 10, 0.39677814746114537, 0.8922087325936989),
        (0, 10, 0.0, 0.27753279986288926),
        (10, 10, 0.7224672001371106, 1.0),
        (1, 1, 0.2065493143772374, 1.0),
    ],
)
def test_values_of_statsmodels_0_15(correct: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(correct, n) == pytest.approx((low, high), abs=1e-15)


@given(counts)
def test_ends_solve_the_score_equation(counted: tuple[int, int]) -> None:
    """Wilson's interval is where |recall - p| = z sqrt(p (1 - p) / n): its definition, not its closed form."""
    correct, n = counted
    recall = correct / n
    for end in wilson_interval(correct, n):
        if 0 < end < 1:
            assert abs(recall - end) == pytest.approx(Z_95 * sqrt(end * (1 - end) / n), rel=1e-6)


@given(counts)
def test_the_recall_lies_inside_and_right_mirrors_wrong(counted: tuple[int, int]) -> None:
    correct, n = counted
    low, high = wilson_interval(correct, n)
    assert 0 <= low <= correct / n <= high <= 1
    assert low < high
    assert wilson_interval(n - correct, n) == pytest.approx((1 - high, 1 - low), abs=1e-12)
    assert wilson_se(correct, n) == pytest.approx((high - low) / 3.92)


def test_another_level() -> None:
    assert wilson_interval(40, 50, z=1.96) != wilson_interval(40, 50)
    low, high = wilson_interval(40, 50, z=2.575829303548901)
    assert low < wilson_interval(40, 50)[0] and high > wilson_interval(40, 50)[1]


@pytest.mark.parametrize(("correct", "n"), [(0, 0), (1, 0), (-1, 5), (6, 5)])
def test_impossible_counts(correct: int, n: int) -> None:
    with pytest.raises(ValueError, match=f"{correct} correct of {n}"):
        wilson_interval(correct, n)


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(1e-6, 0.5), st.floats(0, 1e6).map(lambda w: round(w, 3))),
        min_size=1,
    )
)
def test_combination_is_the_weighted_mean(classes: list[tuple[float, float, float]]) -> None:
    recalls, errors, weights = zip(*classes, strict=True)
    total = sum(map(Fraction, weights))
    if total == 0:
        with pytest.raises(ValueError, match="positive sum"):
            combine_recalls(recalls, errors, weights)
        return
    accuracy, se = combine_recalls(recalls, errors, weights)
    exact = sum(Fraction(w) * Fraction(r) for w, r in zip(weights, recalls, strict=True)) / total
    variance = sum((Fraction(w) * Fraction(e)) ** 2 for w, e in zip(weights, errors, strict=True)) / total**2
    assert accuracy == pytest.approx(float(exact), rel=1e-12, abs=1e-300)
    assert se == pytest.approx(sqrt(variance), rel=1e-12)


def test_without_weights_every_class_is_equal() -> None:
    assert combine_recalls([0.5, 1.0], [0.3, 0.4]) == pytest.approx((0.75, 0.25))


def test_a_class_of_weight_zero_changes_nothing() -> None:
    assert combine_recalls([0.5, 1.0], [0.3, 0.4], [2, 0]) == pytest.approx((0.5, 0.3))


@pytest.mark.parametrize(
    ("recalls", "errors", "weights"), [([0.5], [0.1, 0.2], None), ([0.5], [0.1], [-1]), ([0.5, 0.5], [0.1, 0.1], [1])]
)
def test_unfitting_arguments(recalls: list[float], errors: list[float], weights: list[float] | None) -> None:
    with pytest.raises(ValueError, match="found"):
        combine_recalls(recalls, errors, weights)
