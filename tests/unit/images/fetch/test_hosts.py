import math

from laionet_assets.images.fetch.hosts import Closure, HostRecords
from laionet_assets.images.fetch.outcomes import ErrorClass


def test_a_host_that_never_answers_is_left_alone() -> None:
    hosts = HostRecords(max_failures=3)
    for _ in range(2):
        hosts.record("a", ErrorClass.TIMEOUT)
    assert hosts.closure("a", now=0) is None
    hosts.record("a", ErrorClass.CONNECT)
    closure = hosts.closure("a", now=1e9)
    assert closure is not None and closure.error == ErrorClass.CONNECT and closure.until == math.inf
    assert hosts.closure("b", now=0) is None


def test_any_answer_starts_the_count_anew() -> None:
    hosts = HostRecords(max_failures=2)
    for error in (ErrorClass.TIMEOUT, ErrorClass.HTTP_404, ErrorClass.TIMEOUT, None, ErrorClass.DNS):
        hosts.record("a", error)
    assert hosts.closure("a", now=0) is None


def test_zero_never_gives_up() -> None:
    hosts = HostRecords(max_failures=0)
    for _ in range(1_000):
        hosts.record("a", ErrorClass.TIMEOUT)
    assert hosts.closure("a", now=0) is None


def test_a_closure_ends_at_its_time() -> None:
    hosts = HostRecords(max_failures=3)
    hosts.close("a", Closure(ErrorClass.HTTP_429, "later", until=10))
    assert hosts.closure("a", now=9.9) is not None
    assert hosts.closure("a", now=10) is None
