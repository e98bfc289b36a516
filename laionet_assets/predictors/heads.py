"""What every provider's model is cut down to: a picture to one input, a batch of inputs to one score a class."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image


@dataclass(frozen=True)
class Head:
    """A model for inference, in fp32 on the CPU as it is loaded.

    `prepare` turns an RGB picture into one input (channels, height, width), fp32, on the CPU. `module` turns a batch
    of inputs into outputs (batch, outputs), of which `columns[i]` scores the class `wnids[i]`. `is_cosine`: outputs are
    cosine similarities and scores as they are; otherwise they are logits, and scores their softmax over the classes.
    """

    module: "torch.nn.Module"
    prepare: Callable[["Image"], "torch.Tensor"]
    wnids: tuple[str, ...]
    columns: tuple[int, ...]
    is_cosine: bool = False
