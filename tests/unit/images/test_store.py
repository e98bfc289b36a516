"""The store of all parts: one copy a content, one seek a picture, local and on a remote filesystem."""

import os
import shutil
import tempfile
import threading
import uuid
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from laionet_assets.images import store_index
from laionet_assets.images.leftovers import leftovers
from laionet_assets.images.removal_list import Removal
from laionet_assets.images.removals import remove
from laionet_assets.images.shards import CorruptShardError, RemovedContentError, StoreFullError, content_hash
from laionet_assets.images.store import ImageStore, MissingImageError
from laionet_assets.warehouse.table import PartKey
from tests.unit.images.parts import picture

A, B = PartKey("web", "part-0"), PartKey("web", "part 1/of 2")


def name(number: int) -> str:
    return content_hash(picture(number))


def put(store: ImageStore, part: PartKey, *numbers: int, shard_bytes: int = 20_000) -> list[bool]:
    with store.writer(part, shard_bytes=shard_bytes) as writer:
        added = [writer.add(picture(number), "jpg", {"n": number}).is_new for number in numbers]
        writer.commit()
    store.refresh()
    return added


def test_every_picture_can_be_read_by_its_content(store: ImageStore) -> None:
    put(store, A, *range(30))
    put(store, B, *range(30, 40))
    assert store.parts() == sorted([A, B]) and len(store) == 40
    assert [store.read(name(number)) for number in range(40)] == [picture(number) for number in range(40)]
    assert store.contains(name(1)) and not store.contains(name(99))
    assert store.missing([name(99), name(1), name(98)]) == [name(99), name(98)]
    with pytest.raises(MissingImageError, match=name(99)):
        store.read(name(99))


def test_an_empty_store_is_empty(store: ImageStore) -> None:
    assert store.parts() == [] and list(store.iterate()) == [] and not store.contains(name(1))
    assert store.used_bytes() == 0 and len(store) == 0


def test_the_layout_is_the_documented_one(tmp_path: Path) -> None:
    store = ImageStore(str(tmp_path))
    put(store, A, 1)
    assert (tmp_path / "source=web/part=part-0/shard-00000.tar").is_file()
    assert (tmp_path / "source=web/part=part-0/index.parquet").is_file()


def test_content_of_another_part_is_not_stored_twice(store: ImageStore) -> None:
    assert put(store, A, 1, 2, 3) == [True, True, True]
    assert put(store, B, 2, 3, 4) == [False, False, True]
    assert len(store) == 4


def test_opened_again_it_reads_what_changed_alone(tmp_path: Path) -> None:
    """A process opens it for every part: of 10,000 parts, 10,000 files each time."""
    put(ImageStore(str(tmp_path)), A, 1, 2)
    put(ImageStore(str(tmp_path)), B, 3)
    index = tmp_path / A.folder / "index.parquet"
    before = index.stat()
    index.write_bytes(b"x" * before.st_size)
    os.utime(index, ns=(before.st_atime_ns, before.st_mtime_ns))
    put(ImageStore(str(tmp_path)), B, 4)
    store = ImageStore(str(tmp_path))
    assert [store.read(name(number)) for number in (1, 2, 3, 4)] == [picture(number) for number in (1, 2, 3, 4)]
    assert {image.sha256 for image in store.iterate(part=B)} == {name(3), name(4)} and len(store) == 4
    os.utime(index)
    with pytest.raises(pa.ArrowInvalid):
        ImageStore(str(tmp_path)).contains(name(1))


def test_an_index_that_changed_is_read_again_and_another_store_has_its_own(store: ImageStore) -> None:
    put(store, A, 1)
    put(store, B, 2)
    assert store.discard({name(1)}).images == 1
    put(store, A, 5)
    assert (store.missing(map(name, (1, 2, 5))), len(store)) == ([name(1)], 2)
    other = ImageStore(f"{store.lake.root}-other")
    assert not other.contains(name(2)) and len(store) == 2 and store.contains(name(5))


