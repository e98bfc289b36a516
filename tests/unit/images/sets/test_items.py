"""What all folder layouts share."""

import os
from pathlib import Path

import pytest

from laionet_assets.images.sets.items import FileReader, ImageSetError, RangeReader, is_picture, pictures_below, some


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.jpg", True),
        ("A.JPEG", True),
        ("a.b.webp", True),
        ("jpg", False),
        (".hidden.jpg", False),
        ("a.jpg.txt", False),
        ("a.txt", False),
        ("a.", False),
    ],
)
def test_pictures_are_told_by_their_name(name: str, expected: bool) -> None:
    assert is_picture(name) is expected


def test_pictures_below_come_by_name_through_links_and_without_hidden_folders(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for path in ("b.jpg", "a/2.jpg", "a/10.jpg", "a-z/1.jpg", ".cache/1.jpg", "a/notes.txt"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x")
    elsewhere.mkdir()
    (elsewhere / "linked.png").write_bytes(b"x")
    (root / "c").symlink_to(elsewhere)
    found = [os.path.relpath(entry.path, root) for entry in pictures_below(root)]
    assert found == ["a/10.jpg", "a/2.jpg", "a-z/1.jpg", "b.jpg", "c/linked.png"]


def test_a_link_in_a_circle_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    with pytest.raises(ImageSetError, match="link to a folder above it"):
        list(pictures_below(tmp_path))


def test_readers_read_what_they_name(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    assert FileReader(str(path))() == b"0123456789"
    assert RangeReader(str(path), 2, 3)() == b"234"
    with pytest.raises(OSError, match="in the middle of a picture"):
        RangeReader(str(path), 8, 3)()


def test_long_lists_are_cut() -> None:
    assert some(["a", "b"]) == "a, b"
    assert some([str(n) for n in range(13)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 3 more"
