"""The sheet shows every picture and obeys none of its text."""

import base64
import csv
import io
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from laionet_assets.errors import UserError
from laionet_assets.judging import Question, read_verdicts, write_sheet

HOSTILE = "<script>alert(1)</script><img src=http://evil.test/x onerror=alert(1)>\"'\x1b[31m\u202e"


class Page(HTMLParser):
    """Tags with their attributes, and the text between."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def question(number: int, name: str = "lion") -> Question:
    return Question(
        "r", "web", number, "n02129165", name, f"big cat {name}", Image.new("RGB", (900, 300), (number, 9, 9))
    )


def test_every_picture_is_on_the_page_and_on_a_line(tmp_path: Path) -> None:
    write_sheet(tmp_path / "new", [question(3), question(200)], judge="anna")
    page = Page((tmp_path / "new" / "sheet.html").read_text())
    pictures = [found["src"] or "" for tag, found in page.tags if tag == "img"]
    shown = [
        Image.open(io.BytesIO(base64.b64decode(each.removeprefix("data:image/jpeg;base64,")))) for each in pictures
    ]
    assert [each.size for each in shown] == [(320, 107)] * 2
    assert [abs(each.getpixel((5, 5))[0] - red) < 8 for each, red in zip(shown, (3, 200), strict=True)] == [True, True]
    assert "1. lion" in page.text and "2. lion" in page.text
    with (tmp_path / "new" / "verdicts.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(row["number"], row["sample_id"], row["judge"], row["verdict"]) for row in lines] == [
        ("1", "3", "anna", ""), ("2", "200", "anna", ""),
    ]  # fmt: skip
    assert list(read_verdicts(tmp_path / "new" / "verdicts.csv", ["r"])) == []


def test_text_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    write_sheet(tmp_path, [question(1, HOSTILE)], judge="a")
    text = (tmp_path / "sheet.html").read_text()
    page = Page(text)
    assert [tag for tag, _ in page.tags] == [
        "html", "meta", "meta", "meta", "title", "style", "h1", "p", "figure", "img", "figcaption", "b", "br",
    ]  # fmt: skip
    assert "<script>alert(1)</script>" in page.text and "\x1b" not in text and "\u202e" not in text
    policy = {found.get("http-equiv"): found.get("content") for tag, found in page.tags if tag == "meta"}
    assert "default-src 'none'" in (policy["Content-Security-Policy"] or "")


def test_verdicts_are_never_overwritten(tmp_path: Path) -> None:
    write_sheet(tmp_path, [question(1)], judge="a")
    (tmp_path / "verdicts.csv").write_text("mine")
    with pytest.raises(UserError, match="may hold verdicts"):
        write_sheet(tmp_path, [question(2)], judge="a")
    assert (tmp_path / "verdicts.csv").read_text() == "mine"
