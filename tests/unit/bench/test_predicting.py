"""The pure parts of the benchmark of predicting."""

import io

import pytest
import torch
from PIL import Image

from laionet_assets.models.preparing import Preparation, Transformed
from laionet_assets.predictors.heads import Head
from tests.bench.predicting import agreement
from tests.bench.published import predictions


def test_agreement_is_of_the_first_class_alone() -> None:
    left = {"a": [["x", "y"], ["x", "y"]], "b": [["z"], []]}
    right = {"a": [["x", "q"], ["y", "x"]], "b": [["z"], []]}
    assert agreement(left, right) == 0.75
    with pytest.raises(ValueError):
        agreement(left, {"a": [["x"]], "b": [["z"], []]})


def test_the_published_way_ranks_the_classes_that_a_model_has() -> None:
    """A model whose outputs are the picture's brightness times 3, 1, 9 (no class) and 2."""

    class Brightness(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels.mean(dim=(1, 2, 3))[:, None] * torch.tensor([3.0, 1.0, 9.0, 2.0])

    def prepare(image: Image.Image) -> torch.Tensor:
        return torch.full((3, 2, 2), float(image.getpixel((0, 0))[0]) - 128)

    files = []
    for grey in [200] * 33 + [20]:
        files.append(io.BytesIO())
        Image.new("L", (4, 4), grey).save(files[-1], "PNG")
    head = Head(Brightness(), Preparation(Transformed(prepare)), ("n1", "n2", "n4"), (0, 1, 3))
    found = predictions(files, {"one": head, "two": head}, k=2)
    assert found == {name: [["n1", "n4"]] * 33 + [["n2", "n4"]] for name in ("one", "two")}
