import pytest

from laionet_assets.images.fetch.outcomes import Status
from laionet_assets.images.fetch.progress import ProgressMeter


def test_counts_rate_and_remaining_time() -> None:
    meter = ProgressMeter(total=1_000, now=100)
    for _ in range(90):
        meter.count(Status.SUCCESS, 10)
    for _ in range(10):
        meter.count(Status.FAILED, None)
    progress = meter.read(110)
    assert (progress.done, progress.total, progress.size_bytes, progress.seconds) == (100, 1_000, 900, 10)
    assert progress.by_status[Status.SUCCESS] == 90 and progress.by_status[Status.FAILED] == 10
    assert progress.per_second == 10
    assert progress.remaining_seconds == pytest.approx(90)


def test_the_remaining_time_follows_the_last_minute() -> None:
    meter = ProgressMeter(total=2_000, now=0)
    for second in range(1, 201):
        for _ in range(9 if second <= 100 else 1):
            meter.count(Status.SUCCESS, 1)
        progress = meter.read(second)
    assert progress.done == 1_000
    assert progress.recent_per_second == pytest.approx(1, rel=0.02)
    assert progress.remaining_seconds == pytest.approx(1_000, rel=0.02)


def test_nothing_is_known_at_the_start() -> None:
    assert ProgressMeter(total=10, now=0).read(0).remaining_seconds is None
    meter = ProgressMeter(total=None, now=0)
    meter.count(Status.SUCCESS, 1)
    assert meter.read(1).remaining_seconds is None
