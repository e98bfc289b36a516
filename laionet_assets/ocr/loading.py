"""From the name that a user gives to a text recogniser to the recogniser: what its text depends on, and loading it."""

from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from laionet_assets.models.identity import identity
from laionet_assets.models.spec import RECOGNIZER, ModelSpec, parse_model
from laionet_assets.ocr.rapid import RAPID_PROFILES, RAPIDOCR_PACKAGE, RapidRecognizer
from laionet_assets.ocr.recognizer import TextRecognizer
from laionet_assets.ocr.trocr import TrocrRecognizer


def parse_recognizer(
    model: str, *, name: str = "ocr", weights: Path | str | None = None, device: str = "auto"
) -> ModelSpec:
    """The spec of `rapidocr:default`, `rapidocr:fast`, or `trocr:<hub id>[@revision]` with `weights` a local folder.

    Raises ModelError, with all faults in one message.
    """
    spec = parse_model(RECOGNIZER, model, name=name, weights=weights, device=device)
    if spec.provider == "rapidocr":
        if spec.model not in RAPID_PROFILES:
            raise spec.error(f"RapidOCR has no profile {spec.model!r}; known are {', '.join(RAPID_PROFILES)}")
        if spec.revision or spec.weights:
            raise spec.error("its models come with the package; name neither revision nor weights")
        if spec.device not in ("auto", "cpu"):
            raise spec.error(f"found device {spec.device}, but it runs on the processor alone; take the key away")
    return spec


def recognizer_identity(spec: ModelSpec) -> str:
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


def load_recognizer(spec: ModelSpec) -> TextRecognizer:
    """The recogniser of a spec, loaded once a process for each spec and content of its weights.

    Raises ModelError for what a user can put right: a package or hub out of reach, unfitting weights.
    """
    return _load(spec, recognizer_identity(spec))


@lru_cache(maxsize=4)
def _load(spec: ModelSpec, model_identity: str) -> TextRecognizer:
    loaders = {"rapidocr": RapidRecognizer, "trocr": TrocrRecognizer}
    return loaders[spec.provider](spec, model_identity)


def _rapidocr_version(spec: ModelSpec) -> str:
    try:
        return version(RAPIDOCR_PACKAGE)
    except PackageNotFoundError:
        raise spec.error(f"it needs the package {RAPIDOCR_PACKAGE}; run: pip install {RAPIDOCR_PACKAGE}") from None
