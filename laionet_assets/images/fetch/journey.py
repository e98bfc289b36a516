"""A job's way: from its queue through robots.txt, the exchange, redirects and retries to its last answer.

Belongs here: the order of these steps, and what is asked of hosts that are busy, silent or closed. Does not belong
here: each of the steps, verification of bodies, outcomes (`run`).

A job is never in two places: it waits in its host's queue, it has a worker, or it waits for its origin's robots.txt. A
redirect or a retry puts it back in a queue, so that it counts against the limits of the host that it asks next.
robots.txt is a job like any other.
"""

import asyncio
import time
from concurrent.futures import Executor
from datetime import UTC, datetime
from functools import partial

from laionet_assets.images.fetch.address import AddressPolicy
from laionet_assets.images.fetch.blocklist import listed_hash
from laionet_assets.images.fetch.exchange import Answer, Client
from laionet_assets.images.fetch.hosts import Closure, HostRecords
from laionet_assets.images.fetch.job import Job
from laionet_assets.images.fetch.outcomes import ErrorClass, FetchRequest
from laionet_assets.images.fetch.policy import FetchPolicy
from laionet_assets.images.fetch.robots import RobotsCache, RobotsRules, parse_robots
from laionet_assets.images.fetch.schedule import Schedule
from laionet_assets.images.fetch.urls import BadUrl, host_of, parse_url

_ROBOTS_REDIRECTS = 5
_LONG_ROBOTS_BYTES = 16 * 2**10
"""A longer robots.txt is parsed in a thread, so that it holds nobody up: 500 KiB take 0.2 s."""
_UNREACHABLE = frozenset(
    {
        ErrorClass.CONNECT,
        ErrorClass.DNS,
        ErrorClass.DNS_TEMPORARY,
        ErrorClass.FORBIDDEN_ADDRESS,
        ErrorClass.TIMEOUT,
        ErrorClass.TLS,
    }
)
"""What says that the pictures of a host cannot be had either."""
_ROBOTS_ERROR_SECONDS = 600.0
"""How long an origin whose robots.txt could not be had is not asked for it again."""


