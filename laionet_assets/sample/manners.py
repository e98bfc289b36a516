"""How the hosts of the synthetic web behave: who answers, what robots.txt says, which addresses go wrong and how.

Belongs here: pure functions of an address. Does not belong here: pictures (`web_pictures`), sockets (`server`).

Every host `*.web.sample.invalid` answers; none of `*.gone.sample.invalid` has pictures any more.

| host                 | robots.txt                              | manners                                           |
|----------------------|-----------------------------------------|---------------------------------------------------|
| images.web, static.web | allows everything                     | addresses that moved lead here                    |
| shop.web             | disallows the folders 70 to 7f          | (one address in eight)                            |
| photos.web           | none (404)                              |                                                   |
| blog.web             | allows everything                       | every answer takes 20 to 120 ms                   |
| news.web             | another robot must stay out, we may in  | 429 with Retry-After: 1 now and then, once a URL  |
| cdn2.web             | none (404)                              | calls every picture application/octet-stream      |
| cdn2.gone            |                                         | refuses connections                               |
| the others of .gone  | none (404)                              | 404, 410, or hang up without an answer            |

On top of that the hash of host and path decides the fault of an address (`Fault`), so an address has the same fate in
every run. `outcome` says how a fetch ends that follows redirects, asks robots.txt, heeds X-Robots-Tag, and tries again
at least once after what may pass.
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from laionet_assets.sample.rows import DEAD_DOMAIN, HOSTS, LIVE_DOMAIN

SLOW_HOST = f"blog.{LIVE_DOMAIN}"
BUSY_HOST = f"news.{LIVE_DOMAIN}"
VAGUE_HOST = f"cdn2.{LIVE_DOMAIN}"
REFUSING_HOST = f"cdn2.{DEAD_DOMAIN}"
ALL_HOSTS = tuple(f"{name}.{domain}" for domain in (LIVE_DOMAIN, DEAD_DOMAIN) for name in HOSTS)
DISALLOWED = {f"shop.{LIVE_DOMAIN}": "/7"}
ROBOTS = {
    f"images.{LIVE_DOMAIN}": "User-agent: *\nDisallow:\n",
    f"static.{LIVE_DOMAIN}": "User-agent: *\nAllow: /\n",
    f"shop.{LIVE_DOMAIN}": "# Goods without a licence\nUser-agent: *\nDisallow: /7\n",
    SLOW_HOST: "User-agent: *\nDisallow: /drafts/\n",
    BUSY_HOST: "User-agent: SyntheticTrainingBot\nDisallow: /\n\nUser-agent: *\nDisallow: /admin/\n",
}
"""robots.txt of each host that has one."""
OPT_OUTS = ("noai", "noai, noimageai", "noimageindex")


class Fault(StrEnum):
    """What is wrong with an address, or nothing."""

    NONE = "none"
    MOVED = "moved"
    """301 to another host."""
    MOVED_TWICE = "moved twice"
    """302 to another host, which sends on by 301."""
    MOVED_AWAY = "moved away"
    """301 to a host that has nothing any more."""
    LOOP = "loop"
    """302 to another host, which sends back."""
    HOME_PAGE = "home page"
    """302 to the host's home page."""
    PLACEHOLDER = "placeholder"
    """200, and a page in HTML."""
    EMPTY = "empty"
    """200, and nothing."""
    TRUNCATED = "truncated"
    """Half of a picture, with the length of that half."""
    CUT_OFF = "cut off"
    """Half of a picture, with the length of the whole."""
    OPTED_OUT = "opted out"
    """X-Robots-Tag: one of OPT_OUTS."""
    BROKEN = "broken"
    """500 every time."""
    UNAVAILABLE_ONCE = "unavailable once"
    """503 with Retry-After: 1 at the first try."""
    BUSY_ONCE = "busy once"
    """429 with Retry-After: 1 at the first try."""
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not found"
    GONE = "gone"
    """410."""
    HANG_UP = "hang up"
    """The connection is closed without an answer."""


