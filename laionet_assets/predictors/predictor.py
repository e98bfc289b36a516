"""The protocol of a predictor, its loader, and the best classes of each picture from the scores of every provider's
models.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from laionet_assets.models.devices import device_of
from laionet_assets.models.forward import Forward
from laionet_assets.models.identity import identity
from laionet_assets.models.prompts import ClassPrompts
from laionet_assets.models.spec import ModelSpec
from laionet_assets.pictures.admission import to_rgb
from laionet_assets.pictures.sight import Prepare, TakesFiles
from laionet_assets.predictors.heads import Head
from laionet_assets.predictors.labels import ImageNetClasses

if TYPE_CHECKING:
    from PIL.Image import Image

Ranked = list[tuple[str, float]]
"""The wnids predicted for a picture and their scores, the best first."""

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

    @property
    def prepare(self) -> Callable[["Image"], Any]:
        """What makes the model's input of one RGB picture: a function that can be sent to another process."""
        ...

    def classify(self, inputs: Sequence[Any], *, k: int = 5) -> "list[Ranked] | list[Ranked | None]":
        """As `predict`, for inputs already prepared; None for a file that its device does not decode.

        May be called from several threads at once.
        """
        ...

    def told(self) -> str:
        """Where and how it computes, for people, with what did not go as it should."""
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

        self.name = spec.name
        self.identity = model_identity
        self.wnids = head.wnids
        columns = torch.tensor(head.columns, device=device_of(spec))

        def scores(outputs: torch.Tensor) -> torch.Tensor:
            of_classes = outputs[:, columns]
            return of_classes if head.is_cosine else of_classes.softmax(dim=1)

        self._forward = Forward(spec, head.module, head.prepare, finish=scores)
        self.batch_pictures = self._forward.batch_pictures
        pixels = head.prepare.pixels
        self.prepare: Prepare = TakesFiles(pixels) if self._forward.takes_files else pixels

    def told(self) -> str:
        return self._forward.told()

    def predict(self, images: Sequence["Image"], *, k: int = 5) -> list[Ranked]:
        ranked: list[Ranked] = []
        for start in range(0, len(images), self.batch_pictures):
            batch = images[start : start + self.batch_pictures]
            found = self.classify([self.prepare(to_rgb(image)[0]) for image in batch], k=k)
            ranked += [one for one in found if one is not None]
        return ranked

    def classify(self, inputs: Sequence[NDArray[Any]], *, k: int = 5) -> list[Ranked | None]:
        if not 1 <= k <= len(self.wnids):
            raise ValueError(f"k is {k}; expected 1 to {len(self.wnids)}")
        found = self._forward.outputs(inputs)
        return [None if scores is None else self._best(scores, k=k) for scores in found]

    def _best(self, scores: np.ndarray, *, k: int) -> Ranked:
        return [(self.wnids[i], float(scores[i])) for i in np.argsort(-scores, kind="stable")[:k]]
