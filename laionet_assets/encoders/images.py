"""Image encoders: pictures to unit vectors.

Here: what of a model is the vector of a picture (`Readout`), for timm, transformers and open_clip, and the encoder over
it, which `pictures.stream` feeds. Not here: loading weights (`models`), which pictures are embedded, and where the
vectors go.

A model is read where it was trained: a pooler that its checkpoint has no weights for is random, and is never used.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from laionet_assets.models.forward import Forward
from laionet_assets.models.identity import identity
from laionet_assets.models.open_clip_models import load_open_clip, open_clip_prepare
from laionet_assets.models.preparing import Preparation
from laionet_assets.models.spec import ModelSpec
from laionet_assets.models.timm_models import load_timm_model, timm_prepare
from laionet_assets.models.transformers_models import linear_head, load_with_gaps, transformers_prepare
from laionet_assets.models.weights import model_folder
from laionet_assets.pictures.admission import to_rgb
from laionet_assets.pictures.sight import Prepare, TakesFiles

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

PROJECTION = "projection"
POOLER = "pooler"
CLASS_TOKEN = "class_token"
MEAN_POOL = "mean_pool"
CLASSIFIER_INPUT = "classifier_input"
READOUTS = (PROJECTION, POOLER, CLASS_TOKEN, MEAN_POOL, CLASSIFIER_INPUT)
"""Where a model is read: the joint space of an image and a text tower, a trained pooling layer, the class token, the
mean over places, or whatever the classification head is given."""

_OF_TIMM = {"token": CLASS_TOKEN, "avg": MEAN_POOL, "fast": MEAN_POOL, "map": POOLER}
_Read = Callable[[Any, Any], Any]
"""A model and its inputs, to vectors."""
_HEAD = "ForImageClassification"


@dataclass(frozen=True)
class Readout:
    """A model cut down to its vector: `module` turns inputs (batch, channels, height, width) into (batch, dimensions),
    of any length; `prepare` turns an RGB picture into one input, in two halves. `name` is one of `READOUTS`.
    """

    name: str
    module: "torch.nn.Module"
    prepare: Preparation


class ImageEncoder:
    """Pictures to unit vectors; a model of `pictures.stream`."""

    def __init__(self, spec: ModelSpec) -> None:
        readout = _readout(spec)
        self.name = spec.name
        self.identity = identity(spec)
        self.readout = readout.name
        self._spec = spec
        self._forward = Forward(spec, readout.module, readout.prepare)
        self.batch_pictures = self._forward.batch_pictures
        pixels = readout.prepare.pixels
        self.prepare: Prepare = TakesFiles(pixels) if self._forward.takes_files else pixels

    def told(self) -> str:
        """Where and how it computes, for people, with what did not go as it should."""
        return self._forward.told()

    def compute(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[np.float32] | None]:
        """A vector of length 1 for each input, shape (dimensions,); None for a file that its device does not decode.

        May be called from several threads at once.
        Raises ModelError where a vector is not finite, or has no direction.
        """
        vectors = self._forward.outputs(inputs)
        return [None if vector is None else self._unit(vector) for vector in vectors]

    def _unit(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        length = float(np.linalg.norm(vector))
        if length == 0:
            raise self._spec.error("its vector of a picture is zero: its weights are damaged or not whole")
        unit: NDArray[np.float32] = vector / np.float32(length)
        return unit

    def encode(self, images: Sequence["Image"]) -> NDArray[np.float32]:
        """Unit vectors of pictures, shape (pictures, dimensions)."""
        inputs = [self.prepare(to_rgb(image)[0]) for image in images]
        batches = (inputs[i : i + self.batch_pictures] for i in range(0, len(inputs), self.batch_pictures))
        return np.stack([vector for batch in batches for vector in self.compute(batch) if vector is not None])


def load_image_encoder(spec: ModelSpec) -> ImageEncoder:
    """The image encoder of a spec, loaded once a process for each spec and content of its weights.

    `device: auto` is the GPU where torch sees one; `dtype: auto` is float32 on a CPU and on mps, float16 on cuda.
    Raises ModelError for what a user can put right: no such model, unfitting weights, a hub or device out of reach.
    """
    return _load(spec, identity(spec))


@lru_cache(maxsize=8)
def _load(spec: ModelSpec, model_identity: str) -> ImageEncoder:
    return ImageEncoder(spec)


def _readout(spec: ModelSpec) -> Readout:
    return {"timm": _timm, "transformers": _transformers, "open_clip": _open_clip}[spec.provider](spec)


def _timm(spec: ModelSpec) -> Readout:
    """What the classification head is given: the pooled features of a convolutional model, the class token or the mean
    of a transformer, as it was trained.
    """
    model: Any = load_timm_model(spec)
    prepare = timm_prepare(model)
    pool = getattr(model, "global_pool", "")
    kind = pool if isinstance(pool, str) else getattr(pool, "pool_type", "")
    if not kind:
        kind = getattr(getattr(getattr(model, "head", None), "global_pool", None), "pool_type", "")
    model.reset_classifier(0)
    return Readout(_OF_TIMM.get(kind, CLASSIFIER_INPUT), model, prepare)


def _open_clip(spec: ModelSpec) -> Readout:
    """The image tower, in the joint space of pictures and texts."""
    model: Any = load_open_clip(spec)
    return Readout(PROJECTION, model.visual, open_clip_prepare(spec, model))


def _transformers(spec: ModelSpec) -> Readout:
    """The model that the checkpoint says it is, read where it has weights."""
    import torch
    import transformers

    folder = model_folder(spec)
    declared = _declared_class(spec, folder)
    model, processor, untrained = load_with_gaps(
        spec, folder, declared, transformers.AutoImageProcessor, what="image model"
    )
    is_classifier = declared.__name__.endswith(_HEAD)
    gaps = [name for name in untrained if "pooler" not in name or is_classifier]
    if gaps:
        raise spec.error(f"the weights in {folder} lack {', '.join(gaps[:5])}; use a checkpoint of a whole model")
    if is_classifier:
        name, read = _before_the_head(spec, model)
    elif hasattr(model, "get_image_features"):
        name, read = PROJECTION, lambda m, pixels: _vectors(m.get_image_features(pixel_values=pixels))
    else:
        name, read = _without_head(spec, model, has_pooler=not untrained)

    class Vectors(torch.nn.Module):
        """The vector of a picture, without the rest of the model's output."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
            return read(self.model, pixel_values)

    return Readout(name, Vectors(), transformers_prepare(processor))


