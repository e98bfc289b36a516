"""Models of open_clip: which checkpoint a name stands for, and the model with its weights."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laionet_assets.models.checkpoints import loading, tensors_file, tensors_folder
from laionet_assets.models.preparing import Preparation, split
from laionet_assets.models.spec import ModelSpec
from laionet_assets.models.weights import hub_folder, unreachable

if TYPE_CHECKING:
    import torch

_CONFIG = "open_clip_config.json"
_PREPROCESSING = ("mean", "std", "interpolation", "resize_mode", "fill_color")
"""Keys of open_clip's description of weights that say how pictures are prepared."""
_CHECKPOINTS = ("open_clip_model", "open_clip_pytorch_model", "model", "pytorch_model")


def load_open_clip(spec: ModelSpec, *, has_text_tower: bool = False) -> "torch.nn.Module":
    """Both towers of a model of open_clip, with `has_text_tower` the text's as a module of its own (`text`).

    Raises ModelError for a user's mistakes.
    """
    import open_clip

    with _source(spec) as (name, checkpoint), loading(spec, spec.weights or "its checkpoint"):
        return open_clip.create_model(
            name, pretrained=str(checkpoint) if checkpoint else None, force_custom_text=has_text_tower
        )


def open_clip_prepare(spec: ModelSpec, model: "torch.nn.Module") -> Preparation:
    """How the weights were trained to see pictures: the model's own description, and that of its pretrained tag."""
    import open_clip
    from open_clip.transform import PreprocessCfg

    architecture, _, tag = spec.model.partition("/")
    described = open_clip.get_pretrained_cfg(architecture, tag) if spec.weights is None else {}
    config = PreprocessCfg(**open_clip.get_model_preprocess_cfg(model))
    config = replace(config, **{key: described[key] for key in _PREPROCESSING if key in described})
    return split(open_clip.transform.image_transform_v2(config, is_train=False))


def open_clip_name(spec: ModelSpec) -> str:
    """What open_clip calls the architecture: a folder of weights brings its own. Raises ModelError if there is none
    of that name.
    """
    import open_clip

    if spec.weights is not None and spec.weights.is_dir():
        return f"local-dir:{spec.weights}"
    architecture = spec.model.partition("/")[0]
    if architecture not in open_clip.list_models():
        near = get_close_matches(architecture, open_clip.list_models(), n=5) or ["see open_clip.list_models()"]
        raise spec.error(f"open_clip has no architecture {architecture!r}; near: {', '.join(near)}")
    return architecture


@contextlib.contextmanager
def _source(spec: ModelSpec) -> Iterator[tuple[str, Path | None]]:
    """Architecture and checkpoint, a file of tensors; a folder of weights brings both."""
    architecture = open_clip_name(spec)
    if spec.weights is not None and spec.weights.is_dir():
        with tensors_folder(spec, spec.weights, config=_CONFIG, names=_CHECKPOINTS) as folder:
            yield f"local-dir:{folder}", None
    else:
        with tensors_file(spec, spec.weights or _published_checkpoint(spec, architecture)) as file:
            yield architecture, file


def _published_checkpoint(spec: ModelSpec, architecture: str) -> Path:
    import open_clip

    tag = spec.model.partition("/")[2]
    config = open_clip.get_pretrained_cfg(architecture, tag)
    if not config:
        tags = open_clip.list_pretrained_tags_by_model(architecture) or ["none"]
        raise spec.error(f"open_clip has no weights {tag!r} for {architecture}; its tags: {', '.join(tags)}")
    has_quick_gelu = bool(open_clip.get_model_config(architecture).get("quick_gelu"))
    if bool(config.get("quick_gelu")) != has_quick_gelu:
        twin = architecture.removesuffix("-quickgelu") if has_quick_gelu else f"{architecture}-quickgelu"
        trained, computed = ("GELU", "QuickGELU") if has_quick_gelu else ("QuickGELU", "GELU")
        raise spec.error(f"the weights were trained with {trained}, the architecture has {computed}; use {twin}/{tag}")
    return _downloaded(spec, config)


def _downloaded(spec: ModelSpec, config: dict[str, Any]) -> Path:
    import open_clip

    repository, _, file = config.get("hf_hub", "").rpartition("/")
    if not repository:
        try:
            return Path(open_clip.download_pretrained(config))
        except (OSError, RuntimeError) as error:
            raise unreachable(spec, config["url"], error) from error
    folder = hub_folder(spec, repository)
    safetensors = str(Path(file).with_suffix(".safetensors")) if file else "open_clip_model.safetensors"
    names = (safetensors, file or "open_clip_pytorch_model.bin")
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None:
        raise spec.error(f"{repository} on the hub has neither {' nor '.join(names)}; set weights: <local file>")
    return found
