"""What the log says of a long step."""

import pytest

from laionet_assets.assets import progress


def test_rate_and_rest_every_ten_seconds_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    lines: list[str] = []
    show = progress.progress_log(lines.append, "pictures read by fast")
    for second in range(1, 31):
        now = 100.0 + second
        show(second * 100, 3000)
    assert lines == [
        "1,000 of 3,000 pictures read by fast, 100 a second, 20 s to go",
        "2,000 of 3,000 pictures read by fast, 100 a second, 10 s to go",
        "3,000 of 3,000 pictures read by fast, 100 a second, 0 s to go",
    ]


def test_a_rate_counts_what_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    rate = progress.Rate()
    assert list(rate.counted("abcdef")) == list("abcdef")
    now = 104.0
    assert rate.told("pictures") == "1.5 pictures a second"
    assert rate.told("pictures", each=2) == "0.8 pictures a second"
