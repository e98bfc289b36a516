"""Staged writes: published at once, swept when their writer died, kept aside when rejected."""

import errno
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import BinaryIO

import pytest

from laionet_assets.errors import UserError
from laionet_assets.warehouse.lake import STAGED_SUFFIX, SUPERSEDED_SECONDS, Lake, write_whole
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse
from tests.unit.warehouse.conftest import ANIMALS, SIGHTINGS

PART = PartKey("laion", "part-00000")


def names_in(folder: Path) -> list[str]:
    return sorted((path.name for path in folder.iterdir()), key=lambda name: name.startswith("."))


def publish(lake: Lake, content: bytes) -> str:
    with lake.stage(ANIMALS) as staged:
        staged.path.write_bytes(content)
        lake.publish(staged)
    return lake.current(ANIMALS)


def test_nothing_is_visible_until_published(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    with lake.stage(ANIMALS) as staged:
        staged.path.write_bytes(b"rows")
        assert not lake.exists(ANIMALS)
        lake.publish(staged)
        assert lake.exists(ANIMALS)
    assert Path(lake.path(ANIMALS)).read_bytes() == b"rows"
    assert names_in(tmp_path / "raw/animals") == ["data.parquet", Path(lake.current(ANIMALS)).name]


def test_a_failed_write_leaves_what_was_published(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    with lake.stage(ANIMALS) as staged:
        staged.path.write_bytes(b"good")
        lake.publish(staged)
    with pytest.raises(RuntimeError), lake.stage(ANIMALS) as staged:
        staged.path.write_bytes(b"half")
        raise RuntimeError
    assert Path(lake.path(ANIMALS)).read_bytes() == b"good"
    assert names_in(tmp_path / "raw/animals") == ["data.parquet", Path(lake.current(ANIMALS)).name]


def test_rejected_files_are_kept_aside_until_the_next_success(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    with lake.stage(SIGHTINGS, PART) as staged:
        staged.path.write_bytes(b"bad")
        aside = lake.reject(staged)
    assert Path(aside).read_bytes() == b"bad"
    assert lake.parts(SIGHTINGS) == []
    with lake.stage(SIGHTINGS, PART) as staged:
        staged.path.write_bytes(b"good")
        lake.publish(staged)
    assert lake.parts(SIGHTINGS) == [PART]
    assert not Path(aside).exists()


@pytest.fixture
def killed(tmp_path: Path) -> Lake:
    """A lake in which a process was killed while it wrote a table."""
    code = (
        "import os, sys\n"
        "from laionet_assets.warehouse.lake import Lake\n"
        "from tests.unit.warehouse.conftest import ANIMALS\n"
        "with Lake(sys.argv[1]).stage(ANIMALS) as staged:\n"
        "    staged.path.write_bytes(b'half')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, cwd=Path(__file__).parents[3])
    assert len(list((tmp_path / "raw/animals").iterdir())) == 1
    return Lake(str(tmp_path))


def test_what_a_killed_writer_left_is_swept_when_that_is_asked_for(killed: Lake) -> None:
    with killed.stage(SIGHTINGS, PART) as staged:
        staged.path.write_bytes(b"under way")
        killed.sweep()
        assert staged.path.exists()
    assert [path for path in Path(killed.root).rglob("*") if path.is_file()] == []


def test_what_a_killed_writer_left_is_swept_by_the_next(killed: Lake) -> None:
    lake, folder = killed, Path(killed.root) / "raw/animals"
    with lake.stage(ANIMALS) as mine, lake.stage(ANIMALS) as other:
        mine.path.write_bytes(b"1")
        other.path.write_bytes(b"2")
        assert sorted(path.name for path in folder.iterdir()) == sorted([mine.path.name, other.path.name])


def test_of_a_small_file_nothing_half_written_stays(tmp_path: Path) -> None:
    """Neither where the disk is full nor, once it is written again, where a process was killed."""
    path = tmp_path / "parts.json"

    def full(file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_whole(path, full)
    assert list(tmp_path.iterdir()) == []
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from laionet_assets.warehouse.lake import write_whole\n"
        "write_whole(Path(sys.argv[1]), lambda file: (file.write(b'half'), os.kill(os.getpid(), 9)))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False, cwd=Path(__file__).parents[3])
    assert [left.suffix for left in tmp_path.iterdir()] == [STAGED_SUFFIX]
    of_another_host = tmp_path / f".parts.json.elsewhere.1{STAGED_SUFFIX}"
    of_another_host.touch()
    write_whole(path, lambda file: file.write(b"whole"))
    assert sorted(tmp_path.iterdir()) == [of_another_host, path] and path.read_bytes() == b"whole"


def test_partitioning_is_checked(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    with pytest.raises(ValueError, match="as a whole"):
        lake.path(ANIMALS, PART)
    with pytest.raises(ValueError, match="one part at a time"):
        lake.path(SIGHTINGS)


def test_parts_with_odd_names(warehouse: Warehouse, tmp_path: Path) -> None:
    odd = [PartKey("s", "a b"), PartKey("s", "[x]*"), PartKey("s", "ü=1"), PartKey("t", "a b")]
    for part in odd:
        with warehouse.lake.stage(SIGHTINGS, part) as staged:
            staged.path.write_bytes(b"")
            warehouse.lake.publish(staged)
    assert warehouse.lake.parts(SIGHTINGS) == sorted(odd)


def test_published_file_is_readable_by_others(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    with lake.stage(ANIMALS) as staged:
        staged.path.write_bytes(b"x")
        lake.publish(staged)
    assert os.stat(lake.path(ANIMALS)).st_mode & 0o444 == 0o444


def test_a_generation_keeps_its_bytes_and_stays_for_a_day(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    first, second = publish(lake, b"1"), publish(lake, b"2")
    assert first != second
    assert (Path(first).read_bytes(), Path(second).read_bytes()) == (b"1", b"2")
    assert os.readlink(lake.path(ANIMALS)) == Path(second).name
    yesterday = time.time() - SUPERSEDED_SECONDS - 1
    os.utime(second, (yesterday, yesterday))
    publish(lake, b"3")
    assert Path(second).exists(), "it was superseded only now"
    os.utime(first, (yesterday, yesterday))
    fourth = publish(lake, b"4")
    assert not Path(first).exists()
    assert Path(second).exists()
    lake.forget_superseded()
    assert names_in(tmp_path / "raw/animals") == ["data.parquet", Path(fourth).name]


def test_the_same_bytes_are_the_same_generation(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    assert publish(lake, b"1") == publish(lake, b"1")
    assert len(names_in(tmp_path / "raw/animals")) == 2


def test_a_link_without_its_file_is_not_published(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    with lake.stage(SIGHTINGS, PART) as staged:
        staged.path.write_bytes(b"x")
        lake.publish(staged)
    Path(lake.current(SIGHTINGS, PART)).unlink()
    assert lake.parts(SIGHTINGS) == []
    assert not lake.exists(SIGHTINGS, PART)


def test_a_small_table_is_read_without_threads(tmp_path: Path) -> None:
    """Threads that still hold a Python file when the interpreter ends abort the process, once in thirty times."""
    script = textwrap.dedent(
        """
        import os, sys
        import pyarrow as pa, pyarrow.parquet as pq
        from laionet_assets.warehouse.lake import Lake
        lake = Lake(sys.argv[1])
        rows = pa.table({"a": [1, 2], "b": ["x", None], "c": [[1], []]})
        pq.write_table(rows, f"{lake.root}/small.parquet")
        before = len(os.listdir("/proc/self/task"))
        assert lake.read_table(f"{lake.root}/small.parquet").equals(rows)
        print(len(os.listdir("/proc/self/task")) - before)
        """
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


def test_a_file_called_as_a_folder_of_a_part_stops_nothing(warehouse: Warehouse, tmp_path: Path) -> None:
    for name in ("source=old.tar", "source=a/part=b.tar"):
        stray = Path(warehouse.lake.folder(SIGHTINGS)) / name
        stray.parent.mkdir(parents=True, exist_ok=True)
        stray.write_bytes(b"stray")
    assert warehouse.lake.parts(SIGHTINGS) == []


def test_a_filesystem_that_there_is_not_is_one_message() -> None:
    with pytest.raises(UserError, match="nosuch://bucket/lake: this kind of path cannot be read"):
        _ = Lake("nosuch://bucket/lake").filesystem
