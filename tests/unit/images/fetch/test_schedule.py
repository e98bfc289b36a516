import asyncio
import random

import pytest

from laionet_assets.images.fetch.schedule import TURN, HostQueues, Schedule


def queues(**limits) -> HostQueues[int]:
    return HostQueues(**({"per_host": 2, "min_interval": 0.0} | limits))


def take(q: HostQueues[int], now: float) -> tuple[str, int] | None:
    """Pop and begin at once."""
    taken = q.pop(now)
    if taken is not None:
        q.begin(taken[0], now=now)
    return taken


def test_a_host_has_no_more_than_its_slots() -> None:
    q = queues()
    for i in range(4):
        q.add("a", i, now=0)
    assert [take(q, 0), take(q, 0), take(q, 0)] == [("a", 0), ("a", 1), None]
    q.release("a", now=1)
    assert [take(q, 1), take(q, 1)] == [("a", 2), None]


def test_a_full_host_holds_up_no_other() -> None:
    q = queues(per_host=1)
    for i in range(50):
        q.add("slow", i, now=0)
    q.add("b", 100, now=0)
    q.add("c", 101, now=0)
    assert [take(q, 0), take(q, 0), take(q, 0), take(q, 0)] == [("slow", 0), ("b", 100), ("c", 101), None]


def test_hosts_take_turns() -> None:
    q = queues(per_host=1_000)
    for i in range(3 * TURN):
        q.add("a", i, now=0)
        q.add("b", i, now=0)
    order = [take(q, 0)[0] for _ in range(6 * TURN)]
    assert order == (["a"] * TURN + ["b"] * TURN) * 3


def test_a_host_rests_between_two_beginnings() -> None:
    q = queues(min_interval=1.0)
    for i in range(3):
        q.add("a", i, now=10)
    assert take(q, 10) == ("a", 0)
    assert take(q, 10.5) is None
    assert q.wake_at() == 11
    assert take(q, 11) == ("a", 1)
    q.release("a", now=11)
    q.release("a", now=11)
    assert take(q, 11.9) is None
    assert take(q, 12) == ("a", 2)


def test_a_job_that_asks_nothing_costs_no_rest() -> None:
    q = queues(min_interval=1.0)
    q.add("a", 0, now=0)
    q.add("a", 1, now=0)
    assert q.pop(0) == ("a", 0)
    q.release("a", now=0)
    assert q.pop(0) == ("a", 1)


def test_the_rest_outlasts_an_empty_queue() -> None:
    q = queues(min_interval=1.0)
    q.add("a", 0, now=0)
    assert take(q, 0) == ("a", 0)
    q.release("a", now=0.1)
    q.add("a", 1, now=0.2)
    assert take(q, 0.9) is None
    assert take(q, 1.0) == ("a", 1)


def test_a_pause_stops_all_of_a_host() -> None:
    q = queues()
    for i in range(3):
        q.add("a", i, now=0)
    assert take(q, 0) == ("a", 0)
    q.pause("a", until=5)
    assert take(q, 1) is None
    q.release("a", now=1)
    assert take(q, 4.9) is None
    assert take(q, 5) == ("a", 1)


def test_a_longer_interval_prevails() -> None:
    q = queues(min_interval=1.0)
    q.add("a", 0, now=0)
    q.add("a", 1, now=0)
    assert q.pop(0) == ("a", 0)
    q.slow_down("a", 7.0)
    q.begin("a", now=0)
    assert take(q, 6.9) is None
    assert take(q, 7.0) == ("a", 1)
    q.slow_down("a", 0.0)
    q.add("a", 2, now=7)
    q.release("a", now=7)
    q.release("a", now=7)
    assert take(q, 14.0) == ("a", 2)


def test_what_goes_on_comes_before_what_begins() -> None:
    q = queues()
    for i in range(10):
        q.add(f"h{i}", i, now=0)
    assert take(q, 0) == ("h0", 0)
    q.release("h0", now=0)
    q.add("h0", 100, now=0, first=True)
    q.add("other", 101, now=0, first=True)
    assert [take(q, 0), take(q, 0), take(q, 0)] == [("other", 101), ("h0", 100), ("h1", 1)]


