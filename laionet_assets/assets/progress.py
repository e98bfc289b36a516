"""How far a long step is, in Dagster's log."""

import time
from collections.abc import Callable

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
