"""The protocol of a predictor, its loader, and one loop for the models of every provider: device, precision, batches,
the best classes of each picture.
"""

import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from laionet_assets.models.devices import device_of, precision_of, torch_threads
from laionet_assets.models.identity import identity
from laionet_assets.models.prompts import ClassPrompts
from laionet_assets.models.spec import ModelSpec
from laionet_assets.pictures.admission import to_rgb
from laionet_assets.predictors.heads import Head
from laionet_assets.predictors.labels import ImageNetClasses

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

Ranked = list[tuple[str, float]]
"""The wnids predicted for a picture and their scores, the best first."""

BATCH_PICTURES = {"cpu": 4, "mps": 32, "cuda": 64}
"""Pictures of a batch: on a CPU its intermediates then stay in the cache."""

CODE_BEFORE_DIGESTS = "1"
"""What commit cd80978 called its labels and its decoding."""


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


def predictor_identity(spec: ModelSpec, *, prompts: ClassPrompts | None = None) -> str:
    """What stored predictions depend on: provider, model, hub revision or content of the weights, prompts, and the
    label of the code that decodes pictures and knows which output is which class.

    Cheap, and without importing a library: the code location compares it at every start.
    """
    code = spec.code or CODE_BEFORE_DIGESTS
    classes = f"prompts:{prompts.digest[:16]}" if prompts else f"labels:{code}"
    return f"{identity(replace(spec, code=''))}+{classes}+decoding:{code}"


def load_predictor(
    spec: ModelSpec,
    *,
    classes: ImageNetClasses | None = None,
    prompts: ClassPrompts | None = None,
    cache: Path | None = None,
) -> "Predictor":
    """The predictor of a spec, loaded once a process for each spec, content of its weights and set of prompts.

    `classes` are those of ImageNet-1k, by which the outputs of a classification head are told; `prompts` the texts of
    each class, which zero-shot prediction (open_clip) needs and no other model takes; `cache` is a folder where their
    embeddings are kept. `device: auto` is the GPU where torch sees one; `dtype: auto` is float32 on a CPU
    and on mps, float16 on cuda. Raises ModelError for what a user can put right: no such model, unfitting weights,
    labels that do not prove which output is which class, a hub or device out of reach.
    """
    if spec.provider == "open_clip":
        if prompts is None:
            raise spec.error("it needs prompts, the texts of each class; zero-shot prediction is open_clip's")
        return _load(spec, predictor_identity(spec, prompts=prompts), None, prompts, cache)
    if prompts is not None:
        raise spec.error("it has a classification head and takes no prompts; zero-shot prediction is open_clip's")
    if classes is None:
        raise ValueError("a model with a classification head needs the classes of ImageNet-1k")
    return _load(spec, predictor_identity(spec), classes, None, None)


@lru_cache(maxsize=8)
def _load(
    spec: ModelSpec,
    model_identity: str,
    classes: ImageNetClasses | None,
    prompts: ClassPrompts | None,
    cache: Path | None,
) -> "HeadPredictor":
    return HeadPredictor(spec, model_identity, _head(spec, classes, prompts, cache))


def _head(spec: ModelSpec, classes: ImageNetClasses | None, prompts: ClassPrompts | None, cache: Path | None) -> Head:
    from laionet_assets.predictors.classifiers import timm_head, transformers_head
    from laionet_assets.predictors.zero_shot import zero_shot_head

    if spec.provider == "open_clip":
        assert prompts is not None
        return zero_shot_head(spec, prompts=prompts, cache=cache)
    return {"timm": timm_head, "transformers": transformers_head}[spec.provider](spec, classes)  # type: ignore[arg-type]


class HeadPredictor:
    """A `Predictor` over a head."""

    def __init__(self, spec: ModelSpec, model_identity: str, head: Head) -> None:
        import torch

        from laionet_assets.models.fused import faster_on_cpu

        self.name = spec.name
        self.identity = model_identity
        self.wnids = head.wnids
        self._spec = spec
        self._head = head
        self._device = device_of(spec)
        self._dtype = precision_of(spec, self._device)
        self.batch_pictures = BATCH_PICTURES[self._device.type]
        self._columns = torch.tensor(head.columns, device=self._device)
        self._turn = threading.Lock()
        module = head.module.float().eval().requires_grad_(False)
        if self._device.type == "cpu" and self._dtype == torch.float32:
            with torch_threads(1):
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
            raise self._spec.error(
                f"its scores are not finite: its weights are damaged or not whole, or beyond {self._dtype} on "
                f"{self._device}. Load the weights again, or set device: cpu, which computes in float32"
            )
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


def _noise(pictures: int) -> list["Image"]:
    """Pictures that make every part of a model work: 256 x 256 pixels of noise, always the same."""
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (pictures, 256, 256, 3), dtype=np.uint8)
    return [Image.fromarray(picture) for picture in pixels]
