"""Nearest images across sets, and sets thinned to equal similarity."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from laionet_assets.stats import cross_set
from laionet_assets.stats.cross_set import equally_similar, nearest_in


def unit(count: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, 4))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize(("rows", "columns"), [(1024, 65536), (3, 5)])
def test_nearest_is_the_greatest_of_the_whole_table(rows: int, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_set, "_ROWS", rows)
    monkeypatch.setattr(cross_set, "_COLUMNS", columns)
    one, other = unit(20, 0), unit(33, 1)
    other[[7, 31]] = one[2]
    found = nearest_in(one, other)
    table = one @ other.T
    assert found.similarity == pytest.approx(table.max(axis=1), abs=1e-6)
    assert found.position.tolist() == table.argmax(axis=1).tolist() and found.position[2] == 7
    assert np.flatnonzero(found.is_shared(0.9999)).tolist() == [2]
    nothing = nearest_in(one, other[:0])
    assert (nothing.position == -1).all() and np.isnan(nothing.similarity).all() and not nothing.is_shared().any()


values = st.lists(st.integers(0, 10).map(lambda n: n / 10), max_size=40)


@settings(deadline=None)
@given(values, values)
def test_every_slice_keeps_as_many_of_both(one: list[float], other: list[float]) -> None:
    a, b = np.array(one), np.array(other)
    kept = equally_similar([f"a{i}" for i in range(len(a))], a, [f"b{i}" for i in range(len(b))], b, quantiles=5)
    assert len(kept[0]) == len(kept[1])
    cuts = np.quantile([*one, *other], [0.2, 0.4, 0.6, 0.8]) if one or other else []
    for k in range(5):
        sizes = [(np.searchsorted(cuts, values, side="right") == k).sum() for values in (a, b)]
        taken = [
            (np.searchsorted(cuts, values[at], side="right") == k).sum()
            for values, at in zip((a, b), kept, strict=True)
        ]
        assert taken == [min(sizes)] * 2
    for at in kept:
        assert sorted(set(at.tolist())) == at.tolist()


def test_thinned_sets_have_one_distribution_and_it_is_seeded() -> None:
    rng = np.random.default_rng(0)
    near, far = rng.normal(0.6, 0.1, 4000), rng.normal(0.5, 0.1, 3000)
    ids, other_ids = list(range(4000)), list(range(3000))
    assert stats.ks_2samp(near, far).pvalue < 1e-6
    one, other = equally_similar(ids, near, other_ids, far)
    assert len(one) == len(other) > 1500
    assert stats.ks_2samp(near[one], far[other]).pvalue > 0.05
    again, _ = equally_similar(ids, near, other_ids, far)
    changed, _ = equally_similar(ids, near, other_ids, far, seed=1)
    assert (one == again).all() and one.tolist() != changed.tolist()
    with pytest.raises(ValueError, match="found images without a similarity"):
        equally_similar([1], np.array([np.nan]), [2], np.ones(1))
