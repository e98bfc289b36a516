"""A fetch: requests in, one outcome for each out, as they finish.

Belongs here: feeding, workers, progress, and the bounds of memory: at most `lookahead` requests
are held that have no outcome yet or whose outcome nobody took, and at most `concurrency` bodies. Does not belong here:
what happens to a request before it has a body (`journey`) and to a
body (`verification`).
"""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Sized
from concurrent.futures import ThreadPoolExecutor

from laionet_assets.images.fetch.address import AddressPolicy, Lookup, system_lookup
from laionet_assets.images.fetch.exchange import Client, open_client
from laionet_assets.images.fetch.job import Job
from laionet_assets.images.fetch.journey import Journey
from laionet_assets.images.fetch.outcomes import FetchOutcome, FetchRequest
from laionet_assets.images.fetch.policy import FetchPolicy
from laionet_assets.images.fetch.progress import FetchProgress, ProgressMeter
from laionet_assets.images.fetch.schedule import Schedule
from laionet_assets.images.fetch.verification import Sink, Verification

Requests = Iterable[FetchRequest] | AsyncIterable[FetchRequest]
Progress = Callable[[FetchProgress], None]
"""Called about once a second and at the end, by the fetching thread."""

_PROGRESS_SECONDS = 1.0
_FEED_BATCH = 256
_ROBOTS_THREADS = 1
"""They read in Python: more would take turns."""


def fetch(
    requests: Iterable[FetchRequest],
    policy: FetchPolicy,
    *,
    sink: Sink | None = None,
    progress: Progress | None = None,
    total: int | None = None,
    lookup: Lookup = system_lookup,
) -> Generator[FetchOutcome, None, None]:
    """`fetch_all` for code that is not asynchronous. It runs in a thread of its own until the iterator ends or closes.

    `requests` is iterated in that thread, as far ahead as `policy.lookahead`.
    """
    run = _Run(policy, sink=sink, progress=progress, total=total, lookup=lookup)
    background = _Background(run.batches(requests))
    try:
        while (batch := background.next_batch()) is not None:
            yield from batch
    finally:
        background.stop()


async def fetch_all(
    requests: Requests,
    policy: FetchPolicy,
    *,
    sink: Sink | None = None,
    progress: Progress | None = None,
    total: int | None = None,
    lookup: Lookup = system_lookup,
) -> AsyncGenerator[FetchOutcome, None]:
    """Fetch images under a policy: exactly one outcome for every request, in the order in which they finish.

    Memory does not grow with the number of requests. Bytes of successes go to `sink` alone; what `sink` raises ends the
    fetch. `total` is the number of requests for `progress`, where `requests` has no length. `lookup` resolves names.
    Stopping early (closing the iterator) drops requests that are under way; they have had no outcome.
    """
    run = _Run(policy, sink=sink, progress=progress, total=total, lookup=lookup)
    async with contextlib.aclosing(run.batches(requests)) as batches:
        async for batch in batches:
            for outcome in batch:
                yield outcome


