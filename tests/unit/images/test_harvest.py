"""Which results stand, by rules alone: no address is asked here (tests/integration/test_images_stage.py asks)."""

import hashlib
import io
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from laionet_assets.images.downloaded import Downloaded, Found
from laionet_assets.images.fetch.policy import FetchPolicy
from laionet_assets.images.harvest import Asked, Harvest, _turn, _Wanted, harvest
from laionet_assets.images.outcomes import Result
from laionet_assets.images.removal_list import Removal
from laionet_assets.images.removals import Removals, remove
from laionet_assets.images.rules import Refusal, Rules
from laionet_assets.images.shards import content_hash
from laionet_assets.images.store import ImageStore
from laionet_assets.images.tombstones import Tombstone, read_tombstones, url_hash
from laionet_assets.warehouse.table import PartKey
from tests.unit.images.fetch.raw_server import answer, picture, raw_server

PART = PartKey("web", "part-0")
NOW = datetime(2026, 3, 1, tzinfo=UTC)
URL = "http://a.example/1.jpg"
NO = Refusal("not_enabled", "set images.fetch.enabled")
OFF = Rules(policy=None, refuse=lambda url: NO)
POLICY = FetchPolicy(contact="mailto:me@example.org")


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(str(tmp_path / "images"))


def settle(store: ImageStore, asked: Iterable[Asked], previous: Iterable[Result] = (), rules: Rules = OFF) -> Harvest:
    with store.writer(PART) as writer:
        return harvest(
            "web", list(asked), previous, writer=writer, rules=rules, log=lambda text: said.append(text), now=NOW
        )


said: list[str] = []


def one(store: ImageStore, known: Result | None, rules: Rules = OFF, url: str | None = URL) -> Result:
    """The result of one sample, of whose address `known` is known."""
    found = settle(store, [Asked(1, url, is_removed=False)], [known] if known else [], rules)
    ((sample_id, asked_url, result),) = found.rows
    assert (sample_id, asked_url) == (1, url)
    return result


def stored(store: ImageStore, data: bytes = b"picture") -> Result:
    """A success whose bytes are stored."""
    with store.writer(PART) as writer:
        writer.add(data, "jpg")
        writer.commit()
    return Result(
        url_hash=url_hash(URL), status="success", sha256=content_hash(data), md5=hashlib.md5(data).hexdigest()
    )


def failed(**values: object) -> Result:
    return Result(**({"url_hash": url_hash(URL), "status": "failed", "error_class": "timeout", "attempts": 3} | values))


def tombstones(*keys: tuple[str, str]) -> Removals:
    return Removals(tuple(Tombstone(kind, value, "a wish", True, NOW) for kind, value in keys))


def test_what_must_not_be_asked_says_why(store: ImageStore) -> None:
    result = one(store, None)
    assert (result.status, result.error_class, result.detail) == ("not_fetched", "not_enabled", NO.detail)
    assert result.next_attempt_at is None


def test_a_sample_without_an_address_is_a_bad_url(store: ImageStore) -> None:
    assert one(store, None, url=None) == Result(status="failed", error_class="bad_url", detail="no address")


def test_what_is_known_stands_when_nothing_may_be_asked(store: ImageStore) -> None:
    for known in (stored(store), failed(), failed(status="opted_out", error_class="opted_out")):
        assert one(store, known) == known
    due = failed(next_attempt_at=NOW - timedelta(hours=1))
    assert one(store, due) == due, "due, but it must not be asked"


def test_a_success_without_its_bytes_is_no_success(store: ImageStore) -> None:
    known = stored(store)
    store.discard({known.sha256})
    result = one(store, known)
    assert (result.status, result.sha256, result.error_class) == ("not_fetched", None, "not_enabled")


def asks_again(store: ImageStore, known: Result | None, rules: Rules) -> bool:
    """Whether an address would be asked."""
    asked: list[str] = []

    def refuse(url: str) -> Refusal:
        asked.append(url)
        return NO

    one(store, known, replace(rules, refuse=refuse))
    return asked == [URL]