def test_two_writers_at_once_may_store_twice_and_the_picture_is_there_once(store: ImageStore) -> None:
    with store.writer(A) as first, store.writer(B) as second:
        assert first.add(picture(1), "jpg").is_new and second.add(picture(1), "jpg").is_new
        first.commit()
        second.commit()
    store.refresh()
    assert len(store) == 2
    assert [image.sha256 for image in store.iterate()] == [name(1)]
    assert store.discard({name(1)}).images == 2
    assert not store.contains(name(1))


def test_iterate_goes_in_the_order_of_the_shards(store: ImageStore) -> None:
    put(store, A, *range(30))
    put(store, B, *range(30, 40))
    # B sorts before A: its name has a space where A's has a hyphen
    in_order = [*range(30, 40), *range(30)]
    assert [image.sha256 for image in store.iterate()] == [name(number) for number in in_order]
    assert [image.data for image in store.iterate()] == [picture(number) for number in in_order]
    assert [image.sha256 for image in store.iterate(part=A)] == [name(number) for number in range(30)]
    wanted = [name(n) for n in (25, 31, 4, 4, 99, 7)]
    assert [image.sha256 for image in store.iterate(wanted)] == [name(n) for n in (31, 4, 7, 25)]
    assert {image.extension for image in store.iterate(wanted)} == {"jpg"}


def test_spans_do_not_depend_on_sizes(tmp_path: Path) -> None:
    """Pictures of 0 bytes to more than a span, and gaps of more than is worth reading over."""
    store = ImageStore(str(tmp_path))
    sizes = [0, 1, 511, 512, 513, 70_000, 9_000_000, 5, 4_000_000, 4_000_000, 4_000_000, 7]
    with store.writer(A) as writer:
        for number, size_bytes in enumerate(sizes):
            writer.add(picture(number, size_bytes), "png")
        writer.commit()
    store.refresh()
    expected = [picture(number, size_bytes) for number, size_bytes in enumerate(sizes)]
    assert [image.data for image in store.iterate()] == expected
    some = [content_hash(expected[i]) for i in (0, 4, 6, 11)]
    assert [image.data for image in store.iterate(some)] == [expected[i] for i in (0, 4, 6, 11)]


def test_readers_go_on_while_shards_are_rewritten(store: ImageStore) -> None:
    put(store, A, *range(30))
    other = ImageStore(store.lake.root, staging=None if store.lake.is_local else store._staging.parent)
    walk = store.iterate()
    seen = [next(walk).sha256]
    other.discard({name(1), name(28)})
    assert store.read(name(0)) == picture(0), "the shard has another name now"
    with pytest.raises(MissingImageError):
        store.read(name(28))
    seen += [image.sha256 for image in walk]
    assert set(seen) >= {name(n) for n in range(30)} - {name(1), name(28)}
    assert name(28) not in seen


def test_readers_see_a_part_whole_or_not_at_all(tmp_path: Path) -> None:
    """Threads read all the while a part is committed, discarded from, and committed again."""
    store = ImageStore(str(tmp_path))
    put(store, A, *range(10))
    stop, errors = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            mine = ImageStore(str(tmp_path))
            found = {image.sha256 for image in mine.iterate()}
            if found & {name(n) for n in range(5)} != {name(n) for n in range(5)}:
                errors.append(found)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for round_number in range(15):
        put(store, A, *range(100 + 10 * round_number, 110 + 10 * round_number))
        store.discard({name(n) for n in range(100 + 10 * round_number, 108 + 10 * round_number)})
    stop.set()
    for reader in readers:
        reader.join()
    assert errors == []
    assert len(store) == 10 + 15 * 2


def test_damage_is_found_on_reading(tmp_path: Path) -> None:
    store = ImageStore(str(tmp_path))
    put(store, A, 1, 2)
    shard = tmp_path / A.folder / "shard-00000.tar"
    data = bytearray(shard.read_bytes())
    data[600] ^= 1
    shard.write_bytes(data)
    with pytest.raises(CorruptShardError, match=r"shard-00000\.tar: 3000 bytes at 512"):
        store.read(name(1))
    with pytest.raises(CorruptShardError):
        list(store.iterate())
    assert store.read(name(2)) == picture(2)


