"""One part: what is written, what a kill leaves, what the next writer makes of it."""

import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from laionet_assets.images.part_folder import PartFolder
from laionet_assets.images.shard_writer import Added
from laionet_assets.images.shards import (
    CorruptShardError,
    RemovedContentError,
    StoreFullError,
    content_hash,
    pack,
    shard_entries,
)
from tests.unit.images.parts import as_stored, hidden, picture, stored, writer


def test_nothing_is_visible_before_the_commit_and_everything_after(folder: PartFolder) -> None:
    with writer(folder) as part:
        for number in range(20):
            assert part.add(picture(number), "jpg", {"n": number}) == Added(content_hash(picture(number)), True)
        assert folder.entries() == [] and folder.shards() == [] and len(part) == 20
        committed = part.commit()
    assert stored(folder) == as_stored(*range(20))
    assert (committed.images, committed.size_bytes, committed.shards) == (20, 60_000, len(folder.shards()))
    assert len(folder.shards()) > 1
    assert all(Path(folder.path(shard)).stat().st_size <= 20_000 + 1024 for shard in folder.shards())
    assert hidden(folder) == []


def test_published_shards_are_plain_tars(folder: PartFolder) -> None:
    with writer(folder) as part:
        part.add(picture(1), "jpg", {"n": 1})
        part.add(b"", "png")
        part.commit()
    with tarfile.open(folder.path("shard-00000.tar")) as tar:
        contents = {member.name: tar.extractfile(member).read() for member in tar}
    assert contents[f"{content_hash(picture(1))}.jpg"] == picture(1)
    assert json.loads(contents[f"{content_hash(picture(1))}.json"])["n"] == 1
    assert contents[f"{content_hash(b'')}.png"] == b""


def test_a_second_commit_adds_to_the_part(folder: PartFolder) -> None:
    for numbers in (range(5), range(3, 9)):
        with writer(folder) as part:
            added = [part.add(picture(number), "jpg").is_new for number in numbers]
            part.commit()
    assert added == [False, False, True, True, True, True]
    assert stored(folder) == as_stored(*range(9))


def test_a_picture_bigger_than_a_shard_gets_its_own(folder: PartFolder) -> None:
    with writer(folder, shard_bytes=1000) as part:
        part.add(picture(1), "jpg")
        part.add(picture(2), "jpg")
        part.commit()
    assert folder.shards() == ["shard-00000.tar", "shard-00001.tar"]
    assert stored(folder) == as_stored(1, 2)


def test_what_is_known_elsewhere_is_not_stored_again(folder: PartFolder) -> None:
    with writer(folder, known={content_hash(picture(1))}) as part:
        assert not part.add(picture(1), "jpg").is_new
        assert part.add(picture(2), "jpg").is_new
        part.commit()
    assert stored(folder) == as_stored(2)


def test_leaving_without_commit_keeps_what_is_staged(folder: PartFolder) -> None:
    with pytest.raises(KeyboardInterrupt), writer(folder) as part:
        for number in range(10):
            part.add(picture(number), "jpg")
        raise KeyboardInterrupt
    assert stored(folder) == {}
    with writer(folder) as part:
        assert len(part) == 10
        assert not part.add(picture(3), "jpg").is_new
        assert part.add(picture(10), "jpg").is_new
        part.commit()
    assert stored(folder) == as_stored(*range(11))


def test_abandon_leaves_nothing(folder: PartFolder) -> None:
    with writer(folder) as part:
        part.add(picture(1), "jpg")
        part.record({"sample_id": 1, "sha256": content_hash(picture(1))})
        part.abandon()
        part.commit()
    with writer(folder) as part:
        assert len(part) == 0 and part.recorded == []
    assert hidden(folder) == [] and folder.entries() == []


