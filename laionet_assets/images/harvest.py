"""The pictures of a part: what is known of them stands, the rest is fetched, and each sample gets its result.

Belongs here: which results of earlier runs stand under the rules of today, taking over what the user has already,
feeding the fetcher, and writing bytes and outcomes so that a killed run goes on where it stood. Does not belong here:
which samples are asked for, where results are published, HTTP (`fetch`), the files of the store (`shards`), where
downloaded pictures lie (`downloaded`).
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from laionet_assets.images.downloaded import KEY, Downloaded, Found
from laionet_assets.images.fetch.blocklist import listed_hash
from laionet_assets.images.fetch.outcomes import FetchOutcome, FetchRequest, Status
from laionet_assets.images.fetch.policy import FetchPolicy
from laionet_assets.images.outcomes import (
    NOT_FETCHED,
    STORE_FULL,
    TAKEN_OVER,
    Result,
    blocked,
    deciding_setting,
    removed,
)
from laionet_assets.images.removal_list import Removal
from laionet_assets.images.reporting import Reporter
from laionet_assets.images.rules import Refusal, Rules
from laionet_assets.images.shard_writer import ShardWriter
from laionet_assets.images.shards import RemovedContentError, StoreFullError, content_hash
from laionet_assets.images.tombstones import sample_key, url_hash
from laionet_assets.pictures.formats import extension_of

FULL_STORE_WAIT = timedelta(hours=1)
"""When a refresh looks again whether a full store has room."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A sample whose picture is asked for. The URL is kept out of the repr, so that it is never logged."""

    sample_id: int
    url: str | None = field(repr=False)
    is_removed: bool


@dataclass(frozen=True)
class Harvest:
    """What came of it: (sample_id, address as asked, result) of every sample, in the order asked."""

    rows: tuple[tuple[int, str | None, Result], ...]
    fetched: int
    """Addresses that were asked in this run."""
    unwanted: frozenset[str]
    """Contents of results that no longer stand: their bytes must go."""
    met: tuple[Removal, ...]
    """Samples and addresses that lead to something removed, contents of what was: they are to be removed too."""


def harvest(
    source: str,
    asked: Sequence[Asked],
    previous: Iterable[Result],
    *,
    writer: ShardWriter,
    rules: Rules,
    log: Callable[[str], None],
    now: datetime,
) -> Harvest:
    """Settle every sample that is asked for, and commit the pictures. `writer` is the part's, entered.

    `previous` are the results published before; what the writer's journal holds of an unfinished run counts where it is
    newer. An address that several samples share is asked once. A full store ends the fetch: what was fetched stays, the
    rest is `not_fetched`. Failures of the store or of the machine are raised; what was recorded until then is not
    fetched again.
    """
    return _Harvest(source, writer=writer, rules=rules, log=log, now=now).run(asked, previous)


@dataclass(slots=True)
class _Wanted:
    """An address to ask, with what is known of it."""

    url_hash: str
    url: str = field(repr=False)
    known: Result | None


