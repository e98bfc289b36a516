"""How the fetcher behaves: identity, limits, patience, opt-outs, addresses and block lists.

Belongs here: the numbers and their validation. Does not belong here: what enforces them.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version

from laionet_assets.errors import UserError
from laionet_assets.pictures.admission import MIN_PIXELS
from laionet_assets.pictures.stream import available_cores

ALLOWED_PORTS = (80, 443, 8000, 8008, 8080, 8081, 8088, 8443, 8888)
"""Ports of web servers; on others something else may listen that a request could reach."""
OPT_OUT_TOKENS = ("noai", "noimageai", "noindex", "noimageindex")
"""X-Robots-Tag directives that keep an image out; `none` implies noindex."""

_PRODUCT = re.compile(r"[A-Za-z_-]+")
_DIGEST = re.compile(r"[0-9a-f]{64}|[0-9a-f]{32}")
_MAPPED_NAME = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9._-]*[a-z0-9])?")
_POSITIVE = (
    "concurrency", "per_host", "total_timeout", "connect_timeout", "max_bytes", "max_pixels", "lookahead",
    "verify_threads", "dns_threads", "buffer_bytes", "robots_ttl", "refresh_base", "refresh_cap",
    "host_pause",
)  # fmt: skip
_NOT_NEGATIVE = (
    "min_interval", "max_redirects", "min_pixels", "retries", "backoff_base", "backoff_cap", "retry_after_cap",
    "crawl_delay_cap", "host_failures", "host_refusals",
)  # fmt: skip


class FetchPolicyError(UserError):
    """A setting of the fetcher that cannot stand."""


def _package_version() -> str:
    try:
        return version("laionet-assets")
    except PackageNotFoundError:
        return "0"


@dataclass(frozen=True, kw_only=True)
class FetchPolicy:
    """Settings of a fetch. Times are seconds. Raises FetchPolicyError that lists every setting that cannot stand."""

    contact: str
    """Address or URL where those who run the fetch can be reached; part of the User-Agent."""
    product: str = "laionet-assets"
    """Product token of the User-Agent, the name that robots.txt and X-Robots-Tag address us by."""
    product_version: str = field(default_factory=_package_version)

    concurrency: int = 128
    """Requests in flight over all hosts, verification of their bodies included."""
    per_host: int = 4
    """Requests in flight at one host name."""
    min_interval: float = 0.05
    """Least time between two requests to one host name; a longer Crawl-delay in its robots.txt prevails."""
    crawl_delay_cap: float = 10.0
    """The longest Crawl-delay that is honoured."""

    total_timeout: float = 30.0
    """Limit of one attempt from its first connection to the last byte, redirects included."""
    connect_timeout: float = 10.0
    """Limit of name resolution, connection and handshake together."""
    max_bytes: int = 20 * 2**20
    max_redirects: int = 8
    max_pixels: int = 64_000_000
    """Width x height by the header; beyond it nothing is decoded."""
    min_pixels: int = MIN_PIXELS
    """Least width x height."""

    retries: int = 2
    """Further attempts within a run, after what may pass: timeouts, resets, 429, 5xx, an unreachable name server."""
    backoff_base: float = 1.0
    backoff_cap: float = 30.0
    """Wait before retry n: base x 2^(n-1), at most cap, the upper half of it at random."""
    retry_after_cap: float = 60.0
    """A Retry-After up to this is waited for in the run; past it the host is left alone until its time, and its
    requests end as failed with that time as `next_attempt_at`."""
    host_failures: int = 10
    """Failures of a host, one after another (no answer, 5xx, not HTTP), after which it is left alone for a while; 0
    never gives up."""
    host_refusals: int = 3
    """Times in a row that a host answers 429 although it was given a pause, after which it is left alone for a while; 0
    never gives up."""
    host_pause: float = 1_800.0
    """How long a host is left alone in a run. Requests whose turn comes meanwhile end as failed, to be tried again."""
    refresh_base: float = 3_600.0
    refresh_cap: float = 30 * 86_400.0
    """When a later run may try again: base, doubled for every attempt after the first, at most cap."""

    robots: bool = True
    """Ask robots.txt (RFC 9309) before any other URL of an origin."""
    robots_ttl: float = 86_400.0
    opt_out_tokens: tuple[str, ...] = OPT_OUT_TOKENS

    allowed_private: tuple[str, ...] = ()
    """Networks in CIDR notation, not public, that may be connected to all the same."""
    allowed_ports: tuple[int, ...] = ALLOWED_PORTS
    """Ports that a URL may name."""
    allow_hosts: Mapping[str, str] = field(default_factory=dict)
    """Host name (or `*.suffix`) to `ip:port`: requests to it go there instead of to where DNS says, and that one
    endpoint is allowed for that name only."""
    blocked_url_hashes: frozenset[str] = frozenset()
    blocked_content_hashes: frozenset[str] = frozenset()
    """SHA-256 or MD5, lower-case hexadecimal: of the URL in UTF-8 as given or as requested, and of the body."""

    lookahead: int = 20_000
    """Requests held at once, so that a busy host does not keep others waiting. Bounds memory (about 1 kB each)."""
    buffer_bytes: int = 512 * 2**20
    """Bound of the memory that bodies larger than 1 MiB may take together."""
    verify_threads: int = field(default_factory=available_cores)
    """Threads that verify bodies, at most; each has a process that decodes for it, if there are many requests."""
    dns_threads: int = 32
    seed: int = 0
    """Of the jitter."""

    def __post_init__(self) -> None:
        problems = list(_problems(self))
        if problems:
            raise FetchPolicyError("fetch policy: " + "; ".join(problems))

    @property
    def user_agent(self) -> str:
        return f"{self.product}/{self.product_version} (+{self.contact})"


def parse_endpoint(text: str) -> tuple[str, int]:
    """`127.0.0.1:8080` or `[::1]:8080` as (ip, port). Raises ValueError."""
    host, _, port = text.rpartition(":")
    address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    if not 0 < int(port) < 65_536:
        raise ValueError("port out of range")
    return str(address), int(port)


def _problems(policy: FetchPolicy) -> Iterator[str]:
    contact = policy.contact.strip()
    if not ("@" in contact or contact.startswith(("http://", "https://"))) or not contact.isprintable():
        yield f"contact is {policy.contact!r}; expected an e-mail address or a URL where people can reach you"
    if not _PRODUCT.fullmatch(policy.product):
        yield f"product is {policy.product!r}; expected a token of letters, - and _ (RFC 9309)"
    for entry in fields(policy):
        value = getattr(policy, entry.name)
        if entry.name in _POSITIVE and not value > 0:
            yield f"{entry.name} is {value}; expected more than 0"
        if entry.name in _NOT_NEGATIVE and not value >= 0:
            yield f"{entry.name} is {value}; expected 0 or more"
    if policy.max_pixels < policy.min_pixels:
        yield f"max_pixels is {policy.max_pixels}; expected at least min_pixels, {policy.min_pixels}"
    for network in policy.allowed_private:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            yield f"allowed_private has {network!r}: {error}; expected a network such as 10.0.0.0/8"
    for port in policy.allowed_ports:
        if not 0 < port < 65_536:
            yield f"allowed_ports has {port}; expected 1 to 65535"
    for name, endpoint in policy.allow_hosts.items():
        if not _MAPPED_NAME.fullmatch(name):
            yield f"allow_hosts names {name!r}; expected a lower-case host name or *.suffix"
        try:
            parse_endpoint(endpoint)
        except ValueError:
            yield f"allow_hosts sends {name} to {endpoint!r}; expected ip:port"
    for key in ("blocked_url_hashes", "blocked_content_hashes"):
        bad = sorted(h for h in getattr(policy, key) if not _DIGEST.fullmatch(h))
        if bad:
            yield f"{key} has {len(bad)} that are no lower-case sha256 or md5, such as {bad[0]!r}"
