"""Similarity within a class as a threshold rises, beside a few lines that look at every pair."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laionet_assets.stats.comparison import compare
from laionet_assets.stats.intra_class import ClassImages
from laionet_assets.stats.threshold_sweep import SweptClasses, sweep_class, thresholds_from


def of_class(rng: np.random.Generator, images: int, *, copies: int = 0) -> ClassImages:
    vectors = rng.normal(size=(images, 60))
    vectors[:copies] = vectors[0]
    sha256 = ["same" if i < copies else str(i) for i in range(images)]
    return ClassImages("n1", [f"{i:03d}" for i in range(images)], vectors, sha256, [None] * images)


def plain(images: ClassImages, similarity: np.ndarray, threshold: float, profile: str) -> tuple[int, Any]:
    """How many images count, and their mean over pairs, found pair by pair."""
    chosen: list[int] = []
    for i in np.flatnonzero(similarity > threshold):
        if profile == "paper" or images.sha256[i] not in [images.sha256[j] for j in chosen]:
            chosen.append(i)
    unit = images.vectors / np.linalg.norm(images.vectors, axis=1, keepdims=True)
    pairs = [unit[i] @ unit[j] for i in chosen for j in chosen if i < j]
    enough = 7 if profile == "paper" else 1
    return len(chosen), np.mean(pairs) if len(pairs) >= enough else np.nan


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 14), st.integers(0, 4), st.sampled_from(["paper", "corrected"]))
def test_against_every_pair(seed: int, images: int, copies: int, profile: str) -> None:
    rng = np.random.default_rng(seed)
    made = of_class(rng, images, copies=min(copies, images))
    similarity = rng.integers(0, 5, size=images) / 4
    thresholds = np.array([-1, 0, 0.3, 0.5, 0.75, 1])
    found = sweep_class(made, similarity, thresholds, profile=profile)
    for i, threshold in enumerate(thresholds):
        count, mean = plain(made, similarity, threshold, profile)
        assert found.images[i] == count
        assert found.mean[i] == pytest.approx(mean, nan_ok=True)


def test_a_duplicate_stands_in_where_the_first_is_too_far() -> None:
    made = of_class(np.random.default_rng(0), 5, copies=2)
    found = sweep_class(made, np.array([0.4, 0.6, 0.6, 0.6, 0.6]), np.array([0.3, 0.5]), profile="corrected")
    assert found.images.tolist() == [4, 4] and found.mean[0] == pytest.approx(found.mean[1])


def test_errors_are_those_of_the_profile() -> None:
    from laionet_assets.stats.similarity import ClassVectors

    made = of_class(np.random.default_rng(1), 9)
    vectors = ClassVectors(made.vectors)
    for profile, interval in (("corrected", vectors.jackknife()), ("paper", vectors.independent_pairs())):
        found = sweep_class(made, np.ones(9), np.zeros(1), profile=profile)
        assert found.se[0] == pytest.approx(interval.se)
    with pytest.raises(ValueError, match="found profile 'other'"):
        sweep_class(made, np.ones(9), np.zeros(1), profile="other")


def test_classes_are_compared_at_each_threshold() -> None:
    rng = np.random.default_rng(2)
    sweep, thresholds = SweptClasses("corrected"), np.array([0.0, 0.9])
    for wnid, images in (("n1", 8), ("n2", 6), ("n3", 1)):
        similarity = np.full(images, 0.95 if wnid == "n1" else 0.5)
        sweep.add(wnid, sweep_class(of_class(rng, images), similarity, thresholds, profile="corrected"))
    assert [sweep.images(i) for i in range(2)] == [15, 8]
    assert sweep.means(0).wnids.tolist() == ["n1", "n2"] and sweep.means(0).degrees.tolist() == [7, 5]
    assert sweep.means(1).wnids.tolist() == ["n1"]
    assert compare(sweep.means(0), sweep.means(1)).difference.tolist() == [0]


def test_thresholds_are_the_papers() -> None:
    found = thresholds_from(0.5)
    assert len(found) == 20 and found[0] == 0.5 and found[-1] == 0.75