def _declared_class(spec: ModelSpec, folder: Path) -> Any:
    """The class of transformers that the checkpoint was saved from."""
    import transformers

    from laionet_assets.models.checkpoints import loading

    with loading(spec, f"the config in {folder}"):
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    names = config.architectures or []
    found = getattr(transformers, names[0], None) if names else None
    if not (isinstance(found, type) and issubclass(found, transformers.PreTrainedModel)):
        raise spec.error(
            f"the config in {folder} names no model class of transformers under `architectures`: {names or 'nothing'}"
        )
    return found


def _vectors(output: Any) -> "torch.Tensor":
    """The vectors of `get_image_features`, which newer versions of transformers wrap."""
    return getattr(output, "pooler_output", output)


def _before_the_head(spec: ModelSpec, model: Any) -> tuple[str, _Read]:
    """What the classification head is given: read off the head's input, so that it is what was trained."""
    import torch

    linear = linear_head(model)
    if linear is None:
        raise spec.error("no linear classification head was found in it; use another checkpoint of the model")
    for parent in model.modules():
        for name, child in list(parent.named_children()):
            if child is linear:
                setattr(parent, name, torch.nn.Identity())
    kind = model.config.model_type
    means = {"convnext", "convnextv2", "resnet", "swin", "swinv2", "regnet", "efficientnet"}
    if kind in means or getattr(model.config, "use_mean_pooling", False):
        readout = MEAN_POOL
    else:
        readout = CLASS_TOKEN if kind in ("vit", "deit", "beit", "data2vec-vision") else CLASSIFIER_INPUT
    return readout, lambda m, pixels: m(pixel_values=pixels).logits.flatten(1)


def _without_head(spec: ModelSpec, model: Any, *, has_pooler: bool) -> tuple[str, _Read]:
    """A projection, a trained pooler, or else the class token or the mean over places of the last layer."""
    import torch

    size = getattr(model.config, "image_size", 224)
    height, width = (size, size) if isinstance(size, int) else size
    with torch.inference_mode():
        output = model(pixel_values=torch.zeros(1, 3, height, width))
    if getattr(output, "image_embeds", None) is not None:
        return PROJECTION, lambda m, pixels: m(pixel_values=pixels).image_embeds
    states: Any = getattr(output, "last_hidden_state", None)
    pooled: Any = getattr(output, "pooler_output", None)
    is_class_token = pooled is not None and states.ndim == 3 and torch.equal(pooled, states[:, 0])
    if has_pooler and pooled is not None and not is_class_token:
        return POOLER, lambda m, pixels: m(pixel_values=pixels).pooler_output.flatten(1)
    if states is None or states.ndim not in (3, 4):
        raise spec.error(f"a {type(model).__name__} gives neither pooled features nor states to read")
    if states.ndim == 4:
        return MEAN_POOL, lambda m, pixels: m(pixel_values=pixels).last_hidden_state.mean((2, 3))
    return CLASS_TOKEN, lambda m, pixels: m(pixel_values=pixels).last_hidden_state[:, 0]