class _Run:
    """One fetch from its first request to its last outcome."""

    def __init__(
        self,
        policy: FetchPolicy,
        *,
        sink: Sink | None,
        progress: Progress | None,
        total: int | None,
        lookup: Lookup,
    ) -> None:
        self._policy = policy
        self._sink = sink
        self._progress = progress
        self._total = total
        self._lookup = lookup
        self._schedule: Schedule[Job] = Schedule(per_host=policy.per_host, min_interval=policy.min_interval)
        self._done: list[FetchOutcome] = []
        self._unfinished = 0
        self._is_fed = False
        self._has_done = asyncio.Event()
        self._has_room = asyncio.Event()

    async def batches(self, requests: Requests) -> AsyncGenerator[list[FetchOutcome], None]:
        """Outcomes as they finish, in lists that are never empty."""
        if self._total is None and isinstance(requests, Sized):
            self._total = len(requests)
        self._meter = ProgressMeter(total=self._total, now=time.monotonic())
        main = asyncio.create_task(self._main(requests))
        main.add_done_callback(lambda _: self._has_done.set())
        try:
            while not main.done() or self._done:
                await self._has_done.wait()
                self._has_done.clear()
                if self._done:
                    batch, self._done = self._done, []
                    self._has_room.set()
                    yield batch
            await main
        finally:
            main.cancel()
            await asyncio.gather(main, return_exceptions=True)

    async def _main(self, requests: Requests) -> None:
        policy = self._policy
        addresses = AddressPolicy(
            allowed_private=policy.allowed_private,
            allow_hosts=policy.allow_hosts,
            allowed_ports=policy.allowed_ports,
        )
        verification = Verification(policy, sink=self._sink, requests=self._total)
        readers = ThreadPoolExecutor(_ROBOTS_THREADS, thread_name_prefix="fetch-robots")
        try:
            async with open_client(policy, addresses, lookup=self._lookup) as client, asyncio.TaskGroup() as tasks:
                journey = Journey(policy, addresses=addresses, client=client, schedule=self._schedule, readers=readers)
                reporter = tasks.create_task(self._report())
                tasks.create_task(self._feed(journey, requests))
                workers = [
                    tasks.create_task(self._work(journey, client, verification)) for _ in range(policy.concurrency)
                ]
                await asyncio.wait(workers)
                reporter.cancel()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            readers.shutdown(wait=False, cancel_futures=True)
            verification.close()
        self._report_now()

    async def _report(self) -> None:
        while self._progress is not None:
            await asyncio.sleep(_PROGRESS_SECONDS)
            self._report_now()

    def _report_now(self) -> None:
        if self._progress is not None:
            self._progress(self._meter.read(time.monotonic()))

    async def _feed(self, journey: Journey, requests: Requests) -> None:
        async for request in _breathing(requests):
            while self._unfinished + len(self._done) >= self._policy.lookahead:
                self._has_room.clear()
                await self._has_room.wait()
            self._unfinished += 1
            job, answer = journey.start(request)
            if answer is not None:
                self._deliver(job.outcome(answer, self._policy))
        self._is_fed = True
        self._close_if_finished()

    async def _work(self, journey: Journey, client: Client, verification: Verification) -> None:
        while (taken := await self._schedule.take()) is not None:
            host, job = taken
            answer = await journey.turn(host, job)
            if answer is None:
                continue
            if answer.body is None:
                self._deliver(job.outcome(answer, self._policy))
                continue
            try:
                outcome = await verification.outcome(job, answer)
            finally:
                client.forget(answer)
            self._deliver(outcome)

    def _deliver(self, outcome: FetchOutcome) -> None:
        self._done.append(outcome)
        self._has_done.set()
        self._meter.count(outcome.status, outcome.size_bytes)
        self._unfinished -= 1
        self._close_if_finished()

    def _close_if_finished(self) -> None:
        if self._is_fed and not self._unfinished:
            self._schedule.close()


class _Background:
    """Batches made by an event loop in a thread of its own, at most one ahead of the caller."""

    def __init__(self, batches: AsyncGenerator[list[FetchOutcome], None]) -> None:
        self._batches = batches
        self._ready: queue.SimpleQueue[list[FetchOutcome] | None] = queue.SimpleQueue()
        self._failure: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._main = self._loop.create_task(self._pump())
        self._is_taken = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="fetch", daemon=True)
        self._thread.start()

    def next_batch(self) -> list[FetchOutcome] | None:
        """The next batch as soon as there is one; None at the end. Raises what ended the fetch."""
        batch = self._ready.get()
        if batch is None:
            if self._failure is not None:
                raise self._failure
            return None
        self._loop.call_soon_threadsafe(self._is_taken.set)
        return batch

    def stop(self) -> None:
        """End the fetch wherever it is, and wait for its end."""
        with contextlib.suppress(RuntimeError):  # the loop has closed by itself
            self._loop.call_soon_threadsafe(self._main.cancel)
        self._thread.join()

    async def _pump(self) -> None:
        async with contextlib.aclosing(self._batches) as batches:
            async for batch in batches:
                self._ready.put(batch)
                await self._is_taken.wait()
                self._is_taken.clear()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._main)
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self._failure = error
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()
            self._ready.put(None)


async def _breathing(requests: Requests) -> AsyncIterator[FetchRequest]:
    """The requests of either kind of iterable; a synchronous one lets other tasks run now and then."""
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield request
        return
    for number, request in enumerate(requests):
        if number % _FEED_BATCH == 0:
            await asyncio.sleep(0)
        yield request
