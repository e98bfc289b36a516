"""RapidOCR: the detector and recogniser of PP-OCRv4 as ONNX models, installed with their package."""

from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np

from laionet_assets.ocr.loading import RAPID_PROFILES, RAPIDOCR_PACKAGE, RapidSettings, RecognizerSpec
from laionet_assets.ocr.recognizer import RecognizedText

if TYPE_CHECKING:
    from PIL.Image import Image


class RapidEngines:
    """RapidOCR with one thread a call. An instance keeps state during a call, so that each serves one at a time."""

    def __init__(self, spec: RecognizerSpec, settings: RapidSettings) -> None:
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

    def __init__(self, spec: RecognizerSpec, identity: str) -> None:
        self.name = spec.name
        self.identity = identity
        self._engines = RapidEngines(spec, RAPID_PROFILES[spec.model])

    def recognize(self, image: "Image") -> RecognizedText:
        try:
            with self._engines.lend() as engine:
                found, _ = engine(blue_green_red(image))
        except Exception as error:  # OpenCV, shapely and onnxruntime each have their own for a picture they refuse
            return RecognizedText(None, error=f"{type(error).__name__}: {error}")
        return RecognizedText.of([(text, score) for _, text, score in found or []])


def blue_green_red(image: "Image") -> np.ndarray:
    """Pixels as OpenCV orders them: uint8 of shape (height, width, 3)."""
    return np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])


def _build(spec: RecognizerSpec, settings: RapidSettings) -> Any:
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
