"""How addresses behave: decided by their hash, in the shares that the table names."""

from collections import Counter
from urllib.parse import urlsplit
from urllib.robotparser import RobotFileParser

import pytest

from laionet_assets.sample import manners
from laionet_assets.sample.manners import ALL_HOSTS, Address, Fault, fault

from .conftest import Part


@pytest.fixture(scope="module")
def addresses(parts: list[Part]) -> list[Address]:
    return sorted(
        {Address.of(row["URL"]) for part in parts for row in part.rows if row["URL"]}, key=lambda at: (at.host, at.path)
    )


def test_every_host_of_the_web_is_known(addresses: list[Address]) -> None:
    assert {address.host for address in addresses} == set(ALL_HOSTS)


def test_query_changes_nothing() -> None:
    plain, asked = (Address.of(f"http://shop.web.sample.invalid/00/a.jpg{query}") for query in ("", "?w=640"))
    assert plain == asked


def test_foreign_hosts_are_refused() -> None:
    with pytest.raises(ValueError, match=r"example\.com"):
        Address.of("http://example.com/a.jpg")


@pytest.mark.parametrize("is_dead", [False, True])
def test_faults_have_their_shares(addresses: list[Address], is_dead: bool) -> None:
    mine = [address for address in addresses if address.is_dead == is_dead]
    counts = Counter(map(fault, mine))
    for each, share in (manners.DEAD_FAULTS if is_dead else manners.LIVE_FAULTS).items():
        deviation = (share * (1 - share) / len(mine)) ** 0.5
        assert abs(counts[each] / len(mine) - share) < 4 * deviation, each


def test_no_fault_has_no_address(addresses: list[Address]) -> None:
    assert set(map(fault, addresses)) == set(Fault)


def test_busy_is_one_host_alone(addresses: list[Address]) -> None:
    hosts = {address.host for address in addresses if fault(address) is Fault.BUSY_ONCE}
    assert hosts == {manners.BUSY_HOST}


def test_robots_txt_disallows_what_the_table_says(addresses: list[Address]) -> None:
    for host in ALL_HOSTS:
        robots = RobotFileParser()
        robots.parse(manners.ROBOTS.get(host, "").splitlines())
        for address in addresses:
            if address.host == host:
                folder = address.path.split("/")[1]
                is_allowed = robots.can_fetch("laionet-assets", f"http://{host}{address.path}")
                assert is_allowed == (host != "shop.web.sample.invalid" or not "70" <= folder <= "7f")


def test_one_robot_must_stay_out() -> None:
    robots = RobotFileParser()
    robots.parse(manners.ROBOTS[manners.BUSY_HOST].splitlines())
    assert not robots.can_fetch("SyntheticTrainingBot", "/00/a.jpg")
    assert robots.can_fetch("laionet-assets", "/00/a.jpg")


def test_only_one_host_is_slow() -> None:
    delays = {host: manners.delay(Address(host, "/00/a.jpg")) for host in ALL_HOSTS}
    assert 0.02 <= delays.pop(manners.SLOW_HOST) <= 0.12
    assert set(delays.values()) == {0.0}


def test_moved_addresses_go_to_another_host_of_the_web(addresses: list[Address]) -> None:
    for address in addresses:
        if not address.is_dead:
            target = manners.other_host(address)
            assert target != address.host
            assert target in ALL_HOSTS
            assert target not in manners.DISALLOWED


def test_urls_of_the_web_hold_no_surprise(parts: list[Part]) -> None:
    for row in parts[0].rows:
        if row["URL"]:
            split = urlsplit(row["URL"])
            assert (split.scheme, split.port, split.fragment) == ("http", None, "")
