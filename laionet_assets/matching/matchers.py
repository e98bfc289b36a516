"""The two matching profiles: all occurrences that count, of all that is looked for, in a batch of captions.

The rules are those of docs/method.md.
"""

import string
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from laionet_assets.matching.texts import Text

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from ahocorasick_rs import BytesAhoCorasick

    from laionet_assets.matching.alphabet import Alphabet

PUNCTUATION_TO_SPACES = bytes.maketrans(string.punctuation.encode(), b" " * len(string.punctuation))


@dataclass(frozen=True)
class Occurrences:
    """The first occurrence that counts of each reading in each caption.

    Four arrays of one length: `rows` (int64, place of the caption in the batch), `readings` (int64, place of what was
    found among what is looked for), `offsets` and `lengths` (int64, characters of the caption).
    """

    rows: "np.ndarray"
    readings: "np.ndarray"
    offsets: "np.ndarray"
    lengths: "np.ndarray"


class PaperMatcher:
    """Profile `paper`, the published rule to the letter: ` lemma ` lies in ` caption ` once each ASCII punctuation
    character of the caption is a space.
    """

    def __init__(self, lemmas: Sequence[str]) -> None:
        from ahocorasick_rs import BytesAhoCorasick

        self._automaton = BytesAhoCorasick([f" {lemma} ".encode() for lemma in lemmas])

    def find(self, captions: "pa.Array") -> Occurrences:
        """The first occurrence of each lemma in each caption (none of them null)."""
        text = Text.of(captions)
        lemmas, starts, ends = _found(self._automaton, text.data.translate(PUNCTUATION_TO_SPACES))
        hits = _Hits.within_captions(text, lemmas, starts + 1, ends - 2)
        return hits.first_of_each(text, text.characters_before(hits.lasts + 1))


class CorrectedMatcher:
    """Profile `corrected`: the words of a reading are there in a row; of occurrences inside one another only the
    longest counts.
    """

    def __init__(self, readings: Sequence[Sequence[str]], alphabet: "Alphabet") -> None:
        from ahocorasick_rs import BytesAhoCorasick

        self._alphabet = alphabet
        self._automaton = BytesAhoCorasick([alphabet.encode(words) for words in readings])

    def find(self, captions: "pa.Array") -> Occurrences:
        """The first occurrence that counts of each reading in each caption (none null, html entities blanked)."""
        text = Text.of(captions)
        folded, places = self._alphabet.fold(text)
        readings, starts, ends = _found(self._automaton, folded)
        hits = _Hits.within_captions(text, readings, places[starts + 1], places[ends - 2]).longest()
        return hits.first_of_each(text, text.characters_before(hits.lasts) + 1)


class Matcher:
    """Both profiles at once, which costs little more than `corrected` alone.

    Wherever `paper` finds a lemma, punctuation or space parts its words from the others, so `corrected` finds its words
    in a row there (or longer ones that hold them), unless an html entity lies there. So `paper` is asked only about
    captions in which `corrected` found something or an entity was blanked.

    `lemmas` are those that stand for a class under `paper`; `readings` the words of every lemma of every class, as the
    `alphabet` folds them. Raises ValueError if the words of a lemma are not among the readings.
    """

    def __init__(self, lemmas: Sequence[str], readings: Sequence[Sequence[str]], alphabet: "Alphabet") -> None:
        known = {tuple(words) for words in readings}
        strangers = [
            lemma for lemma, words in zip(lemmas, alphabet.fold_words(lemmas), strict=True) if tuple(words) not in known
        ]
        if strangers:
            raise ValueError(f"lemmas {strangers[:5]}: their words are no reading; expected those of every lemma")
        self.paper = PaperMatcher(lemmas)
        self.corrected = CorrectedMatcher(readings, alphabet)

    def find(self, captions: "pa.Array", blanked: "pa.Array") -> tuple[Occurrences, Occurrences]:
        """Occurrences under `paper` (of the lemmas) and under `corrected` (of the readings) in captions, none null.

        `blanked` are the captions with spaces for their html entities, null where there are none.
        """
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        corrected = self.corrected.find(pc.coalesce(blanked, captions))
        is_asked = blanked.is_valid().to_numpy(zero_copy_only=False).copy()
        is_asked[corrected.rows] = True
        rows = np.flatnonzero(is_asked)
        paper = self.paper.find(captions.take(pa.array(rows)))
        return replace(paper, rows=rows[paper.rows]), corrected


@dataclass(frozen=True)
class _Hits:
    """Readings found in a text: rows they are in, places (bytes) of their first character and in their last one."""

    readings: "np.ndarray"
    rows: "np.ndarray"
    firsts: "np.ndarray"
    lasts: "np.ndarray"

    @classmethod
    def within_captions(cls, text: Text, readings: "np.ndarray", firsts: "np.ndarray", lasts: "np.ndarray") -> "_Hits":
        """Those that do not reach from one caption into the next."""
        rows = text.rows_at(firsts)
        return cls(readings, rows, firsts, lasts)._where(rows == text.rows_at(lasts))

    def longest(self) -> "_Hits":
        """Those that lie in no other: none that begins before, or with it and is longer, reaches as far."""
        import numpy as np

        ordered = self._where(np.lexsort((-self.lasts, self.firsts)))
        furthest_before = np.maximum.accumulate(np.concatenate([[-1], ordered.lasts]))[:-1]
        return ordered._where(ordered.lasts > furthest_before)

    def first_of_each(self, text: Text, stops: "np.ndarray") -> Occurrences:
        """The first of each reading in each caption; `stops` are the characters of the text up to their ends."""
        import numpy as np

        in_order = np.argsort(self.firsts, kind="stable")
        both = (self.rows * (1 + self.readings.max(initial=0)) + self.readings)[in_order]
        chosen = in_order[np.unique(both, return_index=True)[1]]
        hits, stops = self._where(chosen), stops[chosen]
        starts = text.characters_before(hits.firsts)
        before_caption = text.characters_before(text.starts[hits.rows]) + 1
        return Occurrences(hits.rows, hits.readings, starts - before_caption, stops - starts)

    def _where(self, chosen: "np.ndarray") -> "_Hits":
        return _Hits(self.readings[chosen], self.rows[chosen], self.firsts[chosen], self.lasts[chosen])


def _found(automaton: "BytesAhoCorasick", haystack: bytes) -> tuple["np.ndarray", "np.ndarray", "np.ndarray"]:
    """Every occurrence of every pattern, overlapping ones too: pattern, first place, place behind the last."""
    import numpy as np

    found = automaton.find_matches_as_indexes(haystack, overlapping=True)
    flat = np.fromiter(chain.from_iterable(found), np.int64, 3 * len(found))
    return flat[0::3], flat[1::3], flat[2::3]
