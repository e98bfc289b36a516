import pytest

from laionet_assets.images.fetch.hosts import Closure, HostRecords
from laionet_assets.images.fetch.outcomes import ErrorClass
from tests.unit.images.fetch.raw_server import answer, ask, picture, raw_server


def records(*, max_failures: int = 3, max_refusals: int = 2, pause: float = 100) -> HostRecords:
    return HostRecords(max_failures=max_failures, max_refusals=max_refusals, pause=pause)


def record(hosts: HostRecords, *errors: ErrorClass | None, at: float = 0.0) -> None:
    """Requests one after another, a second each."""
    for number, error in enumerate(errors):
        hosts.record("a", error, asked_at=at + number, now=at + number + 0.5)


@pytest.mark.parametrize(
    "error", [ErrorClass.CONNECT, ErrorClass.DNS, ErrorClass.HTTP_5XX, ErrorClass.PROTOCOL, ErrorClass.TLS]
)
def test_a_host_that_fails_again_and_again_is_left_alone_for_a_while(error: ErrorClass) -> None:
    hosts = records()
    record(hosts, ErrorClass.TIMEOUT, ErrorClass.TIMEOUT)
    assert hosts.closure("a", now=2) is None
    record(hosts, error, at=2)
    assert hosts.closure("a", now=2.5) == Closure(error, "host left alone after 3 failures in a row", 102.5)
    assert hosts.closure("b", now=2.5) is None
    assert hosts.closure("a", now=102.5) is None
    record(hosts, error, at=103)
    assert hosts.closure("a", now=104) is not None, "it is as it was"


@pytest.mark.parametrize("good", [None, ErrorClass.HTTP_404, ErrorClass.HTTP_4XX, ErrorClass.NOT_AN_IMAGE])
def test_an_answer_about_the_picture_starts_the_count_anew(good: ErrorClass | None) -> None:
    hosts = records(max_failures=2)
    record(hosts, ErrorClass.TIMEOUT, good, ErrorClass.TIMEOUT, good, ErrorClass.HTTP_429, good, ErrorClass.HTTP_429)
    assert hosts.closure("a", now=9) is None


def test_refusals_to_requests_under_way_at_once_are_one() -> None:
    hosts = records()
    for _ in range(4):
        hosts.record("a", ErrorClass.HTTP_429, asked_at=0, now=1)
    assert hosts.closure("a", now=1) is None
    hosts.record("a", ErrorClass.HTTP_429, asked_at=2, now=3)
    detail = "host left alone after 2 answers 429 in a row"
    assert hosts.closure("a", now=3) == Closure(ErrorClass.HTTP_429, detail, 103)


def test_zero_never_gives_up() -> None:
    hosts = records(max_failures=0, max_refusals=0)
    record(hosts, *[ErrorClass.TIMEOUT, ErrorClass.TIMEOUT, ErrorClass.HTTP_429, ErrorClass.HTTP_429] * 100)
    assert hosts.closure("a", now=0) is None


def test_a_closure_ends_at_its_time() -> None:
    hosts = records()
    hosts.close("a", Closure(ErrorClass.HTTP_429, "later", until=10))
    assert hosts.closure("a", now=9.9) is not None
    assert hosts.closure("a", now=10) is None


@pytest.mark.parametrize(("status", "error"), [("429 No", "http_429"), ("503 No", "http_5xx"), ("200", "protocol")])
def test_a_host_that_refuses_everything_costs_a_few_requests_and_nothing_for_good(status: str, error: str) -> None:
    refusal = answer(status=status) if status != "200" else b"SSH-2.0-x\r\n\r\n"
    with raw_server({"/other": answer(picture())}, other=refusal) as server:
        urls = [f"http://storm.test/{i}" for i in range(200)]
        outcomes = ask(server, *urls, "http://calm.test/other", per_host=2, host_failures=5, retries=2)
        assert 3 <= len(server.asked) - 1 <= 8
    assert {o.error_class for o in outcomes[:-1]} == {error}
    assert all(o.next_attempt_at is not None and o.attempts >= 1 for o in outcomes[:-1])
    assert outcomes[-1].error_class is None, "others are not concerned"


def test_a_host_that_only_wants_a_pause_gets_its_pictures_fetched() -> None:
    def once_refused(number: int) -> bytes:
        return answer(status="429 No") if number == 1 else answer(picture())

    with raw_server(other=once_refused) as server:
        outcomes = ask(server, *(f"http://busy.test/{i}" for i in range(3)), per_host=3, retries=2, host_refusals=9)
    assert [o.error_class for o in outcomes] == [None] * 3
