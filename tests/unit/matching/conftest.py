"""Folding as a few lines of Python: letters a to z and ß, a mark, a soft hyphen; all else parts words."""

from collections.abc import Sequence

import pytest

from laionet_assets.matching import FoldWords

MARK, SOFT_HYPHEN = "\u0301", "\u00ad"


def fold_words(texts: Sequence[str]) -> list[list[str]]:
    """Folded words of each text."""
    return [_fold(text) for text in texts]


def _fold(text: str) -> list[str]:
    words = [""]
    for character in text.lower():
        if (character.isascii() and character.isalpha()) or character == "ß" or (character == MARK and words[-1]):
            words[-1] += character
        elif character != SOFT_HYPHEN and words[-1]:
            words.append("")
    return [word for word in words if word]


@pytest.fixture
def fold() -> FoldWords:
    return fold_words
