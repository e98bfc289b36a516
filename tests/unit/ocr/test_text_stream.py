"""The stream over a recogniser: order, and one row a failure. Real recognisers: tests/integration."""

from io import BytesIO

import pytest
from PIL import Image

from laionet_assets.ocr import RecognizedText, recognize_stream


class WidthReader:
    """A recogniser that reads every picture as its width in words; it refuses one width."""

    name = identity = "width"

    anywhere = None

    def told(self) -> str:
        return "the width"

    def recognize(self, image: Image.Image) -> RecognizedText:
        if image.width == 7:
            return RecognizedText(None, error="ValueError: seven")
        return RecognizedText.of([(str(image.width), 1.0)])


def png(width: int) -> bytes:
    buffer = BytesIO()
    Image.new("L", (width, 5)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("workers", [1, 3])
def test_one_outcome_a_picture_in_order(workers: int) -> None:
    items = [(width, png(width)) for width in range(3, 12)]
    items[2] = (5, png(5)[:30])
    outcomes = list(recognize_stream(items, WidthReader(), workers=workers))
    assert [outcome.image_id for outcome in outcomes] == list(range(3, 12))
    texts = [outcome.recognized.text for outcome in outcomes]
    assert texts == ["3", "4", None, "6", None, "8", "9", "10", "11"]
    assert outcomes[4].recognized.error == "ValueError: seven"
    assert outcomes[2].recognized.error
    assert [outcome.recognized.error is None for outcome in outcomes].count(False) == 2
