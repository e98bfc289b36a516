import asyncio
import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from yarl import URL

from laionet_assets.images.fetch.address import (
    NOT_PUBLIC,
    AddressPolicy,
    CheckedResolver,
    ForbiddenAddress,
    system_lookup,
)

PRIVATE_IPV4 = {
    "this host": "0.0.0.0",
    "private 10": "10.1.2.3",
    "carrier-grade NAT": "100.64.0.1",
    "loopback": "127.8.9.1",
    "link-local": "169.254.169.254",
    "private 172": "172.16.0.1",
    "IETF": "192.0.0.1",
    "IETF, PCP": "192.0.0.9",
    "documentation 1": "192.0.2.1",
    "6to4 relay": "192.88.99.1",
    "private 192": "192.168.1.1",
    "benchmarking": "198.19.255.1",
    "documentation 2": "198.51.100.1",
    "documentation 3": "203.0.113.1",
    "multicast": "224.0.0.1",
    "multicast, scoped": "239.1.1.1",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
}
PRIVATE_IPV6 = {
    "unspecified": "::",
    "loopback": "::1",
    "discard": "100::1",
    "site-local": "fec0::1",
    "unique local": "fc00::1",
    "unique local, random": "fd12:3456:789a::1",
    "link-local": "fe80::1",
    "link-local with a zone": "fe80::1%eth0",
    "multicast": "ff02::1",
    "multicast, global": "ff0e::1",
    "NAT64 of a network": "64:ff9b:1::808:808",
    "benchmarking": "2001:2::1",
    "AMT": "2001:3::1",
    "ORCHID": "2001:10::1",
    "ORCHID 2": "2001:20::1",
    "documentation": "2001:db8::1",
    "documentation 2": "3fff::1",
    "segment routing": "5f00::1",
    "not assigned": "4000::1",
    "not assigned 2": "a000::1",
}
FORMS = {
    "mapped": lambda v4: f"::ffff:{v4}",
    "compatible": lambda v4: f"::{v4}",
    "translated": lambda v4: f"::ffff:0:{v4}",
    "NAT64": lambda v4: f"64:ff9b::{v4}",
    "6to4": lambda v4: str(ipaddress.IPv6Address((0x2002 << 112) | (int(ipaddress.IPv4Address(v4)) << 80) | 1)),
    "Teredo client": lambda v4: _teredo("8.8.8.8", v4),
    "Teredo server": lambda v4: _teredo(v4, "8.8.8.8"),
    "ISATAP": lambda v4: f"2a00:1450::5efe:{v4}",
    "ISATAP, global": lambda v4: f"2a00:1450::200:5efe:{v4}",
}
"""An IPv4 address inside an IPv6 one, in every form."""


def _teredo(server: str, client: str) -> str:
    v4 = (int(ipaddress.IPv4Address(server)) << 64) | (int(ipaddress.IPv4Address(client)) ^ 0xFFFF_FFFF)
    return str(ipaddress.IPv6Address((0x2001 << 112) | v4))


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2001:4860:4860::8888", "2a00:1450:4001::1"])
def test_public_addresses_are_permitted(address: str) -> None:
    assert AddressPolicy().permits(address)


@pytest.mark.parametrize("address", [*PRIVATE_IPV4.values(), *PRIVATE_IPV6.values()])
def test_addresses_that_are_not_public_are_forbidden(address: str) -> None:
    assert not AddressPolicy().permits(address)


@pytest.mark.parametrize("form", FORMS)
def test_an_ipv4_address_inside_an_ipv6_one_is_judged_as_itself(form: str) -> None:
    for address in PRIVATE_IPV4.values():
        assert not AddressPolicy().permits(FORMS[form](address)), address
    assert AddressPolicy().permits(FORMS[form]("8.8.8.8"))
    allowed = AddressPolicy(allowed_private=("10.0.0.0/8",))
    assert allowed.permits(FORMS[form]("10.1.2.3")) and not allowed.permits(FORMS[form]("127.0.0.1"))


