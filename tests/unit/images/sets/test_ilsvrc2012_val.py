"""The layout ilsvrc2012-val, with a development kit in the format of the published one."""

import io
import random
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from laionet_assets.images.sets import ImageSetError, open_image_set
from laionet_assets.images.sets.ilsvrc2012_val import wnids_by_ilsvrc_id

FIELDS = (
    "ILSVRC2012_ID",
    "WNID",
    "words",
    "gloss",
    "num_children",
    "children",
    "wordnet_height",
    "num_train_images",
)


def meta_mat(leaves: list[str]) -> bytes:
    """A meta.mat: a struct array of leaves with ids from 1, and ancestors with the ids behind them, in mixed order."""
    rows = [(n, wnid, f"words {n}", "gloss", 0, np.zeros(0), 0.0, 1300.0) for n, wnid in enumerate(leaves, 1)]
    ancestors = [f"n9{n:07d}" for n in range(60)]
    rows += [
        (len(leaves) + n, wnid, "ancestor", "gloss", 2, np.array([1.0, 2.0]), 3.0, 0.0)
        for n, wnid in enumerate(ancestors, 1)
    ]
    random.Random(5).shuffle(rows)
    synsets = np.empty((len(rows), 1), dtype=[(field, object) for field in FIELDS])
    for at, row in enumerate(rows):
        synsets[at, 0] = row
    buffer = io.BytesIO()
    savemat(buffer, {"synsets": synsets}, do_compression=True)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def by_ilsvrc_id(imagenet_wnids: list[str]) -> list[str]:
    """Wnids by ILSVRC id - 1: another order than that of the class indices, as in the real kit."""
    return random.Random(3).sample(imagenet_wnids, 1000)


@pytest.fixture(scope="module")
def truth() -> list[int]:
    """ILSVRC ids of 40 images."""
    return random.Random(4).choices(range(1, 1001), k=40)


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory, by_ilsvrc_id: list[str], truth: list[int]) -> Path:
    folder = tmp_path_factory.mktemp("kit") / "ILSVRC2012_devkit_t12"
    (folder / "data").mkdir(parents=True)
    (folder / "data/meta.mat").write_bytes(meta_mat(by_ilsvrc_id))
    (folder / "data/ILSVRC2012_validation_ground_truth.txt").write_text("".join(f"{n}\n" for n in truth))
    return folder


def put_images(folder: Path, numbers: range) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in reversed(numbers):
        (folder / f"ILSVRC2012_val_{number:08d}.JPEG").write_bytes(f"image {number}".encode())


def open_val(path: Path, imagenet_wnids: list[str], devkit: Path | None = None):
    return open_image_set(
        "val", "ilsvrc2012-val", path, wnids=imagenet_wnids, imagenet_wnids=imagenet_wnids, devkit=devkit
    )


def test_labels_go_from_number_to_ilsvrc_id_to_wnid(
    tmp_path: Path, kit: Path, truth: list[int], by_ilsvrc_id: list[str], imagenet_wnids: list[str]
) -> None:
    put_images(tmp_path / "val", range(1, 41))
    found = open_val(tmp_path / "val", imagenet_wnids, kit)
    items = list(found.iterate())
    assert [item.image_id for item in items] == [f"ILSVRC2012_val_{number:08d}.JPEG" for number in range(1, 41)]
    assert [item.wnid for item in items] == [by_ilsvrc_id[ilsvrc_id - 1] for ilsvrc_id in truth]
    assert [item.wnid for item in items] != [imagenet_wnids[ilsvrc_id - 1] for ilsvrc_id in truth]
    assert items[6].read() == b"image 7"
    assert found.count() == found.expected == 40 and found.left_out() == []


def test_missing_images_do_not_shift_the_labels(
    tmp_path: Path, kit: Path, truth: list[int], by_ilsvrc_id: list[str], imagenet_wnids: list[str]
) -> None:
    put_images(tmp_path, range(5, 8))
    found = open_val(tmp_path, imagenet_wnids, kit)
    assert [item.wnid for item in found.iterate()] == [by_ilsvrc_id[n - 1] for n in truth[4:7]]
    assert (found.count(), found.expected) == (3, 40), "the others count as missing"


