"""How far a fetch is: counts, rate and remaining time. Not here: how it is shown."""

from collections.abc import Mapping
from dataclasses import dataclass

from laionet_assets.images.fetch.outcomes import Status


@dataclass(frozen=True)
class FetchProgress:
    """A moment of a fetch."""

    done: int
    """Requests that have their outcome."""
    total: int | None
    """All requests of the run where their number is known."""
    by_status: Mapping[Status, int]
    size_bytes: int
    """Bytes of the bodies that were read whole."""
    seconds: float
    """Since the start."""
    recent_per_second: float
    """Outcomes a second over the last minute."""

    @property
    def per_second(self) -> float:
        """Outcomes a second since the start."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def remaining_seconds(self) -> float | None:
        """At the recent rate; None while the total or the rate is unknown."""
        if self.total is None or self.recent_per_second <= 0:
            return None
        return max(self.total - self.done, 0) / self.recent_per_second


class ProgressMeter:
    """Counts outcomes. Times are seconds of one monotonic clock."""

    _WINDOW = 60.0

    def __init__(self, *, total: int | None, now: float) -> None:
        self._total = total
        self._started = now
        self._by_status = dict.fromkeys(Status, 0)
        self._size_bytes = 0
        self._marks = [(now, 0)]

    def count(self, status: Status, size_bytes: int | None) -> None:
        self._by_status[status] += 1
        self._size_bytes += size_bytes or 0

    def read(self, now: float) -> FetchProgress:
        """The progress at a time not before that of the last reading."""
        done = sum(self._by_status.values())
        self._marks.append((now, done))
        while len(self._marks) > 2 and now - self._marks[1][0] >= self._WINDOW:
            self._marks.pop(0)
        since, before = self._marks[0]
        recent = (done - before) / (now - since) if now > since else 0.0
        return FetchProgress(
            done=done,
            total=self._total,
            by_status=dict(self._by_status),
            size_bytes=self._size_bytes,
            seconds=now - self._started,
            recent_per_second=recent,
        )
