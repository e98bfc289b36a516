"""Nothing that a terminal obeys comes through."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from laionet_assets.commands.terminal import inert


def test_escapes_and_overrides_are_shown_not_obeyed() -> None:
    assert inert("a \x1b[31mred\x1b[0m") == "a \\x1b[31mred\\x1b[0m"
    assert inert("\u202egnp.exe") == "\\u202egnp.exe"
    assert inert("one\ntwo", keep="\n") == "one\ntwo"
    assert inert("one\ntwo\r") == "one\\ntwo\\r"
    assert inert("\x9b31m") == "\\x9b31m"


def test_ordinary_text_stays() -> None:
    for text in ("plain", "Größe 網站 сайт", "👩\u200d🔬 and ❤\ufe0f", ""):
        assert inert(text) == text


@given(st.text())
def test_no_control_character_is_left(text: str) -> None:
    left = {unicodedata.category(character) for character in inert(text) if character != "\u200d"}
    assert not left & {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
