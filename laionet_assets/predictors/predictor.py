"""The protocol of a predictor, its loader, and one loop for the models of every provider: device, precision, batches,
the best classes of each picture."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from laionet_assets.models.prompts import ClassPrompts
from laionet_assets.pictures.admission import to_rgb
from laionet_assets.predictors.heads import Head
from laionet_assets.predictors.spec import PredictorError, PredictorSpec, predictor_identity

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

Ranked = list[tuple[str, float]]
"""The wnids predicted for a picture and their scores, the best first."""

BATCH_PICTURES = {"cpu": 4, "mps": 32, "cuda": 64}
"""Pictures of a batch: on a CPU its intermediates then stay in the cache."""


class Predictor(Protocol):
    """Pictures to classes."""

    name: str
    """The user's label, the column `model`."""
    identity: str
    """What the predictions depend on."""
    batch_pictures: int
    """Pictures of a batch that suit the device."""
    wnids: tuple[str, ...]
    """The classes that it can predict."""

    def predict(self, images: Sequence["Image"], *, k: int = 5) -> list[Ranked]:
        """The k best classes of each picture, the best first, in the order of the pictures.

        Scores are softmax probabilities over the classes of ImageNet-1k that the model has, or cosine similarities
        (zero-shot). Equal scores are in the order of the classes. Raises ValueError unless 1 <= k <= classes.
        """
        ...

    def prepare(self, image: "Image") -> "torch.Tensor":
        """The model's input for one RGB picture."""
        ...

    def classify(self, inputs: Sequence["torch.Tensor"], *, k: int = 5) -> list[Ranked]:
        """As `predict`, for inputs already prepared. May be called from several threads at once."""
        ...


def load_predictor(
    spec: PredictorSpec, *, prompts: ClassPrompts | None = None, cache: Path | None = None
) -> "Predictor":
    """The predictor of a spec, loaded once a process for each spec, content of its weights and set of prompts.

    `prompts` are the classes of zero-shot prediction, needed for open_clip and meaningless elsewhere; `cache` is a
    folder where their embeddings are kept. `device: auto` is the GPU where torch sees one; `dtype: auto` is float32 on
    a CPU and on mps, float16 on cuda. Raises PredictorError for what a user can put right: no such model, unfitting
    weights, labels that do not prove which output is which class, a hub or device out of reach.
    """
    if (spec.provider == "open_clip") != (prompts is not None):
        expected = "needs" if prompts is None else "has a classification head and takes no"
        raise spec.error(f"it {expected} prompts, the texts of each class; zero-shot prediction is open_clip's")
    return _load(spec, predictor_identity(spec, prompts=prompts), prompts, cache if prompts else None)


@lru_cache(maxsize=8)
def _load(spec: PredictorSpec, identity: str, prompts: ClassPrompts | None, cache: Path | None) -> "HeadPredictor":
    device = _device(spec)
    return HeadPredictor(spec.name, identity, _head(spec, prompts, cache), device=device, dtype=_dtype(spec, device))


def _head(spec: PredictorSpec, prompts: ClassPrompts | None, cache: Path | None) -> Head:
    from laionet_assets.predictors.classifiers import load_timm, load_transformers
    from laionet_assets.predictors.zero_shot import load_open_clip

    if prompts is not None:
        return load_open_clip(spec, prompts=prompts, cache=cache)
    return {"timm": load_timm, "transformers": load_transformers}[spec.provider](spec)


class HeadPredictor:
    """A `Predictor` over a head."""

    def __init__(self, name: str, identity: str, head: Head, *, device: str, dtype: str) -> None:
        import torch

        from laionet_assets.models.fused import faster_on_cpu

        self.name = name
        self.identity = identity
        self.wnids = head.wnids
        self._head = head
        self._device = torch.device(device)
        self.batch_pictures = BATCH_PICTURES[self._device.type]
        self._dtype = getattr(torch, dtype)
        self._columns = torch.tensor(head.columns, device=self._device)
        self._turn = threading.Lock()
        module = head.module.float().eval().requires_grad_(False)
        if device == "cpu" and dtype == "float32":
            with _torch_threads(1):
                example = torch.stack([head.prepare(picture) for picture in _noise(2)])
                module = faster_on_cpu(module, example)
        self._module = module.to(self._device)

    def predict(self, images: Sequence["Image"], *, k: int = 5) -> list[Ranked]:
        ranked: list[Ranked] = []
        for start in range(0, len(images), self.batch_pictures):
            batch = images[start : start + self.batch_pictures]
            ranked += self.classify([self.prepare(to_rgb(image)[0]) for image in batch], k=k)
        return ranked

    def prepare(self, image: "Image") -> "torch.Tensor":
        return self._head.prepare(image)

    def classify(self, inputs: Sequence["torch.Tensor"], *, k: int = 5) -> list[Ranked]:
        if not 1 <= k <= len(self._head.wnids):
            raise ValueError(f"k is {k}; expected 1 to {len(self._head.wnids)}")
        ranked: list[Ranked] = [[] for _ in inputs]
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for i, tensor in enumerate(inputs):
            by_shape.setdefault(tuple(tensor.shape), []).append(i)
        for positions in by_shape.values():
            for i, best in zip(positions, self._best([inputs[i] for i in positions], k=k), strict=True):
                ranked[i] = best
        return ranked

    def _best(self, inputs: Sequence["torch.Tensor"], *, k: int) -> list[Ranked]:
        scores = self._scores(inputs)
        if not np.isfinite(scores).all():
            raise PredictorError(f"predictor {self.name!r}: its scores are not finite; use dtype: float32")
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        wnids = self._head.wnids
        return [[(wnids[i], float(row[i])) for i in best] for row, best in zip(scores, order, strict=True)]

    def _scores(self, inputs: Sequence["torch.Tensor"]) -> np.ndarray:
        """Scores, float32 of shape (pictures, classes). On a GPU, threads take turns."""
        import contextlib

        import torch

        is_cpu = self._device.type == "cpu"
        memory_format = torch.channels_last if is_cpu else torch.contiguous_format
        batch = torch.empty((len(inputs), *inputs[0].shape), dtype=inputs[0].dtype, memory_format=memory_format)
        for place, prepared in zip(batch, inputs, strict=True):
            place.copy_(prepared)
        autocast = torch.autocast(self._device.type, dtype=self._dtype, enabled=self._dtype != torch.float32)
        with contextlib.nullcontext() if is_cpu else self._turn, torch.inference_mode(), autocast:
            outputs = self._module(batch.to(self._device)).float()[:, self._columns]
            scores = outputs if self._head.is_cosine else outputs.softmax(dim=1)
            return scores.cpu().numpy()


@contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    """While it lasts, torch computes with so many threads here: for small work several cost more than they give.

    Measured on two busy cores: fusing the three bundled models takes 13 cpu-seconds with two threads, 2 with one.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _noise(pictures: int) -> list["Image"]:
    """Pictures that make every part of a model work: 256 x 256 pixels of noise, always the same."""
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (pictures, 256, 256, 3), dtype=np.uint8)
    return [Image.fromarray(picture) for picture in pixels]


def _device(spec: PredictorSpec) -> str:
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if spec.device == "auto":
        return next(device for device, is_available in available.items() if is_available)
    if not available[spec.device.partition(":")[0]]:
        raise spec.error(f"device {spec.device!r} is not to be had here; use device: auto or cpu")
    return spec.device


def _dtype(spec: PredictorSpec, device: str) -> str:
    return ("float16" if device.startswith("cuda") else "float32") if spec.dtype == "auto" else spec.dtype
