"""How far a long step is, in Dagster's log."""

import time
from collections.abc import Callable

LOG_EVERY_SECONDS = 10.0


def logged_progress(log: Callable[[str], None], *, label: str, what: str) -> Callable[[int, int], None]:
    """A function of (done, total) that logs, every ten seconds and at the end, how far it is, how fast, and the
    seconds that remain: `<label>: 1,200 of 5,000 <what>, 20 a second, 190 s to go`.
    """
    started = last = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LOG_EVERY_SECONDS or done == total:
            last = now
            rate = done / max(now - started, 1e-9)
            remaining = (total - done) / max(rate, 1e-9)
            log(f"{label}: {done:,} of {total:,} {what}, {rate:.0f} a second, {remaining:.0f} s to go")

    return show
