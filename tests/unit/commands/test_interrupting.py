"""A command ends when it is told to: by itself, or seconds later whatever it does; a second signal ends it at once."""

import signal
import subprocess
import sys
import time

import pytest

CODE = """
import sys, time
from laionet_assets.commands import interrupting
interrupting.GRACE_SECONDS = 2.0
with interrupting.guarded():
    try:
        print("ready", flush=True)
        while True:
            time.sleep(0.1)
    except KeyboardInterrupt:
        while sys.argv[1] == "deaf":
            try:
                time.sleep(60)
            except KeyboardInterrupt:
                pass
    sys.exit(interrupting.exit_code())
"""


def ended(mode: str, *signals: signal.Signals) -> tuple[int, float]:
    """Exit code, and seconds from the first signal to the end, of a process that a script started in the background."""
    with subprocess.Popen(
        ["/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-c", CODE, mode],
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        started = time.monotonic()
        for each in signals:
            process.send_signal(each)
            time.sleep(0.3)
        try:
            code = process.wait(20)
        finally:
            process.kill()
        return code, time.monotonic() - started


@pytest.mark.parametrize(("told", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_ends_by_itself(told: signal.Signals, code: int) -> None:
    found, seconds = ended("heeds", told)
    assert found == code and seconds < 1.5


def test_what_does_not_heed_is_ended_after_the_time_it_is_given() -> None:
    code, seconds = ended("deaf", signal.SIGTERM)
    assert code == 143 and 1.5 < seconds < 8


def test_a_second_signal_ends_it_at_once() -> None:
    code, seconds = ended("deaf", signal.SIGINT, signal.SIGINT)
    assert code == 130 and seconds < 1.8