def test_a_failure_is_asked_again_when_it_is_due(store: ImageStore) -> None:
    rules = Rules(policy=POLICY)
    assert asks_again(store, None, rules)
    assert not asks_again(store, failed(), rules)
    assert not asks_again(store, failed(next_attempt_at=NOW + timedelta(seconds=1)), rules)
    assert asks_again(store, failed(next_attempt_at=NOW), rules)
    assert asks_again(store, Result(url_hash=url_hash(URL), status="not_fetched"), rules)
    assert not asks_again(store, stored(store), rules)


def test_the_plan_counts_what_is_to_fetch_refused_and_known(store: ImageStore) -> None:
    """Port 9 of loopback refuses: it is not allowed to be connected to."""
    urls = [f"http://127.0.0.1:9/{i}.jpg" for i in range(4)]
    refuse = Rules(policy=POLICY, refuse=lambda url: NO if url == urls[0] else None)
    due, not_due = (
        replace(failed(next_attempt_at=NOW + timedelta(hours=hours)), url_hash=url_hash(url))
        for hours, url in ((-1, urls[1]), (1, urls[2]))
    )
    said.clear()
    found = settle(store, [Asked(i, url, False) for i, url in enumerate(urls)], [due, not_due], refuse)
    assert said[0] == ("4 samples ask for 4 addresses: 2 to fetch, 1 that must not be fetched, 1 known")
    assert [(result.status, result.error_class) for *_, result in found.rows] == [
        ("not_fetched", "not_enabled"),
        ("failed", "forbidden_address"),
        ("failed", "timeout"),
        ("failed", "forbidden_address"),
    ]


def test_a_failure_that_a_setting_decided_is_asked_again_under_another(store: ImageStore) -> None:
    large = failed(error_class="too_large", decided_by=f"max_bytes {POLICY.max_bytes}")
    assert not asks_again(store, large, Rules(policy=POLICY))
    assert asks_again(store, large, Rules(policy=replace(POLICY, max_bytes=2**30)))
    assert not asks_again(store, large, OFF)


def test_a_journal_is_newer_than_what_is_published(store: ImageStore) -> None:
    newer = failed(attempts=4, error_class="http_404")
    with store.writer(PART) as writer:
        writer.record(newer.journal_row())
    assert one(store, failed()) == newer


def test_a_success_without_a_hash_in_a_journal_is_asked_again(store: ImageStore) -> None:
    """Fetches that were cut short before 2026-11-26 left such rows."""
    with store.writer(PART) as writer:
        writer.record(failed(status="success", error_class=None).journal_row())
    assert one(store, None).error_class == "not_enabled"


def test_samples_that_share_an_address_share_its_result(store: ImageStore) -> None:
    known = stored(store)
    found = settle(store, [Asked(1, URL, False), Asked(2, "http://b", False), Asked(3, URL, False)], [known])
    assert [result.status for _, _, result in found.rows] == ["success", "not_fetched", "success"]
    assert said[-1].startswith("3 samples ask for 2 addresses: 0 to fetch, 1 that must not be fetched, 1 known")


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_block_lists_reach_what_is_kept(store: ImageStore, algorithm: str) -> None:
    known = stored(store)
    by_url = frozenset({hashlib.new(algorithm, URL.encode()).hexdigest()})
    by_content = frozenset({hashlib.new(algorithm, b"picture").hexdigest()})
    for rules, what in (
        (replace(OFF, blocked_urls=by_url), "URL"),
        (replace(OFF, blocked_contents=by_content), "content"),
    ):
        found = settle(store, [Asked(1, URL, False)], [known], rules)
        ((_, _, result),) = found.rows
        assert (result.status, result.detail, result.sha256) == ("blocked", what, None)
        assert {result.blocked_hash} == (by_url if what == "URL" else by_content)
        assert found.unwanted == {known.sha256}
        assert one(store, result, rules) == result, "it stays so"
        assert one(store, result, OFF).status == "not_fetched", "off the list, it may be asked again"


