"""Many pictures through one text recogniser, in order, in several threads; one unreadable picture costs one row."""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from laionet_assets.ocr.recognizer import RecognizedText, TextRecognizer
from laionet_assets.pictures.admission import MAX_PIXELS
from laionet_assets.pictures.stream import Item, Refused, picture_stream

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class TextOutcome:
    """What was read in one picture."""

    image_id: Hashable
    recognized: RecognizedText


def recognize_stream(
    items: Iterable[Item], recognizer: TextRecognizer, *, workers: int = 2, max_pixels: int = MAX_PIXELS
) -> Iterator[TextOutcome]:
    """The text of every picture, upright, in the order of `items`.

    At most 2 x workers pictures are in memory. Pictures that cannot be decoded have a text with `error`.
    """
    looks = picture_stream(
        items,
        [_Reading(recognizer)],
        profiles=("corrected",),  # type: ignore[arg-type]  # mypy takes it for any text
        workers=workers,
        max_pixels=max_pixels,
    )
    for look in looks:
        (found,) = look.results
        recognized = RecognizedText(None, error=found.reason) if isinstance(found, Refused) else found
        yield TextOutcome(look.image_id, recognized)


@dataclass(frozen=True)
class _Reading:
    """A recogniser as the stream feeds it."""

    recognizer: TextRecognizer
    batch_pictures: int = 1

    def prepare(self, image: "Image") -> "Image":
        return image

    def compute(self, inputs: "Sequence[Image]") -> list[RecognizedText]:
        return [self.recognizer.recognize(image) for image in inputs]
