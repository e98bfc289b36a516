"""How far a fetch is, said while it goes on.

Belongs here: when something is said, and in which words. Does not belong here: counts and rates (`fetch.progress`).
"""

import time
from collections.abc import Callable

from laionet_assets.images.fetch.progress import FetchProgress

LOG_EVERY_SECONDS = 10.0


class Reporter:
    """Says how far a fetch is, every `LOG_EVERY_SECONDS`."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._last = time.monotonic()
        self._progress: FetchProgress | None = None

    def see(self, progress: FetchProgress) -> None:
        """Take note of a moment; called by the fetching thread."""
        self._progress = progress

    def tell(self, *, is_last: bool = False) -> None:
        """Log the last moment seen, if it is time."""
        progress, now = self._progress, time.monotonic()
        if progress is None or not (is_last or now - self._last >= LOG_EVERY_SECONDS):
            return
        self._last = now
        counts = ", ".join(f"{count:,} {status}" for status, count in progress.by_status.items() if count)
        text = f"{progress.done:,} of {progress.total or 0:,} addresses asked ({counts})"
        if is_last:
            self._log(f"{text} in {progress.seconds:.1f} s, {progress.per_second:.0f} a second")
            return
        remaining = progress.remaining_seconds
        to_go = f", {remaining:.0f} s to go" if remaining is not None else ""
        self._log(f"{text}, {progress.recent_per_second:.0f} a second{to_go}")
