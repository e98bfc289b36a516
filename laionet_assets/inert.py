"""Text from the web, shown and never obeyed: by a terminal, or by what shows Markdown."""

import unicodedata

_OBEYED = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
"""Unicode categories of characters that a terminal may obey: controls, bidirectional overrides, separators."""
_ENDS_A_CELL = str.maketrans({"|": "\u00a6", "`": "'"})


def inert(text: str, *, keep: str = "") -> str:
    r"""The text with every character that a terminal might obey written as an escape (`\x1b`, `\u202e`).

    Characters of `keep` stay as they are; zero-width joiners and variation selectors belong to emoji and stay too.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_inert(character, keep) for character in text)


def markdown_cell(text: str) -> str:
    """The text as code in a cell of a Markdown table: no picture, link or tag in it is one. `|` is shown as `¦`,
    a backtick as `'`; what would break the line is a blank.
    """
    line = inert(" ".join(text.split())).translate(_ENDS_A_CELL)
    return f"`{line}`" if line else ""


def _inert(character: str, keep: str) -> str:
    if character in keep or character == "\u200d" or unicodedata.category(character) not in _OBEYED:
        return character
    return character.encode("unicode_escape").decode("ascii")
