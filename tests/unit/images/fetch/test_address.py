import asyncio
import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from yarl import URL

from laionet_assets.images.fetch.address import (
    AddressPolicy,
    BadUrl,
    CheckedResolver,
    ForbiddenAddress,
    host_of,
    parse_url,
    system_lookup,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://example.com", "http://example.com"),
        ("http://h.org/\ud800", "http://h.org/"),
        ("  HTTPS://EXAMPLE.com./a b?x=ü#part \n", "https://example.com./a%20b?x=%C3%BC"),
        ("http://münchen.de/ß", "http://xn--mnchen-3ya.de/%C3%9F"),
        ("http://h.org/open/%2e%2e/private/x", "http://h.org/private/x"),
        ("http://h.org/a%2Fb%20c", "http://h.org/a%2Fb%20c"),
        ("http://8.8.8.8:8080/x", "http://8.8.8.8:8080/x"),
        ("http://[2001:4860::1]/x", "http://[2001:4860::1]/x"),
        ("http://my_host.example/x", "http://my_host.example/x"),
    ],
)
def test_a_url_is_made_canonical(text: str, expected: str) -> None:
    assert str(parse_url(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "//h.org/x", "http://", "http:///x", "ftp://h.org/x", "file:///etc/passwd", "javascript:alert(1)",
        "data:image/png;base64,AA", "http://user@h.org/", "http://user:word@h.org/", "http://h.org:0/",
        "http://h.org:70000/", "http://a b.org/", "http://a\\b/", "http://h.org/\x00", "http://h.org/a\r\nHost: other",
        "http://2130706433/", "http://127.1/", "http://0x7f.0.0.1/", "http://%31%32%37.0.0.1/", "http://-h.org/",
        "http://h.org/" + "x" * 9_000, "http://[::1/",
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_no_url(text: str) -> None:
    with pytest.raises(BadUrl) as error:
        parse_url(text)
    assert not text.strip() or text not in str(error.value)


def test_a_redirect_is_relative_to_where_it_came_from() -> None:
    base = parse_url("https://h.org/a/b?x=1")
    assert str(parse_url("../c d", base=base)) == "https://h.org/c%20d"
    assert str(parse_url("//other.org/y", base=base)) == "https://other.org/y"
    with pytest.raises(BadUrl):
        parse_url("file:///etc/passwd", base=base)


def test_the_host_of_a_url_has_no_final_dot() -> None:
    assert host_of(parse_url("http://Example.COM.:8080/x")) == "example.com"


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_public_addresses_are_permitted(address: str) -> None:
    assert AddressPolicy().permits(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "192.0.0.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1",
        "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
        "2002:a9fe:a9fe::1", "2001:db8::1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public_are_forbidden(address: str) -> None:
    assert not AddressPolicy().permits(address)


def test_allowed_networks_and_no_others_are_permitted() -> None:
    policy = AddressPolicy(allowed_private=("10.1.0.0/16", "::1/128"))
    assert policy.permits("10.1.255.1") and policy.permits("::1") and policy.permits("::ffff:10.1.0.1")
    assert not policy.permits("10.2.0.1") and not policy.permits("127.0.0.1")


def test_a_mapped_endpoint_is_for_its_name_only() -> None:
    policy = AddressPolicy(allow_hosts={"web.sample.invalid": "127.0.0.1:8099", "*.many.invalid": "[::1]:80"})
    assert policy.endpoint("web.sample.invalid") == ("127.0.0.1", 8099)
    assert policy.endpoint("WEB.sample.invalid.") == ("127.0.0.1", 8099)
    assert policy.endpoint("a.b.many.invalid") == ("::1", 80)
    assert policy.endpoint("many.invalid") is None and policy.endpoint("sample.invalid") is None
    assert not policy.permits_literal(URL("http://127.0.0.1:8099/x"))
    assert policy.permits_literal(URL("http://web.sample.invalid/x"))


def test_the_socket_is_the_last_check() -> None:
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
