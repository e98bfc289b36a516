import socket
import ssl
from datetime import UTC, datetime

import aiohttp
import pytest

from laionet_assets.images.fetch.address import ForbiddenAddress
from laionet_assets.images.fetch.codings import CodingError
from laionet_assets.images.fetch.exchange import classify, error_of_status, parse_retry_after

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("120", 120),
        (" 5 ", 5),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60),
        ("Thu, 01 Jan 2025 00:00:00 GMT", 0),
        ("Thu, 01 Jan 2026 00:01:00 -0000", 60),
        ("soon", None),
        ("-5", None),
        ("9" * 4_000, 9_999_999_999),
        ("²", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, now=NOW) == seconds


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, "http_404"), (410, "http_404"), (429, "http_429"), (400, "http_4xx"), (451, "http_404"), (403, "http_4xx"),
     (500, "http_5xx"), (599, "http_5xx"), (304, "protocol"), (300, "protocol"), (600, "protocol"), (199, "protocol")],
)  # fmt: skip
def test_http_status(status: int, error: str) -> None:
    assert error_of_status(status) == error


KEY = aiohttp.client_reqrep.ConnectionKey("h.org", 80, False, True, None, None, None)


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (aiohttp.ClientConnectorError(KEY, ForbiddenAddress("x")), "forbidden_address"),
        (aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(socket.EAI_NONAME, "x")), "dns"),
        (aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(socket.EAI_AGAIN, "x")), "dns_temporary"),
        (aiohttp.ClientConnectorDNSError(KEY, ForbiddenAddress("x")), "forbidden_address"),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "x")), "tls"),
        (aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError(1, "x")), "tls"),
        (aiohttp.ClientConnectorError(KEY, ConnectionRefusedError(111, "refused")), "connect"),
        (aiohttp.ClientOSError(104, "reset"), "connect"),
        (aiohttp.ServerDisconnectedError(), "connect"),
        (aiohttp.ClientPayloadError("x"), "connect"),
        (ConnectionResetError(), "connect"),
        (aiohttp.ConnectionTimeoutError("h.org"), "timeout"),
        (TimeoutError(), "timeout"),
        (aiohttp.InvalidURL("http://h.org/secret"), "bad_url"),
        (CodingError("corrupt content-encoding"), "protocol"),
        (ValueError("http://h.org/secret"), "protocol"),
    ],
)
def test_what_was_raised_has_a_class_and_a_reason_without_url(raised: Exception, error: str) -> None:
    found, detail = classify(raised)
    assert found == error
    assert detail and "h.org" not in detail
