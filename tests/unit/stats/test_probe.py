"""Telling two image sets apart."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from laionet_assets.stats.bootstrap import class_draws, interval_of
from laionet_assets.stats.probe import ProbeScores, area_in_class, area_interval, balanced, pooled_area, probe


def two_sets(images: int, apart: float, seed: int = 0, dimension: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    is_first = np.arange(images) % 2 == 0
    vectors = rng.normal(size=(images, dimension))
    vectors[is_first, 0] += apart
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), is_first


def plain_area(scores: ProbeScores, among: np.ndarray) -> float:
    """Pairs one by one, with repetitions."""
    right = pairs = 0.0
    for i in among:
        for j in among:
            if scores.is_first[i] and not scores.is_first[j] and scores.fold[i] == scores.fold[j]:
                pairs += 1
                right += (scores.score[i] > scores.score[j]) + 0.5 * (scores.score[i] == scores.score[j])
    return right / pairs if pairs else np.nan


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(4, 30))
def test_areas_are_those_of_pairs_counted_one_by_one(seed: int, images: int) -> None:
    rng = np.random.default_rng(seed)
    scores = ProbeScores(
        rng.integers(0, 4, images).astype(float), rng.integers(0, 2, images), rng.integers(0, 2, images) == 1
    )
    expected = plain_area(scores, np.arange(images))
    found = area_in_class(scores, np.arange(images))
    assert (found.value is None) if np.isnan(expected) else found.value == pytest.approx(expected)
    wnids = rng.choice(["a", "b", "c"], images)
    pooled = pooled_area(scores, wnids, resamples=40, seed=seed)
    assert (pooled.value is None) if np.isnan(expected) else pooled.value == pytest.approx(expected)
    names = np.unique(wnids)
    if pooled.value is not None and len(names) > 1:
        drawn = [
            plain_area(
                scores, np.concatenate([np.flatnonzero(wnids == names[c]) for c in np.repeat(range(len(names)), n)])
            )
            for n in class_draws(len(names), 40, seed)
        ]
        expected = interval_of(np.array(drawn)[~np.isnan(drawn)], len(names))
        assert (pooled.low, pooled.high) == pytest.approx(expected)


def test_in_one_fold_it_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    scores = ProbeScores(rng.integers(0, 20, 200).astype(float), np.zeros(200, dtype=int), rng.integers(0, 2, 200) == 1)
    assert area_in_class(scores, np.arange(200)).value == pytest.approx(roc_auc_score(scores.is_first, scores.score))


def test_an_image_is_scored_by_a_regression_that_saw_neither_it_nor_its_duplicates() -> None:
    unit, is_first = two_sets(60, 0.8)
    groups = np.arange(60) // 3
    found = probe(unit, is_first, groups)
    for group in np.unique(groups):
        assert len(np.unique(found.fold[groups == group])) == 1
    for number in range(5):
        unseen = found.fold == number
        plain = LogisticRegression(class_weight="balanced", max_iter=1000).fit(unit[~unseen], is_first[~unseen])
        assert found.score[unseen] == pytest.approx(plain.decision_function(unit[unseen]))
        assert len(np.unique(is_first[unseen])) == 2
    assert (probe(unit, is_first, groups).score == found.score).all()


def test_sets_that_differ_are_told_apart_and_sets_that_do_not_are_not() -> None:
    areas = {apart: [] for apart in (0.0, 4.0)}
    for apart, found in areas.items():
        for seed in range(12):
            unit, is_first = two_sets(60, apart, seed)
            found.append(area_in_class(probe(unit, is_first, np.arange(60)), np.arange(60)))
    assert np.mean([each.value for each in areas[0.0]]) == pytest.approx(0.5, abs=0.06), "no bias below guessing"
    assert sum(each.low > 0.5 for each in areas[0.0]) <= 2
    assert all(each.low > 0.5 for each in areas[4.0])


def test_duplicates_across_folds_would_give_the_sets_away() -> None:
    """Every picture twice in one set: grouped, the probe knows nothing of a picture; ungrouped, it recognises it."""
    areas = {"grouped": [], "leaking": []}
    for seed in range(8):
        rng = np.random.default_rng(seed)
        unit = np.repeat(rng.normal(size=(60, 100)), 2, axis=0)
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        is_first = np.repeat(rng.permutation(60) % 2 == 0, 2)
        for name, groups in (("grouped", np.arange(120) // 2), ("leaking", np.arange(120))):
            found = area_in_class(probe(unit, is_first, groups), groups)
            assert found.units == len(np.unique(groups))
            areas[name].append(found.value)
    assert np.mean(areas["grouped"]) == pytest.approx(0.5, abs=0.1)
    assert min(areas["leaking"]) > 0.75


def test_too_few_pictures_make_no_folds() -> None:
    unit, is_first = two_sets(12, 0)
    assert probe(unit, is_first, np.arange(12)) is not None
    assert probe(unit, is_first, np.arange(12) // 4) is None
    assert probe(unit[:8], is_first[:8], np.arange(8)) is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=40))
def test_balanced_takes_as_many_of_both_sets_in_every_class(rows: list[tuple[str, bool]]) -> None:
    wnids, is_first = [row[0] for row in rows], np.array([row[1] for row in rows], dtype=bool)
    ids = [f"{i}" for i in range(len(rows))]
    chosen = balanced(ids, is_first, wnids)
    for wnid in "abc":
        sides = [rows.count((wnid, side)) for side in (True, False)]
        taken = [sum(wnids[i] == wnid and is_first[i] == side for i in chosen) for side in (True, False)]
        assert taken == [min(sides)] * 2
    assert sorted(set(chosen.tolist())) == chosen.tolist()


def test_the_interval_of_an_area() -> None:
    assert area_interval(0.5, 1000, 1000) == pytest.approx((0.5 - 0.0253, 0.5 + 0.0253), abs=1e-3)
    low, high = area_interval(1.0, 5, 5)
    assert 0.5 < low < 0.8 and high == 1
    assert area_interval(0.3, 8, 20) == pytest.approx(tuple(1 - end for end in reversed(area_interval(0.7, 8, 20))))
    for bad in ((0.5, 0, 5), (1.5, 5, 5)):
        with pytest.raises(ValueError, match="found area"):
            area_interval(*bad)


@pytest.mark.parametrize(("images", "shift"), [(5, 0.0), (5, 2.0), (20, 1.0), (50, 0.3)])
def test_the_interval_of_an_area_holds_the_truth_about_as_often_as_it_says(images: int, shift: float) -> None:
    from scipy.stats import norm

    rng = np.random.default_rng(images)
    truth, held = norm.cdf(shift / np.sqrt(2)), 0
    for _ in range(500):
        scores = rng.normal(shift, 1, images)[:, None] > rng.normal(0, 1, images)
        low, high = area_interval(float(scores.mean()), images, images)
        held += low <= truth <= high
    assert 0.925 < held / 500 <= 1