class Journey:
    """Moves jobs. Used within one event loop; `readers` are threads of its own, which read long robots.txt."""

    def __init__(
        self,
        policy: FetchPolicy,
        *,
        addresses: AddressPolicy,
        client: Client,
        schedule: Schedule[Job],
        readers: Executor,
    ) -> None:
        self._readers = readers
        self._policy = policy
        self._addresses = addresses
        self._client = client
        self._schedule = schedule
        self._hosts = HostRecords(
            max_failures=policy.host_failures, max_refusals=policy.host_refusals, pause=policy.host_pause
        )
        self._robots = RobotsCache()
        self._waiting: dict[str, list[Job]] = {}
        """Jobs that wait for the robots.txt of an origin."""

    def start(self, request: FetchRequest) -> tuple[Job, Answer | None]:
        """Put a request in its host's queue; its last answer if it must not be asked."""
        job = Job(request)
        if (listed := listed_hash(request.url, self._policy.blocked_url_hashes)) is not None:
            return job, _blocked(listed)
        try:
            job.start = job.url = parse_url(request.url)
        except BadUrl as error:
            return job, Answer(ErrorClass.BAD_URL, str(error))
        return job, self._enqueue(job)

    async def turn(self, host: str, job: Job) -> Answer | None:
        """Give a job its turn at a host: its last answer, or None if it went back to a queue.

        The slot that the job has at the host is released as soon as nothing is asked of it any more.
        """
        is_refused = True
        try:
            answer = self._refuse(host, job)
            if answer is None:
                if self._await_robots(job):
                    return None
                is_refused = False
                answer = await self._ask(host, job)
        finally:
            self._schedule.release(host)
        if answer.location is not None:
            answer = self._follow(job, answer)
        elif not is_refused and self._may_retry(job, answer):
            delay = max(answer.retry_after or 0.0, job.backoff(self._policy))
            job.restart()
            self._schedule.add_later(host_of(job.at), job, delay=delay)
            return None
        if answer is not None and job.request is None:
            await self._settle_robots(job, answer)
            return None
        return answer

    def _enqueue(self, job: Job, *, first: bool = False) -> Answer | None:
        """Put a job in the queue of the host it asks next; an answer instead if it must not ask that URL."""
        if job.request is not None:
            listed = listed_hash(str(job.url), self._policy.blocked_url_hashes)
            if listed is not None:
                return _blocked(listed)
        if (refusal := self._addresses.refusal(job.at)) is not None:
            return Answer(ErrorClass.FORBIDDEN_ADDRESS, refusal)
        self._schedule.add(host_of(job.at), job, first=first)
        return None

    def _refuse(self, host: str, job: Job) -> Answer | None:
        """Why a job must not ask although it has its turn, or None."""
        now = time.monotonic()
        if (closure := self._hosts.closure(host, now=now)) is not None:
            job.tries = max(job.tries, 1)
            return Answer(closure.error, closure.detail, retry_after=closure.until - now)
        if (rules := self._rules(job)) is None:
            return None
        if rules.error is not None:
            job.tries = max(job.tries, 1)
            return Answer(rules.error, rules.detail, rules.http_status)
        if not rules.allows(job.at, self._policy.product):
            return Answer(ErrorClass.OPTED_OUT, "robots.txt")
        self._schedule.slow_down(host, min(rules.crawl_delay(self._policy.product), self._policy.crawl_delay_cap))
        return None

    def _rules(self, job: Job) -> RobotsRules | None:
        """The rules of the origin that a job asks next; None if they are not known, or do not matter to it."""
        if job.request is None or not self._policy.robots:
            return None
        origin = str(job.at.origin())
        if job.robots is not None and job.robots[0] == origin:
            return job.robots[1]
        return self._robots.get(origin, now=time.monotonic())

    def _await_robots(self, job: Job) -> bool:
        """Let a job wait for its origin's robots.txt if that is not known yet; it is asked for once."""
        if job.request is None or not self._policy.robots or self._rules(job) is not None:
            return False
        origin = job.at.origin()
        waiting = self._waiting.setdefault(str(origin), [])
        waiting.append(job)
        if len(waiting) == 1:
            url = origin / "robots.txt"
            self._schedule.add(host_of(url), Job(None, url, url), first=True)
        return True

    async def _ask(self, host: str, job: Job) -> Answer:
        seconds = self._policy.total_timeout - job.attempt_seconds
        if seconds <= 0:
            return Answer(ErrorClass.TIMEOUT, "over the time limit")
        if not job.redirects:
            job.tries += 1
        job.started_at = job.started_at or datetime.now(UTC)
        self._schedule.begin(host)
        began = time.monotonic()
        if job.request is None:
            answer = await self._client.ask_robots(job.at, seconds=seconds)
        else:
            answer = await self._client.ask(job.at, seconds=seconds, keep_alive=self._schedule.stays(host))
        now = time.monotonic()
        job.attempt_seconds += now - began
        job.seconds += now - began
        self._hosts.record(host, answer.error, asked_at=began, now=now)
        self._give_way(host, job, answer)
        return answer

    def _give_way(self, host: str, job: Job, answer: Answer) -> None:
        """Leave a host alone that says it is busy: within the run for a while, or until a later run."""
        wait, now = answer.retry_after, time.monotonic()
        if (wait is None and answer.http_status != 429) or self._hosts.closure(host, now=now) is not None:
            return
        if answer.error is not None and wait is not None and wait > self._policy.retry_after_cap:
            self._hosts.close(host, Closure(answer.error, "host asked to be left alone until later", now + wait))
        else:
            self._schedule.pause(host, seconds=max(wait or 0.0, job.backoff(self._policy)))

    def _may_retry(self, job: Job, answer: Answer) -> bool:
        if answer.error is None or not answer.error.is_transient or job.tries > self._policy.retries:
            return False
        return self._hosts.closure(host_of(job.at), now=time.monotonic()) is None

    def _follow(self, job: Job, answer: Answer) -> Answer | None:
        """Send a job where a redirect leads; an answer instead if it must not go there."""
        limit = self._policy.max_redirects if job.request is not None else _ROBOTS_REDIRECTS
        try:
            url = parse_url(answer.location or "", base=job.url)
        except BadUrl as error:
            return Answer(ErrorClass.BAD_URL, f"redirect: {error}", answer.http_status)
        job.seen = (*job.seen, job.at)
        if url in job.seen or job.redirects >= limit:
            detail = "loop" if url in job.seen else None
            return Answer(ErrorClass.TOO_MANY_REDIRECTS, detail, answer.http_status)
        job.redirects += 1
        job.url = url
        return self._enqueue(job, first=True)

    async def _settle_robots(self, job: Job, answer: Answer) -> None:
        """Note what an origin's robots.txt says, and let those that waited for it go on."""
        assert job.start is not None, "robots.txt of an origin"
        origin = str(job.start.origin())
        read = partial(robots_rules, answer, product=self._policy.product, is_redirected=job.redirects > 0)
        is_long = answer.body is not None and len(answer.body) > _LONG_ROBOTS_BYTES
        rules = await asyncio.get_running_loop().run_in_executor(self._readers, read) if is_long else read()
        ttl = self._policy.robots_ttl if rules.error is None else min(self._policy.robots_ttl, _ROBOTS_ERROR_SECONDS)
        self._robots.put(origin, rules, until=time.monotonic() + ttl)
        for waiting in reversed(self._waiting.pop(origin)):
            waiting.robots = (origin, rules)
            self._schedule.add(host_of(waiting.at), waiting, first=True)


def robots_rules(answer: Answer, *, product: str, is_redirected: bool = False) -> RobotsRules:
    """What the last answer to a request for robots.txt means (RFC 9309, 2.3.1).

    No file (4xx) or too many redirects: all is allowed. A busy or broken server, or a redirect to one that cannot be
    had: nothing is, until robots.txt can be read. A host that cannot be reached itself: nothing is, and the rules carry
    why.
    """
    match answer.error:
        case None:
            return parse_robots(answer.body or b"", product)
        case ErrorClass.HTTP_404 | ErrorClass.HTTP_4XX | ErrorClass.TOO_MANY_REDIRECTS:
            return RobotsRules()
        case error if error in _UNREACHABLE and not is_redirected:
            return RobotsRules(error=error, detail=f"robots.txt: {answer.detail}")
        case error:
            what = "redirected" if is_redirected else answer.detail or error.value
            return RobotsRules(error=ErrorClass.ROBOTS_UNAVAILABLE, detail=what, http_status=answer.http_status)


def _blocked(listed: str) -> Answer:
    return Answer(ErrorClass.BLOCKED, "URL", blocked_hash=listed)