@pytest.mark.parametrize("place", ["inside", "beside", "archive", "data folder"])
def test_the_kit_is_found_near_the_images(tmp_path: Path, kit: Path, imagenet_wnids: list[str], place: str) -> None:
    images = tmp_path / "val"
    put_images(images, range(1, 41))
    if place == "inside":
        shutil.copytree(kit, images / kit.name)
    elif place == "beside":
        shutil.copytree(kit, tmp_path / kit.name)
    elif place == "archive":
        with tarfile.open(tmp_path / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as archive:
            archive.add(kit, kit.name)
    else:
        shutil.copytree(kit / "data", tmp_path, dirs_exist_ok=True)
    expected = [item.wnid for item in open_val(images, imagenet_wnids, kit).iterate()]
    assert [item.wnid for item in open_val(images, imagenet_wnids).iterate()] == expected


def test_images_sorted_into_folders_need_no_kit(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    put_images(tmp_path / "n01443537", range(2, 3))
    put_images(tmp_path / "n01440764", range(3, 4))
    put_images(tmp_path / "n01484850", range(1, 2))
    found = open_val(tmp_path, imagenet_wnids)
    assert [(item.image_id, item.wnid, item.read()) for item in found.iterate()] == [
        ("ILSVRC2012_val_00000001.JPEG", "n01484850", b"image 1"),
        ("ILSVRC2012_val_00000002.JPEG", "n01443537", b"image 2"),
        ("ILSVRC2012_val_00000003.JPEG", "n01440764", b"image 3"),
    ]
    assert (found.count(), found.expected) == (3, 50_000)
    put_images(tmp_path / "n01484850", range(3, 4))
    with pytest.raises(ImageSetError, match="each once"):
        list(open_val(tmp_path, imagenet_wnids).iterate())


def test_without_a_kit_the_error_says_where_it_looked(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    put_images(tmp_path / "val", range(1, 3))
    with pytest.raises(ImageSetError) as error:
        open_val(tmp_path / "val", imagenet_wnids)
    message = str(error.value)
    assert "no development kit (meta.mat and ILSVRC2012_validation_ground_truth.txt)" in message
    assert str(tmp_path / "val/ILSVRC2012_devkit_t12") in message and str(tmp_path / "ILSVRC2012_devkit_t12") in message
    with pytest.raises(ImageSetError, match=f"looked in {tmp_path}/nowhere"):
        open_val(tmp_path / "val", imagenet_wnids, tmp_path / "nowhere")


def test_other_files_and_too_many_images_are_listed(tmp_path: Path, kit: Path, imagenet_wnids: list[str]) -> None:
    put_images(tmp_path / "val", range(1, 41))
    with pytest.raises(ImageSetError, match=r"found no picture.*Is .*/val meant\?"):
        open_val(tmp_path, imagenet_wnids, kit)
    put_images(tmp_path / "val", range(41, 43))
    with pytest.raises(ImageSetError, match=r"2 images beyond the 40 labels of .*ILSVRC2012_val_00000041\.JPEG"):
        open_val(tmp_path / "val", imagenet_wnids, kit)
    (tmp_path / "val/n0001_1.JPEG").write_bytes(b"")
    with pytest.raises(ImageSetError, match=r"1 other pictures: n0001_1\.JPEG; expected ILSVRC2012_val_00000001"):
        open_val(tmp_path / "val", imagenet_wnids, kit)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("meta.mat", b"not a mat file", "not readable as the synsets of ILSVRC2012"),
        ("ILSVRC2012_validation_ground_truth.txt", b"1\n1001\nx\n", "found 2 other lines: line 2: 1001, line 3: x"),
        ("ILSVRC2012_validation_ground_truth.txt", b"", "found nothing in"),
    ],
)
def test_a_damaged_kit(
    tmp_path: Path, kit: Path, imagenet_wnids: list[str], file: str, content: bytes, message: str
) -> None:
    put_images(tmp_path, range(1, 3))
    copy = tmp_path / "kit"
    shutil.copytree(kit, copy)
    (copy / "data" / file).write_bytes(content)
    with pytest.raises(ImageSetError, match=message):
        open_val(tmp_path, imagenet_wnids, copy)


def test_the_kit_of_another_year(tmp_path: Path, kit: Path, by_ilsvrc_id: list[str], imagenet_wnids: list[str]) -> None:
    put_images(tmp_path, range(1, 3))
    copy = tmp_path / "kit"
    shutil.copytree(kit, copy)
    (copy / "data/meta.mat").write_bytes(meta_mat([*by_ilsvrc_id[:999], "n88888888"]))
    with pytest.raises(ImageSetError, match=f"differ in 2 classes: {by_ilsvrc_id[999]}, n88888888"):
        open_val(tmp_path, imagenet_wnids, copy)
    with pytest.raises(ImageSetError, match="found 900 classes without children"):
        wnids_by_ilsvrc_id(meta_mat(by_ilsvrc_id[:900]))
    with pytest.raises(ImageSetError, match="found 1001 classes without children"):
        wnids_by_ilsvrc_id(meta_mat([*by_ilsvrc_id, "n88888888"]))


def test_every_id_is_mapped_by_its_own_field(by_ilsvrc_id: list[str]) -> None:
    assert wnids_by_ilsvrc_id(meta_mat(by_ilsvrc_id)) == dict(enumerate(by_ilsvrc_id, 1))


def solution(imagenet_wnids: list[str], count: int = 40) -> str:
    """As Kaggle has it: in another order, with boxes behind the wnid."""
    lines = [
        f"ILSVRC2012_val_{n:08d},{imagenet_wnids[n * 7]} 1 2 3 4 {imagenet_wnids[n * 7]} 5 6 7 8"
        for n in range(1, count + 1)
    ]
    return "\n".join(["ImageId,PredictionString", *reversed(lines)]) + "\n"


@pytest.mark.parametrize("place", ["beside", "kaggle", "named"])
def test_kaggle_labels_are_as_good_as_the_kit(tmp_path: Path, imagenet_wnids: list[str], place: str) -> None:
    images = tmp_path / "ILSVRC/Data/CLS-LOC/val"
    put_images(images, range(1, 31))
    file = {"beside": images.parent, "kaggle": tmp_path, "named": tmp_path / "elsewhere"}[
        place
    ] / "LOC_val_solution.csv"
    file.parent.mkdir(exist_ok=True)
    file.write_text(solution(imagenet_wnids))
    found = open_val(images, imagenet_wnids, file if place == "named" else None)
    assert [item.wnid for item in found.iterate()] == [imagenet_wnids[n * 7] for n in range(1, 31)]
    assert (found.count(), found.expected) == (30, 40)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ImageId,PredictionString\nILSVRC2012_val_00000001,n99999999 1 2 3 4\n", "found 1 other lines: line 2"),
        ("ImageId,PredictionString\nILSVRC2012_val_00000002,n01440764 1 2 3 4\n", "1 images, not all from 1 on"),
        ("ImageId,PredictionString\nILSVRC2012_val_000", "found 1 other lines: line 2"),
        ("", "0 images, not all from 1 on"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_damaged_file_of_kaggle(tmp_path: Path, imagenet_wnids: list[str], text: str | bytes, message: str) -> None:
    put_images(tmp_path, range(1, 3))
    (tmp_path / "LOC_val_solution.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ImageSetError, match=message):
        open_val(tmp_path, imagenet_wnids)


@pytest.mark.parametrize("kept", [0, 20, 3_000])
def test_an_archive_of_the_kit_that_is_cut_off_is_named(
    tmp_path: Path, kit: Path, imagenet_wnids: list[str], kept: int
) -> None:
    put_images(tmp_path / "val", range(1, 3))
    archive = tmp_path / "ILSVRC2012_devkit_t12.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(kit, kit.name)
    archive.write_bytes(archive.read_bytes()[:kept])
    with pytest.raises(ImageSetError, match=r"t12\.tar\.gz cannot be read .* cut off or damaged\. Download"):
        open_val(tmp_path / "val", imagenet_wnids)


def test_a_wnid_behind_the_name_needs_no_kit(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    for number in (2, 1):
        (tmp_path / f"ILSVRC2012_val_{number:08d}_{imagenet_wnids[number]}.JPEG").write_bytes(b"x")
    found = open_val(tmp_path, imagenet_wnids)
    assert [item.wnid for item in found.iterate()] == imagenet_wnids[1:3]
    assert next(found.iterate()).image_id == f"ILSVRC2012_val_00000001_{imagenet_wnids[1]}.JPEG"
