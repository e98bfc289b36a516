"""Zero-shot prediction with open_clip: the classes whose texts lie nearest to the picture, by cosine similarity.

The texts are embedded once for each model and set of prompts: 80 templates of 1,000 classes are 80,000 texts, an hour
of a CPU's time for CLIP ViT-B/32, so that class embeddings can be kept in a folder.
"""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from laionet_assets.models.prompts import ClassPrompts
from laionet_assets.models.spec import ModelSpec
from laionet_assets.models.text_encoder import load_text_encoder
from laionet_assets.models.text_towers import is_torchscript, open_clip_source
from laionet_assets.models.weights import first_line
from laionet_assets.predictors.heads import Head
from laionet_assets.predictors.spec import PredictorSpec, predictor_identity
from laionet_assets.warehouse.lake import write_whole

if TYPE_CHECKING:
    import torch

_PREPROCESSING = ("mean", "std", "interpolation", "resize_mode", "fill_color")
"""Keys of open_clip's description of weights that say how pictures are prepared."""


def load_open_clip(spec: PredictorSpec, *, prompts: ClassPrompts, cache: Path | None = None) -> Head:
    """The image tower of an open_clip model, and the classes of `prompts` as its outputs (cosine similarities).

    `cache` is a folder that keeps the class embeddings by what they depend on. Raises PredictorError for a user's
    mistakes.
    """
    import open_clip
    import torch

    name, checkpoint = open_clip_source(spec)
    try:
        model = open_clip.create_model(
            name,
            pretrained=str(checkpoint) if checkpoint else None,
            weights_only=not (checkpoint and is_torchscript(checkpoint)),
        )
    except (OSError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise spec.error(f"weights {checkpoint or spec.weights} do not load: {first_line(error)}") from error
    classes = torch.from_numpy(class_embeddings(spec, prompts=prompts, cache=cache))

    class ClassCosines(torch.nn.Module):
        """Cosine similarity of pictures with each class."""

        def __init__(self) -> None:
            super().__init__()
            self.visual = model.visual
            self.register_buffer("classes", classes)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            vectors = self.visual(pixels)
            return torch.nn.functional.normalize(vectors.float(), dim=1) @ self.classes.float().T

    prepare = open_clip.transform.image_transform_v2(_preprocessing(spec, model), is_train=False)
    return Head(ClassCosines(), prepare, prompts.wnids, tuple(range(len(prompts.wnids))), is_cosine=True)


def class_embeddings(spec: PredictorSpec, *, prompts: ClassPrompts, cache: Path | None = None) -> np.ndarray:
    """One unit vector a class, float32 of shape (classes, dimension): the mean direction of the class's texts.

    As OpenAI's ensemble: texts are normalised, averaged, and normalised again.
    """
    kept = cache / f"{_file_name(predictor_identity(spec, prompts=prompts))}.npy" if cache else None
    if kept is not None and kept.is_file():
        return np.load(kept, allow_pickle=False)
    encoder = load_text_encoder(
        ModelSpec(spec.name, spec.provider, spec.model, spec.revision, spec.weights, spec.device, spec.dtype)
    )
    vectors = encoder.encode([text for texts in prompts.texts for text in texts])
    ends = np.cumsum([len(texts) for texts in prompts.texts])
    means = np.stack([part.mean(axis=0) for part in np.split(vectors, ends[:-1])])
    classes = (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)
    if kept is not None:
        write_whole(kept, lambda file: np.save(file, classes, allow_pickle=False))
    return classes


def _file_name(identity: str) -> str:
    return "".join(character if character.isalnum() or character in "-.+" else "_" for character in identity)


def _preprocessing(spec: PredictorSpec, model: "torch.nn.Module") -> object:
    """How the weights were trained to see pictures: the model's own description, and that of its pretrained tag."""
    import open_clip
    from open_clip.transform import PreprocessCfg

    architecture, _, tag = spec.model.partition("/")
    described = open_clip.get_pretrained_cfg(architecture, tag) if spec.weights is None else {}
    config = PreprocessCfg(**open_clip.get_model_preprocess_cfg(model))
    return replace(config, **{key: described[key] for key in _PREPROCESSING if key in described})
