"""TrOCR's errors: a picture's are its text's, a card's are everybody's."""

import contextlib
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from laionet_assets.ocr.trocr import TrocrRecognizer


def recognizer(device: str, error: Exception, monkeypatch: pytest.MonkeyPatch) -> TrocrRecognizer:
    """One that finds a box, on a device that is only said to be there, and fails over it."""

    def failing(**inputs: Any) -> Any:
        raise error

    found = object.__new__(TrocrRecognizer)
    found._device, found._turn = torch.device(device), contextlib.nullcontext()
    found._processor = failing
    monkeypatch.setattr(found, "_crops", lambda pixels: [np.zeros((8, 8, 3), dtype=np.uint8)])
    return found


def test_a_card_that_fails_is_no_fault_of_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    error = torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        recognizer("cuda:0", error, monkeypatch).recognize(Image.new("RGB", (20, 20)))


@pytest.mark.parametrize(("device", "error"), [("cuda:0", ValueError("no size")), ("cpu", RuntimeError("no size"))])
def test_other_errors_are_the_text_s(device: str, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    found = recognizer(device, error, monkeypatch).recognize(Image.new("RGB", (20, 20)))
    assert (found.text, found.error) == (None, f"{type(error).__name__}: no size")
