"""The fetcher against a real server on loopback: fairness, politeness, giving up, stopping, and who may be asked."""

import asyncio
import collections
import hashlib
import itertools
import signal
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from laionet_assets.images.fetch.outcomes import FetchOutcome, FetchRequest, Status
from laionet_assets.images.fetch.policy import FetchPolicy
from laionet_assets.images.fetch.run import fetch, fetch_all
from tests.integration.hostile_web import Web

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    web = Web()
    yield web
    web.close()


def policy_for(web: Web, **settings) -> FetchPolicy:
    defaults = {
        "contact": "mailto:fetch@example.org",
        "concurrency": 32,
        "min_interval": 0,
        "total_timeout": 3,
        "connect_timeout": 3,
        "retries": 0,
        "backoff_base": 0.05,
        "allow_hosts": {"*.test": f"127.0.0.1:{web.port}"},
    }
    return FetchPolicy(**(defaults | settings))


def requests_for(*urls: str) -> list[FetchRequest]:
    return [FetchRequest(i, url) for i, url in enumerate(urls)]


def ask(policy: FetchPolicy, *urls: str, **options) -> list[FetchOutcome]:
    """Outcomes in the order of the URLs."""
    return sorted(fetch(requests_for(*urls), policy, **options), key=lambda outcome: outcome.id)


def test_no_request_is_no_work(web: Web) -> None:
    assert ask(policy_for(web)) == []


def test_a_hanging_host_holds_up_no_other(web: Web) -> None:
    hanging = [f"http://stuck.fair.test/hang/{i}" for i in range(300)]
    good = [f"http://quick{i % 3}.fair.test/good/{i}" for i in range(60)]
    began = time.monotonic()
    outcomes = fetch(requests_for(*hanging, *good), policy_for(web, per_host=4, concurrency=8))
    first = list(itertools.islice((o for o in outcomes if o.status == Status.SUCCESS), 60))
    assert len(first) == 60
    assert time.monotonic() - began < 3, "the good ones are done before the first hanging one has timed out"
    outcomes.close()


def test_a_host_never_has_more_than_its_limit_at_once(web: Web) -> None:
    urls = [f"http://limit{i % 2}.fair.test/slow-good/{i}" for i in range(60)]
    assert all(o.status == Status.SUCCESS for o in ask(policy_for(web, per_host=3), *urls))
    most = web.stats()["most_active"]
    assert most["limit0.fair.test"] == most["limit1.fair.test"] == 3


def test_a_host_rests_between_requests(web: Web) -> None:
    began = time.monotonic()
    outcomes = ask(policy_for(web, min_interval=0.1), *(f"http://rest.fair.test/good/{i}" for i in range(10)))
    assert all(o.status == Status.SUCCESS for o in outcomes)
    assert time.monotonic() - began >= 1.0, "robots.txt and ten pictures have ten rests between them"


def test_a_long_retry_after_ends_the_visit(web: Web) -> None:
    urls = [f"http://leave.me.test/later/{i}" for i in range(40)]
    before = datetime.now(UTC)
    outcomes = ask(policy_for(web, per_host=2, retries=3, retry_after_cap=60), *urls)
    assert {(o.status, o.error_class) for o in outcomes} == {(Status.FAILED, "http_429")}
    assert all(o.next_attempt_at >= before + timedelta(seconds=7_190) for o in outcomes)
    assert web.stats()["hosts"]["leave.me.test"] <= 3, "robots.txt and those under way when it said so"
    assert sum(not (o.detail or "").startswith("host asked to be left alone") for o in outcomes) <= 2
    assert {o.attempts for o in outcomes} == {1}, "those that were left out count one too: their pauses grow"


def test_a_silent_host_is_given_up(web: Web) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{taken.getsockname()[1]}"
        policy = policy_for(web, allow_hosts={"dead.invalid": nobody}, robots=False, per_host=1, host_failures=5)
        outcomes = ask(policy, *(f"http://dead.invalid/{i}" for i in range(50)))
    assert {o.error_class for o in outcomes} == {"connect"}
    assert sum(not (o.detail or "").startswith("host left alone") for o in outcomes) == 5
    assert all(o.is_retryable for o in outcomes)