def test_a_later_job_comes_first_when_it_is_due() -> None:
    q = queues()
    q.add("a", 0, now=0)
    q.add("a", 1, now=0)
    q.add_later("a", 9, at=5)
    assert q.wake_at() == 5
    assert take(q, 4) == ("a", 0)
    assert take(q, 5) == ("a", 9)


def test_idle_hosts_are_forgotten() -> None:
    q = queues(min_interval=0.5)
    for i in range(1_000):
        q.add(f"h{i}", i, now=0)
    while (taken := take(q, 0)) is not None:
        q.release(taken[0], now=0)
    assert q.pop(1) is None
    assert not q._hosts and q.wake_at() is None


def test_a_connection_is_worth_keeping_while_the_host_has_its_turn() -> None:
    q = queues(per_host=100)
    for i in range(TURN + 2):
        q.add("a", i, now=0)
    q.add("b", 0, now=0)
    kept = []
    for _ in range(TURN):
        take(q, 0)
        kept.append(q.stays("a"))
    assert kept == [True] * (TURN - 1) + [False]


def test_the_connection_of_the_only_host_stays_beyond_its_turn() -> None:
    q = queues(per_host=100)
    for i in range(2 * TURN + 1):
        q.add("a", i, now=0)
    kept = []
    while take(q, 0) is not None:
        kept.append(q.stays("a"))
    assert kept == [True] * 2 * TURN + [False]


@pytest.mark.parametrize("seed", range(20))
def test_every_job_comes_once_and_within_the_limits(seed: int) -> None:
    rng = random.Random(seed)
    q: HostQueues[int] = HostQueues(per_host=rng.randint(1, 3), min_interval=rng.choice([0.0, 0.3]))
    interval, per_host = q._min_interval, q._per_host
    waiting, active, began, done, now = list(range(300)), [], {}, [], 0.0
    while len(done) < 300:
        now += rng.random() * 0.1
        for _ in range(rng.randint(0, 20)):
            if waiting:
                job = waiting.pop()
                host = f"h{rng.randrange(8)}"
                if rng.random() < 0.2:
                    q.add_later(host, job, at=now + rng.random())
                else:
                    q.add(host, job, now=now, first=rng.random() < 0.2)
        while len(active) < 10 and (taken := q.pop(now)) is not None:
            if rng.random() < 0.1:
                q.release(taken[0], now=now)
                done.append(taken[1])
                continue
            q.begin(taken[0], now=now)
            assert now - began.get(taken[0], -1) >= interval
            began[taken[0]] = now
            active.append(taken)
            assert sum(host == taken[0] for host, _ in active) <= per_host
        rng.shuffle(active)
        for host, job in active[: len(active) // 2 + 1]:
            q.release(host, now=now)
            done.append(job)
        del active[: len(active) // 2 + 1]
        assert now < 1_000, "jobs were lost"
    assert sorted(done) == list(range(300))


def test_takers_wait_for_jobs_and_are_let_go() -> None:
    async def scenario() -> list[int]:
        schedule: Schedule[int] = Schedule(per_host=1, min_interval=0.01)
        done: list[int] = []

        async def taker() -> None:
            while (taken := await schedule.take()) is not None:
                host, job = taken
                schedule.begin(host)
                await asyncio.sleep(0.001)
                done.append(job)
                schedule.release(host)
                if len(done) == 20:
                    schedule.close()

        takers = [asyncio.create_task(taker()) for _ in range(5)]
        await asyncio.sleep(0.01)
        for i in range(15):
            schedule.add(f"h{i % 3}", i)
        for i in range(15, 20):
            schedule.add_later("late", i, delay=0.03)
        await asyncio.wait_for(asyncio.gather(*takers), 5)
        return done

    assert sorted(asyncio.run(scenario())) == list(range(20))
