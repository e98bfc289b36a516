"""The layout imagefolder."""

import os
from pathlib import Path

import pytest

from laionet_assets.images.sets import ImageSet, ImageSetError, open_image_set
from laionet_assets.images.sets.imagefolder import ImageFolder
from laionet_assets.images.sets.items import LeftOut


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
    assert found.count() == 4 and found.left_out() == [LeftOut("not called as a picture", 1, ("x.txt",))]


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
    assert ImageFolder("set", tmp_path, wnids=imagenet_wnids).left_out() == [
        LeftOut("class without a picture", 1, ("n01440764",)),
        LeftOut("not called as a picture", 1, ("readme.txt",)),
    ]


def test_what_is_left_out_is_told_with_why(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    names = ["a.jpg", "b.jfif", "c.JFIF", "d.pgm", "e", "f.heic", ".DS_Store", "more/g.png", "more/Thumbs.db"]
    fill(tmp_path, *(f"n01443537/{name}" for name in names), "LICENSE.txt")
    (tmp_path / "n01443537/h.jpg").symlink_to("/nowhere/x.jpg")
    (tmp_path / "n01443537/i.jpg").symlink_to(tmp_path / "n01443537/a.jpg")
    os.mkfifo(tmp_path / "n01443537/j.jpg")
    found = ImageFolder("set", tmp_path, wnids=imagenet_wnids)
    assert found.count() == 6 == len(list(found.iterate()))
    assert {each.reason: set(each.examples) for each in found.left_out()} == {
        "not called as a picture": {"e", "f.heic", "Thumbs.db", "LICENSE.txt"},
        "hidden": {".DS_Store"},
        "broken link": {"h.jpg"},
        "not a file": {"j.jpg"},
    }


LEMMAS = {
    "n01440764": ("tench", "Tinca tinca"),
    "n01443537": ("goldfish", "Carassius auratus"),
    "n02012849": ("crane",),
    "n03126707": ("crane",),
    "n01484850": ("great white shark", "white shark", "man-eater"),
}


@pytest.mark.parametrize(
    ("folders", "wnids"),
    [
        (["0", "1", "999"], ["n01440764", "n01443537", "n15075141"]),
        (["0001", "0002"], ["n01443537", "n01484850"]),
        (["goldfish", "Tench"], ["n01440764", "n01443537"]),
        (["goldfish, Carassius auratus", "great_white_shark"], ["n01443537", "n01484850"]),
        (["man eater"], ["n01484850"]),
    ],
)
def test_folders_may_be_called_by_index_or_by_name(
    tmp_path: Path, imagenet_wnids: list[str], folders: list[str], wnids: list[str]
) -> None:
    fill(tmp_path, *(f"{folder}/a.jpg" for folder in folders))
    found = ImageFolder("set", tmp_path, wnids=imagenet_wnids, imagenet_wnids=imagenet_wnids, lemmas=LEMMAS)
    assert [item.wnid for item in found.iterate()] == wnids


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["goldfish", "crane"], "1 folders whose name several classes have: crane. Call folders by wnid"),
        (["0", "goldfish"], "1 folders that are not classes of the taxonomy: 0"),
        (["0", "1000"], "1 folders that are not classes of the taxonomy: 1000"),
        (["n01443537", "tench"], "1 folders that are not classes of the taxonomy: tench"),
        (["goldfish", "Goldfish "], "several folders for one class: n01443537"),
        (["1", "01"], "several folders for one class: n01443537"),
    ],
)
def test_folders_that_are_called_in_several_ways_are_named(
    tmp_path: Path, imagenet_wnids: list[str], folders: list[str], message: str
) -> None:
    fill(tmp_path, *(f"{folder}/a.jpg" for folder in folders))
    with pytest.raises(ImageSetError, match=message):
        ImageFolder("set", tmp_path, wnids=imagenet_wnids, imagenet_wnids=imagenet_wnids, lemmas=LEMMAS)


def test_a_wnid_behind_the_name_is_a_class(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    fill(tmp_path, "n01443537_10007_n01443537.JPEG", "x_n01440764.png", "list.txt")
    found = ImageFolder("set", tmp_path, wnids=imagenet_wnids)
    assert [(item.image_id, item.wnid) for item in found.iterate()] == [
        ("n01443537_10007_n01443537.JPEG", "n01443537"),
        ("x_n01440764.png", "n01440764"),
    ]
    fill(tmp_path, "n01443537_2.JPEG")
    with pytest.raises(ImageSetError, match=r"1 pictures without a wnid behind their name: n01443537_2\.JPEG"):
        ImageFolder("set", tmp_path, wnids=imagenet_wnids)


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
