"""Names of text recognisers, `provider:name[@revision]`, and what the text that one reads depends on.

Parsing is that of the text encoders (`laionet_assets.models.spec`): naming a model is one thing. Nothing here loads
a model or imports its library.
"""

from dataclasses import dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from laionet_assets.errors import UserError
from laionet_assets.models.spec import EncoderError, ModelSpec, identity, parse_spec

RECOGNIZER_PROVIDERS = ("rapidocr", "trocr")
RAPIDOCR_PACKAGE = "rapidocr-onnxruntime"

_ENCODERS_WORDS = {
    "encoder ": "text recogniser ",
    "sentence-transformers:all-MiniLM-L6-v2": "rapidocr:fast",
    "open_clip:ViT-B-32-quickgelu/openai": "rapidocr:default",
    "transformers:bert-base-uncased": "trocr:microsoft/trocr-base-stage1",
}


class RecognizerError(UserError):
    """A text recogniser that cannot be had as asked."""


@dataclass(frozen=True)
class RapidSettings:
    """How RapidOCR looks for text.

    The detector sees the picture scaled so that its shortest side is at least `detector_side` pixels
    (`is_minimum`), or its longest side at most that. `is_turned`: lines found upside down are turned.
    """

    detector_side: int
    is_minimum: bool
    is_turned: bool


RAPID_PROFILES = {
    "default": RapidSettings(detector_side=736, is_minimum=True, is_turned=True),
    "fast": RapidSettings(detector_side=640, is_minimum=False, is_turned=False),
}
"""`default` is RapidOCR's own. Measured on one core. Class names written on photographs, pictures a cpu-second and
names read: 340 x 256 pixels: default 4.6 and 18 of 40, fast 32 and 25; 640 x 480: 4.3 and 29, fast 10 and 35; 1000 x
750: 4.3 and 19 of 20, fast 11 and 39 of 40. 150 photographs of 341 x 256 as they are: default finds text in 48,
fast in 17, because it sees small print larger."""


@dataclass(frozen=True)
class RecognizerSpec(ModelSpec):
    """A text recogniser as a user named it; the fields are those of `ModelSpec`."""

    def error(self, message: str) -> RecognizerError:
        """An error about this recogniser: which one, then the message."""
        return RecognizerError(_reworded(str(ModelSpec.error(self, message))))


def parse_recognizer(
    model: str, *, name: str = "ocr", weights: Path | str | None = None, device: str = "auto"
) -> RecognizerSpec:
    """The spec of `rapidocr:default`, `rapidocr:fast`, or `trocr:<hub id>[@revision]` with `weights` a local folder.

    Raises RecognizerError, with all faults in one message.
    """
    try:
        parsed = parse_spec(model, name=name, weights=weights, device=device, providers=RECOGNIZER_PROVIDERS)
    except EncoderError as error:
        raise RecognizerError(_reworded(str(error))) from None
    spec = RecognizerSpec(**{field.name: getattr(parsed, field.name) for field in fields(parsed)})
    if spec.provider == "rapidocr":
        if spec.model not in RAPID_PROFILES:
            raise spec.error(f"RapidOCR has no profile {spec.model!r}; known are {', '.join(RAPID_PROFILES)}")
        if spec.revision or spec.weights:
            raise spec.error("its models come with the package; name neither revision nor weights")
    return spec


def recognizer_identity(spec: RecognizerSpec) -> str:
    """What stored text depends on: the package and the settings of RapidOCR, or TrOCR's weights and RapidOCR's boxes.

    Cheap, and without importing a library.
    """
    boxes = f"rapidocr@{_rapidocr_version(spec)}"
    profile = spec.model if spec.provider == "rapidocr" else "fast"
    settings = RAPID_PROFILES[profile]
    detector = f"{boxes}+{'min' if settings.is_minimum else 'max'}{settings.detector_side}"
    if spec.provider == "rapidocr":
        return detector + ("+turned" if settings.is_turned else "")
    return f"{identity(spec)}+{detector}"


def _rapidocr_version(spec: RecognizerSpec) -> str:
    try:
        return version(RAPIDOCR_PACKAGE)
    except PackageNotFoundError:
        raise spec.error(f"it needs the package {RAPIDOCR_PACKAGE}; run: pip install {RAPIDOCR_PACKAGE}") from None


def _reworded(message: str) -> str:
    """A message of the text encoders' parser and downloads, about text recognisers."""
    for theirs, ours in _ENCODERS_WORDS.items():
        message = message.replace(theirs, ours)
    return message
