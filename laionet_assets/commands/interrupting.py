"""How a command ends when it is told to: by Ctrl-C or TERM, within seconds, wherever it was started.

Dagster takes signals itself while it works, and looks at them between steps alone; a library in C does not look at all.
So the command is given a few seconds to end by itself, and then ends. Nothing is lost by that: what was published
stands, and finished chunks of unfinished work are kept.
"""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

GRACE_SECONDS = 5.0
INTERRUPTED = "laionet: interrupted; what was published stands, run again to go on"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_received: list[int] = []
"""The first signal that came while this process was guarded."""


def heed_signals() -> None:
    """INT and TERM end this process as they do in a terminal, though a script that starts it in the background has it
    ignore INT.
    """
    for each in _SIGNALS:
        signal.signal(each, _interrupt)


def is_told_to_end() -> bool:
    """Whether such a signal came while the process was guarded: Dagster may have taken it."""
    return bool(_received)


def exit_code() -> int:
    """The exit code of a command that was interrupted: 130 for Ctrl-C, 143 for TERM."""
    return 128 + (_received[0] if _received else signal.SIGINT)


@contextmanager
def guarded() -> Iterator[None]:
    """Within the block, INT and TERM end the process, at the latest GRACE_SECONDS after the first of them."""
    heed_signals()
    _received.clear()
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader,), name="signals", daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        writer.close()


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    _note(number)
    raise KeyboardInterrupt


def _note(number: int) -> None:
    """Remember the first signal: told by its handler, unless Dagster has put another in its place, and by the watch."""
    if not _received:
        _received.append(number)


def _watch(reader: socket.socket) -> None:
    """Wait for signals; end the process when its time is over, or at once when it is told a second time."""
    deadline, told = None, 0
    with suppress(OSError), reader:
        while True:
            reader.settimeout(None if deadline is None else max(0.0, deadline - time.monotonic()))
            try:
                numbers = reader.recv(64)
            except TimeoutError:
                break
            if not numbers:  # the block is over
                return
            for number in (each for each in numbers if each in _SIGNALS):
                _note(number)
                told += 1
            if told > 1:
                break
            if told and deadline is None:
                deadline = time.monotonic() + GRACE_SECONDS
    print(INTERRUPTED, file=sys.stderr, flush=True)
    os._exit(exit_code())
