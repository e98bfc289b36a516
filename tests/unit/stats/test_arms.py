"""The arms of the counterfactual."""

import numpy as np
import pytest

from laionet_assets.stats.arms import arm_differences


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
