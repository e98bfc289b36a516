"""The terminal: where commands print, and how text from the web is shown there, never obeyed."""

import sys
import unicodedata
from typing import NoReturn

from rich.console import Console

_OBEYED = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
"""Unicode categories of characters that a terminal may obey: controls, bidirectional overrides, separators."""


def inert(text: str, *, keep: str = "") -> str:
    r"""The text with every character that a terminal might obey written as an escape (`\x1b`, `\u202e`).

    Characters of `keep` stay as they are; zero-width joiners and variation selectors belong to emoji and stay too.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_inert(character, keep) for character in text)


def _inert(character: str, keep: str) -> str:
    if character in keep or character == "\u200d" or unicodedata.category(character) not in _OBEYED:
        return character
    return character.encode("unicode_escape").decode("ascii")


def open_console(width: int = 160) -> Console:
    """Where tables are printed: as wide as the terminal, `width` characters elsewhere."""
    return _Console(width=None if sys.stdout.isatty() else width)


class _Console(Console):
    """A console whose reader may leave: the command ends as it does for every other output."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError
