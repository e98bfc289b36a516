"""How the pieces of text of a picture become one text."""

import pytest

from laionet_assets.ocr import RecognizedText


def test_pieces_are_joined_in_their_order_with_one_space() -> None:
    text = RecognizedText.of([(" Siberian ", 0.5), ("husky", 1.0)])
    assert text == RecognizedText("Siberian husky", boxes=2, confidence=0.75)


@pytest.mark.parametrize("pieces", [[], [("  ", 0.9)]])
def test_blank_pieces_do_not_count(pieces: list[tuple[str, float]]) -> None:
    assert RecognizedText.of(pieces) == RecognizedText("", boxes=0, confidence=None, error=None)
