"""When a claim holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laionet_assets.stats.bootstrap import Estimate
from laionet_assets.stats.claims.verdicts import Measure, Subject, judge

ABOUT = Subject("paper", "imagenet-val", "clip", "corrected", "synthetic web", ("pairs as independent",))
ABOVE = Measure("X1", "measure", "Statement.", "0.5", 0.5)
BELOW = Measure("X2", "measure", "Statement.", "0.5", 0.5, is_below=True)
OVER_MODELS = Measure("X3", "measure", "Statement.", "0.5", 0.5, is_over_models=True)


@pytest.mark.parametrize(
    ("low", "high", "above", "below"),
    [
        (0.51, 0.7, "yes", "no"),
        (0.3, 0.49, "no", "yes"),
        (0.4, 0.6, "undecided", "undecided"),
        (0.5, 0.6, "undecided", "no"),
        (0.4, 0.5, "no", "undecided"),
        (0.5, 0.5, "no", "no"),
        (None, None, "undecided", "undecided"),
    ],
)
def test_the_side_of_the_boundary(low: float | None, high: float | None, above: str, below: str) -> None:
    estimate = Estimate(0.5 if low is None else (low + high) / 2, low, high, 10)
    assert judge(ABOVE, ABOUT, estimate).holds == above
    assert judge(BELOW, ABOUT, estimate).holds == below


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1), st.integers(0, 30))
def test_yes_and_no_never_span_the_boundary_and_never_rest_on_few(value: float, down: float, up: float, n: int) -> None:
    row = judge(ABOVE, ABOUT, Estimate(value, value - down, value + up, n))
    if n < 10:
        assert row.holds == "undecided" and row.missing == f"{n} classes, 10 wanted"
    elif row.holds == "yes":
        assert value - down > 0.5
    elif row.holds == "no":
        assert value + up <= 0.5
    else:
        assert value - down <= 0.5 < value + up


def test_few_models_decide_nothing_where_the_measure_is_over_models() -> None:
    estimate = Estimate(0.9, 0.8, 1.0, 50)
    assert judge(OVER_MODELS, ABOUT, estimate, models=5).holds == "yes"
    few = judge(OVER_MODELS, ABOUT, estimate, models=4)
    assert (few.holds, few.missing, few.here) == (
        "undecided",
        "4 models, 5 wanted: more predictors in laionet.yaml",
        0.9,
    )
    both = judge(OVER_MODELS, ABOUT, Estimate(0.9, 0.8, 1.0, 3), models=1)
    assert both.missing == "3 classes, 10 wanted; 1 models, 5 wanted: more predictors in laionet.yaml"
    with pytest.raises(ValueError, match="found no number of models"):
        judge(OVER_MODELS, ABOUT, estimate)


def test_what_is_not_measured_has_no_figure_and_says_what_lacks() -> None:
    for estimate in (None, Estimate(None, None, None, 0)):
        row = judge(ABOVE, ABOUT, estimate, missing="a recipe")
        assert (row.holds, row.here, row.ci_low, row.missing) == ("not_measured", None, None, "a recipe")
        assert judge(ABOVE, ABOUT, estimate).missing
    row = judge(ABOVE, ABOUT, Estimate(0.9, 0.8, 1.0, 50))
    assert row.missing is None
    assert (row.recipe, row.image_set, row.model, row.profile) == ("paper", "imagenet-val", "clip", "corrected")
    assert (row.data, row.mended) == ("synthetic web", ("pairs as independent",))
