"""Whether recognised text names a class: the rule in plain Python, the reference that its SQL is tested against."""

import re
import string
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from html.entities import html5
from typing import Literal

_ASCII_PUNCTUATION = str.maketrans(string.punctuation, " " * len(string.punctuation))
_SIGNS = "\ufe0e\ufe0f\u115f\u1160\u3164\uffa0"
Kind = Literal["letter", "mark", "ignored", "separator"]
_KINDS: dict[str, Kind] = {"L": "letter", "N": "letter", "M": "mark"}
"""What a character is, by the first letter of its Unicode category; everything else separates."""
_IGNORED = (
    (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x200C, 0x200F),
    (0x202A, 0x202E), (0x2060, 0x206F), (0xFE00, 0xFE0D), (0xFEFF, 0xFEFF), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
_ENTITIES = "amp apos bdquo laquo ldquo lsaquo lsquo nbsp quot raquo rdquo rsaquo rsquo sbquo"


def class_name_in_text(text: str | None, lemmas: Sequence[str], *, profile: Literal["paper", "corrected"]) -> bool:
    """Whether the text recognised in a picture names the class with these lemmas, its name first.

    `paper`: the text, in lower case, contains the class's name (first lemma, lower case) with a space or punctuation
    at both ends; ASCII punctuation is spaces, runs of spaces are kept. Source: docs/method.md, 8.
    `corrected`: any lemma, both sides folded as in the corrected matching of captions (docs/method.md, 2), as whole
    words; its words may also run together, because recognisers lose spaces ("STREETSIGN").
    No text (None, or none recognised) names nothing.
    """
    if not text:
        return False
    if profile == "paper":
        return _padded(lemmas[0].lower()) in _padded(text.lower())
    words = f" {fold(text)} "
    folded = [fold(lemma) for lemma in lemmas]
    return any(f" {form} " in words for lemma in folded if lemma for form in (lemma, lemma.replace(" ", "")))


def fold(text: str) -> str:
    """Words in lower case, parted by one space; as the SQL macro `fold_words`, which says what is read in which way."""
    folded = [""]
    for character in _entities().sub(" ", text):
        kind = _kind(character)
        if kind == "letter" or (kind == "mark" and folded[-1]):
            folded[-1] += character.lower()[0]
        elif kind != "ignored" and folded[-1]:
            folded.append("")
    return " ".join(folded).rstrip()


@lru_cache(maxsize=4096)
def _kind(character: str) -> Kind:
    category = unicodedata.category(character)
    if character in _SIGNS or category == "Me":
        return "separator"
    if any(first <= ord(character) <= last for first, last in _IGNORED):
        return "ignored"
    return _KINDS.get(category[0], "separator")


@lru_cache(maxsize=1)
def _entities() -> re.Pattern[str]:
    """Html entities of quotes, apostrophe, ampersand and no-break space: by name, or by a number of up to 4 digits."""
    points = {html5[f"{name};"] for name in _ENTITIES.split()}
    numbers = {f"#{ord(point):0{digits}d}" for point in points for digits in range(1, 5)}
    numbers |= {f"#x{ord(point):0{digits}x}" for point in points for digits in range(1, 5)}
    return re.compile(f"&({'|'.join([*_ENTITIES.split(), *sorted(numbers)])});", re.IGNORECASE)


def _padded(text: str) -> str:
    return f" {text.translate(_ASCII_PUNCTUATION)} "