def test_what_is_damaged_or_missing_costs_itself_alone(tmp_path: Path) -> None:
    store = ImageStore(str(tmp_path))
    put(store, A, 1, 2)
    put(store, B, 3)
    shard = tmp_path / A.folder / "shard-00000.tar"
    data = bytearray(shard.read_bytes())
    data[600] ^= 1
    shard.write_bytes(data)
    found = dict(store.contents([name(4), name(3), name(1), name(2), name(3)]))
    assert {key: value for key, value in found.items() if isinstance(value, bytes)} == {
        name(2): picture(2),
        name(3): picture(3),
    }
    assert isinstance(found[name(1)], CorruptShardError) and isinstance(found[name(4)], MissingImageError)
    assert list(store.contents([])) == []


def test_the_quota_counts_all_parts_staged_and_published(tmp_path: Path) -> None:
    store = ImageStore(str(tmp_path), quota_bytes=30_000)
    put(store, A, 1, 2, 3)
    with store.writer(B) as writer:
        writer.add(picture(4), "jpg")
    with store.writer(PartKey("web", "c")) as writer:
        writer.add(picture(5), "jpg")
        with pytest.raises(StoreFullError, match="quota leaves"):
            writer.add(picture(6), "jpg")
            writer.add(picture(7), "jpg")
        writer.commit()
    assert store.used_bytes() <= 30_000
    store.refresh()
    assert store.contains(name(5)) and not store.contains(name(4))


def test_what_others_store_meanwhile_counts_from_the_next_shard(tmp_path: Path) -> None:
    store = ImageStore(str(tmp_path), quota_bytes=40_000)
    with store.writer(A, shard_bytes=10_000) as writer:
        writer.add(picture(0), "jpg")
        put(store, B, 1, 2, 3, 4, 5, shard_bytes=100_000)
        with pytest.raises(StoreFullError, match="quota leaves"):
            for number in range(10, 14):
                writer.add(picture(number), "jpg")
    assert store.used_bytes() <= 40_000


def test_a_fetch_to_object_storage_resumes_from_its_local_staging(tmp_path: Path) -> None:
    location = f"memory://bucket-{uuid.uuid4().hex}/images"
    store = ImageStore(location, staging=tmp_path)
    with store.writer(A, shard_bytes=10_000) as writer:
        for number in range(8):
            writer.add(picture(number), "jpg")
    assert store.files() == {} and store.used_bytes() > 24_000
    with ImageStore(location, staging=tmp_path).writer(A) as writer:
        assert len(writer) == 8
        writer.add(picture(8), "jpg")
        writer.commit()
    store.refresh()
    assert [store.read(name(number)) for number in range(9)] == [picture(number) for number in range(9)]
    assert list(tmp_path.rglob(".shard-*")) == [], "nothing stays on the local disk"


def test_an_upload_cut_short_before_the_index_is_repeated(tmp_path: Path) -> None:
    """The shards are on the remote filesystem, the index is not, and the local copies are still there."""
    location = f"memory://bucket-{uuid.uuid4().hex}/images"
    store = ImageStore(location, staging=tmp_path / "staging")
    with store.writer(A) as writer:
        writer.add(picture(1), "jpg")
    shutil.copytree(tmp_path / "staging", tmp_path / "saved")
    with store.writer(A) as writer:
        writer.commit()
    store.lake.filesystem.rm_file(store.folder(A).path("index.parquet"))
    shutil.rmtree(tmp_path / "staging")
    (tmp_path / "saved").rename(tmp_path / "staging")
    with store.writer(A) as writer:
        assert len(writer) == 1
        writer.commit()
    store.refresh()
    assert store.read(name(1)) == picture(1) and store.folder(A).shards() == ["shard-00000.tar"]


