"""Which network addresses and ports may be asked.

Belongs here: the check of addresses after name resolution, and of the socket. Does not belong here: URLs (`urls`),
robots rules, block lists, redirects.

A name is resolved once for a connection and the connection goes to the very address that was checked, so a name server
that changes its answer gains nothing. The other end of the connection is checked once more before a request is sent
(`connection`). Requests reuse checked connections only.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from laionet_assets.images.fetch.policy import ALLOWED_PORTS, parse_endpoint
from laionet_assets.images.fetch.urls import is_literal

Lookup = Callable[[str, int], list[tuple[Any, ...]]]
"""(host, port) to the rows of `socket.getaddrinfo`; raises socket.gaierror."""

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NOT_PUBLIC = tuple(
    map(
        ipaddress.ip_network,
        (
            "192.0.0.0/24",  # IETF protocol assignments, two of which count as global
            "192.88.99.0/24",  # 6to4 relays
            "198.18.0.0/15",  # benchmarking
            "100.64.0.0/10",  # carrier-grade NAT
            "2001::/23",  # IETF protocol assignments: Teredo, ORCHID, benchmarking ...
            "3fff::/20",  # documentation
        ),
    )
)
"""Networks that are denied besides what Python's ipaddress knows as not global, whatever its version."""
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
"""All public IPv6: not site-local, unique local, link-local, 64:ff9b:1::/48, discard, segment routing ..."""
_LAST_32_BITS = tuple(
    map(
        ipaddress.ip_network,
        (
            "::/96",  # IPv4-compatible
            "::ffff:0:0/96",  # IPv4-mapped
            "::ffff:0:0:0/96",  # IPv4-translated (SIIT)
            "64:ff9b::/96",  # NAT64
        ),
    )
)
"""Networks whose addresses are an IPv4 address in their last 32 bits."""
_ISATAP = frozenset({0x0000_5EFE, 0x0200_5EFE})


NOT_PUBLIC = "address is neither public nor in a network of images.fetch.allowed_private"


class ForbiddenAddress(OSError):
    """An address that must not be connected to."""


class AddressPolicy:
    """Public addresses, the networks that are allowed besides, and names that are sent to an endpoint of their own."""

    def __init__(
        self,
        *,
        allowed_private: tuple[str, ...] = (),
        allow_hosts: Mapping[str, str] | None = None,
        allowed_ports: Collection[int] = ALLOWED_PORTS,
    ) -> None:
        self._ports = frozenset(allowed_ports)
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
        if embedded:
            return all(self.permits(str(each)) for each in embedded)
        return _is_public(ip)

    def refusal(self, url: URL) -> str | None:
        """Why a URL must not be asked: a port that is not allowed, or an IP address that is not public. None for names
        (their addresses are not known yet), and for hosts with an endpoint of their own.
        """
        host = url.raw_host or ""
        if self.endpoint(host) is not None:
            return None
        if url.port not in self._ports:
            return f"port {url.port} is not among images.fetch.allowed_ports"
        return NOT_PUBLIC if is_literal(host) and not self.permits(host) else None

    def endpoint(self, host: str) -> tuple[str, int] | None:
        """The (ip, port) that a name is sent to by the configuration, or None."""
        host = host.rstrip(".").lower()
        if host in self._endpoints:
            return self._endpoints[host]
        return next((at for suffix, at in self._suffixes.items() if host.endswith(suffix)), None)

    def permits_peer(self, address: str, port: int) -> bool:
        """Whether a connection may go, or lead, to this IP address and port."""
        return self.permits(address) or (address, port) in self._endpoint_set

    def open_socket(self, address_info: tuple[Any, ...]) -> socket.socket:
        """A socket for a row of getaddrinfo: the last check before a connection. Raises ForbiddenAddress."""
        family, kind, protocol, _, (address, port, *_) = address_info
        if not self.permits_peer(address, port):
            raise ForbiddenAddress(NOT_PUBLIC)
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
            raise ForbiddenAddress(NOT_PUBLIC)
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


def _is_public(ip: _Address) -> bool:
    if not ip.is_global or ip.is_multicast or ip.is_reserved or any(ip in network for network in _NOT_PUBLIC):
        return False
    return isinstance(ip, ipaddress.IPv4Address) or ip in _GLOBAL_UNICAST


def _embedded_ipv4(ip: _Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses that an IPv6 address leads to, in whatever form: mapped, compatible, translated, NAT64, 6to4,
    Teredo (server and client) or ISATAP.
    """
    if isinstance(ip, ipaddress.IPv4Address):
        return []
    last = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    if any(ip in network for network in _LAST_32_BITS):
        return [last]
    if ip.sixtofour is not None:
        return [ip.sixtofour]
    if ip.teredo is not None:
        return list(ip.teredo)
    is_isatap = (int(ip) >> 32) & 0xFFFF_FFFF in _ISATAP and _is_public(ip)
    return [last] if is_isatap else []
