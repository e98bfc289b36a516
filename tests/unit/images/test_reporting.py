"""How far a fetch is: the last moment seen, when it is time, and the sum at the end."""

import pytest

from laionet_assets.images.fetch.outcomes import Status
from laionet_assets.images.fetch.progress import FetchProgress
from laionet_assets.images.reporting import LOG_EVERY_SECONDS, Reporter


def moment(done: int, total: int | None = 40) -> FetchProgress:
    by_status = {Status.SUCCESS: done - 1, Status.FAILED: 1, Status.BLOCKED: 0}
    return FetchProgress(done, total, by_status, size_bytes=0, seconds=2.0, recent_per_second=10.0)


def test_it_speaks_every_so_often_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    clock = [100.0]
    monkeypatch.setattr("laionet_assets.images.reporting.time.monotonic", lambda: clock[0])
    reporter = Reporter(said.append)
    reporter.tell(is_last=True)
    assert said == [], "nothing was seen"
    reporter.see(moment(10))
    reporter.tell()
    assert said == [], "not yet"
    clock[0] += LOG_EVERY_SECONDS
    reporter.tell()
    reporter.tell()
    assert said == ["10 of 40 addresses asked (9 success, 1 failed), 10 a second, 3 s to go"]
    reporter.see(moment(40))
    reporter.tell(is_last=True)
    assert said[1:] == ["40 of 40 addresses asked (39 success, 1 failed) in 2.0 s, 20 a second"]
