"""Estimates of wrong labels, and classes that are confused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laionet_assets.stats.intervals import wilson_interval
from laionet_assets.stats.noise import (
    Confusion,
    Stratum,
    confusable_classes,
    nearer_to_another_sense,
    wrong_rate,
)


def test_strata_judged_in_proportion_are_one_sample() -> None:
    found = wrong_rate([Stratum(1000, 18, 2), Stratum(3000, 45, 15)])
    assert found.rate == pytest.approx(17 / 80)
    assert (found.low, found.high) == pytest.approx(wilson_interval(17, 80))
    assert (found.judged, found.unsure, found.coverage) == (80, 0, 1)


def test_strata_weigh_as_many_rows_as_they_have() -> None:
    found = wrong_rate([Stratum(9000, 20, 0, 3), Stratum(1000, 0, 20, 1), Stratum(5000, 0, 0, 2)])
    assert found.rate == pytest.approx(0.1)
    assert found.low < 0.1 < found.high and found.high - found.low > 0.15, "fewer than 40 rows' worth"
    assert (found.judged, found.unsure) == (40, 6) and found.coverage == pytest.approx(10 / 15)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 500)), min_size=1, max_size=5))
def test_the_rate_is_the_weighted_mean_inside_its_interval(rows: list[tuple[int, int, int]]) -> None:
    strata = [Stratum(right + wrong + more, right, wrong) for right, wrong, more in rows]
    found = wrong_rate(strata)
    decided = [s for s in strata if s.right + s.wrong]
    if not decided:
        assert found.rate is found.low is None and found.coverage == 0
        return
    weight = sum(s.rows for s in decided)
    assert found.rate == pytest.approx(sum(s.rows / weight * s.wrong / (s.right + s.wrong) for s in decided))
    assert -1e-9 <= found.low - 1e-9 <= found.rate <= found.high + 1e-9 <= 1 + 2e-9


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    rates, sizes = np.array([0.02, 0.1, 0.3, 0.6]), np.array([4000, 3000, 2000, 1000])
    truth, held = (rates * sizes).sum() / sizes.sum(), 0
    for _ in range(1000):
        wrong = rng.binomial(50, rates)
        found = wrong_rate([Stratum(int(n), 50 - int(w), int(w)) for n, w in zip(sizes, wrong, strict=True)])
        held += found.low <= truth <= found.high
    assert held / 1000 > 0.93


@pytest.mark.parametrize("bad", [Stratum(3, 2, 2), Stratum(3, -1, 0), Stratum(3, 2, 1, 1)])
def test_impossible_verdicts(bad: Stratum) -> None:
    with pytest.raises(ValueError, match="no more verdicts than rows"):
        wrong_rate([bad])


def test_captions_nearer_to_another_sense() -> None:
    queries = {"crane": np.array([1.0, 0.0]), "drake": np.array([0.0, 1.0]), "tench": np.array([1.0, 1.0])}
    senses = {"crane": np.array([[0.0, 1.0], [-1.0, 0.0]]), "tench": np.empty((0, 2))}
    captions = np.array([[0.9, 0.1], [0.2, 0.8], [1.0, 1.0], [0.2, 0.8], [0.0, 1.0]])
    nearer, has_senses = nearer_to_another_sense(
        captions, ["crane", "crane", "crane", "drake", "tench"], queries, senses
    )
    assert nearer.tolist() == [False, True, False, False, False], "equally near is not nearer"
    assert has_senses.tolist() == [True, True, True, False, False]
    with pytest.raises(KeyError):
        nearer_to_another_sense(captions[:1], ["gone"], queries, senses)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef"), st.integers(0, 10)), max_size=12))
def test_groups_are_connected_components(rows: list[tuple[str, str, int]]) -> None:
    images = {("m", wnid): 10 for wnid in "abcdef"}
    found = confusable_classes([Confusion("m", *row) for row in rows], images)
    group = {wnid: wnid for wnid in "abcdef"}
    for _ in range(6):
        for one, other, count in rows:
            if count >= 2:
                group[one] = group[other] = min(group[one], group[other])
    linked = {wnid for one, other, count in rows if count >= 2 and one != other for wnid in (one, other)}
    assert found == {wnid: group[wnid] for wnid in linked}


def test_a_link_is_by_one_model_and_by_the_share_of_that_models_images() -> None:
    images = {("m", "a"): 10, ("n", "a"): 50, ("m", "b"): 10}
    assert confusable_classes([Confusion("m", "a", "b", 2)], images) == {"a": "a", "b": "a"}
    assert confusable_classes([Confusion("m", "a", "b", 1), Confusion("n", "a", "b", 9)], images) == {}
    assert confusable_classes([Confusion("m", "a", "b", 2)], images, min_share=0.3) == {}
    assert confusable_classes([Confusion("m", "a", "a", 10)], images) == {}
    with pytest.raises(ValueError, match="of 0 predicted images"):
        confusable_classes([Confusion("o", "a", "b", 1)], images)