def test_attempts_of_earlier_runs_count_for_the_next(web: Web) -> None:
    request = FetchRequest(1, "http://count.me.test/500/x", attempts=3)
    (outcome,) = fetch([request], policy_for(web, retries=1, refresh_base=100, refresh_cap=10_000))
    assert outcome.attempts == 5
    wait = (outcome.next_attempt_at - datetime.now(UTC)).total_seconds()
    assert 1_590 <= wait <= 1_600


def test_a_name_that_leads_inside_is_forbidden_and_never_connected_to(web: Web) -> None:
    asked = collections.Counter()

    def lookup(host: str, port: int) -> list[tuple]:
        asked[host] += 1
        address = "127.0.0.2" if host == "inside.example" or asked[host] > 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    urls = [f"http://inside.example:{web.forbidden_port}/x", f"http://turncoat.example:{web.port}/good/x"]
    ports = (web.port, web.forbidden_port)
    policy = policy_for(web, allowed_private=("127.0.0.1/32",), allow_hosts={}, allowed_ports=ports)
    inside, turncoat = ask(policy, *urls, lookup=lookup)
    assert inside.error_class == "forbidden_address"
    assert turncoat.status == Status.SUCCESS
    assert asked["turncoat.example"] == 1, "the address that was checked is the one that was connected to"
    assert "connection to a forbidden address" not in web.stats()["faults"]


def test_names_that_do_not_resolve(web: Web) -> None:
    def lookup(host: str, port: int) -> list[tuple]:
        raise socket.gaierror(socket.EAI_AGAIN if host == "later.example" else socket.EAI_NONAME, "x")

    policy = policy_for(web, allow_hosts={}, retries=2)
    gone, later = ask(policy, "http://gone.example/x", "http://later.example/x", lookup=lookup)
    assert (gone.error_class, gone.is_retryable) == ("dns", True)
    assert (later.error_class, later.is_retryable) == ("dns_temporary", True)


def test_a_certificate_that_nobody_signed_is_refused(web: Web, tmp_path: Path) -> None:
    asked = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(100))
        writer.close()

    async def scenario() -> list[FetchOutcome]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self_signed("secure.test", tmp_path))
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        policy = policy_for(web, allow_hosts={"secure.test": f"127.0.0.1:{server.sockets[0].getsockname()[1]}"})
        async with server:
            return [outcome async for outcome in fetch_all(requests_for("https://secure.test/good/x"), policy)]

    (outcome,) = asyncio.run(scenario())
    assert outcome.error_class == "tls"
    assert asked == []


