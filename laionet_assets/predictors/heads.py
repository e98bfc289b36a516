"""What every provider's model is cut down to: a picture to one input, a batch of inputs to one score a class."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from laionet_assets.models.preparing import Preparation

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Head:
    """A model for inference, in fp32 on the CPU as it is loaded.

    `prepare` turns an RGB picture into one input, in two halves. `module` turns a batch of inputs into outputs (batch,
    outputs), of which `columns[i]` scores the class `wnids[i]`. `is_cosine`: outputs are cosine similarities and
    scores as they are; otherwise they are logits, and scores their softmax over the classes.
    """

    module: "torch.nn.Module"
    prepare: Preparation
    wnids: tuple[str, ...]
    columns: tuple[int, ...]
    is_cosine: bool = False
