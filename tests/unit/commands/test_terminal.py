"""What is printed in colours is the command's own: names and text from outside are neither markup nor obeyed."""

import io

from rich.console import Console
from rich.table import Table

from laionet_assets.commands.terminal import cells, tell

HOSTILE = "a[/b][link=http://evil.example]c\x1b]0;title\x07\u202e.parquet"


def printed(*, what: str) -> str:
    out = io.StringIO()
    console = Console(file=out, width=200, force_terminal=True)
    if what == "line":
        tell(console, "note", f"{HOSTILE}\nnext")
    else:
        table = Table("name")
        table.add_row(*cells(HOSTILE))
        console.print(table)
    return out.getvalue()


def test_lines_and_cells_show_what_they_are_given() -> None:
    for what in ("line", "cell"):
        text = printed(what=what)
        assert "a[/b][link=http://evil.example]c\\x1b]0;title\\x07\\u202e.parquet" in text
        assert "\x1b]" not in text and "\x07" not in text and "\u202e" not in text
    assert "\nnext" in printed(what="line")
