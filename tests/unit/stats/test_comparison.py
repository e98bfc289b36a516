"""Two image sets compared class by class."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from laionet_assets.stats.comparison import (
    ClassMeans,
    DrawnMeans,
    compare,
    means_of_values,
    pooled_difference,
    pooled_means,
    shares,
    sorted_curves,
)

WNIDS = np.array([f"n{i:02}" for i in range(40)])


def means(seed: int, classes: int = 30, *, shift: float = 0.0, degrees: int | None = 9) -> ClassMeans:
    rng = np.random.default_rng(seed)
    return ClassMeans(
        rng.permutation(WNIDS)[:classes],
        rng.normal(0.5 + shift, 0.1, classes),
        rng.uniform(0.01, 0.1, classes),
        None if degrees is None else np.full(classes, float(degrees)),
    )


def as_dict(one: ClassMeans) -> dict[str, tuple[float, float]]:
    return dict(zip(one.wnids.tolist(), zip(one.mean, one.se, strict=True), strict=True))


def benjamini_hochberg(p: list[float]) -> list[bool]:
    """The step-up procedure as it is stated: keep the k smallest, k the largest with p_(k) <= k / m * 5%."""
    ranked = sorted(p)
    kept = max((k for k in range(1, len(p) + 1) if ranked[k - 1] <= 0.05 * k / len(p)), default=0)
    return [value <= ranked[kept - 1] if kept else False for value in p]


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 1000), st.integers(2, 60), st.floats(-0.2, 0.2))
def test_against_plain_references_with_students_t(seed: int, degrees: int, shift: float) -> None:
    one, other = means(seed, shift=shift, degrees=degrees), means(seed + 1, degrees=2 * degrees)
    found = compare(one, other)
    here, there = as_dict(one), as_dict(other)
    assert found.wnids.tolist() == sorted(here.keys() & there.keys())
    p = []
    for i, wnid in enumerate(found.wnids.tolist()):
        (mean, se), (other_mean, other_se) = here[wnid], there[wnid]
        # scipy's test from summary statistics, on samples that would have these errors
        n, m = degrees + 1, 2 * degrees + 1
        expected = stats.ttest_ind_from_stats(
            mean, se * np.sqrt(n), n, other_mean, other_se * np.sqrt(m), m, equal_var=False
        )
        assert found.p[i] == pytest.approx(expected.pvalue, rel=1e-9)
        quantile = stats.t.ppf(0.975, (se**2 + other_se**2) ** 2 / (se**4 / degrees + other_se**4 / (2 * degrees)))
        assert found.low[i] == pytest.approx(mean - other_mean - quantile * np.hypot(se, other_se), abs=1e-12)
        assert found.is_lower[i] == (found.p[i] < 0.05 and mean < other_mean)
        assert found.is_higher[i] == (found.p[i] < 0.05 and mean > other_mean)
        p.append(float(found.p[i]))
    assert (found.is_lower_bh | found.is_higher_bh).tolist() == benjamini_hochberg(p)
    assert not (found.is_lower_bh & (found.difference >= 0)).any()


def test_the_published_verdicts() -> None:
    one, other = means(1, degrees=None), means(2, shift=0.1, degrees=None)
    found = compare(one, other)
    error = 1.96 * found.se
    assert (found.is_lower == (found.difference + error < 0)).all() and found.is_lower.any()
    assert (found.is_higher == (found.difference - error > 0)).all()
    assert found.p == pytest.approx(2 * stats.norm.sf(np.abs(found.difference) / found.se))


def test_shares_are_plain_counts_over_the_classes_that_are_tested() -> None:
    one, other = means(3, shift=-0.1), means(4)
    one.se[:4] = np.nan
    found = compare(one, other)
    untested = set(one.wnids[:4].tolist()) & set(found.wnids.tolist())
    assert 0 < len(untested) == (~found.is_tested).sum()
    summary = shares(found)
    assert (summary.classes, summary.tested) == (len(found.wnids), len(found.wnids) - len(untested))
    assert summary.mean_lower.value == pytest.approx((found.difference < 0).mean())
    assert summary.lower.value == pytest.approx(found.is_lower.sum() / summary.tested)
    assert summary.higher.value == pytest.approx(found.is_higher.sum() / summary.tested)
    assert summary.lower_minus_higher.value == pytest.approx(summary.lower.value - summary.higher.value)
    assert summary.lower_minus_higher_bh.value == pytest.approx(summary.lower_bh.value - summary.higher_bh.value)
    assert summary.lower_bh.value <= summary.lower.value and summary.lower.units == summary.tested
    assert 0 <= summary.lower.low <= summary.lower.value <= summary.lower.high <= 1


def test_multiple_tests_keep_fewer_classes_where_there_is_nothing_to_find() -> None:
    kept = found = 0
    rng = np.random.default_rng(0)
    for _ in range(100):
        se = np.full(40, 0.1)
        same = compare(
            ClassMeans(WNIDS, rng.normal(0, 0.1, 40), se, np.full(40, 1e9)),
            ClassMeans(WNIDS, rng.normal(0, 0.1, 40), se, np.full(40, 1e9)),
        )
        found += (same.is_lower | same.is_higher).sum()
        kept += (same.is_lower_bh | same.is_higher_bh).any()
    assert 0.035 < found / 4000 < 0.065
    assert kept <= 12


def test_no_difference_and_no_error() -> None:
    exact = ClassMeans(WNIDS[:3], np.array([0.1, 0.2, 0.3]), np.zeros(3), np.full(3, 4.0))
    other = ClassMeans(WNIDS[:3], np.array([0.1, 0.1, 0.4]), np.zeros(3), np.full(3, 4.0))
    found = compare(exact, other)
    assert found.p.tolist() == [1, 0, 0]
    assert found.is_lower.tolist() == [False, False, True] == found.is_lower_bh.tolist()
    assert found.is_higher.tolist() == [False, True, False]


def test_sets_that_share_no_class() -> None:
    one = ClassMeans(WNIDS[:2], np.ones(2), np.ones(2))
    other = ClassMeans(WNIDS[2:4], np.ones(2), np.ones(2))
    summary = shares(compare(one, other))
    assert summary.classes == 0 and summary.lower.value is None
    assert len(sorted_curves(compare(one, other))["low"]) == 0


def test_curves_are_sorted_each_by_itself() -> None:
    one, other = means(5), means(6)
    one.se[0] = np.nan
    found = compare(one, other)
    curves = sorted_curves(found)
    assert curves["class_rank"].tolist() == list(range(1, found.is_tested.sum() + 1))
    for name in ("difference", "low", "high"):
        assert curves[name].tolist() == sorted(getattr(found, name)[found.is_tested])


def drawn(seed: int, classes: int = 30) -> DrawnMeans:
    rng = np.random.default_rng(seed)
    return DrawnMeans(rng.permutation(WNIDS)[:classes], rng.normal(0.7, 0.1, classes), rng.integers(0, 101, classes))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000))
def test_pooled_means_are_those_of_all_draws_of_common_classes(seed: int) -> None:
    sets = {"a": drawn(seed), "b": drawn(seed + 1), "c": drawn(seed + 2)}
    tables = {
        name: {w: (m, n) for w, m, n in zip(each.wnids.tolist(), each.mean, each.draws, strict=True) if n}
        for name, each in sets.items()
    }
    common = set.intersection(*(set(table) for table in tables.values()))
    found = pooled_means(sets, resamples=50)
    for name, table in tables.items():
        pool = np.concatenate([np.full(table[wnid][1], table[wnid][0]) for wnid in common])
        assert found[name].value == pytest.approx(pool.mean(), abs=1e-12)
        assert found[name].units == len(common)
    two = set(tables["a"]) & set(tables["b"])
    pools = [np.concatenate([np.full(tables[name][w][1], tables[name][w][0]) for w in two]).mean() for name in "ab"]
    difference = pooled_difference(sets["a"], sets["b"], resamples=200)
    assert difference.value == pytest.approx(pools[0] - pools[1], abs=1e-12)
    assert difference.low < difference.value < difference.high


def test_a_difference_of_a_set_with_itself_is_none_whatever_is_drawn() -> None:
    found = pooled_difference(drawn(1), drawn(1))
    assert (found.value, found.low, found.high) == (0, 0, 0)
    nothing = DrawnMeans(WNIDS[:1], np.array([np.nan]), np.array([0]))
    assert pooled_difference(nothing, drawn(1)).value is None
    assert pooled_means({"a": nothing, "b": drawn(1)})["b"].value is None


def test_each_class_once() -> None:
    with pytest.raises(ValueError, match="each class once"):
        ClassMeans(np.array(["a", "a"]), np.ones(2), np.ones(2))
    with pytest.raises(ValueError, match=r"lengths \[1, 2\]"):
        ClassMeans(np.array(["a", "b"]), np.ones(2), np.ones(2), np.ones(1))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(-1, 1) | st.just(float("nan"))), max_size=30))
def test_means_of_independent_values(rows: list[tuple[str, float]]) -> None:
    found = means_of_values(np.array([row[0] for row in rows], dtype=str), np.array([row[1] for row in rows]))
    by_class = {name: [v for n, v in rows if n == name and v == v] for name in "abc"}
    assert found.wnids.tolist() == [name for name in "abc" if by_class[name]]
    for i, name in enumerate(found.wnids.tolist()):
        values = np.array(by_class[name])
        assert found.mean[i] == pytest.approx(values.mean(), abs=1e-12) and found.degrees[i] == len(values) - 1
        if len(values) == 1:
            assert np.isnan(found.se[i])
        else:
            published = 1.96 * values.std() / np.sqrt(len(values) - 1)
            assert 1.96 * found.se[i] == pytest.approx(published, abs=1e-9)
    paper = means_of_values(np.array(["a", "a"]), np.array([0.1, 0.3]), is_paper=True)
    assert paper.degrees is None
