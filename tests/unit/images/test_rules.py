"""What a fetch may ask and keep."""

from datetime import UTC, datetime

from laionet_assets.images.fetch.policy import FetchPolicy
from laionet_assets.images.removals import Removals
from laionet_assets.images.rules import Rules
from laionet_assets.images.tombstones import Tombstone


def test_the_policy_of_a_fetch_has_everything_blocked_and_removed() -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    keys = (("sha256", "a" * 64), ("url_hash", "b" * 64), ("sample", "web/1"))
    rules = Rules(
        policy=FetchPolicy(contact="mailto:me@example.org"),
        removals=Removals(tuple(Tombstone(kind, value, "a wish", True, at) for kind, value in keys)),
        blocked_urls=frozenset({"c" * 32}),
        blocked_contents=frozenset({"d" * 64}),
    )
    assert rules.full_policy.blocked_url_hashes == {"b" * 64, "c" * 32}
    assert rules.full_policy.blocked_content_hashes == {"a" * 64, "d" * 64}
