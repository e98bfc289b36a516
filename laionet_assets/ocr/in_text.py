"""Whether recognised text names a class: the rule in plain Python, the reference that its SQL is tested against."""

import re
import string
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from html.entities import html5
from typing import Literal

_ASCII_PUNCTUATION = str.maketrans(string.punctuation, " " * len(string.punctuation))
_ENTITIES = "amp apos bdquo laquo ldquo lsaquo lsquo nbsp quot raquo rdquo rsaquo rsquo sbquo"


def class_name_in_text(text: str | None, lemmas: Sequence[str], *, rule: Literal["paper", "corrected"]) -> bool:
    """Whether the text recognised in a picture names the class with these lemmas, its name first.

    `paper`: the text, in lower case, contains the class's name (first lemma, lower case) with a space or punctuation
    at both ends; ASCII punctuation is spaces, runs of spaces are kept. Source: method.md 1.8.
    `corrected`: any lemma, both sides folded as in the corrected matching of captions (docs/design.md), as whole
    words; its words may also run together, because recognisers lose spaces ("STREETSIGN").
    No text (None, or none recognised) names nothing.
    """
    if not text:
        return False
    if rule == "paper":
        return _padded(lemmas[0].lower()) in _padded(text.lower())
    words = f" {fold(text)} "
    folded = [fold(lemma) for lemma in lemmas]
    return any(f" {form} " in words for lemma in folded if lemma for form in (lemma, lemma.replace(" ", "")))


def fold(text: str) -> str:
    """Words (letters, marks, numbers of Unicode) in lower case, parted by one space; as the SQL macro `fold_words`."""
    blanked = _entities().sub(" ", text)
    words = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in blanked)
    return " ".join("".join(c.lower()[0] for c in word) for word in words.split())


@lru_cache(maxsize=1)
def _entities() -> re.Pattern[str]:
    """Html entities of quotes, apostrophe, ampersand and no-break space: by name, or by a number of up to 4 digits."""
    points = {html5[f"{name};"] for name in _ENTITIES.split()}
    numbers = {f"#{ord(point):0{digits}d}" for point in points for digits in range(1, 5)}
    numbers |= {f"#x{ord(point):0{digits}x}" for point in points for digits in range(1, 5)}
    return re.compile(f"&({'|'.join([*_ENTITIES.split(), *sorted(numbers)])});", re.IGNORECASE)


def _padded(text: str) -> str:
    return f" {text.translate(_ASCII_PUNCTUATION)} "
