"""A look that takes long is not repeated at once; a quick one is."""

import time

import pytest

from laionet_assets.warehouse import looks
from laionet_assets.warehouse.looks import MOST_KEPT, Looks


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock: what it shows is its last entry."""
    shown = [100.0]
    monkeypatch.setattr(looks.time, "monotonic", lambda: shown[-1])
    return shown


def test_a_look_costs_a_twentieth_of_the_time_at_most(clock: list[float]) -> None:
    seen, made = Looks[int](), 0

    def look() -> int:
        nonlocal made
        made += 1
        clock.append(clock[-1] + 0.5)
        return made

    found = []
    for _ in range(300):
        found.append(seen.at("place", look))
        clock.append(clock[-1] + 0.1)
    assert made == 4 and found == sorted(found)
    assert 0.5 * made <= (clock[-1] - clock[0]) / 15


def test_a_quick_one_is_repeated_each_time() -> None:
    seen, state = Looks[int](), iter(range(3))
    assert [seen.at("place", lambda: next(state)) for _ in range(3)] == [0, 1, 2]


def test_places_are_apart_and_what_fails_is_tried_again(clock: list[float]) -> None:
    seen = Looks[str]()

    def look(found: str) -> str:
        clock.append(clock[-1] + 0.5)
        return found

    assert [seen.at(place, lambda place=place: look(place)) for place in ("a", "b", "a")] == ["a", "b", "a"]
    assert seen.at("a", lambda: look("other")) == "a"

    def broken() -> str:
        raise OSError("gone")

    clock.append(clock[-1] + 60)
    with pytest.raises(OSError, match="gone"):
        seen.at("a", broken)
    assert seen.at("a", lambda: look("new")) == "new"
    for number in range(MOST_KEPT):
        seen.at(number, lambda: look("more"))
    assert seen.at("a", lambda: look("newer")) == "newer", "it was forgotten for others"


def test_time_is_that_of_the_clock() -> None:
    before = time.monotonic()
    assert before <= looks.Look.now(lambda: 1).at <= time.monotonic()
