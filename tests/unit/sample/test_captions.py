"""What a composed caption must match, on captions small enough to judge by eye."""

import pytest

from laionet_assets.sample.captions import (
    Caption,
    expected,
    mention,
    mentioned,
    plural,
    regapped,
    rewritten,
    surrounded,
    text_of,
    title_case,
)

ENVELOPE, SCREEN, WINDOW_SCREEN, LIGHT = "n03291819", "n04152593", "n04589890", "n03666591"
JACK, LANTERN, HARP, TRAFFIC_LIGHT, CROSSWORD = "n07754684", "n03590841", "n03495258", "n06874185", "n06785654"

envelope = ("brown ", mention("envelope", ENVELOPE), " here")
window_screen = ("a ", mention("window screen", WINDOW_SCREEN))
lantern = (mention("jack-o'-lantern", LANTERN), " lit")


def of(caption: Caption) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    return (text_of(caption), *expected(caption))


@pytest.mark.parametrize(
    ("caption", "text", "paper", "corrected"),
    [
        (envelope, "brown envelope here", (ENVELOPE,), (ENVELOPE,)),
        (rewritten(envelope, title_case), "Brown Envelope Here", (), (ENVELOPE,)),
        (surrounded(envelope, "&quot;", "&quot;"), "brown &quot;envelope&quot; here", (ENVELOPE,), (ENVELOPE,)),
        (surrounded(envelope, "\u201c", "\u201d"), "brown \u201cenvelope\u201d here", (), (ENVELOPE,)),
        (surrounded(envelope, "", "\n"), "brown envelope\n here", (), (ENVELOPE,)),
        (plural(envelope), "brown envelopes here", (), ()),
        (window_screen, "a window screen", (SCREEN, WINDOW_SCREEN), (WINDOW_SCREEN,)),
        (regapped(window_screen, lambda _: "  "), "a window  screen", (SCREEN,), (WINDOW_SCREEN,)),
        (regapped(window_screen, lambda _: "-"), "a window-screen", (SCREEN, WINDOW_SCREEN), (WINDOW_SCREEN,)),
        (regapped(window_screen, lambda _: "\t"), "a window\tscreen", (), (WINDOW_SCREEN,)),
        (regapped(window_screen, lambda _: "&nbsp;"), "a window&nbsp;screen", (SCREEN,), (WINDOW_SCREEN,)),
        (plural(window_screen), "a window screens", (), ()),
        (lantern, "jack-o'-lantern lit", (JACK,), (LANTERN,)),
        ((mention("harp", HARP),), "harp", (), (HARP,)),
        ((mention("traffic light", None),), "traffic light", (LIGHT, TRAFFIC_LIGHT), (TRAFFIC_LIGHT,)),
        (plural((mention("crossword puzzle", CROSSWORD),)), "crossword puzzles", (CROSSWORD,), (CROSSWORD,)),
        (("no class at all",), "no class at all", (), ()),
        ((), "", (), ()),
    ],
)
def test_expected(caption: Caption, text: str, paper: tuple[str, ...], corrected: tuple[str, ...]) -> None:
    assert of(caption) == (text, tuple(sorted(paper)), corrected)


def test_mentioned_is_what_a_reader_understands() -> None:
    assert mentioned((mention("mouse", None), " on an ", mention("envelope", ENVELOPE))) == (ENVELOPE,)
    assert mentioned(plural(envelope)) == (ENVELOPE,)


def test_plural_of_mouse() -> None:
    assert text_of(plural((mention("computer mouse", "n03793489"),))) == "computer mice"


def test_marks_go_to_the_understood_mention() -> None:
    caption = ("a ", mention("light", None), " ", mention("envelope", ENVELOPE))
    assert text_of(surrounded(caption, "<", ">")) == "a light <envelope>"


def test_title_case_leaves_inner_capitals_and_single_letters() -> None:
    assert title_case("new iPod case, a gift (for dad) o") == "New iPod Case, a Gift (For Dad) o"