@pytest.mark.parametrize("torn_bytes", [1, 511, 512, 600, 3000, 3584, 4000, 4607])
def test_a_torn_end_is_cut_off_and_written_again(folder: PartFolder, torn_bytes: int) -> None:
    with writer(folder) as part:
        for number in range(3):
            part.add(picture(number), "jpg")
    (open_shard,) = folder.staging.glob("*.open")
    whole = pack(content_hash(picture(3)), "jpg", picture(3))
    assert torn_bytes < len(whole)
    with open_shard.open("ab") as shard:
        shard.write(whole[:torn_bytes])
    with writer(folder) as part:
        assert len(part) == 3
        assert part.add(picture(3), "jpg").is_new
        part.commit()
    assert stored(folder) == as_stored(*range(4))
    shard = folder.entries()[0].shard
    assert shard_entries(Path(folder.path(shard)), shard, verify=True)[0] == folder.entries(), "no gap in the tar"


def test_bytes_that_were_never_flushed_are_not_believed(folder: PartFolder) -> None:
    """After a power cut a file may have its length and not its bytes."""
    with writer(folder) as part:
        for number in range(4):
            part.add(picture(number), "jpg")
    (open_shard,) = folder.staging.glob("*.open")
    entries, _ = shard_entries(open_shard, "shard-00000.tar", verify=False)
    with open_shard.open("r+b") as shard:
        shard.seek(entries[2].byte_offset + 1000)
        shard.write(bytes(500))
    with writer(folder) as part:
        assert len(part) == 2
        for number in range(4):
            part.add(picture(number), "jpg")
        part.commit()
    assert stored(folder) == as_stored(*range(4))


def test_a_commit_cut_short_before_its_index_is_taken_back(folder: PartFolder) -> None:
    with writer(folder) as part:
        for number in range(12):
            part.add(picture(number), "jpg")
        part.commit()
    shards = folder.shards()
    Path(folder.path("index.parquet")).unlink()
    with writer(folder) as part:
        assert len(part) == 12 and folder.shards() == []
        part.commit()
    assert folder.shards() == shards and stored(folder) == as_stored(*range(12))


@dataclass(frozen=True)
class FailingFolder(PartFolder):
    """Fails at the n-th publish: a full disk, a lost connection."""

    budget: list[int] = field(default_factory=lambda: [0])

    def publish(self, source: Path, name: str) -> None:
        self.budget[0] -= 1
        if self.budget[0] < 0:
            raise OSError("injected")
        super().publish(source, name)


@pytest.mark.parametrize("published", range(6))
def test_a_commit_or_discard_that_fails_anywhere_leaves_a_whole_part(folder: PartFolder, published: int) -> None:
    """The index never names a shard that is not there, and the next attempt ends as if nothing had happened."""
    with writer(folder) as part:
        for number in range(4):
            part.add(picture(number), "jpg")
        part.commit()
    failing = FailingFolder(folder.lake, folder.part, folder.staging, [published])
    is_failed = False
    try:
        with writer(failing) as part:
            for number in range(4, 20):
                part.add(picture(number), "jpg")
            part.commit()
    except OSError:
        is_failed = True
    assert stored(folder) == as_stored(*range(4 if is_failed else 20))
    with writer(folder) as part:
        part.commit()
    assert stored(folder) == as_stored(*range(20))
    shards = {entry.shard for entry in folder.entries()}
    assert len(shards) == 5 and is_failed is (published < 5)
    gone = {content_hash(picture(number)) for number in (0, 9)}
    failing.budget[0] = published
    try:
        with writer(failing) as part:
            part.discard(gone)
    except OSError:
        assert published < 3 and stored(folder) == as_stored(*range(20))
    with writer(folder) as part:
        part.discard(gone)
    assert stored(folder) == {k: v for k, v in as_stored(*range(20)).items() if k not in gone}
    assert {entry.shard for entry in folder.entries()} == set(folder.shards()) and hidden(folder) == []


