"""Captions whose composition is known: text with marked mentions of lemmas, and what each matching rule must find.

A caption is a tuple of strings and `Mention`s. The expected classes follow from the mentions alone (their words, the
gaps between them, the character on either side); the text around them holds no lemma, which the tests check with
matchers of their own. How captions are invented is in `inventions`.
"""

import re
import string
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

from laionet_assets.sample.classes import SHARED, lemma_owners

PADS = frozenset(string.punctuation + " ")
WORD = re.compile(r"[^\W_]+")
PLURALS = {"mouse": "mice"}


@dataclass(frozen=True)
class Mention:
    """A lemma as a caption writes it: its words, the gaps between them, the class a reader understands (or None)."""

    words: tuple[str, ...]
    gaps: tuple[str, ...]
    wnid: str | None

    @property
    def text(self) -> str:
        """The mention as it is written."""
        return self.words[0] + "".join(gap + word for gap, word in zip(self.gaps, self.words[1:], strict=True))


Caption = tuple[str | Mention, ...]


@dataclass(frozen=True)
class Lemma:
    """A lemma split into words, the class it stands for, and whether the paper's rule can ever match it."""

    words: tuple[str, ...]
    lower: tuple[str, ...]
    wnid: str
    is_matchable: bool


def mention(lemma: str, wnid: str | None) -> Mention:
    """The lemma as a dictionary writes it."""
    words = tuple(WORD.findall(lemma))
    return Mention(words, tuple(WORD.split(lemma)[1:-1]), wnid)


def text_of(caption: Caption) -> str:
    """The caption as one string."""
    return "".join(part if isinstance(part, str) else part.text for part in caption)


def mentioned(caption: Caption) -> tuple[str, ...]:
    """Classes that a reader would say the caption names, sorted."""
    return tuple(sorted({part.wnid for part in caption if isinstance(part, Mention) and part.wnid}))


def expected(caption: Caption) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Classes that the `paper` and the `corrected` profile must match, each sorted (docs/method.md, 2 and 3)."""
    paper: set[str] = set()
    corrected: set[str] = set()
    for position, part in enumerate(caption):
        if isinstance(part, Mention):
            borders = (text_of(caption[:position])[-1:], text_of(caption[position + 1 :])[:1])
            paper |= _paper(part, borders)
            corrected |= _corrected(part)
    return tuple(sorted(paper)), tuple(sorted(corrected))


def rewritten(caption: Caption, change: Callable[[str], str]) -> Caption:
    """The caption with every text and every word of a mention changed; the gaps stay."""
    return tuple(
        change(part) if isinstance(part, str) else replace(part, words=tuple(map(change, part.words)))
        for part in caption
    )


def regapped(caption: Caption, change: Callable[[str], str]) -> Caption:
    """The caption with the gaps inside its mentions changed."""
    return tuple(
        replace(part, gaps=tuple(map(change, part.gaps))) if isinstance(part, Mention) else part for part in caption
    )


def surrounded(caption: Caption, before: str, after: str) -> Caption:
    """The caption with two strings set close to its first mention of a class that a reader understands."""
    at = next(position for position, part in enumerate(caption) if isinstance(part, Mention) and part.wnid)
    parts = (*caption[:at], before, caption[at], after, *caption[at + 1 :])
    return tuple(part for part in parts if part != "")


def plural(caption: Caption) -> Caption:
    """The caption with every understood mention in the plural."""
    return tuple(
        replace(part, words=(*part.words[:-1], PLURALS.get(part.words[-1], part.words[-1] + "s")))
        if isinstance(part, Mention) and part.wnid
        else part
        for part in caption
    )


def title_case(text: str) -> str:
    """Capital first letters, as shops write product titles; single letters and words with a capital inside stay."""
    return re.sub(r"(?<![^\s(\"'-])[a-z](?=[a-z])", lambda letter: letter.group().upper(), text)


@cache
def _lemmas() -> tuple[Lemma, ...]:
    lemmas = []
    for text, wnid in lemma_owners().items():
        words = mention(text, None).words
        is_matchable = text not in SHARED and not set(text) & set(string.punctuation)
        lemmas.append(Lemma(words, tuple(word.lower() for word in words), wnid, is_matchable))
    return tuple(lemmas)


def _occurrences(words: tuple[str, ...], *, in_lower_case: bool) -> list[tuple[int, int, Lemma]]:
    """Where the lemmas stand among the words of a mention: (start, end, lemma), a lemma's first occurrence only."""
    found = []
    for lemma in _lemmas():
        wanted = lemma.lower if in_lower_case else lemma.words
        for start in range(len(words) - len(wanted) + 1):
            if words[start : start + len(wanted)] == wanted:
                found.append((start, start + len(wanted), lemma))
                break
    return found


def _paper(part: Mention, borders: tuple[str, str]) -> set[str]:
    """Exact words, one plain space or ASCII mark in each gap, and a pad (or an end of the caption) on both sides."""
    gaps = (borders[0], *part.gaps, borders[1])
    found = set()
    for start, end, lemma in _occurrences(part.words, in_lower_case=False):
        inside = all(len(gap) == 1 and gap in PADS for gap in gaps[start + 1 : end])
        if lemma.is_matchable and inside and {gaps[start][-1:], gaps[end][:1]} <= PADS | {""}:
            found.add(lemma.wnid)
    return found


def _corrected(part: Mention) -> set[str]:
    """Words in any case with anything between them; an occurrence inside a longer one is dropped."""
    found = _occurrences(tuple(word.lower() for word in part.words), in_lower_case=True)
    return {
        lemma.wnid
        for start, end, lemma in found
        if not any(first <= start and end <= last and (first, last) != (start, end) for first, last, _ in found)
    }
