"""RapidOCR: the detector and recogniser of PP-OCRv4 as ONNX models, installed with their package."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np

from laionet_assets.models.bundled import RAPIDOCR, verified_bundle
from laionet_assets.models.spec import ModelSpec
from laionet_assets.ocr.recognizer import RecognizedText

if TYPE_CHECKING:
    from PIL.Image import Image

RAPIDOCR_PACKAGE = RAPIDOCR.requirement


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


class RapidEngines:
    """RapidOCR with one thread a call. An instance keeps state during a call, so that each serves one at a time."""

    def __init__(self, spec: ModelSpec, settings: RapidSettings) -> None:
        self._spec = spec
        self._settings = settings
        self._idle: SimpleQueue[Any] = SimpleQueue()
        self._idle.put(_build(spec, settings))

    @contextmanager
    def lend(self) -> Iterator[Any]:
        """An idle RapidOCR, a new one if all are at work."""
        try:
            engine = self._idle.get_nowait()
        except Empty:
            engine = _build(self._spec, self._settings)
        try:
            yield engine
        finally:
            self._idle.put(engine)


class RapidRecognizer:
    """A `TextRecognizer` that finds and reads text with RapidOCR."""

    def __init__(self, spec: ModelSpec, identity: str) -> None:
        self.name = spec.name
        self.identity = identity
        self._engines = RapidEngines(spec, RAPID_PROFILES[spec.model])
        self.anywhere = partial(_recognize, spec, identity)

    def told(self) -> str:
        return "cpu, float32, ONNX Runtime"

    def recognize(self, image: "Image") -> RecognizedText:
        try:
            with self._engines.lend() as engine:
                found, _ = engine(blue_green_red(image))
        except Exception as error:  # OpenCV, shapely and onnxruntime each have their own for a picture they refuse
            return RecognizedText(None, error=f"{type(error).__name__}: {error}")
        return RecognizedText.of([(text, score) for _, text, score in found or []])


def _recognize(spec: ModelSpec, identity: str, image: "Image") -> RecognizedText:
    return _loaded(spec, identity).recognize(image)


@lru_cache(maxsize=1)
def _loaded(spec: ModelSpec, identity: str) -> RapidRecognizer:
    return RapidRecognizer(spec, identity)


def blue_green_red(image: "Image") -> np.ndarray:
    """Pixels as OpenCV orders them: uint8 of shape (height, width, 3)."""
    return np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])


def _build(spec: ModelSpec, settings: RapidSettings) -> Any:
    verified_bundle(spec, RAPIDOCR)
    try:
        from rapidocr_onnxruntime import RapidOCR
        from rapidocr_onnxruntime.ch_ppocr_det.utils import DetPreProcess
    except ImportError as error:
        raise spec.error(
            f"{RAPIDOCR_PACKAGE} does not load: {error}. Run: pip install {RAPIDOCR_PACKAGE}; on a machine without a "
            "display also: pip install --force-reinstall --no-deps opencv-python-headless"
        ) from error
    engine = RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1, use_cls=settings.is_turned)
    detector, kind = engine.text_det, "min" if settings.is_minimum else "max"
    scale = DetPreProcess(settings.detector_side, kind, detector.mean, detector.std)
    detector.get_preprocess = lambda longest_side: scale  # its own takes 960 pixels or more for "max", whatever is set
    return engine
