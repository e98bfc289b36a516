"""The two matching rules in plain Python, one caption at a time: what the SQL models are compared with.

Written from the statement of the rules (docs/design.md "Matching profiles"), not from the SQL: `paper` is Python's
`in`, as published; `corrected` walks over the characters. Nothing here is fast.
"""

import string
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html.entities import name2codepoint

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


def is_word_character(character: str) -> bool:
    """Letter, mark or number of Unicode."""
    return unicodedata.category(character)[0] in "LMN"


def folded(character: str) -> str:
    """Lower case, one character for one; İ is the only one whose full lower case is longer."""
    return "i" if character == "İ" else character.lower()


def words_of(text: str) -> list[Word]:
    """Words of a text as profile `corrected` reads it."""
    words: list[Word] = []
    start, at = 0, 0
    while at <= len(text):
        entity = next((n for n in range(4, LONGEST_ENTITY + 1) if text[at : at + n].lower() in ENTITIES), 0)
        if at == len(text) or entity or not is_word_character(text[at]):
            if start < at:
                words.append(Word("".join(map(folded, text[start:at])), start, at))
            at += max(entity, 1)
            start = at
        else:
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
        self.lemmas = paper_lemmas(synsets)
        self.owners = corrected_owners(synsets)
        self.spellings = {synset.wnid: [(lemma, fold(lemma)) for lemma in synset.lemmas] for synset in synsets}

    def matches(self, matching: str, caption: str | None) -> set[Match]:
        """What a profile finds in a caption."""
        if matching == "paper":
            return paper_matches(caption, self.lemmas)
        return corrected_matches(caption, self.spellings, self.owners)
