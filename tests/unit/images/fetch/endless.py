"""A fetch without end, to be interrupted: `python -m tests.unit.images.fetch.endless SLOW QUICK`, two endpoints."""

import signal
import sys
from collections.abc import Iterator
from itertools import count

from laionet_assets.images.fetch.outcomes import FetchRequest
from laionet_assets.images.fetch.policy import FetchPolicy
from laionet_assets.images.fetch.run import fetch

UNDER_WAY = 100
"""Outcomes after which it says so: by then each thread has its process."""


def requests() -> Iterator[FetchRequest]:
    """Of the slow host now and then, of the quick one again and again."""
    for number in count():
        yield FetchRequest(number, f"http://{'quick' if number % 50 else 'slow'}.test/{number}")


def main(slow: str, quick: str) -> None:
    """Fetch until something ends it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what a script starts in the background ignores it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    policy = FetchPolicy(
        contact="mailto:fetch@example.org",
        min_interval=0,
        verify_threads=2,
        allow_hosts={"slow.test": slow, "quick.test": quick},
    )
    for number, _ in enumerate(fetch(requests(), policy, sink=lambda outcome, body: None)):
        if number == UNDER_WAY:
            print("under way", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
