"""The terminal: where commands print, and how text from the web is shown there, never obeyed."""

import sys
from typing import NoReturn

from rich.console import Console
from rich.text import Text

from laionet_assets.inert import inert


def tell(console: Console, head: str, text: str, *, style: str = "yellow") -> None:
    """Print a line such as `note ...`: the head in a colour, the text as it is, neither obeyed nor taken for markup."""
    console.print(Text.assemble((head, style), " ", inert(text, keep="\n")), highlight=False)


def cells(*values: str) -> list[Text]:
    """Cells of a table that is printed: as they are, neither obeyed nor taken for markup."""
    return [Text(inert(value)) for value in values]


def open_console(width: int = 160) -> Console:
    """Where tables are printed: as wide as the terminal, `width` characters elsewhere."""
    return _Console(width=None if sys.stdout.isatty() else width)


class _Console(Console):
    """A console whose reader may leave: the command ends as it does for every other output."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError
