"""The store and the image sets with real photographs, the real webdataset loader and a real S3 server."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from laionet_assets.images.leftovers import leftovers
from laionet_assets.images.removal_list import Removal
from laionet_assets.images.removals import remove
from laionet_assets.images.sets import ImageSet, open_image_set
from laionet_assets.images.store import ImageStore
from laionet_assets.pictures.admission import admit
from laionet_assets.taxonomy import load_synsets
from laionet_assets.warehouse.table import PartKey

PART = PartKey("web", "part-0")


@pytest.fixture(scope="module")
def wnids() -> list[str]:
    return [synset.wnid for synset in load_synsets("imagenet-1k")]


@pytest.fixture
def photographs(real_data: Path, wnids: list[str]) -> ImageSet:
    """750 photographs, 5 for each of 150 classes."""
    return open_image_set("photos", "imagefolder", real_data / "images", wnids=wnids, imagenet_wnids=wnids)


@pytest.mark.real_data
def test_real_photographs_under_both_profiles(photographs: ImageSet) -> None:
    assert photographs.count() == 750 and photographs.left_out() == []
    items = list(photographs.iterate())
    assert [item.image_id for item in items] == sorted(item.image_id for item in items)
    assert set(Counter(item.wnid for item in items).values()) == {5} and len({item.wnid for item in items}) == 150
    assert all(item.image_id.startswith(f"{item.wnid}/{item.wnid}_") for item in items)
    outcomes: Counter[tuple[str, str | None, str | None]] = Counter()
    conversions: Counter[str] = Counter()
    for item in items:
        data = item.read()
        paper, corrected = admit(data, "paper"), admit(data, "corrected")
        outcomes["paper", paper.mode, paper.reason] += 1
        outcomes["corrected", corrected.mode, corrected.reason] += 1
        conversions.update(corrected.conversions)
        if paper.is_admitted and "exif_orientation" not in corrected.conversions:
            assert np.array_equal(paper.image, corrected.image)
    print(outcomes, conversions)
    assert outcomes == {("paper", "RGB", None): 750, ("corrected", "RGB", None): 750}
    assert conversions == {}


@pytest.mark.real_data
def test_real_photographs_through_the_store(photographs: ImageSet, tmp_path: Path) -> None:
    """Stored in several shards, interrupted, read back, one removed for good."""
    items = list(photographs.iterate())
    store = ImageStore(str(tmp_path))
    for interrupted in (True, False):
        with store.writer(PART, shard_bytes=4_000_000) as writer:
            for item in items[:400] if interrupted else items:
                writer.add(item.read(), "jpg", {"wnid": item.wnid})
            if not interrupted:
                writer.commit()
    store.refresh()
    contents = {item.image_id: hashlib.sha256(item.read()).hexdigest() for item in items}
    assert len(store) == len(set(contents.values()))
    assert 4 <= len(store.folder(PART).shards()) <= 6
    read = dict(store.contents(contents.values()))
    assert read == {contents[item.image_id]: item.read() for item in items}
    gone = contents[items[0].image_id]
    assert remove(store, [Removal("sha256", gone, "test")]).images == 1
    assert leftovers(store) == []
    assert not store.contains(gone) and len(store) == len(set(contents.values())) - 1


@pytest.mark.integration
def test_shards_are_read_by_webdataset(tmp_path: Path, wnids: list[str]) -> None:
    """Every picture with its metadata, as a training loop would read them; and by our own layout of that name."""
    webdataset = pytest.importorskip("webdataset", reason="webdataset is not installed")
    rng = np.random.default_rng(0)
    pictures = {
        hashlib.sha256(data).hexdigest(): data for data in (rng.bytes(int(n)) for n in rng.integers(0, 9000, 300))
    }
    store = ImageStore(str(tmp_path))
    with store.writer(PART, shard_bytes=300_000) as writer:
        for number, data in enumerate(pictures.values()):
            writer.add(data, "jpg", {"number": number, "wnid": wnids[number]})
        writer.commit()
    folder = tmp_path / PART.folder
    shards = [str(folder / shard) for shard in store.folder(PART).shards()]
    assert len(shards) > 3
    samples = list(webdataset.WebDataset(shards, shardshuffle=False, empty_check=False))
    assert {sample["__key__"]: sample["jpg"] for sample in samples} == pictures
    assert [sample["json"] for sample in samples[:1]] == [
        b'{"number": 0, "sha256": "%s", "wnid": "n01440764"}' % next(iter(pictures)).encode()
    ]
    shards_only = tmp_path / "shards"
    shards_only.mkdir()
    for shard in shards:
        (shards_only / Path(shard).name).symlink_to(shard)
    found = open_image_set("own", "webdataset", shards_only, wnids=wnids, imagenet_wnids=wnids, label_column="wnid")
    assert [(item.image_id, item.wnid, item.read()) for item in found.iterate()] == [
        (sha256, wnids[number], data) for number, (sha256, data) in enumerate(pictures.items())
    ]


@pytest.fixture
def s3() -> Iterator[dict[str, object]]:
    """Storage options of an S3 server on loopback with one bucket."""
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {"key": "test", "secret": "test", "client_kwargs": {"endpoint_url": f"http://{host}:{port}"}}
    s3fs.S3FileSystem(**options).mkdir("pictures")
    yield options
    server.stop()


@pytest.mark.integration
def test_the_store_on_object_storage(s3: dict[str, object], tmp_path: Path) -> None:
    """Interrupted, resumed, committed, read in spans and alone, removed."""
    pictures = [np.random.default_rng(number).bytes(5000) for number in range(60)]
    hashes = [hashlib.sha256(data).hexdigest() for data in pictures]
    store = ImageStore("s3://pictures/warehouse/images", storage_options=s3, staging=tmp_path)
    with store.writer(PART, shard_bytes=100_000) as writer:
        for data in pictures[:35]:
            writer.add(data, "jpg")
    assert store.files() == {}
    with store.writer(PART, shard_bytes=100_000) as writer:
        assert len(writer) == 35
        for data in pictures:
            writer.add(data, "jpg")
        assert writer.commit().images == 60
    store.refresh()
    assert [image.data for image in store.iterate()] == pictures
    assert store.read(hashes[42]) == pictures[42]
    assert remove(store, [Removal("sha256", hashes[42], "test")]).images == 1
    assert leftovers(store) == [] and list(tmp_path.rglob(".shard-*")) == []
    assert [image.data for image in store.iterate()] != pictures
    assert {image.sha256 for image in store.iterate()} == set(hashes) - {hashes[42]}
