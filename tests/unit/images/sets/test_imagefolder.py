"""The layout imagefolder."""

import os
from pathlib import Path

import pytest

from laionet_assets.images.sets import ImageSet, ImageSetError, open_image_set
from laionet_assets.images.sets.imagefolder import ImageFolder


def fill(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode())


def test_items_carry_path_class_and_bytes(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    fill(tmp_path, "n01443537/b.jpg", "n01443537/a/z.PNG", "n01440764/10.jpeg", "n01440764/9.jpeg", "n01440764/x.txt")
    found = ImageFolder("set", tmp_path, wnids=imagenet_wnids)
    assert isinstance(found, ImageSet)
    assert [(item.image_id, item.wnid, item.read()) for item in found.iterate()] == [
        ("n01440764/10.jpeg", "n01440764", b"n01440764/10.jpeg"),
        ("n01440764/9.jpeg", "n01440764", b"n01440764/9.jpeg"),
        ("n01443537/a/z.PNG", "n01443537", b"n01443537/a/z.PNG"),
        ("n01443537/b.jpg", "n01443537", b"n01443537/b.jpg"),
    ]
    assert found.count() == 4 and found.notes() == []


def test_the_fingerprint_sees_every_kind_of_change(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    fill(tmp_path, "n01443537/a.jpg", "n01440764/b.jpg")

    def fingerprint() -> str:
        return ImageFolder("set", tmp_path, wnids=imagenet_wnids).fingerprint()

    seen = [fingerprint()]
    assert fingerprint() == seen[0]
    os.utime(tmp_path / "n01443537/a.jpg", ns=(1, 1))
    seen.append(fingerprint())
    fill(tmp_path, "n01443537/c.jpg")
    seen.append(fingerprint())
    (tmp_path / "n01443537/c.jpg").rename(tmp_path / "n01440764/c.jpg")
    seen.append(fingerprint())
    (tmp_path / "n01440764/c.jpg").unlink()
    assert fingerprint() == seen[1]
    assert len(set(seen)) == 4


def test_unknown_folders_and_loose_pictures_are_listed_together(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    fill(tmp_path, "n01443537/a.jpg", "goldfish/a.jpg", "n99999999/a.jpg", "loose.jpg", ".hidden/a.jpg")
    with pytest.raises(ImageSetError) as error:
        open_image_set("my-set", "imagefolder", tmp_path, wnids=imagenet_wnids, imagenet_wnids=imagenet_wnids)
    message = str(error.value)
    assert message.startswith(f"image set my-set: {tmp_path}: found 2 folders that are not classes")
    assert "goldfish, n99999999" in message and "1 pictures outside" in message and "loose.jpg" in message


def test_a_folder_too_high_up_is_hinted_at(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    fill(tmp_path, "train/n01443537/a.jpg", "val/n01443537/a.jpg")
    with pytest.raises(ImageSetError, match=f"{tmp_path}/train holds folders of classes: is that the path meant"):
        ImageFolder("set", tmp_path, wnids=imagenet_wnids)


@pytest.mark.parametrize(("name", "found"), [("absent", "nothing"), ("file", "a file")])
def test_a_path_that_is_no_folder(tmp_path: Path, imagenet_wnids: list[str], name: str, found: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ImageSetError, match=f"found {found} at .*, expected a folder"):
        ImageFolder("set", tmp_path / name, wnids=imagenet_wnids)


def test_an_empty_folder_and_an_empty_class(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    with pytest.raises(ImageSetError, match="found no folder; expected one a class"):
        ImageFolder("set", tmp_path, wnids=imagenet_wnids)
    fill(tmp_path, "n01443537/a.jpg", "n01440764/readme.txt")
    assert ImageFolder("set", tmp_path, wnids=imagenet_wnids).notes() == ["set: 1 classes have no picture: n01440764"]


def test_layouts_and_options_are_checked(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    with pytest.raises(ImageSetError, match="found layout 'folders', expected one of: imagefolder, ilsvrc2012-val"):
        open_image_set("set", "folders", tmp_path, wnids=imagenet_wnids, imagenet_wnids=imagenet_wnids)
    with pytest.raises(ImageSetError, match="found devkit, label_column, which the layout imagefolder does not have"):
        open_image_set(
            "set",
            "imagefolder",
            tmp_path,
            wnids=imagenet_wnids,
            imagenet_wnids=imagenet_wnids,
            devkit=tmp_path,
            label_column="wnid",
        )
