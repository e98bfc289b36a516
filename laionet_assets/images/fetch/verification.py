"""Bodies to outcomes: judged in threads, a few at a time; good ones go to the sink.

Belongs here: the way from the event loop to the threads and back, and the processes that decode. Does not belong here:
what is looked at (`pictures.inspection`), what an outcome is made of (`job`).

The event loop gives up Python's lock with every system call, and has to wait for it while a thread decodes: with two
threads that decode, three quarters of the loop's time. So each thread has a process that decodes for it, wherever
there is enough to do to pay for its start; and bodies go there and back several at a time.
"""

import asyncio
import hashlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from laionet_assets.images.fetch.blocklist import listed_hash
from laionet_assets.images.fetch.exchange import Answer
from laionet_assets.images.fetch.job import Job
from laionet_assets.images.fetch.outcomes import ErrorClass, FetchOutcome
from laionet_assets.images.fetch.policy import FetchPolicy
from laionet_assets.pictures.formats import sniff
from laionet_assets.pictures.inspection import Inspection, hash_and_inspect
from laionet_assets.pictures.processes import Processes

Sink = Callable[[FetchOutcome, bytes], None]
"""Takes the bytes of a success, before its outcome is handed out. Called by one thread at a time, not the caller's."""

REQUESTS_A_PROCESS = 1_000
"""Requests that pay for the start of a process, a third of a second."""
_MOST_THREADS_ALONE = 2
"""Threads that decode themselves: more of them keep the event loop from its work."""
_BATCH, _BATCH_BYTES = 16, 2**20
"""Bodies that go to a process at once, and their bytes together: a large one goes alone."""

_Seen = tuple[str, Inspection]
"""sha256 and what the bytes are."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Crashed:
    """The process that decoded a body ended over it."""

    reason: str


@dataclass(frozen=True)
class _Waiting:
    """A body that waits to be judged, and who waits for its outcome."""

    job: Job
    answer: Answer
    outcome: "asyncio.Future[FetchOutcome]"

    @property
    def body(self) -> bytes:
        return self.answer.body or b""


class Verification:
    """Judges bodies. Used within one event loop, and closed there.

    There are at most `verify_threads` threads, each with its process; fewer for few `requests` (None: they are not
    counted), and no processes for fewer than a thousand, or for one thread. A body that ends its process is refused as
    one that cannot be decoded.
    """

    def __init__(self, policy: FetchPolicy, *, sink: Sink | None, requests: int | None) -> None:
        self._policy = policy
        self._sink = sink
        self._sink_lock = threading.Lock()
        most = policy.verify_threads
        processes = most if requests is None else min(most, requests // REQUESTS_A_PROCESS)
        processes = processes if most > 1 else 0  # on one core a process would only take turns with this one
        self._most_threads = processes or min(most, _MOST_THREADS_ALONE)
        self._threads = ThreadPoolExecutor(self._most_threads, thread_name_prefix="fetch-verify")
        self._look = partial(hash_and_inspect, min_pixels=policy.min_pixels, max_pixels=policy.max_pixels)
        self._processes: Processes[_Seen | _Crashed] | None = (
            Processes(self._look, crashed=_Crashed, log=_log.warning) if processes else None
        )
        self._waiting: deque[_Waiting] = deque()
        self._lock = threading.Lock()
        self._at_work = 0
        self._is_closed = False
        self._loop = asyncio.get_running_loop()

    async def outcome(self, job: Job, answer: Answer) -> FetchOutcome:
        """What came of a job whose answer has a body. Raises what the sink raises."""
        # A copy: the thread goes on with the body where this task is cancelled and the answer loses it.
        waiting = _Waiting(job, replace(answer), self._loop.create_future())
        with self._lock:
            self._waiting.append(waiting)
            is_thread_free = self._at_work < self._most_threads
            self._at_work += is_thread_free
        if is_thread_free:
            self._threads.submit(self._work)
        return await waiting.outcome

    def close(self) -> None:
        """Forget what waits and what is looked at, and end the processes; wait for what the sink has begun with."""
        with self._lock:
            self._is_closed = True
            self._waiting.clear()
        if self._processes is not None:
            self._processes.close()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _work(self) -> None:
        """In a thread: judge bodies as long as there are any."""
        while batch := self._next_batch():
            found: list[FetchOutcome | BaseException] = []
            try:
                for outcome in self._judge(batch):
                    found.append(outcome)
            except BaseException as error:
                found += [error] * (len(batch) - len(found))
            self._loop.call_soon_threadsafe(_settle, batch, found)

    def _next_batch(self) -> list[_Waiting]:
        """Bodies to judge; where there are none, this thread is free."""
        batch: list[_Waiting] = []
        size_bytes = 0
        with self._lock:
            most = min(_BATCH, -(-len(self._waiting) // self._most_threads))
            while self._waiting and len(batch) < most:
                size_bytes += len(self._waiting[0].body)
                if batch and size_bytes > _BATCH_BYTES:
                    break
                batch.append(self._waiting.popleft())
            self._at_work -= not batch
        return batch

    def _judge(self, batch: Sequence[_Waiting]) -> Iterator[FetchOutcome]:
        """The outcome of each; good bodies have gone to the sink."""
        policy = self._policy
        listed = [listed_hash(one.body, policy.blocked_content_hashes) for one in batch]
        seen = iter(self._see([one.body for one, found in zip(batch, listed, strict=True) if found is None]))
        for one, found in zip(batch, listed, strict=True):
            if found is not None:
                status = one.answer.http_status
                yield one.job.outcome(Answer(ErrorClass.BLOCKED, "content", status, blocked_hash=found), policy)
                continue
            sha256, inspection = next(seen)
            one.answer.error = ErrorClass(inspection.error) if inspection.error is not None else None
            one.answer.detail = inspection.detail
            outcome = one.job.outcome(one.answer, policy, sha256=sha256, inspection=inspection)
            if outcome.error_class is None and self._sink is not None:
                with self._sink_lock:
                    self._assert_open()
                    self._sink(outcome, one.body)
            yield outcome

    def _see(self, bodies: Sequence[bytes]) -> list[_Seen]:
        if self._processes is None:
            return [self._look_itself(body) for body in bodies]
        found = self._processes.map(bodies) if bodies else []
        return [
            _refused(body, each.reason) if isinstance(each, _Crashed) else each
            for body, each in zip(bodies, found, strict=True)
        ]

    def _look_itself(self, body: bytes) -> _Seen:
        self._assert_open()
        return self._look(body)

    def _assert_open(self) -> None:
        if self._is_closed:
            raise RuntimeError("the fetch has ended: nothing is judged any more")


def _refused(body: bytes, reason: str) -> _Seen:
    return hashlib.sha256(body).hexdigest(), Inspection(sniff(body), "decode", reason)


def _settle(batch: Sequence[_Waiting], found: Sequence[FetchOutcome | BaseException]) -> None:
    """In the event loop: tell those who still wait."""
    for one, outcome in zip(batch, found, strict=True):
        if one.outcome.done():
            continue
        if isinstance(outcome, BaseException):
            one.outcome.set_exception(outcome)
        else:
            one.outcome.set_result(outcome)
