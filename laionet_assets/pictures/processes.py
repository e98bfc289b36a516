"""Processes that look at pictures, each for one thread: Python's lock is not shared, and what a decoder does to its
process costs one picture.

    this process                                           a process (`python -m laionet_assets.pictures.processes`)
    contents of a batch                    -- socket -->   a function of each content
    views of the arrays, without a copy    <-- memory --   arrays in what it gives, one after another
    everything else                        <-- socket --

The memory belongs to no file, so that nothing is left of it. A thread asks again when it is done with what it was
given: then the memory is written anew. A process ends when its socket closes or its parent is gone, however that came
about.
"""

import contextlib
import mmap
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

R = TypeVar("R")

WORTH_FROM_CORES = 4
"""Measured: 4 threads decode 85% of what 4 processes do, 16 threads 37% of what 16 do. A process costs its start."""

_PATIENCE_SECONDS = 600.0
"""For one batch, or a start: a process that takes longer has lost its way."""
_MOST_BYTES = 2**30
"""Of arrays in shared memory; what is beyond comes through the socket."""
_ALIGNMENT = 64
_CLOSED = "the processes that decode pictures are closed"
_PARENT_SECONDS = 1.0


def are_worth_it(workers: int) -> bool:
    """Whether so many workers decode in processes: the rule wherever pictures go through models."""
    return workers >= WORTH_FROM_CORES


class _Ended(Exception):
    """A process is not there any more; the message says how it ended."""


class Processes(Generic[R]):
    """A function of contents of pictures, in processes that are started as threads ask for the first time, one for
    each.

    `function` is sent to them. Where a process ends over a picture, `crashed` makes a result of how it ended, and `log`
    is told. Raises TypeError where the function cannot be sent.
    """

    def __init__(
        self,
        function: Callable[[Any], R],
        *,
        crashed: Callable[[str], R],
        log: Callable[[str], None] = lambda text: None,
    ) -> None:
        try:
            self._function = pickle.dumps(function)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise TypeError(f"what is to be done with pictures cannot be sent to another process: {error}") from error
        self._crashed = crashed
        self._log = log
        self._own = threading.local()
        self._all: list[_Process] = []
        self._lock = threading.Lock()
        self._is_closed = False

    def map(self, contents: Sequence[Any]) -> list[R]:
        """The function of each content; arrays in what it gives are good until this thread asks again.

        If the process ends over the batch, each of its pictures is tried alone. Raises RuntimeError where no process
        can be started.
        """
        try:
            found: list[R] = self._process().ask(contents)
            return found
        except _Ended as error:
            self._tell(f"a process that decodes pictures {error}, over {len(contents)} pictures: each is tried alone")
        return [self._alone(content) for content in contents]

    def close(self) -> None:
        """End all processes at once; threads that wait for one get an exception."""
        with self._lock:
            self._is_closed = True
            for process in self._all:
                process.end()

    def _alone(self, content: Any) -> R:
        try:
            found: list[R] = self._process().ask([content], is_lasting=True)
            return found[0]
        except _Ended as error:
            self._tell(f"a process that decodes pictures {error}, over one picture alone: it is refused")
            return self._crashed(f"the process that decoded it {error}")

    def _process(self) -> "_Process":
        """The process of the thread that asks, a new one if there is none any more."""
        process: _Process | None = getattr(self._own, "process", None)
        if process is not None and process.is_there:
            return process
        with self._lock:
            if self._is_closed:
                raise RuntimeError(_CLOSED)
            process = self._own.process = _Process(self._function)
            self._all = [*(each for each in self._all if each.is_there), process]
        try:
            process.greet()
        except RuntimeError:
            if self._is_closed:
                raise RuntimeError(_CLOSED) from None
            raise
        return process

    def _tell(self, text: str) -> None:
        if not self._is_closed:
            self._log(text)


