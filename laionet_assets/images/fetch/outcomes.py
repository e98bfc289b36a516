"""What is asked and what came of it: requests, outcomes, and the classes of failure.

Belongs here: plain values, and when a failure may be tried again. Does not belong here: how a class is found out
(`exchange`, `pictures.inspection`).
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class Status(StrEnum):
    """How a request ended."""

    SUCCESS = "success"
    """A whole picture within the limits; its bytes went to the sink."""
    FAILED = "failed"
    OPTED_OUT = "opted_out"
    """robots.txt or X-Robots-Tag asks not to use it; no byte of the body was read."""
    BLOCKED = "blocked"
    """On a block list, by URL or by content; only hashes are kept."""


class ErrorClass(StrEnum):
    """Why a request did not succeed, with whether another try can help.

    `is_transient`: tried again within the run. `is_retryable`: a later refresh may try it when it is due.
    """

    BAD_URL = "bad_url"
    """Not an http or https URL of a host, or one with credentials (of the request, or of a redirect)."""
    FORBIDDEN_ADDRESS = "forbidden_address"
    """The host is, or resolves to nothing but, private, loopback, link-local or reserved addresses."""
    BLOCKED = "blocked"
    OPTED_OUT = "opted_out"
    ROBOTS_UNAVAILABLE = "robots_unavailable"
    """robots.txt answered 5xx or 429, or nothing readable: complete disallow until it does (RFC 9309, 2.3.1.4)."""
    DNS = "dns"
    """The host name does not exist, or so the name server says."""
    DNS_TEMPORARY = "dns_temporary"
    """The name server did not answer."""
    TLS = "tls"
    """Handshake or certificate failed."""
    CONNECT = "connect"
    """Refused, reset, or closed before the whole answer came."""
    TIMEOUT = "timeout"
    PROTOCOL = "protocol"
    """Not HTTP, headers beyond bounds, or an encoding that is not known."""
    TOO_MANY_REDIRECTS = "too_many_redirects"
    """More than the policy allows, or a loop."""
    HTTP_404 = "http_404"
    """404 Not Found, 410 Gone or 451 Unavailable For Legal Reasons: final."""
    HTTP_429 = "http_429"
    HTTP_4XX = "http_4xx"
    HTTP_5XX = "http_5xx"
    TOO_LARGE = "too_large"
    """More bytes than the policy allows, as declared, as sent, or once decompressed."""
    NOT_AN_IMAGE = "not_an_image"
    """No raster format that is read here, whatever its declared type (HTML, SVG, text, nothing)."""
    TOO_SMALL = "too_small"
    TOO_MANY_PIXELS = "too_many_pixels"
    """More pixels by its header than the policy allows; not decoded."""
    DECODE = "decode"
    """An image format by its first bytes, but truncated or corrupt."""

    @property
    def is_transient(self) -> bool:
        return self in _TRANSIENT

    @property
    def is_retryable(self) -> bool:
        return self in _RETRYABLE


_TRANSIENT = frozenset(
    {ErrorClass.DNS_TEMPORARY, ErrorClass.CONNECT, ErrorClass.TIMEOUT, ErrorClass.HTTP_429, ErrorClass.HTTP_5XX}
)
_RETRYABLE = _TRANSIENT | {
    ErrorClass.DNS,
    ErrorClass.HTTP_4XX,
    ErrorClass.PROTOCOL,
    ErrorClass.ROBOTS_UNAVAILABLE,
    ErrorClass.TLS,
    ErrorClass.TOO_MANY_REDIRECTS,
}
"""What may pass: a wrong name server, a ban, a server that is set up wrongly."""

_STATUS = {ErrorClass.OPTED_OUT: Status.OPTED_OUT, ErrorClass.BLOCKED: Status.BLOCKED}


def status_of(error: ErrorClass | None) -> Status:
    """The status that goes with an error class; success without one."""
    return Status.SUCCESS if error is None else _STATUS.get(error, Status.FAILED)


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """One image to fetch. The URL is kept out of the repr, so that it is never logged."""

    id: int
    """The caller's key, unique within a run."""
    url: str = field(repr=False)
    attempts: int = 0
    """Attempts made in earlier runs."""


@dataclass(frozen=True, slots=True)
class FetchOutcome:
    """What came of one request; there is exactly one for each. Holds no URL."""

    id: int
    status: Status
    error_class: ErrorClass | None
    """None for a success only."""
    detail: str | None
    """A short reason without any URL, such as `robots.txt` or `connection closed early`."""
    http_status: int | None
    """Status of the last answer; None if there was none."""
    attempts: int
    """Attempts made so far, those of earlier runs included. One that was left out for the sake of its host (left alone,
    or without a robots.txt) counts too, so that pauses between runs grow; what must not be asked at all has none."""
    redirects: int
    """Redirects followed in the last attempt."""
    final_url_host: str | None
    """Host of the last URL asked; None if blocked or not a URL."""
    content_type: str | None
    """Content-Type as the server claims it."""
    mime_type: str | None
    """Media type read off the bytes."""
    size_bytes: int | None
    sha256: str | None
    """Of the body, 64 hexadecimal digits."""
    phash: int | None
    """64-bit perceptual hash, unsigned; near duplicates differ in few bits (see `verify.perceptual_hash`)."""
    width: int | None
    height: int | None
    mode: str | None
    """Pillow's mode of the file as stored: RGB, L, P, RGBA, CMYK, ..."""
    is_animated: bool | None
    """More than one frame; only the first was decoded."""
    blocked_hash: str | None
    """For a blocked request: the hash (SHA-256 or MD5) found on a block list; `detail` says of what."""
    started_at: datetime
    """When its first attempt in this run began, UTC."""
    seconds: float
    """Time spent on it in this run, waits for a turn and between attempts not counted."""
    next_attempt_at: datetime | None
    """When a refresh may try again, UTC; None if no other try can help."""

    @property
    def is_retryable(self) -> bool:
        """Whether a later refresh may try again, at `next_attempt_at`."""
        return self.next_attempt_at is not None


def next_attempt_at(
    error: ErrorClass | None, *, attempts: int, base: float, cap: float, now: datetime, retry_after: float | None = None
) -> datetime | None:
    """When a later run may try again: `base` seconds, doubled for every attempt after the first, at most `cap`.

    Never before the server's Retry-After (seconds from now). None if no other try can help.
    """
    if error is None or not error.is_retryable:
        return None
    delay = min(cap, base * 2.0 ** min(max(attempts - 1, 0), 60))
    return now + timedelta(seconds=max(delay, min(retry_after or 0.0, _FAR_SECONDS)))


_FAR_SECONDS = 365 * 86_400.0
"""A server cannot put us off for longer than a year."""
