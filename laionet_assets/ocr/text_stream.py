"""Many pictures through one text recogniser, in order, in several threads; one unreadable picture costs one row."""

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from laionet_assets.ocr.recognizer import RecognizedText, TextRecognizer
from laionet_assets.pictures.reading import MAX_PIXELS, UnreadablePicture, read_picture
from laionet_assets.pictures.stream import ordered_map


@dataclass(frozen=True)
class TextOutcome:
    """What was read in one picture."""

    image_id: Hashable
    recognized: RecognizedText


def recognize_stream(
    items: Iterable[tuple[Hashable, bytes | Path]],
    recognizer: TextRecognizer,
    *,
    workers: int = 2,
    max_pixels: int = MAX_PIXELS,
) -> Iterator[TextOutcome]:
    """The text of every picture (an id, and its bytes or file), in the order of `items`.

    At most 2 x workers pictures are in memory. Pictures that cannot be decoded have a text with `error`.
    """

    def outcome(item: tuple[Hashable, bytes | Path]) -> TextOutcome:
        image_id, content = item
        try:
            return TextOutcome(image_id, recognizer.recognize(read_picture(content, max_pixels=max_pixels).image))
        except UnreadablePicture as error:
            return TextOutcome(image_id, RecognizedText(None, error=str(error)))

    yield from ordered_map(outcome, items, workers=workers)