def test_discard_rewrites_only_the_shards_concerned(folder: PartFolder) -> None:
    with writer(folder) as part:
        for number in range(20):
            part.add(picture(number), "jpg", {"n": number})
        part.commit()
    before = {shard: Path(folder.path(shard)).read_bytes() for shard in folder.shards()}
    gone = folder.entries()[7]
    with writer(folder) as part:
        assert part.discard({gone.sha256, content_hash(b"never stored")}) == (1, 3000)
    assert stored(folder) == {k: v for k, v in as_stored(*range(20)).items() if k != gone.sha256}
    after = {shard: Path(folder.path(shard)).read_bytes() for shard in folder.shards()}
    assert set(before) - set(after) == {gone.shard}
    assert all(after[shard] == before[shard] for shard in set(before) & set(after))
    assert not any(picture(7) in data or gone.sha256.encode() in data for data in after.values())
    with tarfile.open(folder.path(max(after))) as tar:
        described = [json.loads(tar.extractfile(m).read())["n"] for m in tar if m.name.endswith(".json")]
    assert len(described) == len(set(described)) > 1


def test_discard_of_everything_leaves_an_empty_part(folder: PartFolder) -> None:
    with writer(folder) as part:
        part.add(picture(1), "jpg")
        part.commit()
    with writer(folder) as part:
        assert part.discard(as_stored(1)) == (1, 3000)
    assert folder.entries() == [] and folder.shards() == []


def test_a_discard_cut_short_after_its_index_finishes_by_itself(folder: PartFolder) -> None:
    """The old shard still lies there, with the removed picture in it, and no index lists it."""
    with writer(folder) as part:
        for number in range(4):
            part.add(picture(number), "jpg")
        part.commit()
    old = Path(folder.path("shard-00000.tar")).read_bytes()
    removed = content_hash(picture(2))
    with writer(folder) as part:
        part.discard({removed})
    Path(folder.path("shard-00000.tar")).write_bytes(old)
    assert removed in dict(reversed(trace) for trace in folder.traces())
    with writer(folder, removed=lambda: {removed}) as part:
        assert len(part) == 0
    assert hidden(folder) == [] and removed not in dict(reversed(trace) for trace in folder.traces())
    assert stored(folder) == as_stored(0, 1, 3)


def test_removed_contents_are_refused_dropped_from_staging_and_at_the_commit(folder: PartFolder) -> None:
    removed: set[str] = {content_hash(picture(0))}
    with writer(folder, removed=lambda: removed) as part:
        with pytest.raises(RemovedContentError, match="removed before"):
            part.add(picture(0), "jpg")
        for number in range(1, 12):
            part.add(picture(number), "jpg")
            part.record({"sample_id": number, "sha256": content_hash(picture(number))})
    removed.add(content_hash(picture(2)))
    with writer(folder, removed=lambda: removed) as part:
        assert len(part) == 10 and len(part.recorded) == 10
        removed.add(content_hash(picture(11)))
        committed = part.commit()
        part.record({"sample_id": 12, "sha256": None})
    assert committed.removed == {content_hash(picture(11))}
    assert stored(folder) == as_stored(1, *range(3, 11))
    assert not removed & {sha256 for _, sha256 in folder.traces()}
    with writer(folder, removed=lambda: removed) as part:
        assert [row["sample_id"] for row in part.recorded] == [1, *range(3, 11), 12]


def test_the_journal_gives_back_what_is_still_true(folder: PartFolder) -> None:
    with writer(folder) as part:
        part.record({"sample_id": 1, "status": "failed", "sha256": None})
        part.add(picture(2), "jpg")
        part.record({"sample_id": 2, "sha256": content_hash(picture(2)), "note": "two\nlines, ü"})
        part.record({"sample_id": 3, "sha256": content_hash(b"never stored")})
    with (folder.staging / ".journal.jsonl").open("ab") as journal:
        journal.write(b'{"sample_id": 4, "sta')
    with writer(folder) as part:
        assert [row["sample_id"] for row in part.recorded] == [1, 2]
        assert part.recorded[1]["note"] == "two\nlines, ü"
        part.record({"sample_id": 5})
        part.commit()
    with writer(folder) as part:
        assert [row["sample_id"] for row in part.recorded] == [1, 2, 5]
        part.forget_journal()
    with writer(folder) as part:
        assert part.recorded == []


