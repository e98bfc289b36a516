"""The drawn pictures: one for every class, seeded, varied. What a classifier sees in them is an integration test."""

import numpy as np
import pytest

from laionet_assets.sample import sample_classes
from laionet_assets.sample.drawings import DRAWINGS, curated_picture


def test_every_class_is_drawn() -> None:
    assert set(DRAWINGS) == {one.wnid for one in sample_classes()}


@pytest.mark.parametrize("wnid", sorted(DRAWINGS))
def test_picture_is_seeded_and_varied(wnid: str) -> None:
    first, again, other = (curated_picture(wnid, seed) for seed in (5, 5, 6))
    assert (first.mode, first.size) == ("RGB", (320, 320))
    assert first.tobytes() == again.tobytes()
    difference = np.abs(np.asarray(first, float) - np.asarray(other, float)).mean()
    assert difference > 5, "two pictures of a class must not be the same one"
    assert np.asarray(first).std() > 10, "a picture must not be empty"
