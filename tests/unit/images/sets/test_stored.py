"""A set of pictures in the image store."""

from pathlib import Path

from laionet_assets.images.sets import ImageSet, StoredSet
from laionet_assets.images.shards import content_hash
from laionet_assets.images.store import ImageStore
from laionet_assets.warehouse.table import PartKey


def put(store: ImageStore, part: str, *contents: bytes) -> None:
    with store.writer(PartKey("web", part)) as writer:
        for data in contents:
            writer.add(data, "jpg")
        writer.commit()
    store.refresh()


def test_rows_come_in_the_order_of_the_shards(tmp_path: Path) -> None:
    store = ImageStore(str(tmp_path))
    put(store, "a", b"three", b"one")
    put(store, "b", b"two")
    rows = [
        ("web/1", "n1", content_hash(b"one")),
        ("web/2", "n2", content_hash(b"two")),
        ("web/9", None, content_hash(b"one")),
        ("web/3", "n3", content_hash(b"three")),
        ("web/4", "n4", content_hash(b"never fetched")),
    ]
    found = StoredSet("laionet", store, rows)
    assert isinstance(found, ImageSet)
    expected = [("web/3", "n3", b"three"), ("web/1", "n1", b"one"), ("web/9", None, b"one"), ("web/2", "n2", b"two")]
    assert [(item.image_id, item.wnid, item.read()) for item in found.iterate()] == expected
    assert found.count() == 4 and found.notes() == ["laionet: 1 of 5 images are not stored"]
    again = StoredSet("laionet", store, rows[::-1])
    assert [item.image_id for item in again.iterate()] == [image_id for image_id, _, _ in expected]
    assert again.fingerprint() == found.fingerprint()
    put(store, "b", b"never fetched")
    later = StoredSet("laionet", store, rows)
    assert later.fingerprint() != found.fingerprint() and later.count() == 5 and later.notes() == []
