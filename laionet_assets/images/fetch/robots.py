"""Opt-outs: robots.txt (RFC 9309, parsed by Protego) and X-Robots-Tag.

Belongs here: what the two say about us. Does not belong here: fetching robots.txt (it is a request like any other,
`run`), and reading headers off the wire (`exchange`).
"""

import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from protego import Protego
from yarl import URL

from laionet_assets.images.fetch.outcomes import ErrorClass

MAX_ROBOTS_BYTES = 500 * 1024
"""RFC 9309, 2.5: at least this much is parsed; what lies beyond is ignored."""

_AGENT_LINE = re.compile(r"\s*user[- ]?agent\s*[:\s]\s*([^#]*)", re.IGNORECASE)
_RULE_LINE = re.compile(r"\s*(?:diss?all?ow|diasllow|disallaw|allow|crawl[- ]delay)\b", re.IGNORECASE)
_CACHE_BYTES = 64 * 2**20
_WITH_VALUE = frozenset({"max-snippet", "max-image-preview", "max-video-preview"})
"""X-Robots-Tag directives with a colon of their own, which are no names of robots."""
_UNAVAILABLE_AFTER = "unavailable_after"
_ROBOT = re.compile(r"\s*([a-z0-9_*.-]+)(?:/[0-9.]+)?\s*:(.*)", re.DOTALL)
"""A directive with the name of a robot in front, in lower case."""
_DATED = re.compile(
    rf"{_UNAVAILABLE_AFTER}\s*:\s*((?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?\s*,)?[^,]*(?:,\s*\d[^,]*)*)"
)
"""The one directive whose value has commas and colons: a date as in RFC 822, RFC 850 or ISO 8601."""


@dataclass(frozen=True)
class RobotsRules:
    """What an origin's robots.txt says to us, or why it could not be asked."""

    rules: Protego | None = None
    """None if there is no robots.txt (4xx): all is allowed."""
    error: ErrorClass | None = None
    """Why robots.txt could not be had: then nothing of the origin may be fetched."""
    detail: str | None = None
    http_status: int | None = None
    source_bytes: int = 0

    def allows(self, url: URL, product: str) -> bool:
        """Whether a URL may be asked: as it stands, and as a server may resolve it (`/open/../private`)."""
        if self.error is not None or self.rules is None:
            return self.error is None
        asked = str(url)
        return all(self.rules.can_fetch(each, product) for each in {asked, str(URL(asked))})

    def crawl_delay(self, product: str) -> float:
        """Seconds between requests that the origin asks for; 0 if it does not say."""
        return (self.rules.crawl_delay(product) or 0.0) if self.rules is not None else 0.0


def parse_robots(body: bytes, product: str) -> RobotsRules:
    """Rules of a robots.txt, of which the first 500 KiB count. `product`: our token."""
    text = body[:MAX_ROBOTS_BYTES].decode("utf-8-sig", "replace")
    return RobotsRules(rules=Protego.parse("\n".join(_of_interest(text, product))), source_bytes=len(body))


def _of_interest(text: str, product: str) -> Iterator[str]:
    """Groups and rules, all robots that are not us made one: thousands of names over as many rules cost nothing."""
    agents: set[str] = set()
    for line in text.splitlines():
        if (match := _AGENT_LINE.match(line)) is not None:
            name = match[1].strip().lower().partition("/")[0]
            if not name or (name != "*" and not product.lower().startswith(name.replace("*", ""))):
                name = "another"
            if name not in agents:
                agents.add(name)
                yield f"User-agent: {name}"
        elif _RULE_LINE.match(line):
            agents.clear()
            yield line


class RobotsCache:
    """Rules by origin, each until its time; the least recently used ones are dropped beyond 64 MiB of robots.txt."""

    _ENTRY_BYTES = 1_024

    def __init__(self) -> None:
        self._entries: OrderedDict[str, tuple[float, RobotsRules]] = OrderedDict()
        self._bytes = 0

    def get(self, origin: str, *, now: float) -> RobotsRules | None:
        entry = self._entries.get(origin)
        if entry is None or entry[0] <= now:
            return None
        self._entries.move_to_end(origin)
        return entry[1]

    def put(self, origin: str, rules: RobotsRules, *, until: float) -> None:
        self._drop(origin)
        self._entries[origin] = (until, rules)
        self._bytes += rules.source_bytes + self._ENTRY_BYTES
        while self._bytes > _CACHE_BYTES and len(self._entries) > 1:
            self._drop(next(iter(self._entries)))

    def _drop(self, origin: str) -> None:
        entry = self._entries.pop(origin, None)
        if entry is not None:
            self._bytes -= entry[1].source_bytes + self._ENTRY_BYTES


def opted_out_directive(
    values: Iterable[str], *, tokens: Iterable[str], product: str, now: datetime | None = None
) -> str | None:
    """The first directive of the X-Robots-Tag values that keeps us out, or None.

    Directives are separated by commas. One may open with a robot's name and a colon; it and what follows count if the
    name is ours or `*`, up to the next name. `none` says noindex, and so does a date of `unavailable_after` that has
    passed (`now`, else the clock). Letter case does not matter.
    """
    refused = {token.lower() for token in tokens}
    if "noindex" in refused:
        refused.add("none")
    names = {product.lower(), "*"}
    for value in values:
        is_for_us = True
        for part in _directives(value.lower()):
            named = _ROBOT.match(part)
            if named is not None and named[1] not in _WITH_VALUE and named[1] != _UNAVAILABLE_AFTER:
                is_for_us, part = named[1] in names, named[2]
            directive = part.strip()
            if is_for_us and directive in refused:
                return directive
            dated = _DATED.fullmatch(directive) if is_for_us and "noindex" in refused else None
            if dated is not None and (at := _date(dated[1])) is not None and at <= (now or datetime.now(UTC)):
                return _UNAVAILABLE_AFTER
    return None


def _directives(value: str) -> Iterator[str]:
    """The parts between commas, each date in one piece."""
    start = 0
    for dated in _DATED.finditer(value):
        *before, head = value[start : dated.start()].split(",")
        yield from before
        yield head + dated[0]
        start = dated.end() + 1
    if start <= len(value):
        yield from value[start:].split(",")


def _date(text: str) -> datetime | None:
    """A date in any form that X-Robots-Tag may have; in UTC where it names no zone. None if it is none."""
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            at = read(text.strip().upper())
        except ValueError:
            continue
        return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return None
