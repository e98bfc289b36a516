"""Seeded samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laionet_assets.stats.sampling import seeded_generator, seeded_sample

IDS = [f"web/{i}" for i in range(500)]


@given(st.permutations(range(40)), st.integers(0, 45))
def test_the_order_of_the_ids_does_not_matter(order: list[int], size: int) -> None:
    ids = IDS[:40]
    shuffled = [ids[i] for i in order]
    assert {shuffled[i] for i in seeded_sample(shuffled, size)} == {ids[i] for i in seeded_sample(ids, size)}


def test_every_id_is_as_likely_as_any_other() -> None:
    drawn = np.zeros(100)
    for seed in range(2000):
        drawn[seeded_sample(IDS[:100], 25, seed=seed)] += 1
    assert drawn.mean() == 500
    assert np.abs(drawn - 500).max() < 4.5 * np.sqrt(2000 * 0.25 * 0.75)


def test_a_larger_sample_holds_the_smaller_one_and_another_seed_draws_others() -> None:
    small, large = seeded_sample(IDS, 50), seeded_sample(IDS, 100)
    assert set(small) < set(large) and (np.diff(large) > 0).all()
    assert set(small) != set(seeded_sample(IDS, 50, seed=1))


def test_more_than_there_is_gives_all_and_less_than_none_is_an_error() -> None:
    assert seeded_sample(IDS[:3], 5).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="found a sample of -1"):
        seeded_sample(IDS, -1)


def test_a_stream_depends_on_its_words_alone() -> None:
    first = seeded_generator(1, "n01", 2).integers(0, 1 << 30, 5)
    assert (first == seeded_generator(1, "n01", 2).integers(0, 1 << 30, 5)).all()
    assert (first != seeded_generator(1, "n02", 2).integers(0, 1 << 30, 5)).any()
