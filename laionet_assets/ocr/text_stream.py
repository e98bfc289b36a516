"""Many pictures through one text recogniser, in order, in several threads; one unreadable picture costs one row."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from laionet_assets.ocr.recognizer import RecognizedText, TextRecognizer
from laionet_assets.pictures.admission import MAX_PIXELS
from laionet_assets.pictures.sight import Prepare, Refused
from laionet_assets.pictures.stream import Item, picture_stream

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class TextOutcome:
    """What was read in one picture."""

    image_id: Hashable
    recognized: RecognizedText


def recognize_stream(
    items: Iterable[Item],
    recognizer: TextRecognizer,
    *,
    workers: int = 2,
    max_pixels: int = MAX_PIXELS,
    processes: bool = False,
    log: Callable[[str], None] = lambda text: None,
) -> Iterator[TextOutcome]:
    """The text of every picture, upright, in the order of `items`.

    At most 2 x workers pictures are in memory. Pictures that cannot be decoded have a text with `error`. With
    `processes` (those of `picture_stream`) text is recognised there too, where the recogniser can be: half of it is
    Python and takes its lock.
    """
    there = recognizer.anywhere if processes else None
    looks = picture_stream(
        items,
        [_Here(recognizer) if there is None else _There(there)],
        profiles=("corrected",),  # type: ignore[arg-type]  # mypy takes it for any text
        workers=workers,
        max_pixels=max_pixels,
        processes=processes,
        log=log,
    )
    for look in looks:
        (found,) = look.results
        recognized = RecognizedText(None, error=found.reason) if isinstance(found, Refused) else found
        yield TextOutcome(look.image_id, recognized)


@dataclass(frozen=True)
class _Here:
    """A recogniser as the stream feeds it: decoded pictures, recognised in this process."""

    recognizer: TextRecognizer
    batch_pictures: int = 1

    @property
    def prepare(self) -> Prepare:
        return _pixels

    def compute(self, inputs: Sequence[NDArray[np.uint8]]) -> list[RecognizedText]:
        from PIL import Image as pillow

        return [self.recognizer.recognize(pillow.fromarray(pixels)) for pixels in inputs]


@dataclass(frozen=True)
class _There:
    """The same where preparing a picture is to recognise its text."""

    prepare: Prepare
    batch_pictures: int = 1

    def compute(self, inputs: Sequence[RecognizedText]) -> Sequence[RecognizedText]:
        return inputs


def _pixels(image: "Image") -> NDArray[np.uint8]:
    return np.asarray(image)
