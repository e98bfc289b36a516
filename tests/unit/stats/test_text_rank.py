"""Ranks of the true class of a text."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laionet_assets.stats import text_rank
from laionet_assets.stats.text_rank import (
    CORRECTED,
    PAPER,
    cumulative_share,
    lowest_minus_highest_fifth,
    share_by_similarity,
    text_ranks,
)


def table(texts: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """The table of every text by every class that is never kept."""
    unit = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in (texts, queries)]
    return unit[0].astype(np.float32) @ unit[1].astype(np.float32).T


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 20), st.integers(1, 12), st.integers(1, 7))
def test_against_the_whole_table(seed: int, count: int, classes: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    # whole numbers in two dimensions: many classes are equally near
    texts, queries = rng.integers(1, 4, size=(count, 2)), rng.integers(1, 4, size=(classes, 2))
    own = rng.integers(-1, classes, size=count)
    found = text_ranks(texts, queries, own, k=k)
    similarity = table(texts, queries) if count else np.empty((0, classes))
    paper, corrected = found.share(PAPER), found.share(CORRECTED)
    for i in range(count):
        order = sorted(range(classes), key=lambda j: (-similarity[i, j], j))[: min(k, classes)]
        assert found.top[i].tolist() == order
        assert found.top_similarity[i] == pytest.approx(similarity[i, order])
        if own[i] < 0:
            assert np.isnan(found.own[i]) and found.nearer[i] == -1
            assert paper[i] == 0 and np.isnan(corrected[i])
            continue
        true = similarity[i, own[i]]
        assert found.own[i] == true
        assert paper[i] == np.mean(true < similarity[i])
        assert corrected[i] == (np.mean(true < np.delete(similarity[i], own[i])) if classes > 1 else 0)


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    texts, queries, own = rng.normal(size=(40, 8)), rng.normal(size=(30, 8)), rng.integers(-1, 30, size=40)
    whole = text_ranks(texts, queries, own)
    monkeypatch.setattr(text_rank, "_BLOCK", 7)
    blocks = text_ranks(texts, queries, own)
    assert (blocks.nearer == whole.nearer).all() and (blocks.top == whole.top).all()


def test_unknown_profiles_and_rows() -> None:
    with pytest.raises(ValueError, match="found profile 'other'"):
        text_ranks(np.ones((1, 2)), np.ones((1, 2)), np.array([0])).share("other")
    with pytest.raises(ValueError, match="found 1 rows of 2 classes for 1 texts"):
        text_ranks(np.ones((1, 2)), np.ones((2, 2)), np.array([2]))


@given(st.integers(0, 1000), st.integers(1, 60))
def test_bins_are_numpys_and_the_band_is_the_published_one(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    own, share = rng.uniform(-0.1, 0.9, count), rng.uniform(0, 0.3, count)
    edges = np.histogram_bin_edges(own, bins=50)
    counts, _ = np.histogram(own, bins=edges)
    found = share_by_similarity(np.append(own, np.nan), np.append(share, 0.5))
    assert [each.texts for each in found] == counts[counts > 0].tolist()
    for each in found:
        is_last = each.high == edges[-1]
        inside = share[(own >= each.low) & ((own < each.high) | is_last)]
        assert each.share == pytest.approx(inside.mean())
        error = 1.96 * np.sqrt(inside.mean() * (1 - inside.mean()) / len(inside))
        assert (each.band_low, each.band_high) == pytest.approx((inside.mean() - error, inside.mean() + error))


def test_the_cumulative_share_counts_ties_in() -> None:
    share = np.array([0.0, 0.05, 0.05, 0.5, np.nan])
    assert cumulative_share(share, np.array([-1, 0, 0.05, 0.49, 1])).tolist() == [0, 0.25, 0.75, 0.75, 1]
    assert np.isnan(cumulative_share(np.array([np.nan]), np.array([0.5])))
    assert share_by_similarity(np.array([np.nan]), np.array([0.1])) == []


def test_fifths_by_class() -> None:
    rng = np.random.default_rng(0)
    own = rng.uniform(0, 1, 3000)
    wnids = rng.choice([f"n{i}" for i in range(30)], 3000)
    falling = lowest_minus_highest_fifth(own, 0.2 * (1 - own) + rng.normal(0, 0.01, 3000), wnids)
    assert falling.value == pytest.approx(0.16, abs=0.01) and falling.units == 30
    assert 0.14 < falling.low < falling.value < falling.high < 0.18
    none = lowest_minus_highest_fifth(own, rng.uniform(0, 0.2, 3000), wnids)
    assert none.low < 0 < none.high
    ranked = np.argsort(own)
    share = rng.uniform(size=3000)
    plain = share[ranked[:600]].mean() - share[ranked[-600:]].mean()
    assert lowest_minus_highest_fifth(own, share, wnids).value == pytest.approx(plain)
    nothing = lowest_minus_highest_fifth(np.array([]), np.array([]), np.array([], dtype=str))
    assert nothing.value is None and nothing.units == 0
