"""Folding a text by the bytes of its characters."""

import threading

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laionet_assets.matching import Alphabet, AlphabetError, FoldWords
from laionet_assets.matching.texts import Text
from tests.unit.matching.conftest import MARK, SOFT_HYPHEN, fold_words

CHARACTERS = st.sampled_from([*"abßẞABz -&\n", MARK, SOFT_HYPHEN, "é", "日", "🦁", "\0"])
CAPTIONS = st.lists(st.lists(CHARACTERS, max_size=12).map("".join), max_size=8)


@settings(deadline=None, derandomize=True)
@given(captions=CAPTIONS)
def test_folded_text_is_the_folded_words_of_its_captions(captions: list[str]) -> None:
    """Characters that no lemma has (here z) are all one byte."""
    alphabet = Alphabet(set(f"abß{MARK}"), fold_words)
    text = Text.of(pa.array(captions, pa.string()))
    folded, places = alphabet.fold(text)
    words = [word for caption in captions for word in fold_words([caption])[0]]
    assert folded == _encoded(alphabet, words)
    assert len(places) == len(folded) and sorted(set(places)) == list(places)
    read = [text.data[place:].decode()[0] for place, code in zip(places, folded, strict=True) if code != 0]
    assert "".join(read).lower() == "".join(words)


def _encoded(alphabet: Alphabet, words: list[str]) -> bytes:
    other = Alphabet({"q"}, fold_words).encode  # q has the byte behind "any other"
    assert other(["q"]) == b"\0\2\0"
    return b"\0" + b"".join(
        bytes(1 if character == "z" else alphabet.encode([character])[1] for character in word) + b"\0"
        for word in words
    )


def test_each_code_point_is_asked_about_once_by_any_number_of_threads(fold: FoldWords) -> None:
    asked: list[str] = []

    def asking(texts: list[str]) -> list[list[str]]:
        asked.extend(texts)
        return list(fold(texts))

    alphabet = Alphabet({"a"}, asking)
    text = Text.of(pa.array(["日本 a🦁"] * 100))
    threads = [threading.Thread(target=alphabet.fold, args=(text,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each for each in asked if not each.isascii()) == sorted(["日", "本", "🦁", "a日a", "a本a", "a🦁a"])


def test_more_characters_than_bytes_are_an_error(fold: FoldWords) -> None:
    Alphabet([chr(0x4E00 + i) for i in range(252)], fold)
    with pytest.raises(AlphabetError, match="253 different characters; expected at most 252"):
        Alphabet([chr(0x4E00 + i) for i in range(253)], fold)


def test_a_character_that_folds_to_two_is_an_error(fold: FoldWords) -> None:
    def full_lower_case(texts: list[str]) -> list[list[str]]:
        return [
            [text.replace("ß", "ss")] if "ß" in text else list(words)
            for text, words in zip(texts, fold(texts), strict=True)
        ]

    alphabet = Alphabet({"s"}, full_lower_case)
    with pytest.raises(AlphabetError, match=r"U\+00DF: 'ß' folds to \['ss'\]"):
        alphabet.fold(Text.of(pa.array(["Straße"])))
