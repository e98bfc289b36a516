"""The equal-count frontier."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laionet_assets.stats.frontier import POOL_SHARES, equal_count_frontier, thresholds_at_shares

pools = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=60)


@given(pools, st.integers(1, 40))
def test_no_other_threshold_leaves_more_of_the_images_wanted(pool: list[tuple[int, int]], images: int) -> None:
    text, image = (np.array([row[i] for row in pool]) / 20 for i in range(2))
    thresholds = [0.0, 0.25, 0.5, 0.9]
    for point, threshold in zip(equal_count_frontier(text, image, thresholds, images), thresholds, strict=True):
        cut = -np.inf if point.image_threshold is None else point.image_threshold
        assert point.images == ((text > threshold) & (image > cut)).sum() <= images
        counts = [((text > threshold) & (image > other)).sum() for other in [-1, *np.unique(image)]]
        assert point.images == max(count for count in counts if count <= images)


def test_without_ties_the_count_is_exact_and_lower_text_thresholds_need_higher_image_thresholds() -> None:
    rng = np.random.default_rng(0)
    text, image = rng.uniform(0.7, 0.9, 5000), rng.normal(0.27, 0.04, 5000)
    images = int((text > 0.82).sum())
    found = equal_count_frontier(text, image, [0.82, 0.81, 0.79, 0.76, 0.72], images)
    assert [point.images for point in found] == [images] * 5
    assert found[0].image_threshold is None
    cuts = [point.image_threshold for point in found[1:]]
    assert cuts == sorted(cuts)


def test_unfitting_pools() -> None:
    with pytest.raises(ValueError, match="found 2 text and 1 image"):
        equal_count_frontier(np.ones(2), np.ones(1), [0.5], 1)
    with pytest.raises(ValueError, match="none nan"):
        equal_count_frontier(np.ones(1), np.array([np.nan]), [0.5], 1)
    with pytest.raises(ValueError, match="found 0 images wanted"):
        equal_count_frontier(np.ones(1), np.ones(1), [0.5], 0)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=50), st.floats(0.01, 1))
def test_a_share_is_never_exceeded(values: list[int], share: float) -> None:
    pool = np.array(values) / 30
    (threshold,) = thresholds_at_shares(pool, {"here": share}).values()
    assert (pool > threshold).sum() <= share * len(pool) + 1e-6
    if len(set(values)) == len(values):
        assert (pool > threshold).sum() == int(np.floor(share * len(pool) + 1e-9))


def test_the_papers_points_for_another_encoder() -> None:
    pool = np.linspace(0.5, 0.6, 1000)
    found = thresholds_at_shares(pool, POOL_SHARES)
    assert [(pool > found[name]).sum() for name in "ABCD"] == [280, 400, 620, 1000]
    for bad in ({"A": 0.0}, {"A": 1.5}):
        with pytest.raises(ValueError, match=r"shares in \(0, 1\]"):
            thresholds_at_shares(pool, bad)
    with pytest.raises(ValueError, match="found a pool of 0"):
        thresholds_at_shares(np.array([]), {"A": 0.5})
