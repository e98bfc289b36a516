"""The arms of the counterfactual."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laionet_assets.stats.arms import ARMS, arm_differences, choose_arms

rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30)


@given(rows, st.integers(1, 12), st.randoms(use_true_random=False))
def test_arms_are_the_highest_of_the_same_pool(pool: list[tuple[int, int]], limit: int, dice) -> None:
    ids = [f"web/{i:02}" for i in range(len(pool))]
    dice.shuffle(ids)
    text, image = (np.array([row[i] for row in pool], dtype=float) for i in range(2))
    found = choose_arms(ids, text, image, limit=limit)
    size = min(limit, len(pool) // 2)
    for arm, similarity in (("text", text), ("image", image)):
        expected = sorted(range(len(pool)), key=lambda i: (-similarity[i], ids[i]))[:size]
        assert found[arm].tolist() == sorted(expected)
    assert set(found) == set(ARMS) and all(len(arm) == size == len(set(arm.tolist())) for arm in found.values())


def test_the_random_arm_is_seeded_and_does_not_look_at_similarities() -> None:
    ids, rng = list(range(100)), np.random.default_rng(0)
    first = choose_arms(ids, rng.normal(size=100), rng.normal(size=100))
    again = choose_arms(ids, rng.normal(size=100), rng.normal(size=100))
    assert (first["random"] == again["random"]).all() and (first["text"] != again["text"]).any()
    other = choose_arms(ids, rng.normal(size=100), rng.normal(size=100), seed=1)
    assert (first["random"] != other["random"]).any()


def test_images_without_a_similarity_are_not_of_the_pool() -> None:
    with pytest.raises(ValueError, match="text arm, 1 of them nan"):
        choose_arms([1, 2], np.array([1, np.nan]), np.ones(2))
    with pytest.raises(ValueError, match="1 similarities for the image arm"):
        choose_arms([1, 2], np.ones(2), np.ones(1))


def test_differences_over_the_classes_of_both_arms() -> None:
    rng = np.random.default_rng(0)
    base = rng.uniform(0.2, 0.8, 50)
    figures = {"random": base, "text": base + 0.01, "image": base + 0.1 + rng.normal(0, 0.02, 50)}
    figures["image"][:5] = np.nan
    found = {(each.arm, each.other_arm): each.difference for each in arm_differences(figures)}
    assert list(found) == [("text", "image"), ("text", "random"), ("image", "random")]
    assert found["text", "image"].value == pytest.approx(np.nanmean(figures["text"] - figures["image"]))
    assert found["text", "image"].units == 45 and found["text", "random"].units == 50
    assert found["text", "image"].low < found["text", "image"].value < found["text", "image"].high < 0
    assert found["text", "random"].low == pytest.approx(0.01)
    assert arm_differences({"text": base}) == []
    with pytest.raises(ValueError, match=r"found arms \['picture'\]"):
        arm_differences({"picture": base})