def test_over_the_quota_nothing_more_is_written(folder: PartFolder) -> None:
    """The end of a shard counts from the start: a commit writes it and must not pass the quota."""
    with writer(folder, room_bytes=11_000) as part:
        part.add(picture(0), "jpg")
        part.add(picture(1), "jpg")
        before = sum(path.stat().st_size for path in folder.staging.glob(".shard-*"))
        with pytest.raises(StoreFullError, match=r"needs 4608 bytes, the quota leaves 760\. Raise the quota"):
            part.add(picture(2), "jpg")
        assert sum(path.stat().st_size for path in folder.staging.glob(".shard-*")) == before <= 11_000
        part.commit()
    assert sum(Path(folder.path(shard)).stat().st_size for shard in folder.shards()) <= 11_000
    assert stored(folder) == as_stored(0, 1)


def test_a_writer_takes_no_more_after_its_commit(folder: PartFolder) -> None:
    with writer(folder) as part:
        part.add(picture(1), "jpg")
        part.commit()
        with pytest.raises(ValueError, match="committed"):
            part.add(picture(2), "jpg")


@pytest.mark.parametrize("extension", ["", "json", "JPG", "j/g", "a.b", "ninechars"])
def test_an_extension_that_would_break_the_shard_is_refused(folder: PartFolder, extension: str) -> None:
    with writer(folder) as part, pytest.raises(ValueError, match="extension"):
        part.add(b"x", extension)


def test_a_damaged_shard_stops_a_rewrite_and_loses_nothing(folder: PartFolder) -> None:
    with writer(folder) as part:
        for number in range(4):
            part.add(picture(number), "jpg")
        part.commit()
    entries = folder.entries()
    with open(folder.path(entries[1].shard), "r+b") as shard:
        shard.seek(entries[1].byte_offset)
        shard.write(b"damage")
    with writer(folder) as part, pytest.raises(CorruptShardError, match=entries[1].sha256):
        part.discard({entries[0].sha256})
    assert folder.entries() == entries
    with writer(folder) as part:
        part.discard({entries[0].sha256, entries[1].sha256})
    assert stored(folder) == as_stored(2, 3)


KILLED = textwrap.dedent(
    """
    import sys
    from laionet_assets.images.store import ImageStore
    from laionet_assets.warehouse.table import PartKey
    from tests.unit.images.parts import picture

    with ImageStore(sys.argv[1]).writer(PartKey("web", "part-0"), shard_bytes=50_000) as part:
        for number in range(400):
            if number not in {row["sample_id"] for row in part.recorded}:
                added = part.add(picture(number), "jpg")
                part.record({"sample_id": number, "sha256": added.sha256})
                print(number, flush=True)
        part.commit()
    """
)


def test_killed_in_the_middle_a_writer_resumes_where_it_stood(folder: PartFolder) -> None:
    """kill -9 after a random number of pictures, again and again: what was announced is never asked for again."""
    dice = random.Random(1)
    announced: list[int] = []
    kills = 0
    while True:
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, folder.lake.root], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
        )
        limit = dice.randint(10, 120)
        for seen, line in enumerate(process.stdout, start=1):
            announced.append(int(line))
            if seen == limit:
                os.kill(process.pid, signal.SIGKILL)
        process.stdout.close()
        if process.wait() == 0:
            break
        assert process.returncode == -signal.SIGKILL
        kills += 1
        assert folder.entries() == [], "nothing is visible before the commit"
    assert kills >= 3
    assert len(set(announced)) == len(announced), "a picture that was stored was asked for again"
    assert stored(folder) == as_stored(*range(400))
    assert hidden(folder) == []
    shards = [shard_entries(Path(folder.path(shard)), shard, verify=True)[0] for shard in folder.shards()]
    assert [entry for entries in shards for entry in entries] == folder.entries()


def test_lines_of_a_journal_that_were_never_written_cost_themselves_alone(folder: PartFolder) -> None:
    """A machine that loses its power may leave zeros."""
    with writer(folder) as killed:
        killed.record({"url_hash": "x"})
    journal = folder.staging / ".journal.jsonl"
    journal.write_bytes(bytes(30) + b"\n[1]\n\n\xff\xfe\n" + journal.read_bytes() + b'{"url_hash": "torn')
    with writer(folder) as heir:
        assert heir.recorded == [{"url_hash": "x"}]
    assert journal.read_bytes() == b'{"url_hash":"x"}\n'
