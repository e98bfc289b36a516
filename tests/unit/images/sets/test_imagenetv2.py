"""The layout imagenetv2."""

from pathlib import Path

import pytest

from laionet_assets.images.sets import ImageSetError, open_image_set
from laionet_assets.images.sets.imagenetv2 import ImageNetV2
from laionet_assets.images.sets.items import LeftOut


def fill(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode())


def test_numbers_are_class_indices_in_numeric_order(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    for index in range(1000):
        fill(tmp_path, f"{index}/a.jpeg", *([f"{index}/10.jpeg"] if index % 100 == 2 else []))
    found = open_image_set("v2", "imagenetv2", tmp_path, wnids=[], imagenet_wnids=imagenet_wnids)
    items = list(found.iterate())
    assert [item.image_id for item in items[:5]] == ["0/a.jpeg", "1/a.jpeg", "2/10.jpeg", "2/a.jpeg", "3/a.jpeg"]
    assert [item.wnid for item in items if item.image_id.endswith("a.jpeg")] == imagenet_wnids
    assert items[3].wnid == "n01484850" and items[3].read() == b"2/a.jpeg"
    assert (found.count(), found.expected, found.left_out()) == (1010, 10_000, [])


def test_leading_zeros_are_numbers_too(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    fill(tmp_path, "0010/a.jpeg", "0009/a.jpeg")
    found = ImageNetV2("v2", tmp_path, imagenet_wnids=imagenet_wnids)
    assert [(item.image_id, item.wnid) for item in found.iterate()] == [
        ("9/a.jpeg", imagenet_wnids[9]),
        ("10/a.jpeg", imagenet_wnids[10]),
    ]
    assert found.left_out() == [
        LeftOut("class without a folder", 998, ("0", "1", "2", "3", "4", "5", "6", "7", "8", "11"))
    ]


def test_what_is_no_class_index_is_listed(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    fill(tmp_path, "0/a.jpeg", "00/a.jpeg", "1000/a.jpeg", "n01440764/a.jpeg", "-1/a.jpeg")
    with pytest.raises(ImageSetError) as error:
        ImageNetV2("v2", tmp_path, imagenet_wnids=imagenet_wnids)
    assert "3 folders that are no class index: -1, 1000, n01440764" in str(error.value)
    assert "several folders for one class index: 0" in str(error.value)
    assert "expected folders 0 to 999" in str(error.value)


def test_a_folder_too_high_up_is_hinted_at(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    fill(tmp_path, "imagenetv2-top-images-format-val/0/a.jpeg")
    with pytest.raises(ImageSetError, match="imagenetv2-top-images-format-val holds numbered folders"):
        ImageNetV2("v2", tmp_path, imagenet_wnids=imagenet_wnids)


def test_another_taxonomy_cannot_number_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="found 3 wnids, expected the 1000"):
        ImageNetV2("v2", tmp_path, imagenet_wnids=["n1", "n2", "n3"])
