"""Similarity of images to their classes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laionet_assets.stats import image_to_class
from laionet_assets.stats.image_to_class import prototypes, similarity_to_classes, similarity_to_prototype

seeds = st.integers(0, 2**32 - 1)


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@given(seeds, st.integers(0, 12))
def test_own_class_is_the_cosine_row_by_row(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    images, classes = rng.normal(size=(count, 6)).astype(np.float16), rng.normal(size=(4, 6)) * 30
    own = rng.integers(-1, 4, size=count)
    found = similarity_to_classes(images, classes, own)
    for i in range(count):
        if own[i] < 0:
            assert np.isnan(found[i])
        else:
            assert found[i] == pytest.approx(cosine(images[i].astype(float), classes[own[i]]), abs=1e-12)


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    images, classes, own = rng.normal(size=(25, 6)), rng.normal(size=(4, 6)), rng.integers(-1, 4, size=25)
    whole = similarity_to_classes(images, classes, own)
    monkeypatch.setattr(image_to_class, "_BLOCK", 7)
    assert np.array_equal(similarity_to_classes(images, classes, own), whole, equal_nan=True)


@pytest.mark.parametrize("own", [[0], [0, 4], [-2, 0]])
def test_rows_that_do_not_fit(own: list[int]) -> None:
    with pytest.raises(ValueError, match=r"found .* rows of 4 classes for 2 images"):
        similarity_to_classes(np.ones((2, 3)), np.ones((4, 3)), np.array(own))


@given(seeds)
def test_a_prototype_is_the_mean_direction_of_the_others(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(5, 4)) + 1
    reference = prototypes([("a", rng.normal(size=(2, 4))), ("b", vectors)])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    found = similarity_to_prototype(vectors, "b", reference, copies=np.ones(5, dtype=int))
    for i in range(5):
        assert found[i] == pytest.approx(cosine(unit[i], np.delete(unit, i, axis=0).mean(axis=0)), abs=1e-10)
    stranger = rng.normal(size=(1, 4))
    assert similarity_to_prototype(stranger, "b", reference)[0] == pytest.approx(cosine(stranger[0], unit.mean(axis=0)))


def test_nothing_left_to_compare_with() -> None:
    single = np.array([[3.0, 4.0]])
    reference = prototypes([("a", single), ("b", np.array([[1.0, 0.0], [-1.0, 0.0]]))])
    assert np.isnan(similarity_to_prototype(single, "a", reference, copies=np.array([1])))
    assert similarity_to_prototype(single, "a", reference)[0] == pytest.approx(1)
    assert np.isnan(similarity_to_prototype(single, "b", reference)), "opposite images have no mean direction"
    assert np.isnan(similarity_to_prototype(single, "c", reference))
    with pytest.raises(ValueError, match="found class a twice"):
        prototypes([("a", single), ("a", single)])


def test_an_image_that_is_there_twice_is_taken_out_twice() -> None:
    vectors = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    found = similarity_to_prototype(vectors[:1], "a", prototypes([("a", vectors)]), copies=np.array([2]))
    assert found[0] == pytest.approx(0, abs=1e-12)
