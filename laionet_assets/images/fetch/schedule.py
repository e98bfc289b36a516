"""Whose turn it is: fair turns over hosts, within each host's limits.

Belongs here: queues, slots, intervals and waits. Does not belong here: what a job does, and how many jobs run at once
over all hosts (that is how many takers there are).

Hosts take turns of up to `TURN` jobs, so that a connection is used again while it is warm; a host that is busy, paused
or resting between two requests stands aside and holds up no other.
"""

import asyncio
import heapq
import itertools
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

TURN = 16
"""Jobs of a host before the next host has its turn."""

Job = TypeVar("Job")


@dataclass(slots=True)
class _Host(Generic[Job]):
    name: str
    interval: float
    jobs: deque[Job] = field(default_factory=deque)
    active: int = 0
    not_before: float = 0.0
    turns: int = 0
    is_listed: bool = False
    """In the ring, or in the heap of those who wait for a time."""


class HostQueues(Generic[Job]):
    """Jobs by host. All times are seconds of one monotonic clock, given by the caller."""

    def __init__(self, *, per_host: int, min_interval: float) -> None:
        self._per_host = per_host
        self._min_interval = min_interval
        self._hosts: dict[str, _Host[Job]] = {}
        self._ring: deque[_Host[Job]] = deque()
        self._resting: list[tuple[float, int, _Host[Job]]] = []
        self._later: list[tuple[float, int, str, Job]] = []
        self._order = itertools.count()

    def add(self, name: str, job: Job, *, now: float, first: bool = False) -> None:
        """Queue a job of a host, behind its others; or before them, and let the host have the next turn."""
        host = self._host(name)
        if first:
            host.jobs.appendleft(job)
            host.turns = max(host.turns, 1)
        else:
            host.jobs.append(job)
        self._list(host, now)

    def add_later(self, name: str, job: Job, *, at: float) -> None:
        """Queue a job of a host at a time to come, then before its others."""
        heapq.heappush(self._later, (at, next(self._order), name, job))

    def pause(self, name: str, *, until: float) -> None:
        """Let no job of a host begin before a time. The host must have a slot taken."""
        host = self._hosts[name]
        host.not_before = max(host.not_before, until)

    def slow_down(self, name: str, interval: float) -> None:
        """Keep this time between two beginnings at a host, the least interval at least; it must have a slot taken."""
        self._hosts[name].interval = max(self._min_interval, interval)

    def pop(self, now: float) -> tuple[str, Job] | None:
        """The next job that may begin, with its host; a slot of the host is taken until `release`.

        The host stands aside until `begin` says that its job really asks something, or `release` that it is done.
        """
        self._come_due(now)
        while self._ring:
            host = self._ring.popleft()
            host.is_listed = False
            if host.not_before > now:
                self._list(host, now)
                continue
            host.active += 1
            host.turns = host.turns or TURN
            return host.name, host.jobs.popleft()
        return None

    def begin(self, name: str, *, now: float) -> None:
        """A popped job asks its host something now: the host rests for its interval."""
        host = self._hosts[name]
        host.turns -= 1
        host.not_before = now + host.interval
        self._list(host, now)

    def release(self, name: str, *, now: float) -> None:
        """Give back a slot that `pop` took."""
        host = self._hosts[name]
        host.active -= 1
        self._list(host, now)

    def wake_at(self) -> float | None:
        """The next time at which a job that waits for a time may begin, if any does."""
        heads = [heap[0][0] for heap in (self._resting, self._later) if heap]
        return min(heads, default=None)

    def has_ready(self) -> bool:
        return bool(self._ring)

    def stays(self, name: str) -> bool:
        """Whether the host's next job follows soon, so that its connection is worth keeping."""
        host = self._hosts.get(name)
        if host is None or not host.jobs:
            return False
        return host.turns > 0 or not self._ring or (len(self._ring) == 1 and self._ring[0] is host)

    def _host(self, name: str) -> _Host[Job]:
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = _Host(name, self._min_interval)
        return host

    def _come_due(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            _, _, name, job = heapq.heappop(self._later)
            self.add(name, job, now=now, first=True)
        while self._resting and self._resting[0][0] <= now:
            host = heapq.heappop(self._resting)[2]
            host.is_listed = False
            self._list(host, now)

    def _list(self, host: _Host[Job], now: float) -> None:
        """Put a host where it belongs now: the ring, the heap, aside until a slot is free, or out of memory."""
        if host.is_listed or host.active >= self._per_host:
            return
        if host.not_before > now and (host.jobs or host.active == 0):
            heapq.heappush(self._resting, (host.not_before, next(self._order), host))
            host.is_listed = True
        elif host.jobs:
            if host.turns > 0:
                self._ring.appendleft(host)
            else:
                self._ring.append(host)
            host.is_listed = True
        elif host.active == 0:
            del self._hosts[host.name]


class Schedule(Generic[Job]):
    """`HostQueues` for the takers of one event loop."""

    def __init__(self, *, per_host: int, min_interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._queues: HostQueues[Job] = HostQueues(per_host=per_host, min_interval=min_interval)
        self._clock = clock
        self._takers: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._is_closed = False

    async def take(self) -> tuple[str, Job] | None:
        """The next job with its host, as soon as one may begin; None once closed."""
        while not self._is_closed:
            if (taken := self._queues.pop(self._clock())) is not None:
                self._wake()
                return taken
            taker = asyncio.get_running_loop().create_future()
            self._takers.append(taker)
            self._set_timer()
            await taker
        return None

    def add(self, host: str, job: Job, *, first: bool = False) -> None:
        self._queues.add(host, job, now=self._clock(), first=first)
        self._wake()

    def begin(self, host: str) -> None:
        self._queues.begin(host, now=self._clock())
        self._wake()

    def add_later(self, host: str, job: Job, *, delay: float) -> None:
        self._queues.add_later(host, job, at=self._clock() + delay)
        self._set_timer()

    def release(self, host: str) -> None:
        self._queues.release(host, now=self._clock())
        self._wake()

    def pause(self, host: str, *, seconds: float) -> None:
        self._queues.pause(host, until=self._clock() + seconds)

    def slow_down(self, host: str, interval: float) -> None:
        self._queues.slow_down(host, interval)

    def stays(self, host: str) -> bool:
        return self._queues.stays(host)

    def close(self) -> None:
        """Let every taker go."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        while self._takers:
            self._wake_one()

    def _wake(self) -> None:
        if self._takers and self._queues.has_ready():
            self._wake_one()
        elif self._takers:
            self._set_timer()

    def _wake_one(self) -> None:
        taker = self._takers.popleft()
        if not taker.done():
            taker.set_result(None)

    def _set_timer(self) -> None:
        at = self._queues.wake_at()
        if at is None or self._is_closed or (self._timer is not None and self._timer_at <= at):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = asyncio.get_running_loop().call_later(max(at - self._clock(), 0.0), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._takers:
            self._wake_one()
