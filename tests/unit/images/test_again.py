from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from laionet_assets.images.again import Wish, ask_again, forget_wishes, take_wishes, wished_hashes, wished_parts
from laionet_assets.images.store import ImageStore
from laionet_assets.warehouse.lake import Lake
from laionet_assets.warehouse.table import PartKey

PART, OTHER = PartKey("web", "part 0/a"), PartKey("web", "part-1")
NOW = datetime(2026, 3, 1, tzinfo=UTC)
IMAGES = """
select * from (values
    ('web', 'p', 'http://A.example/1', 'a1', 'failed', 'dns', 'a.example', timestamptz '2026-02-01 00:00:00+00'),
    ('web', 'p', 'https://b.example:8080/2', 'b2', 'failed', 'http_404', 'cdn.example', '2026-02-10 00:00:00+00'),
    ('web', 'p', 'http://[2001:db8::1]:80/3', 'c3', 'failed', 'connect', '2001:db8::1', '2026-02-20 00:00:00+00'),
    ('web', 'p', 'http://a.example/4', 'a4', 'opted_out', 'opted_out', 'a.example', '2026-02-20 00:00:00+00'),
    ('web', 'p', null, 'a5', 'blocked', 'blocked', null, '2026-02-20 00:00:00+00'),
    ('web', 'p', null, null, 'removed', 'removed', null, null),
    ('web', 'p', 'http://a.example/6', 'a6', 'success', null, 'a.example', '2026-02-20 00:00:00+00'),
    ('web', 'p', 'http://a.example/7', 'a7', 'not_fetched', 'not_enabled', null, null)
) t (source, part, url, url_hash, status, error_class, final_url_host, started_at)
"""


@pytest.mark.parametrize(
    ("wish", "hashes"),
    [
        (Wish(asked_at=NOW), {"a1", "b2", "c3"}),
        (Wish(error_classes=("dns", "connect"), asked_at=NOW), {"a1", "c3"}),
        (Wish(error_classes=("opted_out", "blocked", "removed"), asked_at=NOW), set()),
        (Wish(hosts=("a.example",), asked_at=NOW), {"a1"}),
        (Wish(hosts=("b.example",), asked_at=NOW), {"b2"}),
        (Wish(hosts=("cdn.example",), asked_at=NOW), {"b2"}),
        (Wish(hosts=("[2001:db8::1]",), asked_at=NOW), {"c3"}),
        (Wish(hosts=("example",), asked_at=NOW), set()),
        (Wish(since=datetime(2026, 2, 10, tzinfo=UTC), asked_at=NOW), {"b2", "c3"}),
        (Wish(error_classes=("dns",), since=datetime(2026, 2, 10, tzinfo=UTC), asked_at=NOW), set()),
    ],
)
def test_failures_alone_are_asked_again(wish: Wish, hashes: set[str]) -> None:
    assert wished_hashes(duckdb.connect(), IMAGES, [wish]) == dict.fromkeys(hashes, NOW)
    assert Wish.of_json(wish.to_json()) == wish


def test_the_last_wish_counts() -> None:
    later = NOW + timedelta(days=1)
    found = wished_hashes(duckdb.connect(), IMAGES, [Wish(asked_at=NOW), Wish(hosts=("a.example",), asked_at=later)])
    assert found == {"a1": later, "b2": NOW, "c3": NOW}


@pytest.fixture(params=["local", "memory"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "images") if request.param == "local" else f"memory://{tmp_path.name}")


def test_a_wish_is_there_until_its_part_is_published(lake: Lake) -> None:
    assert wished_parts(lake) == set() and take_wishes(lake, PART) == []
    first, second = Wish(asked_at=NOW), Wish(hosts=("a.example",), asked_at=NOW + timedelta(days=1))
    ask_again(lake, [PART, OTHER], first)
    assert wished_parts(lake) == {PART, OTHER}
    assert take_wishes(lake, PART) == [first]
    assert wished_parts(lake) == {PART, OTHER}, "the run may be killed"
    assert take_wishes(lake, PART) == [first]
    ask_again(lake, [PART], second)
    forget_wishes(lake, PART)
    assert wished_parts(lake) == {PART, OTHER}, "one that came meanwhile stays"
    assert take_wishes(lake, PART) == [second]
    forget_wishes(lake, PART)
    assert wished_parts(lake) == {OTHER}


def test_the_store_does_not_mind(tmp_path: Path) -> None:
    store = ImageStore(str(tmp_path / "images"))
    ask_again(store.lake, [PART], Wish(asked_at=NOW))
    assert store.parts() == [] and store.used_bytes() == 0 and list(store.traces()) == []
    with store.writer(PART) as writer:
        writer.add(b"picture", "jpg")
        writer.commit()
    assert wished_parts(store.lake) == set(store.parts()) == {PART}
