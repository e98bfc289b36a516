"""What a person wants to be asked for again, though it is not due or never would be.

Belongs here: a wish, where it is kept until the part is made again, which results it is about. Does not belong here:
what is due by itself (`results`), the fetch (`harvest`).

A wish lies in the folder of the part in the image store. Making the part takes it (by renaming it) and forgets it once
the part is published: one that comes meanwhile is for the next time, and a killed run leaves it where it is.

    <location>/source=<source>/part=<part>/retry-<id>.json, .taken while the part is made
"""

import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from laionet_assets.images.fetch.outcomes import Status
from laionet_assets.images.part_folder import forget_listings
from laionet_assets.warehouse.lake import Lake
from laionet_assets.warehouse.table import PartKey

if TYPE_CHECKING:
    import duckdb

_TAKEN = ".taken"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """Failures to ask again: of these error classes and hosts (any, where none is named), last tried since a time."""

    error_classes: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    since: datetime | None = None
    asked_at: datetime

    def matching(self, images: str) -> tuple[str, dict[str, Any]]:
        """A SELECT of (source, part, error_class, url_hash), with its parameters: of `images`, a SELECT of rows of
        core.images, those that are to be asked again.

        Only failures are, never what is opted out, blocked or removed. A host is that of the address, or the last one
        asked.
        """
        host = r"lower(regexp_extract(url, '^\s*[A-Za-z]+://(?:[^/?#]*@)?(\[[^\]]*\]|[^/:?#]*)', 1))"
        select = f"""
            select source, part, error_class, url_hash from ({images})
            where status = $status and url_hash is not null
            and (len($classes::varchar[]) = 0 or list_contains($classes::varchar[], error_class))
            and (
                len($hosts::varchar[]) = 0
                or list_contains($hosts::varchar[], final_url_host)
                or list_contains($hosts::varchar[], {host})
            )
            and ($since::timestamptz is null or started_at >= $since::timestamptz)
        """
        return select, {
            "status": Status.FAILED.value,
            "classes": list(self.error_classes),
            "hosts": list(self.hosts),
            "since": self.since,
        }

    def to_json(self) -> str:
        """As text; `of_json` is the inverse."""
        times = {"since": self.since.isoformat() if self.since else None, "asked_at": self.asked_at.isoformat()}
        return json.dumps(asdict(self) | times)

    @classmethod
    def of_json(cls, text: str | bytes) -> Self:
        values = json.loads(text)
        since = values["since"]
        return cls(
            error_classes=tuple(values["error_classes"]),
            hosts=tuple(values["hosts"]),
            since=datetime.fromisoformat(since) if since else None,
            asked_at=datetime.fromisoformat(values["asked_at"]),
        )


def ask_again(lake: Lake, parts: Sequence[PartKey], wish: Wish) -> None:
    """Keep a wish for each of these parts of an image store."""
    for part in parts:
        lake.filesystem.makedirs(f"{lake.root}/{part.folder}", exist_ok=True)
        lake.filesystem.pipe_file(f"{lake.root}/{part.folder}/retry-{uuid.uuid4().hex}.json", wish.to_json().encode())


def wished_parts(lake: Lake) -> set[PartKey]:
    """Parts with a wish, taken or not."""
    return {PartKey.of_folder("/".join(path.split("/")[-3:-1])) for path in _files(lake, "source=*/part=*")}


def take_wishes(lake: Lake, part: PartKey) -> list[Wish]:
    """The wishes of a part that is made now, oldest first: new ones, and those that a killed run had taken."""
    wishes = []
    for path in _files(lake, part.folder):
        wishes.append(Wish.of_json(lake.filesystem.cat_file(path)))
        if not path.endswith(_TAKEN):
            lake.filesystem.mv(path, path + _TAKEN)
    return sorted(wishes, key=lambda wish: wish.asked_at)


def forget_wishes(lake: Lake, part: PartKey) -> None:
    """Forget what was taken, once the part is published."""
    for path in _files(lake, part.folder):
        if path.endswith(_TAKEN):
            lake.filesystem.rm_file(path)


def wished_hashes(connection: "duckdb.DuckDBPyConnection", images: str, wishes: Sequence[Wish]) -> dict[str, datetime]:
    """Which results of `images` (see `Wish.matching`) are to be asked again: url_hash to the time of the last wish."""
    found: dict[str, datetime] = {}
    for wish in wishes:
        select, values = wish.matching(images)
        rows = connection.execute(f"select distinct url_hash from ({select})", values).fetchall()
        found |= dict.fromkeys((url_hash for (url_hash,) in rows), wish.asked_at.astimezone(UTC))
    return found


def _files(lake: Lake, folder: str) -> list[str]:
    forget_listings(lake)
    return sorted(lake.filesystem.glob(f"{lake.root}/{folder}/retry-*.json*"))
