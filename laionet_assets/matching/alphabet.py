"""What each code point is to profile `corrected`, as one byte: so a text is folded by looking its characters up.

The SQL macro `fold_words` alone says what a word is. It is asked once about every code point that occurs.
"""

from collections.abc import Callable, Collection, Sequence
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from laionet_assets.matching.texts import Text

FoldWords = Callable[[Sequence[str]], Sequence[Sequence[str]]]
"""The folded words of each text."""

SEPARATOR, OTHER, UNKNOWN, IGNORED = 0, 1, 254, 255
"""Bytes of what parts words, of a character of words that no lemma has, of what was not asked about yet, and of what
is left out of a word."""

CODE_POINTS = 0x110000


class AlphabetError(ValueError):
    """Lemmas, or an answer about a code point, that one byte a character cannot express."""


class Alphabet:
    """The bytes of folded text: one for each of the `characters` that lemmas are made of, one for all others.

    Raises AlphabetError for more than 252 characters.
    """

    def __init__(self, characters: Collection[str], fold_words: FoldWords) -> None:
        import numpy as np

        most = UNKNOWN - OTHER - 1
        if len(characters) > most:
            raise AlphabetError(f"lemmas of {len(characters)} different characters; expected at most {most}")
        self._bytes = {character: OTHER + 1 + i for i, character in enumerate(sorted(characters))} | {" ": SEPARATOR}
        self.fold_words = fold_words
        self._lock = Lock()
        self._codes = np.full(CODE_POINTS, UNKNOWN, np.uint8)
        self._needs_letter = np.zeros(CODE_POINTS, bool)
        self._learn(np.arange(128))
        self._ascii = self._codes[:256].tobytes()

    def encode(self, words: Sequence[str]) -> bytes:
        """Folded words as bytes, a separator at both ends and between them."""
        return bytes(self._bytes[character] for character in f" {' '.join(words)} ")

    def fold(self, text: "Text") -> tuple[bytes, "np.ndarray"]:
        """The folded words of a text: bytes with one separator before each word and one at the end; and of each of
        these bytes the place in the text where its character begins (int64).
        """
        import numpy as np

        codes = np.frombuffer(text.data.translate(self._ascii), np.uint8)
        if len(text.wide):
            codes = self._with_wide(codes, text)
        in_words = codes != SEPARATOR
        stays = in_words.copy()
        stays[0] = True
        stays[1:] |= in_words[:-1]
        if len(text.wide):
            stays &= codes != IGNORED
        return codes[stays].tobytes(), np.flatnonzero(stays)

    def _with_wide(self, codes: "np.ndarray", text: "Text") -> "np.ndarray":
        """With the characters of several bytes: in a word the first byte stands for one, the others are ignored."""
        import numpy as np

        points = np.frombuffer(text.codes[text.wide].tobytes().decode().encode("utf-32-le"), "<u4")
        known = self._codes[points]
        if (known == UNKNOWN).any():
            with self._lock:
                self._learn(np.unique(points[self._codes[points] == UNKNOWN]))
            known = self._codes[points]
        sizes = np.diff(np.flatnonzero(text.is_first), append=len(text.wide))
        written = np.repeat(known, sizes)
        written[~text.is_first & (written != SEPARATOR)] = IGNORED
        codes = codes.copy()
        codes[text.wide] = written
        hanging = text.wide[np.repeat(self._needs_letter[points], sizes)]
        if len(hanging):
            begins = np.diff(hanging, prepend=-1) != 1
            has_no_letter = codes[hanging[begins] - 1] == SEPARATOR
            codes[hanging[has_no_letter[np.cumsum(begins) - 1]]] = SEPARATOR
        return codes

    def _learn(self, points: "np.ndarray") -> None:
        """Ask what code points are. Raises AlphabetError for an answer that is none of those there can be."""
        characters = [chr(point) for point in points]
        alone = self.fold_words(characters)
        inside = self.fold_words([f"a{character}a" for character in characters])
        for point, character, word, words in zip(points, characters, alone, inside, strict=True):
            match list(word), list(words):
                case [folded], [among] if len(folded) == 1 and among == f"a{folded}a":
                    code, needs_letter = self._bytes.get(folded, OTHER), False
                case [], ["a", "a"]:
                    code, needs_letter = SEPARATOR, False
                case [], ["aa"]:
                    code, needs_letter = IGNORED, True
                case [], [among] if len(among) == 3:
                    code, needs_letter = self._bytes.get(among[1], OTHER), True
                case _:
                    raise AlphabetError(
                        f"U+{point:04X}: {character!r} folds to {word}, between two letters to {words};"
                        " expected one character in lower case, nothing, or a gap"
                    )
            self._needs_letter[point] = needs_letter
            self._codes[point] = code  # last: whoever reads it reads the other too