def test_allowed_networks_and_no_others_are_permitted() -> None:
    policy = AddressPolicy(allowed_private=("10.1.0.0/16", "::1/128"))
    assert policy.permits("10.1.255.1") and policy.permits("::1") and policy.permits("::ffff:10.1.0.1")
    assert not policy.permits("10.2.0.1") and not policy.permits("127.0.0.1")


def test_a_mapped_endpoint_is_for_its_name_only() -> None:
    assert "images.fetch.allowed_private" in NOT_PUBLIC
    policy = AddressPolicy(allow_hosts={"web.sample.invalid": "127.0.0.1:8099", "*.many.invalid": "[::1]:80"})
    assert policy.endpoint("web.sample.invalid") == ("127.0.0.1", 8099)
    assert policy.endpoint("WEB.sample.invalid.") == ("127.0.0.1", 8099)
    assert policy.endpoint("a.b.many.invalid") == ("::1", 80)
    assert policy.endpoint("many.invalid") is None and policy.endpoint("sample.invalid") is None
    assert policy.refusal(URL("http://127.0.0.1:8088/x")) == NOT_PUBLIC
    assert policy.refusal(URL("http://web.sample.invalid:8099/x")) is None


@pytest.mark.parametrize("port", [22, 25, 79, 3306, 5432, 6379, 8099, 9200, 11211, 65535])
def test_only_ports_of_web_servers_are_asked(port: int) -> None:
    url = URL(f"http://h.example:{port}/x")
    assert AddressPolicy().refusal(url) == f"port {port} is not among images.fetch.allowed_ports"
    assert AddressPolicy(allowed_ports=(port,)).refusal(url) is None
    for common in (80, 443, 8080, 8443):
        assert AddressPolicy().refusal(URL(f"https://h.example:{common}/x")) is None
        assert AddressPolicy(allowed_ports=(port,)).refusal(URL(f"https://h.example:{common}/x")) is not None


def test_the_socket_is_the_last_check() -> None:
    assert "images.fetch.allowed_private" in NOT_PUBLIC
    policy = AddressPolicy(allow_hosts={"web.sample.invalid": "127.0.0.1:8099"})
    tcp = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
    policy.open_socket((*tcp, ("127.0.0.1", 8099))).close()
    policy.open_socket((*tcp, ("8.8.8.8", 80))).close()
    for endpoint in [("127.0.0.1", 8100), ("127.0.0.2", 8099), ("169.254.169.254", 80)]:
        with pytest.raises(ForbiddenAddress):
            policy.open_socket((*tcp, endpoint))


def resolve(addresses: list[str], host: str = "h.org", **policy) -> list[tuple[str, int]]:
    def lookup(name: str, port: int) -> list[tuple]:
        return [
            (socket.AF_INET6 if ":" in a else socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in addresses
        ]

    with ThreadPoolExecutor(1) as threads:
        resolver = CheckedResolver(AddressPolicy(**policy), threads, lookup=lookup)
        return [(r["host"], r["port"]) for r in asyncio.run(resolver.resolve(host, 80))]


def test_a_name_leads_to_its_permitted_addresses_only() -> None:
    assert resolve(["127.0.0.1", "8.8.8.8", "8.8.8.8", "::1"]) == [("8.8.8.8", 80)]
    with pytest.raises(ForbiddenAddress):
        resolve(["127.0.0.1", "::1"])
    with pytest.raises(socket.gaierror):
        resolve([])
    assert resolve(["127.0.0.1"], host="w.invalid", allow_hosts={"w.invalid": "127.0.0.3:9"}) == [("127.0.0.3", 9)]


def test_a_name_that_cannot_be_one_does_not_exist() -> None:
    with pytest.raises(socket.gaierror) as error:
        system_lookup("a" * 70 + ".invalid", 80)
    assert error.value.errno == socket.EAI_NONAME


def test_this_machine_is_not_public() -> None:
    addresses = {row[4][0] for row in system_lookup("localhost", 80)}
    assert all(ipaddress.ip_address(a).is_loopback and not AddressPolicy().permits(a) for a in addresses)