class StoreMachine(RuleBasedStateMachine):
    """Random adds, commits, interruptions and removals in two parts, beside a dictionary that does the same."""

    contents = st.one_of(st.binary(max_size=40), st.binary(min_size=500, max_size=1600))

    def __init__(self) -> None:
        super().__init__()
        self.root = tempfile.mkdtemp()
        self.published: dict[str, bytes] = {}
        self.staged: dict[PartKey, dict[str, bytes]] = {A: {}, B: {}}
        self.removed: set[str] = set()

    @rule(part=st.sampled_from([A, B]), contents=st.lists(contents, max_size=5), is_committed=st.booleans())
    def write(self, part: PartKey, contents: list[bytes], is_committed: bool) -> None:
        store = ImageStore(self.root)
        with store.writer(part, shard_bytes=3000) as writer:
            for data in contents:
                sha256 = content_hash(data)
                if sha256 in self.removed:
                    with pytest.raises(RemovedContentError):
                        writer.add(data, "bin")
                    continue
                is_known = sha256 in self.published or sha256 in self.staged[part]
                assert writer.add(data, "bin").is_new is not is_known
                if not is_known:
                    self.staged[part][sha256] = data
            if is_committed:
                assert writer.commit().images == len(self.staged[part])
                self.published |= self.staged[part]
                self.staged[part] = {}

    @rule(data=st.data(), count=st.integers(1, 3))
    def remove(self, data: st.DataObject, count: int) -> None:
        candidates = sorted({*self.published, *self.staged[A], *self.staged[B]})
        if not candidates:
            return
        chosen = data.draw(st.lists(st.sampled_from(candidates), min_size=1, max_size=count))
        remove(ImageStore(self.root), [Removal("sha256", sha256, "test") for sha256 in set(chosen)])
        self.removed |= set(chosen)
        for sha256 in chosen:
            for place in (self.published, self.staged[A], self.staged[B]):
                place.pop(sha256, None)

    @invariant()
    def what_is_published_is_what_can_be_read(self) -> None:
        store = ImageStore(self.root)
        assert {image.sha256: image.data for image in store.iterate()} == self.published
        assert all(store.read(sha256) == data for sha256, data in self.published.items())
        assert leftovers(store) == []

    def teardown(self) -> None:
        shutil.rmtree(self.root)


class OftenInOrderMachine(StoreMachine):
    """The same where contents are put in order again after a few."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(store_index, "MOST_SINCE", 4)

    def teardown(self) -> None:
        self.patch.undo()
        super().teardown()


TestStoreMachine, TestOftenInOrderMachine = StoreMachine.TestCase, OftenInOrderMachine.TestCase
TestStoreMachine.settings = TestOftenInOrderMachine.settings = settings(
    max_examples=12, stateful_step_count=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


def test_files_that_are_none_of_ours_stop_nothing(tmp_path: Path) -> None:
    store, part = ImageStore(str(tmp_path)), PartKey("web", "part-0")
    with store.writer(part) as writer:
        sha256 = writer.add(b"picture", "jpg").sha256
        writer.commit()
    folder = tmp_path / part.folder
    for path in (
        "backup/old/index.parquet",
        "source=web/index.parquet",
        "source=web/part=x/y/index.parquet",
        "source=file.tar",
        "lost+found/x/y",
        "._removals.parquet",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"stray")
    for name in (
        "shard-00000 (copy).tar",
        ".shard-x.tar.open",
        ".nfs000001",
        "Thumbs.db",
        ".DS_Store",
        "index.parquet~",
    ):
        (folder / name).write_bytes(b"stray")
    store = ImageStore(str(tmp_path))
    assert store.parts() == [part] and store.read(sha256) == b"picture"
    assert {each for _, each in store.traces()} == {sha256}
    assert store.discard([sha256]).images == 1
    with store.writer(part) as writer:
        writer.add(b"another", "jpg")
        assert writer.commit().images == 1
    assert (folder / ".nfs000001").read_bytes() == (tmp_path / "backup/old/index.parquet").read_bytes() == b"stray"


def test_of_many_parts_written_one_after_the_other_contents_are_put_in_order_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process opens the store for every part, and asks of every picture whether it is there."""
    in_order: list[int] = []
    put_in_order = store_index.StoreIndex._put_in_order
    monkeypatch.setattr(
        store_index.StoreIndex, "_put_in_order", lambda index: in_order.append(1) or put_in_order(index)
    )
    parts = [PartKey("web", f"part-{number}") for number in range(30)]
    for number, part in enumerate(parts):
        assert put(ImageStore(str(tmp_path)), part, number, 1_000) == [True, number == 0]
    assert not in_order
    store = ImageStore(str(tmp_path))
    assert [store.read(name(number)) for number in range(30)] == [picture(number) for number in range(30)]
    assert len(in_order) == 1
