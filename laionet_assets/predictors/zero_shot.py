"""Zero-shot prediction with open_clip: the classes whose texts lie nearest to the picture, by cosine similarity."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from laionet_assets.models.class_embeddings import class_embeddings
from laionet_assets.models.open_clip_models import load_open_clip, open_clip_prepare
from laionet_assets.models.prompts import ClassPrompts
from laionet_assets.models.spec import ModelSpec
from laionet_assets.predictors.heads import Head

if TYPE_CHECKING:
    pass


def zero_shot_head(spec: ModelSpec, *, prompts: ClassPrompts, cache: Path | None = None) -> Head:
    """The image tower of an open_clip model, and the classes of `prompts` as its outputs (cosine similarities).

    `cache` is a folder that keeps the class embeddings. Raises ModelError for a user's mistakes.
    """
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

    return Head(
        ClassCosines(), open_clip_prepare(spec, model), prompts.wnids, tuple(range(len(prompts.wnids))), is_cosine=True
    )
