"""What processes prepare in tests: functions that can be sent to one, and misbehave by the width of a picture."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

REFUSED, CRASHING, ENDLESS = 7, 13, 17


def pixels(image: Image.Image) -> NDArray[np.uint8]:
    """The pixels; it refuses one width, crashes over another, and never comes back from a third."""
    if image.width == REFUSED:
        raise ValueError("seven")
    if image.width == CRASHING:
        os.kill(os.getpid(), signal.SIGSEGV)
    if image.width == ENDLESS:
        time.sleep(600)
    return np.asarray(image)


def mean(image: Image.Image) -> NDArray[np.float32]:
    """Three numbers."""
    return np.asarray(image, dtype=np.float32).mean(axis=(0, 1))


def width(image: Image.Image) -> int:
    """What is no array."""
    return image.width


def sleepy(content: bytes) -> None:
    """A function of contents that does not come back."""
    time.sleep(600)


@dataclass(frozen=True)
class Slow:
    """It writes down which process it runs in, and takes its time."""

    folder: Path
    seconds: float

    def __call__(self, image: Image.Image) -> int:
        (self.folder / str(os.getpid())).touch()
        time.sleep(self.seconds)
        return image.width


class NotLoaded:
    """It can be sent, and cannot be taken out there."""

    def __call__(self, image: Image.Image) -> int:
        return 0

    def __reduce__(self) -> tuple:
        return _not_there, ()


def _not_there() -> None:
    raise ImportError("no weights here")