class _Process:
    """One process: its socket, its memory."""

    def __init__(self, function: bytes) -> None:
        ours, theirs = socket.socketpair()
        self._file = _anonymous_file()
        self._memory: mmap.mmap | None = None
        with theirs:
            self._popen = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(theirs.fileno()), str(self._file)],
                pass_fds=(theirs.fileno(), self._file),
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"},
            )
        self._connection = Connection(ours.detach())
        self._function = function
        self._ending = threading.Lock()
        self.is_there = True

    def greet(self) -> None:
        """Wait until it is ready. Raises RuntimeError if it does not come to that."""
        try:
            self._send(self._function)
            if (fault := self._receive()) is not None:
                raise _Ended(f"could not begin: {fault}")
        except _Ended as error:
            self.end()
            raise RuntimeError(f"no process that decodes pictures can be started: it {error}") from error

    def ask(self, contents: Sequence[Any], *, is_lasting: bool = False) -> Any:
        """What the function makes of each; with `is_lasting`, nothing of it is in shared memory. Raises _Ended if it
        ends before it answers.
        """
        self._send(pickle.dumps((list(contents), is_lasting)))
        answer, places, size = self._receive()
        if places and (self._memory is None or size > len(self._memory)):
            self._memory = mmap.mmap(self._file, size)
        views = [memoryview(self._memory)[start:end] for start, end in places] if self._memory is not None else []
        return pickle.loads(answer, buffers=views)

    def end(self) -> None:
        """Kill it, and wait for that: it keeps nothing."""
        with self._ending:
            if self.is_there:
                self.is_there = False
                self._popen.kill()
                self._popen.wait()
                os.close(self._file)

    def _send(self, message: bytes) -> None:
        try:
            self._connection.send_bytes(message)
        except OSError as error:
            raise self._ended() from error

    def _receive(self) -> Any:
        try:
            if not self._connection.poll(_PATIENCE_SECONDS):
                self.end()
                raise _Ended(f"took more than {_PATIENCE_SECONDS:.0f} s")
            return self._connection.recv()
        except (EOFError, OSError) as error:
            raise self._ended() from error

    def _ended(self) -> _Ended:
        with contextlib.suppress(subprocess.TimeoutExpired):  # its socket closes a moment before it is gone
            self._popen.wait(_PARENT_SECONDS)
        self.end()
        code = self._popen.returncode
        return _Ended(f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}")


def _anonymous_file() -> int:
    """A file in memory that nobody else sees, and that is gone with the last who has it open."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("laionet-pictures")
    with tempfile.TemporaryFile() as file:  # not Linux
        return os.dup(file.fileno())


def _serve(connection: Connection, file: int) -> None:
    """Answer until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to decide on
    threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True).start()
    try:
        function = pickle.loads(connection.recv_bytes())
    except Exception as error:
        connection.send(f"{type(error).__name__}: {error}")
        return
    connection.send(None)
    memory = _Memory(file)
    while True:
        contents, is_lasting = pickle.loads(connection.recv_bytes())
        found = [function(content) for content in contents]
        memory.begin()
        answer = pickle.dumps(found, protocol=5, buffer_callback=None if is_lasting else memory.put)
        connection.send((answer, memory.places, memory.size))


class _Memory:
    """The shared memory as it is written: it grows to what the largest batch needed."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._map: mmap.mmap | None = None
        self.size = 0
        self.places: list[tuple[int, int]] = []
        """Where the arrays of an answer lie, in their order."""
        self._used = 0

    def begin(self) -> None:
        """Write over what is there."""
        self.places, self._used = [], 0

    def put(self, buffer: pickle.PickleBuffer) -> bool:
        """Take the bytes of an array; true if they are to be sent instead, because they are too many."""
        raw = buffer.raw()
        end = self._used + raw.nbytes
        if end > _MOST_BYTES:
            return True
        if end > self.size:
            self.size = -(-max(end, 2 * self.size) // mmap.PAGESIZE) * mmap.PAGESIZE
            os.ftruncate(self._file, self.size)
            self._map = mmap.mmap(self._file, self.size)
        if self._map is not None:
            self._map[self._used : end] = raw
        self.places.append((self._used, end))
        self._used = -(-end // _ALIGNMENT) * _ALIGNMENT
        return False


def _leave_with(parent: int) -> None:
    """End this process when its parent is gone, whatever it is at."""
    while os.getppid() == parent:
        time.sleep(_PARENT_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    from laionet_assets.pictures import processes

    try:
        processes._serve(Connection(int(sys.argv[1])), int(sys.argv[2]))
    except (EOFError, OSError):  # the parent is done, or gone
        sys.exit(0)
