"""Nothing that a terminal obeys, or that Markdown makes something of, comes through."""

import re
import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from laionet_assets.inert import inert, markdown_cell


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


HOSTILE = (
    "![x](http://evil.example/beacon.png)",
    '<img src="http://evil.example/x.png" onerror="alert(1)">',
    "[click](javascript:alert(1))",
    "<http://evil.example>",
    "a | b ` c \\` d \\| ![x](http://e/x.png)",
    "`` ![x](http://e/x.png) ``",
    "ends with a backslash \\",
    "www.evil.example",
)


def rendered(text: str) -> str:
    from markdown_it import MarkdownIt

    table = f"| a | b |\n|---|---|\n| {markdown_cell(text)} | {markdown_cell('next')} |"
    return str(MarkdownIt("commonmark", {"html": True}).enable("table").render(table))


@settings(deadline=None)
@given(st.text() | st.sampled_from(HOSTILE) | st.lists(st.sampled_from([*HOSTILE, "`", "\\", "|", "\n"])).map("".join))
def test_a_cell_of_markdown_is_code_and_nothing_else(text: str) -> None:
    html = rendered(text)
    tags = set(re.findall(r"<(\w+)", html))
    assert tags <= {"table", "thead", "tbody", "tr", "th", "td", "code"}
    assert len(re.findall(r"<td>", html)) == 2 and "<td><code>next</code></td>" in html
