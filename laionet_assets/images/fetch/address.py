"""Which URLs and which network addresses may be asked.

Belongs here: reading a URL strictly, and the check of addresses after name resolution, at the last moment before a
connection. Does not belong here: robots rules, block lists, redirects.

A name is resolved once for a connection and the connection goes to the very address that was checked, so a name server
that changes its answer gains nothing. Requests reuse checked connections only.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from laionet_assets.images.fetch.policy import parse_endpoint

Lookup = Callable[[str, int], list[tuple[Any, ...]]]
"""(host, port) to the rows of `socket.getaddrinfo`; raises socket.gaierror."""

_MAX_URL_CHARACTERS = 8_192
_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\.?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class BadUrl(ValueError):
    """Not a URL that can be fetched. The message does not repeat the URL."""


class ForbiddenAddress(OSError):
    """An address that must not be connected to."""


def parse_url(text: str, *, base: URL | None = None) -> URL:
    """A URL to fetch: http or https, a host, no credentials, no fragment; characters quoted, dot segments resolved.

    `base`: the URL that a relative one (a redirect's Location) is relative to. Raises BadUrl.
    """
    text = text.strip()
    if len(text) > _MAX_URL_CHARACTERS:
        raise BadUrl(f"longer than {_MAX_URL_CHARACTERS} characters")
    if _CONTROL.search(text):
        raise BadUrl("control characters")
    try:
        url = URL(text) if base is None else base.join(URL(text))
        host, port = url.raw_host, url.port
    except (ValueError, UnicodeError):
        raise BadUrl("not a URL") from None
    if url.scheme not in ("http", "https"):
        raise BadUrl("neither http nor https")
    if url.user is not None or url.password is not None:
        raise BadUrl("credentials in the URL")
    if not host or not port or not (_is_literal(host) or _is_name(host)):
        raise BadUrl("no valid host and port")
    return url.with_fragment(None)


def host_of(url: URL) -> str:
    """The host name that limits are counted by: lower case, without a final dot."""
    return (url.raw_host or "").rstrip(".")


class AddressPolicy:
    """Public addresses, the networks that are allowed besides, and names that are sent to an endpoint of their own."""

    def __init__(self, *, allowed_private: tuple[str, ...] = (), allow_hosts: Mapping[str, str] | None = None) -> None:
        self._allowed = tuple(ipaddress.ip_network(network) for network in allowed_private)
        mapped = {name: parse_endpoint(endpoint) for name, endpoint in (allow_hosts or {}).items()}
        self._endpoints = {name: at for name, at in mapped.items() if not name.startswith("*.")}
        self._suffixes = {name.removeprefix("*"): at for name, at in mapped.items() if name.startswith("*.")}
        self._endpoint_set = frozenset(mapped.values())

    def permits(self, address: str) -> bool:
        """Whether a host at this IP address may be connected to."""
        ip = ipaddress.ip_address(address.partition("%")[0])
        if any(ip.version == network.version and ip in network for network in self._allowed):
            return True
        embedded = _embedded_ipv4(ip)
        return self.permits(str(embedded)) if embedded is not None else ip.is_global and not ip.is_multicast

    def permits_literal(self, url: URL) -> bool:
        """False if the URL's host is an IP address that may not be connected to; True for every name."""
        host = url.raw_host or ""
        return not _is_literal(host) or self.permits(host)

    def endpoint(self, host: str) -> tuple[str, int] | None:
        """The (ip, port) that a name is sent to by the configuration, or None."""
        host = host.rstrip(".").lower()
        if host in self._endpoints:
            return self._endpoints[host]
        return next((at for suffix, at in self._suffixes.items() if host.endswith(suffix)), None)

    def open_socket(self, address_info: tuple[Any, ...]) -> socket.socket:
        """A socket for a row of getaddrinfo: the last check before a connection. Raises ForbiddenAddress."""
        family, kind, protocol, _, (address, port, *_) = address_info
        if not self.permits(address) and (address, port) not in self._endpoint_set:
            raise ForbiddenAddress("address is not public")
        return socket.socket(family, kind, protocol)


class CheckedResolver(AbstractResolver):
    """Names to permitted addresses only. Lookups run in threads of their own, as many at once as the pool has."""

    def __init__(self, policy: AddressPolicy, threads: ThreadPoolExecutor, *, lookup: Lookup) -> None:
        self._policy = policy
        self._threads = threads
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Permitted addresses of a host. Raises socket.gaierror, and ForbiddenAddress if none is permitted."""
        if (endpoint := self._policy.endpoint(host)) is not None:
            return [_result(host, *endpoint)]
        loop = asyncio.get_running_loop()
        rows = await loop.run_in_executor(self._threads, self._lookup, host, port)
        found = dict.fromkeys(row[4][0] for row in rows if row[0] in (socket.AF_INET, socket.AF_INET6))
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        permitted = [address for address in found if self._policy.permits(address)]
        if not permitted:
            raise ForbiddenAddress("address is not public")
        return [_result(host, address, port) for address in permitted]

    async def close(self) -> None:
        pass


def system_lookup(host: str, port: int) -> list[tuple[Any, ...]]:
    """The addresses that the system's resolver knows. Raises socket.gaierror."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except UnicodeError:
        raise socket.gaierror(socket.EAI_NONAME, "not a host name") from None


def _result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(
        hostname=host, host=address, port=port, family=family, proto=socket.IPPROTO_TCP, flags=socket.AI_NUMERICHOST
    )


def _is_name(host: str) -> bool:
    """Whether a host is a name; one that ends in a number is an IPv4 address in an odd notation (127.1, 0x7f.1)."""
    return bool(_HOST_NAME.fullmatch(host)) and not _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2])


@lru_cache(maxsize=4_096)
def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _embedded_ipv4(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address leads to: mapped, 6to4, Teredo or NAT64."""
    if isinstance(ip, ipaddress.IPv4Address):
        return None
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    teredo = ip.teredo
    return ip.ipv4_mapped or ip.sixtofour or (teredo[1] if teredo else None)