def self_signed(name: str, folder: Path) -> Path:
    """A file with a key and its certificate for a name."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "server.pem"
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return file


def test_requests_are_taken_no_further_ahead_than_allowed(web: Web) -> None:
    taken = 0

    def endless() -> Iterator[FetchRequest]:
        nonlocal taken
        for i in itertools.count():
            taken += 1
            yield FetchRequest(i, f"http://many{i % 50}.ahead.test/good/{i}")

    outcomes = fetch(endless(), policy_for(web, lookahead=100))
    for given, _ in enumerate(itertools.islice(outcomes, 400), start=1):
        assert taken <= given + 2 * 100
    outcomes.close()
    time.sleep(0.1)
    assert taken <= 700


@pytest.mark.parametrize("counted", [list, iter], ids=["in threads", "in processes"])
def test_closing_early_stops_all(web: Web, counted) -> None:
    before, children = set(threading.enumerate()), set(psutil.Process().children())
    urls = ["http://first.stop.test/good/1", *(f"http://stop{i}.test/hang/{i}" for i in range(20))]
    outcomes = fetch(counted(requests_for(*urls)), policy_for(web, verify_threads=2))
    assert next(outcomes).status == Status.SUCCESS
    began = time.monotonic()
    outcomes.close()
    assert time.monotonic() - began < 2
    assert {t for t in set(threading.enumerate()) - before if not t.name.startswith("fetch-dns")} == set()
    assert set(psutil.Process().children()) == children


def test_an_interrupt_while_waiting_stops_all(web: Web) -> None:
    """A shell that puts the tests in the background tells them to ignore interrupts; here one is wanted."""
    of_the_shell = signal.signal(signal.SIGINT, signal.default_int_handler)
    before = set(threading.enumerate())
    main = threading.main_thread().ident
    threading.Timer(0.5, lambda: signal.pthread_kill(main, signal.SIGINT)).start()
    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            ask(policy_for(web, total_timeout=20), *(f"http://wait{i}.test/hang/{i}" for i in range(20)))
    finally:
        signal.signal(signal.SIGINT, of_the_shell)
    assert time.monotonic() - began < 5
    assert {t for t in set(threading.enumerate()) - before if not t.name.startswith("fetch-dns")} == set()


def test_what_the_sink_raises_ends_the_fetch(web: Web) -> None:
    def full(outcome: FetchOutcome, data: bytes) -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        ask(policy_for(web), *(f"http://sink{i}.test/good/{i}" for i in range(100)), sink=full)


@pytest.mark.parametrize("counted", [list, iter], ids=["in threads", "in processes"])
def test_what_is_being_verified_when_the_fetch_ends_reaches_the_sink_whole_or_not(web: Web, counted) -> None:
    """Threads may finish what they have; processes are ended at once, and what they had is asked for again."""
    sunk: list[tuple[int, int | None, bool]] = []

    def full(outcome: FetchOutcome, data: bytes) -> None:
        sunk.append((len(data), outcome.size_bytes, outcome.sha256 == hashlib.sha256(data).hexdigest()))
        if len(sunk) == 1:
            raise OSError("no space left")

    policy = policy_for(web, verify_threads=4, total_timeout=20)
    with pytest.raises(OSError, match="no space left"):
        list(fetch(counted(requests_for(*(f"http://verify{i}.test/large/{i}" for i in range(40)))), policy, sink=full))
    assert all(size == told and is_its_hash for size, told, is_its_hash in sunk)


def test_what_the_requests_raise_ends_the_fetch(web: Web) -> None:
    def broken() -> Iterator[FetchRequest]:
        yield FetchRequest(1, "http://a.broken.test/good/1")
        raise RuntimeError("no more rows")

    with pytest.raises(RuntimeError, match="no more rows"):
        list(fetch(broken(), policy_for(web)))


def test_the_sink_is_called_by_one_thread_at_a_time_before_the_outcome_is_seen(web: Web) -> None:
    inside, most, sunk = 0, 0, set()

    def sink(outcome: FetchOutcome, data: bytes) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.002)
        assert len(data) == outcome.size_bytes
        sunk.add(outcome.id)
        inside -= 1

    policy = policy_for(web, verify_threads=4)
    for outcome in fetch(requests_for(*(f"http://one{i % 9}.test/good/{i}" for i in range(100))), policy, sink=sink):
        assert outcome.id in sunk
    assert most == 1


def test_without_robots_nobody_asks_for_them(web: Web) -> None:
    (outcome,) = ask(policy_for(web, robots=False), "http://closed7.lax.test/good/1")
    assert outcome.status == Status.SUCCESS
    assert web.stats()["hosts"]["closed7.lax.test"] == 1


def test_robots_are_asked_for_once_an_origin(web: Web) -> None:
    urls = [f"http://once{i % 3}.robots.test/good/{i}" for i in range(90)]
    assert all(o.status == Status.SUCCESS for o in ask(policy_for(web), *urls))
    assert [web.stats()["hosts"][f"once{i}.robots.test"] for i in range(3)] == [31, 31, 31]


def test_a_url_on_the_list_is_not_reached_by_a_redirect(web: Web) -> None:
    import hashlib

    target = "http://other.hop.test/good/x"
    policy = policy_for(web, blocked_url_hashes=frozenset({hashlib.md5(target.encode()).hexdigest()}))
    (outcome,) = ask(policy, "http://a.hop.test/redirect/1")
    assert (outcome.status, outcome.final_url_host) == (Status.BLOCKED, None)
    assert "other.hop.test" not in web.stats()["hosts"]


def test_an_asynchronous_source_and_progress(web: Web) -> None:
    reports = []

    async def source() -> AsyncIterator[FetchRequest]:
        for i in range(50):
            await asyncio.sleep(0)
            yield FetchRequest(i, f"http://async{i % 5}.test/good/{i}")

    async def scenario() -> list[FetchOutcome]:
        return [o async for o in fetch_all(source(), policy_for(web), total=50, progress=reports.append)]

    assert sorted(o.id for o in asyncio.run(scenario())) == list(range(50))
    assert (reports[-1].done, reports[-1].total, reports[-1].remaining_seconds) == (50, 50, 0)
    assert reports[-1].by_status[Status.SUCCESS] == 50 and reports[-1].size_bytes > 0
