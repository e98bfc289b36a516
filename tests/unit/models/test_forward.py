"""Pictures through one model: what becomes of a batch that its device does not hold."""

import numpy as np
import pytest
import torch

from laionet_assets.models.forward import Forward
from laionet_assets.models.preparing import Pixels, Preparation
from laionet_assets.models.spec import PREDICTOR, ModelError, parse_model

SPEC = parse_model(PREDICTOR, "timm:tf_efficientnet_lite0", name="toy", device="cpu")
PREPARE = Preparation(Pixels(lambda image: image.resize((4, 3))), (0.5,) * 3, (0.5,) * 3)


class Means(torch.nn.Module):
    """The mean of each channel; its memory holds `holds` pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.holds = 100
        self.seen: list[int] = []

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(pixels))
        if len(pixels) > self.holds:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return pixels.mean((2, 3))


def inputs(count: int) -> list[np.ndarray]:
    return [np.full((3, 4, 3), 10 * i, dtype=np.uint8) for i in range(count)]


def test_it_is_halved_with_the_same_outputs_and_told() -> None:
    module = Means()
    forward = Forward(SPEC, module, PREPARE)
    expected = np.stack(forward.outputs(inputs(9)))
    np.testing.assert_allclose(expected[:, 0], (np.arange(9) * 10 / 255 - 0.5) / 0.5, atol=1e-6)
    assert forward.told() == "cpu, float32"
    module.holds = 3
    np.testing.assert_array_equal(np.stack(forward.outputs(inputs(9))), expected)
    assert forward.told() == (
        "cpu, float32; predictor toy, pictures: out of memory, so that batches were halved, to 2 at most"
    )
    module.seen.clear()
    np.testing.assert_array_equal(np.stack(forward.outputs(inputs(9))), expected)
    assert max(module.seen) <= 3


def test_inputs_of_several_shapes_come_back_in_their_order() -> None:
    forward = Forward(SPEC, Means(), PREPARE)
    wide = [np.full((2, 6, 3), 10 * i, dtype=np.uint8) for i in range(3)]
    mixed = [each for pair in zip(inputs(3), wide, strict=True) for each in pair]
    found = np.stack(forward.outputs(mixed))
    np.testing.assert_allclose(found[::2], found[1::2], atol=1e-6)
    assert found[2, 0] > found[0, 0]


def test_outputs_that_are_not_finite_are_an_error() -> None:
    class Broken(Means):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return super().forward(pixels) / 0

    with pytest.raises(ModelError, match=r"weights are damaged or not whole\. Load the weights again$"):
        Forward(SPEC, Broken(), PREPARE).outputs(inputs(2))
