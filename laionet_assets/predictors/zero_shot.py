"""Zero-shot prediction with open_clip: the classes whose texts lie nearest to the picture, by cosine similarity."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laionet_assets.models.class_embeddings import class_embeddings
from laionet_assets.models.open_clip_models import load_open_clip
from laionet_assets.models.prompts import ClassPrompts
from laionet_assets.models.spec import ModelSpec
from laionet_assets.predictors.heads import Head

if TYPE_CHECKING:
    import torch

_PREPROCESSING = ("mean", "std", "interpolation", "resize_mode", "fill_color")
"""Keys of open_clip's description of weights that say how pictures are prepared."""


def zero_shot_head(spec: ModelSpec, *, prompts: ClassPrompts, cache: Path | None = None) -> Head:
    """The image tower of an open_clip model, and the classes of `prompts` as its outputs (cosine similarities).

    `cache` is a folder that keeps the class embeddings. Raises ModelError for a user's mistakes.
    """
    import open_clip
    import torch

    model: Any = load_open_clip(spec)
    classes = torch.from_numpy(class_embeddings(spec, prompts=prompts, cache=cache))

    class ClassCosines(torch.nn.Module):
        """Cosine similarity of pictures with each class."""

        def __init__(self) -> None:
            super().__init__()
            self.visual = model.visual
            self.register_buffer("classes", classes)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            vectors: torch.Tensor = self.visual(pixels)
            return torch.nn.functional.normalize(vectors.float(), dim=1) @ self.classes.float().T  # type: ignore

    prepare = open_clip.transform.image_transform_v2(_preprocessing(spec, model), is_train=False)
    return Head(ClassCosines(), prepare, prompts.wnids, tuple(range(len(prompts.wnids))), is_cosine=True)


def _preprocessing(spec: ModelSpec, model: "torch.nn.Module") -> object:
    """How the weights were trained to see pictures: the model's own description, and that of its pretrained tag."""
    import open_clip
    from open_clip.transform import PreprocessCfg

    architecture, _, tag = spec.model.partition("/")
    described = open_clip.get_pretrained_cfg(architecture, tag) if spec.weights is None else {}
    config = PreprocessCfg(**open_clip.get_model_preprocess_cfg(model))
    return replace(config, **{key: described[key] for key in _PREPROCESSING if key in described})
