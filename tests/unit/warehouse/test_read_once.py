"""What was read of a file is kept while the file is the same, and never longer."""

import os
import time
from pathlib import Path

import pytest

from laionet_assets.warehouse import read_once
from laionet_assets.warehouse.read_once import MOST_FILES, ReadOnce


class Reads:
    """A reader of texts that counts."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.once = ReadOnce(self._read)

    def _read(self, path: Path) -> str:
        self.made.append(path.name)
        return path.read_text()


def settle(path: Path, seconds_ago: float = 10) -> None:
    """Have a file look as if it had been changed a while ago, but for the time that nobody can set."""
    then = time.time() - seconds_ago
    os.utime(path, (then, then))


@pytest.fixture(autouse=True)
def _changes_settle_at_once(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "settled" not in request.node.name:
        monkeypatch.setattr(read_once, "SETTLED_SECONDS", -1.0)


def test_a_file_is_read_once_until_it_changes(tmp_path: Path) -> None:
    reads, path = Reads(), tmp_path / "list"
    path.write_text("a")
    assert [reads.once(path) for _ in range(3)] == ["a"] * 3 and reads.made == ["list"]
    path.write_text("b")
    assert reads.once(path) == "b" and reads.once(path) == "b" and len(reads.made) == 2


@pytest.mark.parametrize("way", ["in place, with the time of before", "replaced, with the time of before"])
def test_a_change_that_hides_its_time_is_seen(tmp_path: Path, way: str) -> None:
    reads, path = Reads(), tmp_path / "list"
    path.write_text("a")
    settle(path)
    before = path.stat()
    assert reads.once(path) == "a"
    other = tmp_path / "other"
    other.write_text("b")
    if way.startswith("replaced"):
        os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
        os.replace(other, path)
    else:
        path.write_text("b")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns and path.stat().st_size == before.st_size
    assert reads.once(path) == "b"


def test_a_file_that_was_not_settled_is_read_again(tmp_path: Path) -> None:
    """Written twice within a tick of the clock, both states of it would look alike."""
    reads, path = Reads(), tmp_path / "list"
    path.write_text("a")
    assert reads.once(path) == reads.once(path) == "a" and len(reads.made) == 2


def test_what_cannot_be_read_raises_each_time_and_what_is_gone_is_not_remembered(tmp_path: Path) -> None:
    reads, path = Reads(), tmp_path / "list"
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            reads.once(path)
    path.write_text("a")
    assert reads.once(path) == "a"
    path.unlink()
    with pytest.raises(FileNotFoundError):
        reads.once(path)


def test_not_more_than_some_files_are_kept(tmp_path: Path) -> None:
    reads, paths = Reads(), [tmp_path / str(number) for number in range(MOST_FILES + 1)]
    for path in paths:
        path.write_text(path.name)
    assert [reads.once(path) for path in (*paths, *paths[1:])] == [path.name for path in (*paths, *paths[1:])]
    assert len(reads.made) == len(paths)
    assert reads.once(paths[0]) == "0" and len(reads.made) == len(paths) + 1
