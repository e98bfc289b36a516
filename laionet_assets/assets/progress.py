"""How far a long step is, in Dagster's log."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

LOG_EVERY_SECONDS = 10.0


def progress_log(log: Callable[[str], None], what: str) -> Callable[[int, int], None]:
    """A function of (done, total) that logs how far something is and how long it still takes, every ten seconds.

    `what` is what is done to what, such as `texts embedded`.
    """
    started = last = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LOG_EVERY_SECONDS or done == total:
            last = now
            rate = done / max(now - started, 1e-9)
            remaining = (total - done) / max(rate, 1e-9)
            log(f"{done:,} of {total:,} {what}, {rate:.0f} a second, {remaining:.0f} s to go")

    return show


class Rate:
    """How many of a stream there were, and how fast they came."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._done = 0

    def counted(self, items: Iterable[T]) -> Iterator[T]:
        """The same items."""
        for item in items:
            yield item
            self._done += 1

    def told(self, what: str, *, each: int = 1) -> str:
        """So many a second, for people; `each` items are one of what is told of."""
        return f"{self._done / each / max(time.monotonic() - self._started, 1e-9):,.1f} {what} a second"
