"""What became of a picture that was asked for, as core.images keeps it.

Belongs here: the row of a result, its form in a journal and in a table, and what later steps depend on of it. Does not
belong here: how results come about (`harvest`, `fetch`).
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Self

from laionet_assets.images.fetch.outcomes import FetchOutcome, Status
from laionet_assets.images.fetch.policy import FetchPolicy

REMOVED = "removed"
NOT_FETCHED = "not_fetched"
STORE_FULL = "store_full"
TAKEN_OVER = "taken over from images.downloaded"
"""The detail of a success that was not fetched."""
_TIMES = ("started_at", "next_attempt_at")
_READ_LATER = ("status", "error_class", "sha256", "mode", "width", "height")
"""What later steps read of a result, besides the sample that it is of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of an address: the columns of core.images behind the key (see its documentation). No address."""

    url_hash: str | None = None
    status: str
    error_class: str | None = None
    detail: str | None = None
    http_status: int | None = None
    attempts: int = 0
    redirects: int | None = None
    final_url_host: str | None = None
    content_type: str | None = None
    mime_type: str | None = None
    size_bytes: int | None = None
    sha256: str | None = None
    md5: str | None = None
    phash: int | None = None
    width: int | None = None
    height: int | None = None
    mode: str | None = None
    is_animated: bool | None = None
    blocked_hash: str | None = None
    decided_by: str | None = None
    is_uncleared: bool = False
    started_at: datetime | None = None
    seconds: float | None = None
    next_attempt_at: datetime | None = None

    @property
    def is_success(self) -> bool:
        return self.status == Status.SUCCESS

    @property
    def has_address(self) -> bool:
        """Whether its row may show the address."""
        return self.status not in (Status.BLOCKED, REMOVED)

    @classmethod
    def of_outcome(
        cls, outcome: FetchOutcome, url_hash: str, policy: FetchPolicy, *, md5: str | None, is_uncleared: bool
    ) -> Self:
        """The result that an outcome is. Only a success keeps the hash of its body: nothing else is stored."""
        shared = {name: getattr(outcome, name) for name in _OF_OUTCOMES}
        error = outcome.error_class.value if outcome.error_class is not None else None
        return cls(
            **shared,
            url_hash=url_hash,
            status=outcome.status.value,
            error_class=error,
            sha256=outcome.sha256 if outcome.status is Status.SUCCESS else None,
            md5=md5,
            decided_by=deciding_setting(error, outcome.detail, policy),
            is_uncleared=is_uncleared,
        )

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Self:
        """From a row of core.images, or a line of a journal."""
        values = {name: row[name] for name in _NAMES if name in row}
        for name in _TIMES:
            if isinstance(values.get(name), str):
                values[name] = datetime.fromisoformat(values[name])
        return cls(**values)

    def journal_row(self) -> dict[str, Any]:
        """As a line of a journal: values that survive JSON."""
        row = asdict(self)
        return {**row, **{name: row[name].isoformat() for name in _TIMES if row[name] is not None}}

    def is_due(self, now: datetime) -> bool:
        """Whether a refresh may try again now."""
        return self.next_attempt_at is not None and self.next_attempt_at <= now


_NAMES = tuple(field.name for field in fields(Result))
_OF_OUTCOMES = tuple(
    sorted({field.name for field in fields(FetchOutcome)} & set(_NAMES) - {"status", "error_class", "sha256"})
)


def removed(reason: str) -> Result:
    """The result of what was removed: the reason alone stays."""
    return Result(status=REMOVED, error_class=REMOVED, detail=reason)


def blocked(result: Result, listed: str, what: str) -> Result:
    """The result of what is on a block list: hashes and times alone stay. `what` is `URL` or `content`."""
    return Result(
        url_hash=result.url_hash,
        status=Status.BLOCKED.value,
        error_class="blocked",
        detail=what,
        http_status=result.http_status,
        attempts=result.attempts,
        blocked_hash=listed,
        is_uncleared=result.is_uncleared,
        started_at=result.started_at,
        seconds=result.seconds,
    )


def deciding_setting(error_class: str | None, detail: str | None, policy: FetchPolicy) -> str | None:
    """The setting that a failure is due to, with its value; None for failures that no setting decides."""
    match error_class:
        case "too_large":
            return f"max_bytes {policy.max_bytes}"
        case "too_many_pixels":
            return f"max_pixels {policy.max_pixels}"
        case "opted_out" if detail == "robots.txt":
            return f"robots {policy.robots}"
        case "forbidden_address" if (detail or "").startswith("port "):
            return f"allowed_ports {' '.join(map(str, policy.allowed_ports))}"
        case "forbidden_address":
            return f"allowed_private {' '.join(policy.allowed_private)}".rstrip()
    return None


def result_columns(source: str, part: str, results: Iterable[tuple[int, str | None, Result]]) -> dict[str, list[Any]]:
    """The columns of core.images: of (sample_id, url, result) in the order given, with the key in front."""
    rows = list(results)
    return {
        "source": [source] * len(rows),
        "part": [part] * len(rows),
        "sample_id": [sample_id for sample_id, _, _ in rows],
        "url": [url if result.has_address else None for _, url, result in rows],
        **{name: [getattr(result, name) for _, _, result in rows] for name in _NAMES},
    }


def content_digest(results: Iterable[tuple[int, str | None, Result]]) -> str:
    """Digest of what later steps read of these rows: the same after a refresh that changed nothing but attempts."""
    digest = hashlib.blake2b(digest_size=16)
    for sample_id, _, result in results:
        digest.update(repr((sample_id, *(getattr(result, name) for name in _READ_LATER))).encode())
    return digest.hexdigest()
