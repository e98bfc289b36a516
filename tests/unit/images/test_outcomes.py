"""Results: from an outcome, through a journal and a table, and what of them makes a new version."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from laionet_assets.images.fetch.outcomes import ErrorClass, FetchOutcome, Status
from laionet_assets.images.fetch.policy import FetchPolicy
from laionet_assets.images.outcomes import (
    Result,
    blocked,
    content_digest,
    deciding_setting,
    removed,
    result_columns,
)
from laionet_assets.sqlmodels.loader import load_project
from laionet_assets.warehouse.rows import as_documented

POLICY = FetchPolicy(contact="mailto:me@example.org")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PICTURE = FetchOutcome(
    id=7, status=Status.SUCCESS, error_class=None, detail=None, http_status=200, attempts=2, redirects=1,
    final_url_host="a.example", content_type="image/jpeg", mime_type="image/jpeg", size_bytes=9, sha256="ab" * 32,
    phash=2**64 - 1, width=300, height=200, mode="RGB", is_animated=False, blocked_hash=None, started_at=NOW,
    seconds=0.25, next_attempt_at=None,
)  # fmt: skip
FAILED = replace(
    PICTURE, status=Status.FAILED, error_class=ErrorClass.HTTP_5XX, next_attempt_at=NOW + timedelta(hours=1)
)


def result(outcome: FetchOutcome, **options: object) -> Result:
    return Result.of_outcome(outcome, "cd" * 32, POLICY, **({"md5": None, "is_uncleared": False} | options))


def test_a_success_keeps_its_hashes_and_a_failure_has_none() -> None:
    good = result(PICTURE, md5="ef" * 16, is_uncleared=True)
    assert (good.status, good.error_class, good.sha256, good.md5) == ("success", None, "ab" * 32, "ef" * 16)
    assert good.is_uncleared and good.is_success and good.phash == 2**64 - 1
    bad = result(FAILED)
    assert (bad.status, bad.error_class, bad.sha256, bad.size_bytes) == ("failed", "http_5xx", None, 9)
    assert type(bad.status) is type(bad.error_class) is str


@pytest.mark.parametrize("outcome", [PICTURE, FAILED])
def test_a_journal_gives_back_what_was_recorded(outcome: FetchOutcome) -> None:
    recorded = result(outcome)
    assert Result.of_row(json.loads(json.dumps(recorded.journal_row()))) == recorded


def test_a_table_gives_back_what_was_published() -> None:
    rows = [(1, "http://a", result(PICTURE)), (2, None, result(FAILED)), (3, "http://c", removed("wish"))]
    documented = load_project().tables["core.images"]
    table = as_documented(documented, result_columns("web", "part-0", rows))
    assert [Result.of_row(row) for row in table.to_pylist()] == [each for _, _, each in rows]
    assert table["url"].to_pylist() == ["http://a", None, None]
    assert table["source"].to_pylist() == ["web"] * 3
    assert as_documented(documented, result_columns("web", "part-0", [])).schema == table.schema


def test_rows_of_an_earlier_version_lack_columns() -> None:
    assert Result.of_row({"status": "success", "url_hash": "x"}) == Result(status="success", url_hash="x")


def test_of_what_is_blocked_hashes_and_times_alone_stay() -> None:
    found = blocked(result(PICTURE), "ab" * 32, "content")
    assert not found.has_address
    kept = {name: value for name, value in found.journal_row().items() if value is not None}
    assert kept == {
        "url_hash": "cd" * 32, "status": "blocked", "error_class": "blocked", "detail": "content", "http_status": 200,
        "attempts": 2, "blocked_hash": "ab" * 32, "is_uncleared": False, "started_at": NOW.isoformat(), "seconds": 0.25,
    }  # fmt: skip
    assert removed("wish") == Result(status="removed", error_class="removed", detail="wish")


def test_versions_follow_what_later_steps_read_and_not_attempts() -> None:
    def digest(outcome: FetchOutcome, sample_id: int = 1) -> str:
        return content_digest([(sample_id, "http://a", result(outcome))])

    assert digest(FAILED) == digest(replace(FAILED, attempts=9, started_at=NOW + timedelta(days=1), seconds=3.0))
    changed = [
        digest(PICTURE),
        digest(FAILED),
        digest(FAILED, 2),
        digest(replace(FAILED, error_class=ErrorClass.TIMEOUT)),
        digest(replace(PICTURE, mode="L")),
        digest(replace(PICTURE, width=1)),
        digest(replace(PICTURE, sha256="00" * 32)),
    ]
    assert len(set(changed)) == len(changed)
    kept = Result.of_row(json.loads(json.dumps(result(FAILED).journal_row())))
    assert content_digest([(1, None, kept)]) == digest(FAILED)


def test_the_setting_that_decides_a_failure() -> None:
    small, lax = replace(POLICY, max_bytes=10, max_pixels=200), replace(POLICY, robots=False)
    assert deciding_setting("too_large", None, POLICY) != deciding_setting("too_large", None, small)
    assert deciding_setting("too_many_pixels", None, POLICY) != deciding_setting("too_many_pixels", None, small)
    assert deciding_setting("opted_out", "robots.txt", POLICY) != deciding_setting("opted_out", "robots.txt", lax)
    assert deciding_setting("opted_out", "X-Robots-Tag noai", POLICY) is None
    assert deciding_setting("http_404", None, POLICY) is None and deciding_setting(None, None, POLICY) is None
