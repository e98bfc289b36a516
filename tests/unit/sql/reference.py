"""The two matching rules in plain Python, one caption at a time: what the SQL models are compared with.

Written from the statement of the rules (docs/method.md, 2 and 3), not from the SQL: `paper` is Python's
`in`, as published; `corrected` walks over the characters. Nothing here is fast.
"""

import string
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html.entities import name2codepoint
from typing import Literal

import regex

from laionet_assets.taxonomy import Synset

Reading = tuple[str, ...]
"""Folded words of a lemma."""

PUNCTUATION_TO_SPACES = str.maketrans({character: " " for character in string.punctuation})


@dataclass(frozen=True)
class Match:
    """A lemma found in a caption, for a class, at a place of the caption as published."""

    lemma: str
    wnid: str
    char_offset: int
    char_length: int


@dataclass(frozen=True)
class Word:
    """A word of a text: folded, and the characters of the text that it spans."""

    folded: str
    start: int
    end: int


def paper_lemmas(synsets: Iterable[Synset]) -> dict[str, str]:
    """Lemma -> wnid: lemmas that occur exactly once over the lists of the paper's classes, in their order."""
    listed = [synset for synset in synsets if synset.in_paper_list]
    count = Counter(lemma for synset in listed for lemma in synset.lemmas)
    return {lemma: synset.paper_wnid or "" for synset in listed for lemma in synset.lemmas if count[lemma] == 1}


def paper_matches(caption: str | None, lemmas: Mapping[str, str]) -> set[Match]:
    """The published rule: punctuation to spaces, a space at both ends, and ` lemma ` as a substring."""
    if caption is None:
        return set()
    text = f" {caption.translate(PUNCTUATION_TO_SPACES)} "
    return {
        Match(lemma, wnid, text.index(f" {lemma} "), len(lemma))
        for lemma, wnid in lemmas.items()
        if f" {lemma} " in text
    }


