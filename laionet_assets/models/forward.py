"""Pictures through one model, whatever it gives: device, precision, batches of one shape.

Here: the loop that predictors and image encoders share. Not here: what the outputs stand for.
"""

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from laionet_assets.models.devices import described, device_of, in_precision, precision_of, torch_threads
from laionet_assets.models.fitting import Fitting
from laionet_assets.models.on_card import OnCard, agreement, built_in_files, on_card, opened
from laionet_assets.models.preparing import Preparation
from laionet_assets.models.spec import ModelSpec

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

_FILES = (-1,)
"""Stands for the shape of files, which have no common one."""
BATCH_PICTURES = {"cpu": 4, "mps": 32, "cuda": 256}
"""Pictures of a batch: on a CPU its intermediates then stay in the cache, on a card they fill it."""


class Forward:
    """A model on its device, for inference.

    `module` turns a batch of inputs (batch, channels, height, width) into outputs (batch, outputs); `prepare` turns an
    RGB picture into one input: its first half is done before, its second here. `finish` is the last step, in fp32 on
    the device. Raises ModelError for a device that is not to be had.
    """

    def __init__(
        self,
        spec: ModelSpec,
        module: "torch.nn.Module",
        prepare: Preparation,
        *,
        finish: Callable[["torch.Tensor"], "torch.Tensor"] = lambda outputs: outputs,
    ) -> None:
        import torch

        from laionet_assets.models.on_cpu import faster_on_cpu

        self._spec = spec
        self._finish = finish
        self._prepare = prepare
        self.device = device_of(spec)
        self._dtype = precision_of(spec, self.device)
        self.batch_pictures = BATCH_PICTURES[self.device.type]
        self._on_card: OnCard | None = on_card(spec, self.device, prepare)
        self._fitting = Fitting(f"{spec.role.name} {spec.name}, pictures")
        self._turn = threading.Lock()
        is_cuda = self.device.type == "cuda"
        module = module.float().eval().requires_grad_(False).to(self.device)
        if is_cuda:
            module = module.to(memory_format=torch.channels_last)
        self._copying: Any = torch.cuda.Stream(self.device) if is_cuda else None
        self._decoding: Any = torch.cuda.Stream(self.device) if is_cuda else None
        self._module: Callable[[torch.Tensor], torch.Tensor] = module
        self._input = torch.float32
        if in_precision(
            module,
            lambda: module(self._example(8).to(self.device, next(module.parameters()).dtype)),
            device=self.device,
            precision=self._dtype,
            what=f"{spec.role.name} {spec.name}",
        ):
            self._input = self._dtype
        if self.device.type == "cpu" and self._dtype == torch.float32:
            with torch_threads(1):
                self._module = faster_on_cpu(module, self._example(self.batch_pictures))
        self._agreement = self._measured(self._on_card) if self._on_card is not None else ""

    @property
    def takes_files(self) -> bool:
        """Whether inputs may be JPEG files, because its device decodes them."""
        return self._on_card is not None

    def told(self) -> str:
        """Where and how it computes, for people, with what did not go as it should."""
        decoded = self._on_card.said() if self._on_card is not None else ""
        return "; ".join(
            filter(None, (described(self.device, self._dtype), self._agreement, decoded, self._fitting.said()))
        )

    def outputs(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[np.float32] | None]:
        """One vector an input, in their order, which may differ in shape. May be called from several threads at once.

        Inputs are what the first half of `prepare` gives; where it `takes_files`, files too, their bytes as uint8 of
        one dimension: None for those that the device does not decode. Raises ModelError for outputs that are not
        finite.
        """
        import torch

        found: list[Any] = [None] * len(inputs)
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for i, array in enumerate(inputs):
            by_shape.setdefault(array.shape if array.ndim > 1 else _FILES, []).append(i)
        for shape, positions in by_shape.items():
            taken, vectors = self._batch([inputs[i] for i in positions], are_files=shape == _FILES)
            if not np.isfinite(vectors).all():
                causes, remedies = "its weights are damaged or not whole", "Load the weights again"
                if self._dtype != torch.float32:
                    causes += f", or beyond {self._dtype} on {self.device}"
                    remedies += ", or set device: cpu, which computes in float32"
                raise self._spec.error(f"its outputs are not finite: {causes}. {remedies}")
            for at, vector in zip(taken, vectors, strict=True):
                found[positions[at]] = vector
        return found

    def _batch(self, inputs: Sequence[NDArray[Any]], *, are_files: bool) -> tuple[Sequence[int], NDArray[np.float32]]:
        """Positions of the inputs, of one shape, that have outputs; and these: float32 of shape (positions, outputs).

        On a GPU, threads take turns to compute; what one computes next is copied, or decoded, there meanwhile, or after
        all in its turn, where both do not fit into memory.
        """
        import torch

        if self._copying is None:
            taken, batch = self._loaded(inputs, are_files=are_files)
            with contextlib.nullcontext() if self.device.type == "cpu" else self._turn:
                return taken, self._outputs(batch)
        loading = self._decoding if are_files else self._copying
        loaded = None
        with contextlib.suppress(torch.OutOfMemoryError), torch.cuda.stream(loading):
            loaded = self._loaded(inputs, are_files=are_files)
        with self._turn:
            if loaded is None:
                with torch.cuda.stream(loading):
                    loaded = self._loaded(inputs, are_files=are_files)
            taken, batch = loaded
            computing = torch.cuda.current_stream(self.device)
            computing.wait_stream(loading)
            batch.record_stream(computing)
            return taken, self._outputs(batch)

    def _loaded(self, inputs: Sequence[NDArray[Any]], *, are_files: bool) -> "tuple[Sequence[int], torch.Tensor]":
        """Positions of the inputs, and the inputs as one batch, on a card already if there is one."""
        import torch

        if are_files:
            assert self._on_card is not None, "files are for models that take them"
            return self._on_card.pixels(inputs)
        is_cuda = self._copying is not None
        batch = torch.empty((len(inputs), *inputs[0].shape), dtype=_dtype_of(inputs[0]), pin_memory=is_cuda)
        np.stack(inputs, out=batch.numpy())
        batch = batch.to(self.device, non_blocking=True) if is_cuda else batch
        if self._on_card is not None:
            self._on_card.count_exact(len(inputs))
        return range(len(inputs)), batch

    def _outputs(self, batch: "torch.Tensor") -> NDArray[np.float32]:
        if not len(batch):
            return np.empty((0, 0), dtype=np.float32)
        return self._fitting.compute(self._compute, batch)

    def _compute(self, batch: "torch.Tensor") -> NDArray[np.float32]:
        import torch

        is_autocast = self._dtype not in (torch.float32, self._input)
        autocast = torch.autocast(self.device.type, dtype=self._dtype, enabled=is_autocast)
        with torch.inference_mode(), autocast:
            order = torch.contiguous_format if self.device.type == "mps" else torch.channels_last
            pictures = self._prepare.finish(batch.to(self.device)).contiguous(memory_format=order)
            return self._finish(self._module(pictures.to(self._input)).float()).cpu().numpy()

    def _measured(self, on_card: OnCard) -> str:
        """How far files decoded by the device are from the exact way, for people: on a handful of built-in pictures."""
        import torch

        files = built_in_files()
        exact = np.stack([np.asarray(self._prepare.pixels(opened(file)), dtype=np.uint8) for file in files])
        with torch.cuda.stream(self._decoding):
            taken, found = OnCard(on_card.shape, self.device).pixels(files)
            there = found.cpu()
        if len(taken) < len(files):
            raise self._spec.error(
                f"decode_on: card: {self.device} decoded {len(taken)} of {len(files)} built-in JPEG files; take "
                "decode_on away"
            )
        pixels = agreement(exact, there.numpy())
        left, right = (
            torch.nn.functional.normalize(torch.from_numpy(self._compute(each)), dim=1)
            for each in (torch.from_numpy(exact), there)
        )
        worst = float((1 - (left * right).sum(dim=1)).max())
        return (
            f"JPEG files are decoded on {self.device}: of {len(files)} built-in pictures, pixels differ from those "
            f"of the CPU by {pixels.mean:.2f} of 255 on average ({pixels.worst:.0f} at most), outputs by a cosine of "
            f"{max(worst, 0.0):.1e} at most"
        )

    def _example(self, pictures: int) -> "torch.Tensor":
        """Inputs that make every part of the model work: 256 x 256 pixels of noise, always the same."""
        import torch

        return torch.stack([self._prepare.tensor(picture) for picture in _noise(pictures)])


def _noise(pictures: int) -> list["Image"]:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (pictures, 256, 256, 3), dtype=np.uint8)
    return [Image.fromarray(picture) for picture in pixels]


def _dtype_of(array: NDArray[Any]) -> "torch.dtype":
    import torch

    return torch.uint8 if array.dtype == np.uint8 else torch.float32
