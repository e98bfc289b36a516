"""TrOCR: boxes from RapidOCR's detector, each read by a transformer of transformers, as the paper reads them."""

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from laionet_assets.models.devices import described, device_of
from laionet_assets.models.spec import ModelSpec
from laionet_assets.models.transformers_models import load_pretrained
from laionet_assets.models.weights import model_folder
from laionet_assets.ocr.rapid import RAPID_PROFILES, RapidEngines, blue_green_red
from laionet_assets.ocr.recognizer import RecognizedText

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_BOXES = 100
MAX_NEW_TOKENS = 20
_BATCH_BOXES = 16


class TrocrRecognizer:
    """A `TextRecognizer`: at most 100 boxes a picture in reading order, 20 tokens each. Source: docs/method.md, 8.

    The published detector, EAST, has no weights to be had by a package or a hub; RapidOCR's takes its place.
    """

    def __init__(self, spec: ModelSpec, identity: str) -> None:
        self.name = spec.name
        self.identity = identity
        self._detectors = RapidEngines(spec, RAPID_PROFILES["fast"])
        self._model, self._processor = _load(spec)
        self._device = device_of(spec)
        self._model.to(self._device)
        self._turn: Any = contextlib.nullcontext() if self._device.type == "cpu" else threading.Lock()
        self.anywhere = None

    def told(self) -> str:
        import torch

        return described(self._device, torch.float32)

    def recognize(self, image: "Image") -> RecognizedText:
        try:
            crops = self._crops(blue_green_red(image))
            pieces = [
                piece for i in range(0, len(crops), _BATCH_BOXES) for piece in self._read(crops[i : i + _BATCH_BOXES])
            ]
        except Exception as error:  # as for RapidOCR: each library has its own for a picture it refuses
            if self._device.type == "cuda" and isinstance(error, RuntimeError):
                raise  # the card's, such as memory that is short: another picture would fare no better
            return RecognizedText(None, error=f"{type(error).__name__}: {error}")
        return RecognizedText.of(pieces)

    def _crops(self, pixels: np.ndarray) -> list[np.ndarray]:
        """Each box cut out and turned level, RGB."""
        with self._detectors.lend() as engine:
            boxes, _ = engine(pixels, use_det=True, use_cls=False, use_rec=False)
            crops = engine.get_crop_img_list(pixels, np.array((boxes or [])[:MAX_BOXES], dtype=np.float32))
        return [np.ascontiguousarray(crop[:, :, ::-1]) for crop in crops]

    def _read(self, crops: list[np.ndarray]) -> list[tuple[str, float]]:
        """Text and mean probability of its tokens, for each crop."""
        import torch

        pixels = self._processor(images=crops, return_tensors="pt").pixel_values
        with self._turn, torch.inference_mode():
            pixels = pixels.to(self._device)
            made = self._model.generate(
                pixels, max_new_tokens=MAX_NEW_TOKENS, return_dict_in_generate=True, output_scores=True
            )
            log_probabilities = self._model.compute_transition_scores(
                made.sequences, made.scores, getattr(made, "beam_indices", None), normalize_logits=True
            )
            tokens = made.sequences[:, -log_probabilities.shape[1] :]
            is_text = tokens != self._model.generation_config.pad_token_id
            probabilities = log_probabilities.exp().where(is_text, 0).sum(dim=1) / is_text.sum(dim=1).clamp(min=1)
            found = probabilities.tolist()
        texts = self._processor.batch_decode(made.sequences, skip_special_tokens=True)
        return list(zip(texts, found, strict=True))


def _load(spec: ModelSpec) -> tuple[Any, Any]:
    from transformers import TrOCRProcessor, VisionEncoderDecoderModel

    return load_pretrained(
        spec, model_folder(spec), VisionEncoderDecoderModel, TrOCRProcessor, what="TrOCR model", unused="pooler"
    )
