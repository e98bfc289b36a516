"""Looks at many files, which take long and are asked for again and again: how soon one is repeated.

What a look found is kept for `LOOKS_APART` times what it took, so that looking costs a twentieth of the time at most. A
look that takes less than `QUICK_SECONDS` is repeated each time. For what must not be missed (what is removed or
blocked) there is `read_once`.
"""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Found = TypeVar("Found")

QUICK_SECONDS = 0.01
LOOKS_APART = 20
MOST_KEPT = 8


@dataclass(frozen=True)
class Look(Generic[Found]):
    """What was found, when the look began (by the monotonic clock), and how long it took."""

    found: Found
    at: float
    seconds: float

    @classmethod
    def now(cls, look: Callable[[], Found]) -> "Look[Found]":
        """Look."""
        at = time.monotonic()
        found = look()
        return cls(found, at, time.monotonic() - at)

    @property
    def is_due(self) -> bool:
        """Whether it is time to look again."""
        return self.seconds < QUICK_SECONDS or time.monotonic() - self.at > LOOKS_APART * self.seconds


@dataclass
class Looks(Generic[Found]):
    """The last looks at several places."""

    _last: dict[Hashable, Look[Found]] = field(default_factory=dict)

    def at(self, place: Hashable, look: Callable[[], Found]) -> Found:
        """What a look at a place found, now or a while ago. Raises what `look` raises; of that nothing is kept."""
        last = self._last.get(place)
        if last is not None and not last.is_due:
            return last.found
        self._last.pop(place, None)
        found = Look.now(look)
        while len(self._last) >= MOST_KEPT:
            self._last.pop(next(iter(self._last)))
        self._last[place] = found
        return found.found