def test_what_is_removed_keeps_its_reason_alone(store: ImageStore) -> None:
    known = stored(store)
    by_address = (Removal("sha256", known.sha256 or "", "a wish"),)  # the picture goes wherever it is
    for key, met in ((("url_hash", url_hash(URL)), by_address), (("sample", "web/1"), ())):
        found = settle(store, [Asked(1, URL, False)], [known], replace(OFF, removals=tombstones(key)))
        assert found.rows[0][2] == Result(status="removed", error_class="removed", detail="a wish")
        assert found.met == met
    found = settle(store, [Asked(1, None, is_removed=True)])
    assert found.rows[0][2].status == "removed"


def test_a_removed_content_takes_address_and_samples_with_it(store: ImageStore) -> None:
    known = stored(store)
    rules = replace(OFF, removals=tombstones(("sha256", known.sha256 or "")))
    for previous in (known, replace(known, status="blocked", sha256=None, md5=None, blocked_hash=known.sha256)):
        found = settle(
            store, [Asked(1, URL, False), Asked(2, URL, False), Asked(3, "http://b", False)], [previous], rules
        )
        assert [result.status for _, _, result in found.rows] == ["removed", "removed", "not_fetched"]
        assert set(found.met) == {
            Removal("sample", "web/1", "a wish"),
            Removal("sample", "web/2", "a wish"),
            Removal("url_hash", url_hash(URL), "a wish"),
        }


def test_no_address_is_in_the_repr_of_a_request() -> None:
    assert "example" not in repr(Asked(1, URL, False))


def drawn(shade: int, size: tuple[int, int] = (20, 16)) -> bytes:
    """A PNG of one grey."""
    buffer = io.BytesIO()
    Image.new("L", size, shade).save(buffer, "PNG")
    return buffer.getvalue()


def having(*found: Found, **changes: Any) -> Rules:
    """Fetching is switched off, and these pictures are downloaded already."""

    def find(urls: Collection[str]) -> Iterator[Found]:
        return (each for each in found if each.url in urls)

    downloaded = Downloaded(find=find, max_bytes=2_000, max_pixels=10_000, min_pixels=100)
    refusal = replace(NO, is_of_requests=True)
    return replace(Rules(policy=None, refuse=lambda url: refusal, downloaded=downloaded), **changes)


def at_hand(data: bytes, url: str = URL, original_hash: str | None = None) -> Found:
    return Found(url, lambda: data, original_hash)


def test_a_picture_at_hand_is_taken_over_without_a_request(store: ImageStore) -> None:
    data = drawn(7)
    rules = having(at_hand(data))
    said.clear()
    result = one(store, None, rules)
    assert result == Result(
        url_hash=url_hash(URL),
        status="success",
        detail="taken over from images.downloaded",
        mime_type="image/png",
        size_bytes=len(data),
        sha256=content_hash(data),
        md5=hashlib.md5(data).hexdigest(),
        phash=result.phash,
        width=20,
        height=16,
        mode="L",
        is_animated=False,
        started_at=NOW,
    )
    assert store.read(result.sha256 or "") == data and result.phash is not None
    assert said == [
        "1 addresses taken over from images.downloaded",
        "1 samples ask for 1 addresses: 0 to fetch, 0 that must not be fetched, 1 known",
    ]
    with store.writer(PART) as writer:
        assert [Result.of_row(row) for row in writer.recorded] == [result]
    said.clear()
    assert one(store, result, rules) == result
    assert "taken over" not in " ".join(said), "nothing is looked for"


def test_what_is_no_whole_picture_within_the_limits_is_not_taken_over(store: ImageStore) -> None:
    def unreadable() -> bytes:
        raise OSError("gone")

    damaged = [
        at_hand(drawn(7)[:50]), at_hand(b"<html>"), at_hand(drawn(7, (9, 9))), at_hand(drawn(7, (200, 100))),
        at_hand(drawn(7) + b" " * 2_000), Found(URL, unreadable),
    ]  # fmt: skip
    for found in damaged:
        said.clear()
        assert one(store, None, having(found)).error_class == "not_enabled"
        assert said[0] == "0 addresses taken over from images.downloaded, 1 are no whole pictures there"
    assert one(store, None, having(*damaged, at_hand(drawn(7)))).is_success, "another folder has it whole"


