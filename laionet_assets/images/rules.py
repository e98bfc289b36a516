"""What may be fetched and kept today.

Belongs here: the policy of the fetcher with all that is blocked or removed, and why an address is not asked. Does not
belong here: which settings say so, and what follows for a picture (`harvest`).
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime

from laionet_assets.images.downloaded import Downloaded
from laionet_assets.images.fetch.policy import FetchPolicy
from laionet_assets.images.removals import Removals


@dataclass(frozen=True)
class Refusal:
    """Why an address is not asked, and what to do about it."""

    error_class: str
    detail: str
    is_of_requests: bool = False
    """Whether only the request is refused: a picture that the user has already may be taken over."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What may be fetched and kept today."""

    policy: FetchPolicy | None
    """How to fetch. None where `refuse` refuses every address."""
    serve: Callable[[FetchPolicy], AbstractContextManager[FetchPolicy]] = nullcontext
    """Makes the policy ready to be used: a server that has to run meanwhile."""
    refuse: Callable[[str], Refusal | None] = lambda url: None
    removals: Removals = field(default_factory=lambda: Removals(()))
    blocked_urls: frozenset[str] = frozenset()
    blocked_contents: frozenset[str] = frozenset()
    is_uncleared: bool = False
    """Whether what is fetched or taken over now is so by the override."""
    downloaded: Downloaded | None = None
    """Where addresses are looked up before they are asked."""
    asked_again: Mapping[str, datetime] = field(default_factory=dict)
    """Addresses, by url_hash, whose failure does not stand if it is older than this: a person wants another try."""

    @property
    def full_policy(self) -> FetchPolicy:
        """The policy with everything that is blocked or removed."""
        assert self.policy is not None
        return replace(
            self.policy,
            blocked_url_hashes=self.blocked_urls | self.removals.hashes("url_hash"),
            blocked_content_hashes=self.unwelcome_contents,
        )

    @property
    def unwelcome_contents(self) -> frozenset[str]:
        """Hashes of contents that are blocked or removed."""
        return self.blocked_contents | self.removals.hashes("sha256")
