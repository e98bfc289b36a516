"""Image classifiers of timm and transformers: a model, how it prepares pictures, which output is which class.

Not here: their weights (`models`), batches, devices and precision (`predictor`), the proof of the classes (`labels`).
"""

from typing import Any

from laionet_assets.models.spec import ModelSpec
from laionet_assets.models.timm_models import load_timm_model, timm_prepare
from laionet_assets.models.transformers_models import load_pretrained, transformers_prepare
from laionet_assets.models.weights import model_folder
from laionet_assets.predictors.heads import Head
from laionet_assets.predictors.labels import (
    ImageNetClasses,
    LabelsUnproven,
    contiguous_labels,
    map_labels,
    map_outputs,
)


def timm_head(spec: ModelSpec, classes: ImageNetClasses) -> Head:
    """A classifier of timm, with the preprocessing that its weights were evaluated with.

    Raises ModelError for a user's mistakes.
    """
    model: Any = load_timm_model(spec)
    config = getattr(model, "pretrained_cfg", None) or {}
    try:
        labels = config.get("label_names")
        found = map_labels(labels, classes) if labels else map_outputs(model.num_classes, classes)
    except LabelsUnproven as error:
        raise spec.error(str(error)) from None
    return Head(model, timm_prepare(model), found.wnids, found.columns)


def transformers_head(spec: ModelSpec, classes: ImageNetClasses) -> Head:
    """A classifier of transformers with its own image processor, from the hub or a local folder.

    Raises ModelError for a user's mistakes; a checkpoint without a classification head is one, because transformers
    would fill it at random.
    """
    import torch
    from PIL import Image as pillow
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    model, processor = load_pretrained(
        spec,
        model_folder(spec),
        AutoModelForImageClassification,
        AutoImageProcessor,
        what="image classifier with its classification head",
    )

    class Logits(torch.nn.Module):
        """The classifier's logits, without the rest of its output."""

        def __init__(self) -> None:
            super().__init__()
            self.classifier = model

        def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
            return self.classifier(pixel_values=pixel_values).logits

    prepare = transformers_prepare(processor)
    logits = Logits().eval()
    with torch.inference_mode():
        outputs = logits(prepare.tensor(pillow.new("RGB", (256, 256)))[None]).shape[1]
    try:
        labels, moved = contiguous_labels(model.config.id2label, outputs)
        found = map_labels(labels, classes, moved=moved)
    except LabelsUnproven as error:
        raise spec.error(str(error)) from None
    return Head(logits, prepare, found.wnids, found.columns)