def by_first_word(lemmas: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Lemmas by what stands before their first space."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for lemma, wnid in lemmas.items():
        found[lemma.split(" ")[0]][lemma] = wnid
    return found


def _entities() -> frozenset[str]:
    """Html entities, in lower case, that count as white space."""
    quotes = ["quot", "lsquo", "rsquo", "sbquo", "ldquo", "rdquo", "bdquo", "laquo", "raquo", "lsaquo", "rsaquo"]
    points = {name2codepoint[name] for name in [*quotes, "amp", "nbsp"]} | {ord("'")}
    names = {name for name, point in name2codepoint.items() if point in points and name.islower()} | {"apos"}
    numbers = {f"#{point:0{digits}d}" for point in points for digits in range(1, 5)}
    hexadecimals = {f"#x{point:0{digits}x}" for point in points for digits in range(1, 5)}
    return frozenset(f"&{body};" for body in names | numbers | hexadecimals)


ENTITIES = _entities()
LONGEST_ENTITY = max(map(len, ENTITIES))

IGNORABLE = regex.compile(r"\p{Default_Ignorable_Code_Point}")
EMOJI_SELECTORS = "\ufe0e\ufe0f"
HANGUL_FILLERS = "\u115f\u1160\u3164\uffa0"
ZERO_WIDTH_SPACE = "\u200b"
Kind = Literal["letter", "mark", "ignored", "separator"]


@cache
def kind_of(character: str) -> Kind:
    """How a character is read: in a word wherever it stands, in a word if behind a letter or a mark, as if it were not
    there, or between words.
    """
    category = unicodedata.category(character)
    if character in EMOJI_SELECTORS + HANGUL_FILLERS + ZERO_WIDTH_SPACE or category == "Me":
        return "separator"
    if IGNORABLE.match(character):
        return "ignored"
    return {"L": "letter", "N": "letter", "M": "mark"}.get(category[0], "separator")


def folded(character: str) -> str:
    """Lower case, one character for one; İ is the only one whose full lower case is longer."""
    return "i" if character == "İ" else character.lower()


def entity_length(text: str, at: int) -> int:
    """Characters of the entity that begins there, 0 if none does. Letters of any case, and the long s is an s."""
    if text[at] != "&":
        return 0
    return next((n for n in range(4, LONGEST_ENTITY + 1) if text[at : at + n].casefold() in ENTITIES), 0)


def words_of(text: str) -> list[Word]:
    """Words of a text as profile `corrected` reads it; a word ends with the last character that is read."""
    words: list[Word] = []
    is_open = False
    at = 0
    while at < len(text):
        if skipped := entity_length(text, at):
            is_open = False
            at += skipped
            continue
        kind = kind_of(text[at])
        if kind == "letter" and not is_open:
            words.append(Word(folded(text[at]), at, at + 1))
            is_open = True
        elif kind in ("letter", "mark") and is_open:
            words[-1] = Word(words[-1].folded + folded(text[at]), words[-1].start, at + 1)
        elif kind != "ignored":
            is_open = False
        at += 1
    return words


def fold(text: str) -> Reading:
    """Folded words of a text."""
    return tuple(word.folded for word in words_of(text))


def corrected_owners(synsets: Sequence[Synset]) -> dict[Reading, str | None]:
    """Folded words -> the class that they stand for, None where that is undecided."""
    readings = {synset.wnid: {fold(lemma) for lemma in synset.lemmas} for synset in synsets}
    names = {synset.wnid: fold(synset.lemmas[0]) for synset in synsets}
    sharing: dict[Reading, list[str]] = defaultdict(list)
    for wnid, all_words in readings.items():
        for words in all_words:
            sharing[words].append(wnid)
    owners: dict[Reading, str | None] = {}
    for words, wnids in sharing.items():
        named = [wnid for wnid in wnids if names[wnid] == words]
        alone = [wnid for wnid in named if len(readings[wnid]) == 1]
        decided = next((found for found in (wnids, named, alone) if len(found) == 1), [None])
        owners[words] = decided[0]
    return {words: wnid for words, wnid in owners.items() if words}


def corrected_matches(
    caption: str | None,
    spellings: Mapping[str, Sequence[tuple[str, Reading]]],
    owners: Mapping[Reading, str | None],
) -> set[Match]:
    """Profile `corrected`: occurrences of readings as words in a row, without those inside a longer one."""
    words = words_of(caption or "")
    lengths = sorted({len(reading) for reading in owners})
    spans = [
        (first, first + length)
        for first in range(len(words))
        for length in lengths
        if tuple(word.folded for word in words[first : first + length]) in owners and first + length <= len(words)
    ]
    kept: dict[Reading, tuple[int, int]] = {}
    for start, end in sorted(spans):
        if not any(a <= start and end <= b and b - a > end - start for a, b in spans):
            kept.setdefault(tuple(word.folded for word in words[start:end]), (start, end))
    return {
        Match(lemma, wnid, words[start].start, words[end - 1].end - words[start].start)
        for reading, (start, end) in kept.items()
        if (wnid := owners[reading]) is not None
        for lemma, lemma_reading in spellings[wnid]
        if lemma_reading == reading
    }


class Oracle:
    """Both rules for one taxonomy."""

    def __init__(self, synsets: Sequence[Synset]) -> None:
        self.synsets = synsets
        self.lemmas = by_first_word(paper_lemmas(synsets))
        self.owners = corrected_owners(synsets)
        self.spellings = {synset.wnid: [(lemma, fold(lemma)) for lemma in synset.lemmas] for synset in synsets}

    def matches(self, matching: str, caption: str | None) -> set[Match]:
        """What a profile finds in a caption."""
        if matching == "corrected":
            return corrected_matches(caption, self.spellings, self.owners)
        words = set((caption or "").translate(PUNCTUATION_TO_SPACES).split(" "))
        possible = {lemma: wnid for word in words for lemma, wnid in self.lemmas.get(word, {}).items()}
        return paper_matches(caption, possible)
