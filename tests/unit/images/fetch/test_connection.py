"""Answers that browsers take, byte by byte from a real socket."""

import asyncio
import socket

import pytest

from laionet_assets.images.fetch.address import NOT_PUBLIC, AddressPolicy, ForbiddenAddress
from laionet_assets.images.fetch.connection import Connection
from laionet_assets.images.fetch.exchange import open_client
from laionet_assets.images.fetch.policy import FetchPolicy
from laionet_assets.images.fetch.urls import parse_url
from tests.unit.images.fetch.raw_server import ask, picture, raw_server

BODY = picture()
LENGTH = f"Content-Length: {len(BODY)}\r\n"


def raw(fields: str, body: bytes = BODY, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\n{fields}\r\n".encode() + body


CHUNKS = b"%x;a=b\r\n%b\r\n3\r\n%b\r\n0\r\n\r\n" % (len(BODY) - 3, BODY[:-3], BODY[-3:])
ACCEPTED = {
    "a length": raw(LENGTH),
    "no length": raw(""),
    "bytes behind the body": raw(LENGTH + "Connection: close\r\n", BODY + b"more"),
    "an answer behind the body": raw(LENGTH, BODY + raw("Content-Length: 2\r\n", b"no")),
    "many bytes behind the body": raw(LENGTH, BODY + b"x" * 300_000),
    "a doubled length": raw(LENGTH * 2),
    "a doubled length in one line": raw(f"Content-Length: {len(BODY)} ,{len(BODY)}\r\n"),
    "a doubled length and bytes behind": raw(f"content-length:{len(BODY)}\r\nA: b\r\n" + LENGTH * 3, BODY + b"more"),
    "line feeds alone": raw(LENGTH * 2).replace(b"\r\n", b"\n", 4),
    "an interim answer": raw("", b"", "103 Early Hints") + raw(LENGTH, BODY + b"more"),
    "chunks": raw("Transfer-Encoding: chunked\r\n", CHUNKS),
    "bytes behind the chunks": raw("Transfer-Encoding: chunked\r\nConnection: close\r\n", CHUNKS + b"more"),
    "chunks with a trailer, and more": raw(
        "transfer-encoding:chunked\r\n", CHUNKS[:-2] + b"A: b\r\n\r\n" + raw("", b"another")
    ),
}
REFUSED = {
    "chunks that end early": (raw("Transfer-Encoding: chunked\r\n", CHUNKS[:-9]), "connect"),
    "no chunks": (raw("Transfer-Encoding: chunked\r\n", b"zz\r\n" + BODY), "protocol"),
    "chunks of a size below zero": (raw("Transfer-Encoding: chunked\r\n", b"-5\r\n" + BODY), "protocol"),
    "chunks and a length": (raw(LENGTH + "Transfer-Encoding: chunked\r\n", CHUNKS), "protocol"),
    "lengths that differ": (raw(LENGTH + "Content-Length: 5\r\n"), "protocol"),
    "a length below zero": (raw("Content-Length: -5\r\n" * 2), "protocol"),
    "a length beyond numbers": (raw(f"Content-Length: {'9' * 5_000}\r\n" * 2), "protocol"),
    "a body that is cut off": (raw(LENGTH * 2, BODY[:-9]), "connect"),
    "a head without end": (raw("A: " + "b" * 200_000, b""), "protocol"),
    "no head": (b"", "connect"),
    "half a head": (raw(LENGTH)[:20], "connect"),
}


def test_what_browsers_overlook_is_overlooked() -> None:
    routes = {f"/{i}": data for i, data in enumerate(ACCEPTED.values())}
    with raw_server(routes) as server:
        outcomes = ask(server, *(f"http://h{path[1:]}.test{path}" for path in routes))
    assert {name: o.error_class for name, o in zip(ACCEPTED, outcomes, strict=True)} == dict.fromkeys(ACCEPTED)
    assert {o.size_bytes for o in outcomes} == {len(BODY)}


def test_what_is_ambiguous_or_cut_off_is_not() -> None:
    routes = {f"/{i}": data for i, (data, _) in enumerate(REFUSED.values())}
    with raw_server(routes) as server:
        outcomes = ask(server, *(f"http://h{path[1:]}.test{path}" for path in routes))
    found = {name: str(o.error_class) for name, o in zip(REFUSED, outcomes, strict=True)}
    assert found == {name: error for name, (_, error) in REFUSED.items()}


@pytest.mark.parametrize("name", [*ACCEPTED, *REFUSED])
@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_it_does_not_matter_how_the_bytes_arrive(name: str, size: int) -> None:
    """The same messages come out of aiohttp's parser, whatever the pieces."""
    data = ACCEPTED.get(name) or REFUSED[name][0]

    async def receive(size: int) -> tuple[object, ...]:
        connection = Connection(asyncio.get_running_loop(), lambda ip, port: True)
        connection.connection_made(_Transport())
        connection.set_response_params(read_until_eof=True, auto_decompress=False)
        for at in range(0, len(data), size):
            if connection.exception() is None:
                connection.data_received(data[at : at + size])
        connection.connection_lost(None)
        statuses = []
        while not connection.is_eof() and connection._buffer:
            message, payload = await connection.read()
            try:
                statuses.append((message.code, await payload.read()))
            except Exception as error:
                statuses.append((message.code, type(error).__name__))
        return tuple(statuses)

    assert asyncio.run(receive(size)) == asyncio.run(receive(len(data) or 1))


def test_the_other_end_is_checked_before_a_request_is_sent() -> None:
    """Where the connection leads elsewhere than to the address that was checked."""

    class Deceived(AddressPolicy):
        def permits_peer(self, address: str, port: int) -> bool:
            return next(answers)

    answers = iter([True, False])  # the address is fine, the other end is not

    def lookup(host: str, port: int) -> list[tuple]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", tuple(server.endpoint.split(":")))]

    async def asked() -> object:
        policy = FetchPolicy(contact="mailto:fetch@example.org")
        addresses = Deceived(allowed_private=("127.0.0.0/8",), allow_hosts={"h.test": server.endpoint})
        async with open_client(policy, addresses, lookup=lookup) as client:
            return await client.ask(parse_url("http://h.test/x"), seconds=5, keep_alive=False)

    with raw_server() as server:
        answer = asyncio.run(asked())
        assert (answer.error, answer.detail) == ("forbidden_address", NOT_PUBLIC)
        assert server.asked == []


def test_a_forbidden_connection_takes_no_request() -> None:
    async def connect() -> None:
        connection = Connection(asyncio.get_running_loop(), lambda ip, port: ip != "127.0.0.1")
        transport = _Transport()
        connection.connection_made(transport)
        assert transport.is_aborted and connection.should_close
        with pytest.raises(ForbiddenAddress):
            connection.set_response_params()

    asyncio.run(connect())


class _Transport(asyncio.Transport):
    """A connection to nowhere."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 80)})
        self.is_aborted = False

    def abort(self) -> None:
        self.is_aborted = True

    def close(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass
