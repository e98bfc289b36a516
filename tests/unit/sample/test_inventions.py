"""Invented captions: each kind does what its name says."""

import pytest

from laionet_assets.sample.captions import Mention
from laionet_assets.sample.classes import sample_classes
from laionet_assets.sample.dice import Dice
from laionet_assets.sample.inventions import (
    KINDS,
    LONG_TEXT,
    NOISE,
    Invention,
    class_caption,
    long_caption,
    noise_caption,
)


@pytest.fixture(scope="module")
def by_kind() -> dict[str, list[Invention]]:
    dice = Dice("test of recipes")
    inventions = [class_caption(dice) for _ in range(6000)] + [noise_caption(dice) for _ in range(6000)]
    kinds: dict[str, list[Invention]] = {}
    for invention in inventions:
        kinds.setdefault(invention.kind, []).append(invention)
    return kinds


def test_every_kind_is_drawn(by_kind: dict[str, list[Invention]]) -> None:
    assert set(by_kind) == {*KINDS, *NOISE, "other_sense"}


def test_every_class_and_sense_is_drawn(by_kind: dict[str, list[Invention]]) -> None:
    assert {one.wnid for kind in KINDS for one in by_kind[kind]} == {one.wnid for one in sample_classes()}
    assert {one.sense for kind in KINDS for one in by_kind[kind]} == {"true"}
    assert {one.sense for one in by_kind["other_sense"]} == {"other"}


def test_no_template_is_left_open(by_kind: dict[str, list[Invention]]) -> None:
    open_texts = [one.text for each in by_kind.values() for one in each if one.text and set(one.text) & set("{}[]")]
    assert open_texts == []


@pytest.mark.parametrize(
    ("kind", "is_one"),
    [
        ("upper_case", lambda text: text == text.upper()),
        ("file_name", lambda text: text.endswith(".jpg") and " " not in text),
        ("double_space", lambda text: "  " in text),
        ("tab", lambda text: "\t" in text),
        ("newline", lambda text: "\n" in text),
        ("entity", lambda text: "&" in text and ";" in text),
        ("curly", lambda text: set(text) & set("\u2018\u2019\u201c\u201d\u2014")),
        ("non_ascii", lambda text: not text.isascii()),
        ("emoji", lambda text: not text.isascii()),
        ("null_text", lambda text: text is None),
        ("empty_text", lambda text: text == ""),
    ],
)
def test_kind_does_what_it_says(by_kind: dict[str, list[Invention]], kind: str, is_one: object) -> None:
    assert all(is_one(one.text) for one in by_kind[kind])


def test_mentions_of_each_kind(by_kind: dict[str, list[Invention]]) -> None:
    def understood(one: Invention) -> set[str]:
        return {part.wnid for part in one.caption or () if isinstance(part, Mention) and part.wnid}

    assert all(len(understood(one)) >= 2 for one in by_kind["several"] if one.wnid != "n06359193")
    for kind in ("foreign", "misspelt", "other_sense", "other_class", *NOISE):
        assert not any(understood(one) for one in by_kind[kind]), kind
    for kind in ("plain", "plural", "title_case"):
        assert all(understood(one) == {one.wnid} for one in by_kind[kind]), kind


def test_long_caption() -> None:
    one = long_caption(Dice("long"))
    assert LONG_TEXT < len(one.text) < LONG_TEXT + 500
    assert [part.wnid for part in one.caption if isinstance(part, Mention)] == [one.wnid]