class _Harvest:
    def __init__(
        self, source: str, *, writer: ShardWriter, rules: Rules, log: Callable[[str], None], now: datetime
    ) -> None:
        self._source = source
        self._writer = writer
        self._rules = rules
        self._log = log
        self._now = now
        self._settled: dict[str, Result] = {}
        """Results by url_hash."""
        self._at_hand: list[_Wanted] = []
        """Addresses without a picture that may be taken over."""
        self._unwanted: set[str] = set()
        self._met: set[tuple[str, str]] = set()
        """(url_hash, reason) of addresses that lead to something removed."""
        self._contents_met: set[tuple[str, str]] = set()
        """(sha256, reason) of contents of what is removed."""

    def run(self, asked: Sequence[Asked], previous: Iterable[Result]) -> Harvest:
        known = {result.url_hash: result for result in previous}
        for recorded in map(Result.of_row, self._writer.recorded):
            known[recorded.url_hash] = _newer(known.get(recorded.url_hash), recorded)
        for result in known.values():
            if result.is_success and (reason := self._reason(result.url_hash)) is not None:
                self._remove(result, reason)  # removed by its address since it was fetched
        of_sample = {one.sample_id: self._of_sample(one) for one in asked}
        hashes = {one.sample_id: url_hash(one.url) for one in asked if of_sample[one.sample_id] is None}  # type: ignore[arg-type]
        wanted: list[_Wanted] = []
        for one in asked:
            key = hashes.get(one.sample_id)
            if key is not None and key not in self._settled:
                self._settled[key] = self._standing(key, one.url or "", known.get(key), wanted)
        if self._at_hand:
            taken_over = self._take_over(self._at_hand)
            wanted = [one for one in wanted if one.url_hash not in taken_over]
        to_fetch = {one.url_hash for one in wanted}
        refused = sum(result.status == NOT_FETCHED for key, result in self._settled.items() if key not in to_fetch)
        self._log(
            f"{len(asked):,} samples ask for {len(self._settled):,} addresses: {len(wanted):,} to fetch, "
            f"{refused:,} that must not be fetched, {len(self._settled) - len(wanted) - refused:,} known"
        )
        if wanted:
            self._fetch(sorted(wanted, key=_turn))
        self._drop_removed(self._writer.commit().removed)
        rows = tuple(
            (one.sample_id, one.url, of_sample[one.sample_id] or self._settled[hashes[one.sample_id]]) for one in asked
        )
        return Harvest(rows, len(wanted), frozenset(self._unwanted), tuple(self._removals_met(asked, hashes)))

    def _of_sample(self, one: Asked) -> Result | None:
        """The result of a sample that no address decides."""
        reason = self._rules.removals.reason(url=one.url, sample=(self._source, one.sample_id))
        if reason is not None or one.is_removed:
            return removed(reason or "its address was removed")
        if one.url is None:
            return Result(status=Status.FAILED.value, error_class="bad_url", detail="no address")
        return None

    def _standing(self, key: str, url: str, known: Result | None, wanted: list[_Wanted]) -> Result:
        """The result of an address as it stands; one that has to be asked is put on the list, its result is to come."""
        result = self._kept(key, url, known)
        may_be_taken_over = self._rules.downloaded is not None and (result is None or result.status == Status.FAILED)
        if result is not None and not may_be_taken_over:
            return result
        refusal = self._rules.refuse(url)
        if may_be_taken_over and (refusal is None or refusal.is_of_requests):
            self._at_hand.append(_Wanted(key, url, known))
        if result is not None:
            return result
        if refusal is None:
            wanted.append(_Wanted(key, url, known))
            refusal = Refusal(NOT_FETCHED, "under way")
        return self._not_fetched(key, known, refusal)

    def _kept(self, key: str, url: str, known: Result | None) -> Result | None:
        """What is known of an address, as far as it stands today; None if it must be asked again."""
        rules = self._rules
        if (reason := rules.removals.reason_as_asked(url)) is not None:
            return self._remove(known or Result(url_hash=key, status=NOT_FETCHED), reason)
        if (listed := listed_hash(url, rules.blocked_urls)) is not None:
            return self._block(known or Result(url_hash=key, status=NOT_FETCHED), listed, "URL")
        if known is None or known.status == NOT_FETCHED:
            return None
        if known.status == Status.BLOCKED:
            if (reason := self._reason(known.blocked_hash)) is not None:
                return self._remove(known, reason)
            return known if known.blocked_hash in rules.blocked_urls | rules.blocked_contents else None
        if known.is_success:
            if (reason := rules.removals.reason(sha256=known.sha256)) is not None:
                return self._remove(known, reason)
            contents = [each for each in (known.sha256, known.md5) if each in rules.blocked_contents]
            if contents:
                return self._block(known, contents[0], "content")
            return known if known.sha256 is not None and known.sha256 in self._writer else None
        is_open = known.is_due(self._now) or self._is_decided_otherwise(known) or self._is_asked_again(key, known)
        return None if is_open else known

    def _is_asked_again(self, key: str, known: Result) -> bool:
        """Whether a person wants a failure tried again, and it was not since."""
        since = self._rules.asked_again.get(key)
        return (
            since is not None
            and known.status == Status.FAILED
            and (known.started_at is None or known.started_at < since)
        )

    def _is_decided_otherwise(self, known: Result) -> bool:
        """Whether a failure is due to a setting that has another value today."""
        policy = self._rules.policy
        if policy is None or known.decided_by is None:
            return False
        return known.decided_by != deciding_setting(known.error_class, known.detail, policy)

    def _not_fetched(self, key: str, known: Result | None, refusal: Refusal) -> Result:
        """A result without a fetch: a failure that is known stands."""
        if known is not None and known.status in (Status.FAILED, Status.OPTED_OUT):
            return known
        return Result(
            url_hash=key,
            status=NOT_FETCHED,
            error_class=refusal.error_class,
            detail=refusal.detail,
            attempts=known.attempts if known is not None else 0,
            next_attempt_at=self._now + FULL_STORE_WAIT if refusal.error_class == STORE_FULL else None,
        )

    def _take_over(self, at_hand: Sequence[_Wanted]) -> set[str]:
        """Store and record what the user has already. Returns the url_hash of each address that is settled by it."""
        downloaded = self._rules.downloaded
        assert downloaded is not None
        missing = {one.url: one for one in at_hand}
        settled: set[str] = set()
        unusable: set[str] = set()
        pictures = 0
        for found in downloaded.find(frozenset(missing)):
            one = missing.get(found.url)
            if one is None:
                continue
            try:
                result = self._taken_over(one, found, downloaded)
            except StoreFullError as error:
                self._settled[one.url_hash] = self._not_fetched(one.url_hash, one.known, _full(error))
                settled.add(one.url_hash)
                continue
            if result is None:
                unusable.add(one.url_hash)
                continue
            del missing[found.url]
            self._writer.record(result.journal_row())
            reason = self._reason(result.blocked_hash) if result.status == Status.BLOCKED else None
            self._settled[one.url_hash] = result if reason is None else self._remove(result, reason)
            settled.add(one.url_hash)
            pictures += result.is_success
        useless = f", {len(unusable - settled):,} are no whole pictures there" if unusable - settled else ""
        self._log(f"{pictures:,} addresses taken over from {KEY}{useless}")
        return settled

    def _taken_over(self, one: _Wanted, found: Found, downloaded: Downloaded) -> Result | None:
        """The result of a picture at hand, which is stored; None if it is not whole or beyond the limits."""
        result = Result(
            url_hash=one.url_hash,
            status=Status.SUCCESS.value,
            detail=TAKEN_OVER,
            attempts=one.known.attempts if one.known is not None else 0,
            is_uncleared=self._rules.is_uncleared,
            started_at=self._now,
        )
        contents = self._rules.unwelcome_contents
        if found.original_hash in contents:
            return blocked(result, found.original_hash or "", "content")
        if (data := downloaded.bytes_of(found)) is None:
            return None
        if (listed := listed_hash(data, contents)) is not None:
            return blocked(result, listed, "content")
        seen = downloaded.inspect(data)
        if seen.error is not None:
            return None
        described: dict[str, Any] = {
            "width": seen.width,
            "height": seen.height,
            "mode": seen.mode,
            "mime_type": seen.mime_type,
        }
        sha256 = content_hash(data)
        try:
            self._writer.add(data, extension_of(seen.mime_type), described)
        except RemovedContentError:  # removed since the run began
            return blocked(result, sha256, "content")
        return replace(
            result,
            **described,
            size_bytes=len(data),
            sha256=sha256,
            md5=hashlib.md5(data, usedforsecurity=False).hexdigest(),
            phash=seen.phash,
            is_animated=seen.is_animated,
        )

    def _fetch(self, wanted: Sequence[_Wanted]) -> None:
        with self._rules.serve(self._rules.full_policy) as policy:
            answered, full = self._ask(wanted, policy)
        for i, one in enumerate(wanted):
            if i not in answered:
                assert full is not None
                refusal = _full(full)
                self._settled[one.url_hash] = self._not_fetched(one.url_hash, one.known, refusal)
                continue
            result = self._settled[one.url_hash]
            if result.status == Status.BLOCKED and (reason := self._reason(result.blocked_hash)) is not None:
                self._settled[one.url_hash] = self._remove(result, reason)

    def _ask(self, wanted: Sequence[_Wanted], policy: FetchPolicy) -> tuple[set[int], StoreFullError | None]:
        """Fetch and record. Returns the positions of those that have their result: all, unless the store is full."""
        from laionet_assets.images.fetch.run import fetch

        requests = [FetchRequest(i, one.url, one.known.attempts if one.known else 0) for i, one in enumerate(wanted)]
        answered: set[int] = set()

        def result_of(outcome: FetchOutcome, md5: str | None = None) -> Result:
            return Result.of_outcome(
                outcome, wanted[outcome.id].url_hash, policy, md5=md5, is_uncleared=self._rules.is_uncleared
            )

        def settle(outcome: FetchOutcome, result: Result) -> None:
            self._writer.record(result.journal_row())
            self._settled[wanted[outcome.id].url_hash] = result
            answered.add(outcome.id)

        def sink(outcome: FetchOutcome, data: bytes) -> None:
            """Bytes first, then their outcome: whatever is recorded has its picture."""
            result = result_of(outcome, hashlib.md5(data, usedforsecurity=False).hexdigest())
            described = {name: getattr(result, name) for name in ("width", "height", "mode", "mime_type")}
            try:
                self._writer.add(data, extension_of(outcome.mime_type or ""), described)
            except RemovedContentError:  # removed since the fetch began
                settle(outcome, blocked(replace(result, sha256=None, md5=None), outcome.sha256 or "", "content"))
                return
            settle(outcome, result)

        reporter, full = Reporter(self._log), None
        try:
            with closing(fetch(requests, policy, sink=sink, progress=reporter.see)) as outcomes:
                for outcome in outcomes:
                    if outcome.id not in answered:
                        settle(outcome, result_of(outcome))
                    reporter.tell()
        except StoreFullError as error:
            full = error
            self._log(f"the fetch ends, {len(wanted) - len(answered):,} addresses are left: {error}")
        reporter.tell(is_last=True)
        return answered, full

    def _drop_removed(self, contents: frozenset[str]) -> None:
        """Contents that were removed while the fetch was under way."""
        for key, result in list(self._settled.items()):
            if result.sha256 in contents or (result.blocked_hash in contents and result.status == Status.BLOCKED):
                self._settled[key] = self._remove(result, "removed while it was fetched")

    def _block(self, known: Result, listed: str, what: str) -> Result:
        if known.sha256 is not None:
            self._unwanted.add(known.sha256)
        return blocked(known, listed, what)

    def _remove(self, known: Result, reason: str) -> Result:
        if known.sha256 is not None:
            self._unwanted.add(known.sha256)
            if self._reason(known.sha256) is None:
                self._contents_met.add((known.sha256, reason))
        if known.url_hash is not None:
            self._met.add((known.url_hash, reason))
        return removed(reason)

    def _reason(self, listed: str | None) -> str | None:
        """Why what a hash stands for was removed; None if it was not."""
        return self._rules.removals.reason(hashed_url=listed, sha256=listed)

    def _removals_met(self, asked: Sequence[Asked], hashes: dict[int, str]) -> Iterable[Removal]:
        reasons = dict(self._met)
        for sha256, reason in sorted(self._contents_met):
            yield Removal("sha256", sha256, reason)
        for one in asked:
            key = hashes.get(one.sample_id)
            if key in reasons:
                yield Removal("url_hash", key or "", reasons[key])
                yield Removal("sample", sample_key(self._source, one.sample_id), reasons[key])


def _newer(published: Result | None, recorded: Result) -> Result:
    """Of a published result and one in a journal that of the later try: the part may have been made elsewhere since."""
    if published is None or published.started_at is None or recorded.started_at is None:
        return recorded
    return published if published.started_at > recorded.started_at else recorded


def _turn(one: _Wanted) -> tuple[bool, str]:
    """The order of asking: new addresses as they come, then failures, in another order each time.

    A host that is left alone after so many failures would otherwise fail by the same addresses in every run, and be
    asked for none of the others.
    """
    if one.known is None or not one.known.attempts:
        return False, ""
    return True, hashlib.sha256(f"{one.known.attempts} {one.url_hash}".encode()).hexdigest()


def _full(error: StoreFullError) -> Refusal:
    return Refusal(STORE_FULL, f"the image store has no room: {error.mend}, then run again")
