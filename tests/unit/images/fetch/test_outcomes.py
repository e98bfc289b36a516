from datetime import UTC, datetime, timedelta

import pytest

from laionet_assets.images.fetch.outcomes import ErrorClass, FetchRequest, Status, next_attempt_at, status_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_classes_that_the_project_promises_exist() -> None:
    promised = (
        "dns tls connect timeout http_4xx http_404 http_429 http_5xx too_large not_an_image opted_out blocked decode"
    )
    assert {ErrorClass(name) for name in promised.split()} <= set(ErrorClass)


def test_what_is_tried_again_in_a_run_may_be_tried_again_later() -> None:
    transient = {error for error in ErrorClass if error.is_transient}
    assert transient == {"dns_temporary", "connect", "timeout", "http_429", "http_5xx"}
    later = {"dns", "http_4xx", "protocol", "robots_unavailable", "tls", "too_many_redirects"}
    assert {error for error in ErrorClass if error.is_retryable} == transient | later


def test_status_follows_the_class() -> None:
    assert status_of(None) == Status.SUCCESS
    assert status_of(ErrorClass.OPTED_OUT) == Status.OPTED_OUT
    assert status_of(ErrorClass.BLOCKED) == Status.BLOCKED
    assert status_of(ErrorClass.DECODE) == Status.FAILED


def due(error: ErrorClass | None, attempts: int, retry_after: float | None = None) -> timedelta | None:
    at = next_attempt_at(error, attempts=attempts, base=10, cap=1_000, now=NOW, retry_after=retry_after)
    return None if at is None else at - NOW


@pytest.mark.parametrize(("attempts", "seconds"), [(0, 10), (1, 10), (2, 20), (3, 40), (8, 1_000), (10_000, 1_000)])
def test_later_attempts_are_exponentially_rarer(attempts: int, seconds: float) -> None:
    assert due(ErrorClass.TIMEOUT, attempts) == timedelta(seconds=seconds)


def test_never_before_the_server_says() -> None:
    assert due(ErrorClass.HTTP_429, 1, retry_after=500) == timedelta(seconds=500)
    assert due(ErrorClass.HTTP_429, 1, retry_after=5) == timedelta(seconds=10)
    assert due(ErrorClass.HTTP_429, 1, retry_after=1e18) == timedelta(days=365)


def test_what_cannot_succeed_is_never_due() -> None:
    assert due(None, 1) is None
    assert due(ErrorClass.HTTP_404, 1) is None


def test_a_request_does_not_show_its_url() -> None:
    assert "secret" not in repr(FetchRequest(1, "http://h.org/secret"))