LIVE_FAULTS = {
    Fault.MOVED: 0.04,
    Fault.MOVED_TWICE: 0.008,
    Fault.MOVED_AWAY: 0.006,
    Fault.LOOP: 0.004,
    Fault.HOME_PAGE: 0.008,
    Fault.PLACEHOLDER: 0.015,
    Fault.EMPTY: 0.003,
    Fault.TRUNCATED: 0.01,
    Fault.CUT_OFF: 0.002,
    Fault.OPTED_OUT: 0.012,
    Fault.BROKEN: 0.004,
    Fault.UNAVAILABLE_ONCE: 0.004,
    Fault.FORBIDDEN: 0.005,
    Fault.NOT_FOUND: 0.02,
}
"""Shares of the addresses on hosts that answer; the rest is as it should be."""
BUSY_SHARE = 0.02
"""Share of BUSY_HOST's addresses without another fault that are BUSY_ONCE."""
DEAD_FAULTS = {Fault.NOT_FOUND: 0.75, Fault.GONE: 0.22, Fault.HANG_UP: 0.03}

_OUTCOMES = {
    Fault.MOVED_AWAY: "http_404",
    Fault.LOOP: "too_many_redirects",
    Fault.HOME_PAGE: "not_an_image",
    Fault.PLACEHOLDER: "not_an_image",
    Fault.EMPTY: "not_an_image",
    Fault.CUT_OFF: "connect",
    Fault.OPTED_OUT: "opted_out",
    Fault.BROKEN: "http_5xx",
    Fault.FORBIDDEN: "http_4xx",
    Fault.NOT_FOUND: "http_404",
    Fault.GONE: "http_404",
    Fault.HANG_UP: "connect",
}


@dataclass(frozen=True)
class Address:
    """Host and path of a URL; the query changes nothing in this web."""

    host: str
    path: str

    @classmethod
    def of(cls, url: str) -> "Address":
        """The address of a URL. Raises ValueError if its host is not of the synthetic web."""
        parts = urlsplit(url)
        if parts.hostname not in ALL_HOSTS:
            raise ValueError(
                f"{parts.hostname!r} is no host of the synthetic web; expected one of {', '.join(ALL_HOSTS)}"
            )
        return cls(parts.hostname, parts.path or "/")

    @property
    def is_dead(self) -> bool:
        """Whether the host has no pictures any more."""
        return self.host.endswith(DEAD_DOMAIN)

    def share(self, what: str) -> float:
        """A number in [0, 1) that stands for this address in a question: the same in every run."""
        digest = hashlib.sha256(f"{what}/{self.host}{self.path}".encode()).digest()
        return int.from_bytes(digest[:7], "big") / 2**56


def fault(address: Address) -> Fault:
    """What is wrong with an address that has, or had, a picture."""
    left = address.share("fault")
    for each, share in (DEAD_FAULTS if address.is_dead else LIVE_FAULTS).items():
        left -= share
        if left < 0:
            return each
    if address.host == BUSY_HOST and address.share("busy") < BUSY_SHARE:
        return Fault.BUSY_ONCE
    return Fault.NONE


def outcome(address: Address, *, is_tiny: bool) -> str:
    """How a fetch of an address that has, or had, a picture ends: `success` or the class of its error.

    `is_tiny`: its picture has fewer than 100 pixels. Names are those of core.images.error_class.
    """
    if address.host == REFUSING_HOST:
        return "connect"
    prefix = DISALLOWED.get(address.host)
    if prefix and address.path.startswith(prefix):
        return "opted_out"
    found = fault(address)
    if found is Fault.TRUNCATED and not is_tiny:
        return "decode"
    return _OUTCOMES.get(found) or ("too_small" if is_tiny else "success")


def other_host(address: Address) -> str:
    """The host that an address moved to: it allows everything and has manners."""
    first, second = f"static.{LIVE_DOMAIN}", f"images.{LIVE_DOMAIN}"
    return second if address.host == first else first


def opt_out(address: Address) -> str:
    """The X-Robots-Tag of an address that is OPTED_OUT."""
    return OPT_OUTS[int(address.share("opt-out") * len(OPT_OUTS))]


def delay(address: Address) -> float:
    """Seconds before an answer."""
    return 0.02 + 0.1 * address.share("delay") if address.host == SLOW_HOST else 0.0