def test_what_is_damaged_at_hand_is_asked_if_it_may_be(store: ImageStore) -> None:
    """Port 9 of loopback refuses: it is not allowed to be connected to."""
    urls = [f"http://127.0.0.1:9/{i}.jpg" for i in range(2)]
    rules = having(at_hand(b"", urls[0]), at_hand(drawn(7), urls[1]), policy=POLICY, refuse=lambda url: None)
    found = settle(store, [Asked(i, url, False) for i, url in enumerate(urls)], rules=rules)
    assert [result.error_class for *_, result in found.rows] == ["forbidden_address", None]
    assert found.fetched == 1


def test_a_failure_that_stands_is_taken_over_and_no_opt_out_or_want_of_clearance(store: ImageStore) -> None:
    found = at_hand(drawn(7))
    opted_out = failed(status="opted_out", error_class="opted_out")
    assert one(store, opted_out, having(found)) == opted_out
    uncleared = having(found, refuse=lambda url: Refusal("not_cleared", "a list is needed"))
    assert one(store, None, uncleared).error_class == "not_cleared"
    assert one(store, failed(), uncleared) == failed()
    dead = one(store, failed(error_class="http_404"), having(found, is_uncleared=True))
    assert dead.is_success and (dead.attempts, dead.error_class, dead.http_status) == (3, None, None)
    assert dead.is_uncleared


@pytest.mark.parametrize("is_original", [False, True])
def test_block_lists_and_removals_reach_what_is_at_hand(store: ImageStore, is_original: bool) -> None:
    """By the bytes, or by those they were before they were resized."""
    data = drawn(7)
    listed = "ab" * 32 if is_original else content_hash(data)
    found = at_hand(data, original_hash=listed if is_original else None)
    result = one(store, None, having(found, blocked_contents=frozenset({listed})))
    assert (result.status, result.detail, result.blocked_hash, result.sha256) == ("blocked", "content", listed, None)
    by_url = having(found, blocked_urls=frozenset({url_hash(URL)}))
    assert (one(store, None, by_url).status, one(store, None, by_url).detail) == ("blocked", "URL")
    taken = settle(store, [Asked(1, URL, False)], rules=having(found, removals=tombstones(("sha256", listed))))
    assert taken.rows[0][2] == Result(status="removed", error_class="removed", detail="a wish")
    assert set(taken.met) == {
        Removal("sample", "web/1", "a wish"),
        Removal("url_hash", url_hash(URL), "a wish"),
    }
    assert len(store) == 0


def test_a_full_store_takes_nothing_over_and_says_so(tmp_path: Path) -> None:
    small = ImageStore(str(tmp_path / "small"), quota_bytes=100)
    result = one(small, None, having(at_hand(drawn(7))))
    assert (result.status, result.error_class) == ("not_fetched", "store_full")
    assert result.next_attempt_at is not None


def test_what_a_person_wants_asked_again_is_asked_once(store: ImageStore) -> None:
    """A final failure too; one that was tried since stands, and so does every opt-out."""
    with raw_server(other=answer(picture())) as server:
        policy = replace(POLICY, allow_hosts={"a.example": server.endpoint}, retries=0)
        rules = Rules(policy=policy, asked_again={url_hash(URL): NOW})
        before, after = NOW - timedelta(hours=1), NOW + timedelta(hours=1)
        gone = failed(error_class="http_404", started_at=before)
        assert one(store, gone, Rules(policy=policy)) == gone
        assert one(store, replace(gone, started_at=after), rules).status == "failed"
        opted_out = failed(status="opted_out", error_class="opted_out", started_at=before)
        assert one(store, opted_out, rules) == opted_out
        assert server.asked == []
        found = one(store, gone, rules)
        assert (found.status, found.attempts, server.asked) == ("success", 4, ["/1.jpg"])


