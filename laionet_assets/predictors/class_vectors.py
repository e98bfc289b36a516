"""The vector that a model itself has for each class, in the space of its vectors of pictures.

Here: the rows of a classification head, and the embedded queries of towers that were trained together. Not here: the
vectors of pictures (`encoders.images`), their cosines (`stats.image_to_class`).
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laionet_assets.models.class_embeddings import class_embeddings
from laionet_assets.models.identity import identity
from laionet_assets.models.prompts import ClassPrompts
from laionet_assets.models.spec import TEXT_ENCODER, ModelSpec
from laionet_assets.models.transformers_models import linear_head
from laionet_assets.predictors.classifiers import timm_head, transformers_head
from laionet_assets.predictors.labels import ImageNetClasses

QUERY, HEAD = "query", "head"
HAVE_TOWERS = ("open_clip", "transformers")
HAVE_HEADS = ("timm", "transformers")
"""Providers whose models may have a text tower, and a classification head."""


@dataclass(frozen=True)
class ClassVectors:
    """A vector a class, shape (classes, dimension), of any length; `rows[wnid]` is its row."""

    rows: dict[str, int]
    vectors: NDArray[np.float32]


def head_vectors(spec: ModelSpec, classes: ImageNetClasses) -> ClassVectors:
    """The row of each class of ImageNet-1k in a classifier's own weights: the features that the head is given are
    compared with it (kind `head`).

    Raises ModelError for a model without a linear head, or whose outputs are not proven to be these classes.
    """
    if spec.provider not in HAVE_HEADS:
        raise spec.error("it has no classification head to compare pictures with; use kind: query")
    return _head_vectors(replace(spec, code=""), identity(spec), classes)


def query_vectors(spec: ModelSpec, prompts: ClassPrompts, *, cache: Path | None = None) -> ClassVectors:
    """The embedded query of each class, by the text tower that was trained with the image tower (kind `query`).

    `cache` is a folder that keeps them. Raises ModelError for a model without a text tower.
    """
    if spec.provider not in HAVE_TOWERS:
        raise spec.error("it has no text tower to compare pictures with; use kind: head")
    tower = replace(spec, role=TEXT_ENCODER, code="")
    vectors = class_embeddings(tower, prompts=prompts, cache=cache)
    return ClassVectors({wnid: i for i, wnid in enumerate(prompts.wnids)}, vectors)


@lru_cache(maxsize=8)
def _head_vectors(spec: ModelSpec, model_identity: str, classes: ImageNetClasses) -> ClassVectors:
    import torch

    head = {"timm": timm_head, "transformers": transformers_head}[spec.provider](spec, classes)
    module: Any = head.module
    linear = module.get_classifier() if spec.provider == "timm" else linear_head(module.classifier)
    if not isinstance(linear, torch.nn.Linear):
        raise spec.error("its classification head is not linear, so that no row of it stands for a class")
    weights = linear.weight.detach().float().numpy()[list(head.columns)]
    return ClassVectors({wnid: i for i, wnid in enumerate(head.wnids)}, weights)
