"""A request on its way: what is known of it so far, and the outcome that is made of it.

Not here: where it goes next (`journey`).
"""

import random
from dataclasses import dataclass
from datetime import UTC, datetime

from yarl import URL

from laionet_assets.images.fetch.exchange import Answer
from laionet_assets.images.fetch.outcomes import FetchOutcome, FetchRequest, next_attempt_at, status_of
from laionet_assets.images.fetch.policy import FetchPolicy
from laionet_assets.images.fetch.robots import RobotsRules
from laionet_assets.images.fetch.urls import host_of
from laionet_assets.pictures.inspection import Inspection


@dataclass(slots=True)
class Job:
    """A request on its way, or (without `request`) the robots.txt of an origin."""

    request: FetchRequest | None
    start: URL | None = None
    url: URL | None = None
    """Where it stands: `start`, or where redirects led. None if the request has no URL that can be asked."""
    redirects: int = 0
    seen: tuple[URL, ...] = ()
    tries: int = 0
    """Attempts in this run."""
    attempt_seconds: float = 0.0
    """Spent on the current attempt."""
    seconds: float = 0.0
    started_at: datetime | None = None
    robots: tuple[str, RobotsRules] | None = None
    """Origin and rules that the job waited for."""

    @property
    def at(self) -> URL:
        """Where it stands, of a job that has a URL that can be asked."""
        assert self.url is not None, "a job without a URL is never in a queue"
        return self.url

    def restart(self) -> None:
        """Go back to the start for another attempt."""
        self.url, self.redirects, self.seen, self.attempt_seconds = self.start, 0, (), 0.0

    def backoff(self, policy: FetchPolicy) -> float:
        """Seconds before the next attempt: exponential, the upper half of it at random but the same in every run."""
        full = min(policy.backoff_cap, policy.backoff_base * 2.0 ** (max(self.tries, 1) - 1))
        key = self.request.id if self.request is not None else str(self.start)
        return full * (0.5 + 0.5 * random.Random(f"{policy.seed}/{key}/{self.tries}").random())

    def outcome(
        self,
        answer: Answer,
        policy: FetchPolicy,
        *,
        sha256: str | None = None,
        inspection: Inspection | None = None,
    ) -> FetchOutcome:
        """What came of the request, given its last answer; if it has a body, the hash of it and what it is."""
        assert self.request is not None
        now = datetime.now(UTC)
        is_blocked = answer.blocked_hash is not None
        body = None if is_blocked else answer.body
        attempts = self.request.attempts + self.tries
        return FetchOutcome(
            id=self.request.id,
            status=status_of(answer.error),
            error_class=answer.error,
            detail=answer.detail,
            http_status=answer.http_status,
            attempts=attempts,
            redirects=self.redirects,
            final_url_host=None if is_blocked or self.url is None else host_of(self.url),
            content_type=answer.content_type,
            mime_type=inspection.mime_type if inspection else answer.mime_type,
            size_bytes=None if body is None else len(body),
            sha256=sha256,
            phash=inspection.phash if inspection else None,
            width=inspection.width if inspection else None,
            height=inspection.height if inspection else None,
            mode=inspection.mode if inspection else None,
            is_animated=inspection.is_animated if inspection else None,
            blocked_hash=answer.blocked_hash,
            started_at=self.started_at or now,
            seconds=self.seconds,
            next_attempt_at=next_attempt_at(
                answer.error,
                attempts=attempts,
                base=policy.refresh_base,
                cap=policy.refresh_cap,
                now=now,
                retry_after=answer.retry_after,
            ),
        )