def test_failures_are_not_asked_in_the_same_order_every_time() -> None:
    def order(attempts: int) -> list[str]:
        known = [failed(url_hash=str(i), attempts=attempts) for i in range(50)]
        wanted = [_Wanted(result.url_hash, "", result) for result in known] + [_Wanted("new", "", None)]
        return [each.url_hash for each in sorted(wanted, key=_turn)]

    assert order(1) == order(1) != order(2)
    assert order(1)[0] == "new" and len(set(order(1))) == 51


@pytest.mark.parametrize("moment", ["before", "while it is fetched", "before it is published", "after"])
@pytest.mark.parametrize("kind", ["url_hash", "asked", "sha256", "sample"])
def test_a_removal_holds_whenever_it_comes(store: ImageStore, moment: str, kind: str) -> None:
    """In the run that comes after it at the latest, with the bytes gone and the address never asked again."""
    url, data = "http://a.example/a picture.jpg", picture()
    value = {
        "url_hash": url_hash(url),
        "asked": url_hash("http://a.example/a%20picture.jpg"),
        "sha256": content_hash(data),
        "sample": "web/1",
    }[kind]
    removal = Removal("url_hash" if kind == "asked" else kind, value, "a wish")

    def remove_now(when: str) -> None:
        if when == moment:
            contents = [Removal("sha256", content_hash(data), "a wish")] if when == "after" else []
            remove(store, [removal, *contents], [removal])  # what spread makes of it once the picture is known

    def served(number: int) -> bytes:
        remove_now("while it is fetched")
        return answer(data)

    def run(known: Result | None) -> Harvest:
        policy = replace(POLICY, allow_hosts={"a.example": server.endpoint}, retries=0)
        if Removals(tuple(read_tombstones(store.lake))).hashes("sample"):  # the step adds addresses of its candidates
            remove(store, [Removal("url_hash", url_hash(url), "a wish")], requested=())
        rules = Rules(policy=policy, removals=Removals(tuple(read_tombstones(store.lake))))
        found = settle(store, [Asked(1, url, is_removed=False)], [known] if known else [], rules)
        store.discard(found.unwanted)
        if found.met:
            remove(store, found.met, requested=())
        return found

    with raw_server(other=served) as server:
        remove_now("before")
        first = run(None)
        remove_now("before it is published")
        remove_now("after")
        ((_, _, known),) = first.rows
        ((_, _, result),) = run(known).rows
        asked = len(server.asked)
        ((_, _, again),) = run(result if result.url_hash else None).rows
        assert len(server.asked) == asked <= 1 + (kind == "sha256")
    assert (result.status, again.status) == ("removed", "removed")
    assert again.detail in ("a wish", "removed while it was fetched")
    assert not store.contains(content_hash(data)) and not any(sha == content_hash(data) for _, sha in store.traces())


@pytest.mark.parametrize(("hours", "counts"), [(-1, False), (0, True), (1, True)])
def test_a_journal_counts_where_it_is_newer_than_what_is_published(store: ImageStore, hours: int, counts: bool) -> None:
    """On a shared folder, the part may have been made on another host since this one was killed."""
    published = failed(error_class="http_404", started_at=NOW - timedelta(days=1), attempts=5)
    journalled = replace(published, error_class="tls", started_at=published.started_at + timedelta(hours=hours))
    with store.writer(PART) as writer:
        writer.record(journalled.journal_row())
    assert one(store, published).error_class == ("tls" if counts else "http_404")


def test_a_journal_counts_where_nothing_was_tried_before(store: ImageStore) -> None:
    journalled = failed(error_class="http_404", started_at=NOW - timedelta(days=1))
    with store.writer(PART) as writer:
        writer.record(journalled.journal_row())
    untried = Result(url_hash=url_hash(URL), status="not_fetched", error_class="not_enabled")
    assert one(store, untried) == journalled
