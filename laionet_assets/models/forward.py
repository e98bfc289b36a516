"""Pictures through one model, whatever it gives: device, precision, batches of one shape.

Here: the loop that predictors and image encoders share. Not here: what the outputs stand for.
"""

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from laionet_assets.models.devices import device_of, precision_of, torch_threads
from laionet_assets.models.spec import ModelSpec

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

BATCH_PICTURES = {"cpu": 4, "mps": 32, "cuda": 64}
"""Pictures of a batch: on a CPU its intermediates then stay in the cache."""


class Forward:
    """A model on its device, for inference.

    `module` turns a batch of inputs (batch, channels, height, width) into outputs (batch, outputs); `prepare` turns an
    RGB picture into one input, fp32, on the CPU. `finish` is the last step, in fp32 on the device. Raises ModelError
    for a device that is not to be had.
    """

    def __init__(
        self,
        spec: ModelSpec,
        module: "torch.nn.Module",
        prepare: Callable[["Image"], "torch.Tensor"],
        *,
        finish: Callable[["torch.Tensor"], "torch.Tensor"] = lambda outputs: outputs,
    ) -> None:
        import torch

        from laionet_assets.models.on_cpu import faster_on_cpu

        self._spec = spec
        self._finish = finish
        self.prepare = prepare
        self.device = device_of(spec)
        self._dtype = precision_of(spec, self.device)
        self.batch_pictures = BATCH_PICTURES[self.device.type]
        self._turn = threading.Lock()
        module = module.float().eval().requires_grad_(False).to(self.device)
        self._module: Callable[[torch.Tensor], torch.Tensor] = module
        if self.device.type == "cpu" and self._dtype == torch.float32:
            with torch_threads(1):
                example = torch.stack([prepare(picture) for picture in _noise(self.batch_pictures)])
                self._module = faster_on_cpu(module, example)

    def outputs(self, inputs: Sequence["torch.Tensor"]) -> list[NDArray[np.float32]]:
        """One vector an input, in their order, which may differ in shape. May be called from several threads at once.

        Raises ModelError for outputs that are not finite.
        """
        found: list[Any] = [None] * len(inputs)
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for i, tensor in enumerate(inputs):
            by_shape.setdefault(tuple(tensor.shape), []).append(i)
        for positions in by_shape.values():
            vectors = self._batch([inputs[i] for i in positions])
            if not np.isfinite(vectors).all():
                raise self._spec.error(
                    f"its outputs are not finite: its weights are damaged or not whole, or beyond {self._dtype} on "
                    f"{self.device}. Load the weights again, or set device: cpu, which computes in float32"
                )
            for i, vector in zip(positions, vectors, strict=True):
                found[i] = vector
        return found

    def _batch(self, inputs: Sequence["torch.Tensor"]) -> NDArray[np.float32]:
        """Outputs of inputs of one shape: float32 of shape (pictures, outputs). On a GPU, threads take turns."""
        import torch

        is_cpu = self.device.type == "cpu"
        memory_format = torch.channels_last if is_cpu else torch.contiguous_format
        batch = torch.empty((len(inputs), *inputs[0].shape), dtype=inputs[0].dtype, memory_format=memory_format)
        for place, prepared in zip(batch, inputs, strict=True):
            place.copy_(prepared)
        autocast = torch.autocast(self.device.type, dtype=self._dtype, enabled=self._dtype != torch.float32)
        with contextlib.nullcontext() if is_cpu else self._turn, torch.inference_mode(), autocast:
            return self._finish(self._module(batch.to(self.device)).float()).cpu().numpy()


def _noise(pictures: int) -> list["Image"]:
    """Pictures that make every part of a model work: 256 x 256 pixels of noise, always the same."""
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (pictures, 256, 256, 3), dtype=np.uint8)
    return [Image.fromarray(picture) for picture in pixels]
