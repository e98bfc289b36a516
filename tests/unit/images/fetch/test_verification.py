"""Bodies that are judged: alike in threads and in processes, in any batches; whoever ends costs one body."""

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO

import numpy as np
import psutil
import pytest
from PIL import Image

from laionet_assets.images.fetch.exchange import Answer
from laionet_assets.images.fetch.job import Job
from laionet_assets.images.fetch.outcomes import FetchOutcome, FetchRequest, Status
from laionet_assets.images.fetch.policy import FetchPolicy
from laionet_assets.images.fetch.run import fetch
from laionet_assets.images.fetch.urls import parse_url
from laionet_assets.images.fetch.verification import REQUESTS_A_PROCESS, Sink, Verification, _Crashed
from laionet_assets.pictures.processes import Processes
from tests.unit.images.fetch import looks
from tests.unit.images.fetch.raw_server import answer, raw_server


def picture(kind: str = "JPEG", size: tuple[int, int] = (90, 60), seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


BLOCKED = picture(seed=99)
BODIES = [
    *(picture(seed=seed) for seed in range(40)),
    picture("PNG"), picture("WEBP"), picture()[:-300], picture("PNG")[:200], b"", b"<html>", BLOCKED,
    picture(size=(5, 5)), picture("PNG", size=(1500, 1000)),
]  # fmt: skip
POLICY = FetchPolicy(
    contact="mailto:fetch@example.org",
    verify_threads=2,
    max_pixels=1_000_000,
    blocked_content_hashes=frozenset({hashlib.sha256(BLOCKED).hexdigest()}),
)


def judge(
    bodies: Sequence[bytes], *, requests: int | None, policy: FetchPolicy = POLICY, sink: Sink | None = None
) -> list[FetchOutcome]:
    """Outcomes of bodies that all come at once, in their order."""

    async def run() -> list[FetchOutcome]:
        verification = Verification(policy, sink=sink, requests=requests)
        try:
            return await asyncio.gather(
                *(verification.outcome(job(i), Answer(http_status=200, body=body)) for i, body in enumerate(bodies))
            )
        finally:
            verification.close()

    return asyncio.run(run())


def job(number: int) -> Job:
    url = parse_url(f"http://a.test/{number}")
    return Job(FetchRequest(number, str(url)), url, url)


def decoders() -> list[psutil.Process]:
    return [
        child for child in psutil.Process().children() if any("pictures.processes" in part for part in child.cmdline())
    ]


def timeless(outcomes: Sequence[FetchOutcome]) -> list[FetchOutcome]:
    return [replace(each, started_at=None, next_attempt_at=None) for each in outcomes]


def test_processes_judge_as_threads_do() -> None:
    sunk: list[dict[int, bytes]] = [{}, {}]
    found = [
        judge(BODIES, requests=requests, sink=lambda outcome, body, i=i: sunk[i].__setitem__(outcome.id, body))
        for i, requests in enumerate((len(BODIES), None))
    ]
    assert timeless(found[0]) == timeless(found[1])
    assert [each.id for each in found[1]] == list(range(len(BODIES)))
    assert sunk[0] == sunk[1] == {each.id: BODIES[each.id] for each in found[0] if each.status == Status.SUCCESS}
    assert {each.error_class for each in found[0]} == {
        None, "decode", "not_an_image", "blocked", "too_small", "too_many_pixels"
    }  # fmt: skip
    assert not decoders()


@pytest.mark.parametrize(
    ("requests", "threads", "expected"),
    [
        (REQUESTS_A_PROCESS - 1, 2, 0),
        (REQUESTS_A_PROCESS, 2, 1),
        (5 * REQUESTS_A_PROCESS, 2, 2),
        (5 * REQUESTS_A_PROCESS, 1, 0),
        (None, 2, 2),
    ],
)
def test_processes_are_started_where_they_pay(requests: int | None, threads: int, expected: int) -> None:
    most = 0

    def sink(outcome: FetchOutcome, body: bytes) -> None:
        nonlocal most
        most = max(most, len(decoders()))

    judge(BODIES[:40], requests=requests, policy=replace(POLICY, verify_threads=threads), sink=sink)
    assert most == expected


def test_a_body_over_which_every_process_ends_is_refused_alone() -> None:
    async def run() -> list[FetchOutcome]:
        verification = Verification(POLICY, sink=None, requests=None)
        verification._processes = Processes(looks.hash_and_inspect_or_not, crashed=_Crashed)
        bodies = [BODIES[0], looks.DEADLY, BODIES[1]]
        try:
            return await asyncio.gather(
                *(verification.outcome(job(i), Answer(http_status=200, body=body)) for i, body in enumerate(bodies))
            )
        finally:
            verification.close()

    found = asyncio.run(run())
    assert [each.error_class for each in found] == [None, "decode", None]
    assert found[1].detail == "the process that decoded it was ended by SIGKILL"
    assert found[1].sha256 == hashlib.sha256(looks.DEADLY).hexdigest()
    assert found[1].mime_type == "image/jpeg"


def test_what_the_sink_raises_reaches_those_who_wait() -> None:
    def full(outcome: FetchOutcome, body: bytes) -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        judge(BODIES[:40], requests=None, sink=full)
    assert not decoders()


@pytest.mark.parametrize("requests", [1, None])
def test_closing_waits_for_the_sink_and_forgets_the_rest(requests: int | None) -> None:
    sunk: list[tuple[int, bool]] = []
    first = threading.Event()

    def sink(outcome: FetchOutcome, body: bytes) -> None:
        sunk.append((outcome.id, outcome.sha256 == hashlib.sha256(body).hexdigest()))
        first.set()

    async def run() -> int:
        verification = Verification(POLICY, sink=sink, requests=requests)
        answers = [Answer(http_status=200, body=BODIES[i % 40]) for i in range(2_000)]
        tasks = [asyncio.create_task(verification.outcome(job(i), each)) for i, each in enumerate(answers)]
        await asyncio.to_thread(first.wait)
        for task, given in zip(tasks, answers, strict=True):
            task.cancel()
            given.body = None
        verification.close()
        at_the_end = len(sunk)
        await asyncio.sleep(0.05)
        return at_the_end

    assert 0 < asyncio.run(run()) == len(sunk) < 2_000
    assert all(is_its_hash for _, is_its_hash in sunk)
    assert not decoders()


def test_closing_ends_a_process_that_does_not_end_by_itself() -> None:
    async def run() -> float:
        verification = Verification(POLICY, sink=None, requests=None)
        verification._processes = Processes(looks.hash_and_inspect_or_not, crashed=_Crashed)
        judged = await verification.outcome(job(0), Answer(http_status=200, body=BODIES[0]))
        assert judged.error_class is None
        answers = [Answer(http_status=200, body=looks.ENDLESS) for _ in range(50)]
        tasks = [asyncio.create_task(verification.outcome(job(i), each)) for i, each in enumerate(answers, 1)]
        await asyncio.sleep(0.3)
        for task in tasks:
            task.cancel()
        started = time.monotonic()
        verification.close()
        return time.monotonic() - started

    assert asyncio.run(run()) < 5
    assert not decoders()


def test_a_long_robots_txt_is_not_read_behind_pictures() -> None:
    """The only thread that verifies is busy until a picture is asked for of a host with a late and long robots.txt."""
    robots = answer(b"User-agent: *\nDisallow: /private/\n" + b"# much to read\n" * 20_000)
    is_asked, waited = threading.Event(), []

    def late(number: int) -> bytes:
        time.sleep(0.5)
        return robots

    def asked(number: int) -> bytes:
        is_asked.set()
        return answer(picture())

    def sink(outcome: FetchOutcome, body: bytes) -> None:
        waited.append(is_asked.wait(10))

    with raw_server({"/late": asked}, robots=late) as slow, raw_server(other=answer(picture())) as quick:
        policy = replace(
            POLICY,
            verify_threads=1,
            min_interval=0,
            allow_hosts={"slow.test": slow.endpoint, "quick.test": quick.endpoint},
        )
        urls = ["http://slow.test/late", *(f"http://quick.test/{i}" for i in range(5))]
        found = list(fetch([FetchRequest(i, url) for i, url in enumerate(urls)], policy, sink=sink))
    assert [outcome.status for outcome in found] == [Status.SUCCESS] * 6
    assert waited == [True] * 6


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_fetch_ends_at_once_and_leaves_no_process(how: signal.Signals) -> None:
    """While the robots.txt of one host does not come, and pictures of another are decoded."""
    is_over = threading.Event()

    def never(number: int) -> bytes:
        is_over.wait(60)
        return answer(b"")

    def endless(number: int) -> bytes:
        return answer(BODIES[number % 40])

    with raw_server(robots=never) as slow, raw_server(other=endless) as quick:
        command = [sys.executable, "-m", "tests.unit.images.fetch.endless", slow.endpoint, quick.endpoint]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as fetching:
            try:
                assert fetching.stdout is not None and fetching.stdout.readline() == "under way\n"
                ours = psutil.Process(fetching.pid).children(recursive=True)
                assert len(ours) == 2
                started = time.monotonic()
                fetching.send_signal(how)
                fetching.wait(20)
                assert time.monotonic() - started < 5
                gone, alive = psutil.wait_procs(ours, timeout=5)
                assert len(gone) == 2 and not alive
            finally:
                fetching.kill()
                is_over.set()


def test_threads_never_hold_more_bodies_than_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large body goes alone, so that others do not wait for it behind the same thread."""
    seen: list[list[int]] = []
    inner: Callable = Verification._see

    def spy(self: Verification, bodies: Sequence[bytes]) -> list:
        seen.append([len(body) for body in bodies])
        return inner(self, bodies)

    monkeypatch.setattr(Verification, "_see", spy)
    large = os.urandom(2**21)
    judge([*BODIES[:40], large, *BODIES[:40], large, large], requests=1)
    assert sum(map(len, seen)) == 83
    assert max(map(len, seen)) <= 16
    assert all(sizes == [len(large)] for sizes in seen if len(large) in sizes)
