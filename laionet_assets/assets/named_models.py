"""The models that the settings name under one key, each as the spec of its role.

Belongs here: entries to specs, with every mistake told at once. Does not belong here: loading models (`models`).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from laionet_assets.errors import UserError
from laionet_assets.models.spec import ModelSpec, Role, parse_model
from laionet_assets.settings import PictureModelSettings, Settings, SettingsError


def named_models(
    settings: Settings,
    key: str,
    role: Role,
    *,
    fault: Callable[[Any, ModelSpec], str | None] = lambda entry, spec: None,
) -> list[ModelSpec]:
    """The models under `key` (text_encoders, image_encoders, predictors), in the order of the settings.

    `fault` says what else is wrong with an entry, beginning with its key. Raises SettingsError listing all that are not
    possible, by the path of their key.
    """
    specs, problems = [], []
    for i, entry in enumerate(getattr(settings, key)):
        weights = Path(settings.resolve(entry.weights)) if entry.weights is not None else None
        try:
            spec = parse_model(
                role,
                entry.model,
                name=entry.name,
                weights=weights,
                device=entry.device,
                allow_torchscript=entry.allow_torchscript,
                decode_on=entry.decode_on if isinstance(entry, PictureModelSettings) else "cpu",
            )
        except UserError as error:
            problems.append(f"  {key}[{i}].model: {error}")
            continue
        specs.append(spec)
        if found := fault(entry, spec):
            problems.append(f"  {key}[{i}].{found}")
    if problems:
        raise SettingsError(f"{settings.config_path}: {len(problems)} problem(s)\n" + "\n".join(problems))
    return specs
