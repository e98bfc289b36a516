"""The layout webdataset: img2dataset's output, and tars of anyone else."""

import io
import json
import os
import random
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laionet_assets.images.sets import ImageSet, ImageSetError, open_image_set
from laionet_assets.images.sets.items import Labels, LeftOut
from laionet_assets.images.sets.webdataset import WebDataset


def write_tar(path: Path, members: list[tuple[str, bytes]], tar_format: int = tarfile.PAX_FORMAT) -> None:
    with tarfile.open(path, "w", format=tar_format) as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def write_img2dataset(folder: Path, shards: int = 2, rows: int = 12) -> dict[str, dict]:
    """Output as img2dataset writes it: a row for every input, the tar with the successes in another order."""
    dice = random.Random(7)
    folder.mkdir(exist_ok=True)
    everything: dict[str, dict] = {}
    for shard in range(shards):
        table, members = [], []
        for number in range(rows):
            key = f"{shard:05d}{number:04d}"
            status, error = [
                ("success", None),
                ("success", None),
                ("failed_to_download", "HTTP Error 404: Not Found"),
                ("failed_to_resize", "Image decoding error"),
            ][number % 4]
            row = {
                "url": f"http://images.invalid/{key}.jpg",
                "caption": f"caption {key}",
                "SAMPLE_ID": 100_000_000 * shard + number,
                "wnid": [None, "n01443537", "n01440764"][number % 3],
                "label": [float(number), None][number == 0],
                "key": key,
                "status": status,
                "error_message": error,
                "width": 256 if error is None else None,
                "height": 200 if error is None else None,
            }
            table.append(row)
            everything[key] = row
            if error is None:
                picture = (f"{key}.jpg", f"picture {key}".encode())
                members.append(
                    [picture, (f"{key}.json", json.dumps(row).encode()), (f"{key}.txt", row["caption"].encode())]
                )
        dice.shuffle(members)
        write_tar(folder / f"{shard:05d}.tar", [member for sample in members for member in sample])
        pq.write_table(pa.Table.from_pylist(table), folder / f"{shard:05d}.parquet")
        (folder / f"{shard:05d}_stats.json").write_text("{}")
    return everything


def opened(path: Path, imagenet_wnids: list[str], label_column: str | None = None) -> WebDataset:
    found = open_image_set(
        "web", "webdataset", path, wnids=imagenet_wnids, imagenet_wnids=imagenet_wnids, label_column=label_column
    )
    assert isinstance(found, ImageSet) and isinstance(found, WebDataset)
    return found


def test_pictures_and_rows_are_joined_by_key(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    rows = write_img2dataset(tmp_path)
    items = list(opened(tmp_path, imagenet_wnids, "wnid").iterate())
    assert {item.image_id for item in items} == {key for key, row in rows.items() if row["status"] == "success"}
    assert [item.image_id for item in items] != sorted(item.image_id for item in items), "the order of the tar"
    for item in items:
        row = rows[item.image_id]
        assert (item.wnid, item.url, item.read()) == (row["wnid"], row["url"], f"picture {item.image_id}".encode())
    assert [i.image_id for i in opened(tmp_path, imagenet_wnids).iterate()] == [i.image_id for i in items]


def test_failures_are_counted_with_their_error(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    write_img2dataset(tmp_path)
    found = opened(tmp_path, imagenet_wnids)
    assert found.count() == 12
    assert found.outcomes() == {
        "success": 12,
        "failed_to_download: HTTP Error 404: Not Found": 6,
        "failed_to_resize: Image decoding error": 6,
    }
    assert [(each.reason, each.count) for each in found.left_out()] == [
        ("failed_to_download: HTTP Error 404: Not Found", 6),
        ("failed_to_resize: Image decoding error", 6),
    ]


def test_metadata_has_every_row_and_every_column(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    rows = write_img2dataset(tmp_path)
    table = opened(tmp_path, imagenet_wnids).metadata()
    assert table.column_names[-1] == "shard" and "SAMPLE_ID" in table.column_names
    found = {row.pop("image_id"): row for row in table.to_pylist()}
    assert found.keys() == rows.keys()
    assert found["000010003"]["SAMPLE_ID"] == 100_000_003 and found["000010003"]["shard"] == "00001.tar"
    assert found["000010003"]["error_message"] == "Image decoding error"


def test_a_class_index_is_a_label_too(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    rows = write_img2dataset(tmp_path)
    for item in opened(tmp_path, imagenet_wnids, "label").iterate():
        label = rows[item.image_id]["label"]
        assert item.wnid == (None if label is None else imagenet_wnids[int(label)])


def test_without_parquet_labels_come_from_json_or_cls(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    write_tar(
        tmp_path / "a.tar",
        [
            ("dir/1.cls", b"3\n"),
            ("dir/1.jpg", b"one"),
            ("dir/1.json", json.dumps({"class": "n01443537"}).encode()),
            ("2.json", json.dumps({"class": None}).encode()),
            ("2.seg.png", b"not the picture"),
            ("2.PNG", b"two"),
            ("README.txt", b"belongs to nothing"),
        ],
    )
    by_cls = list(opened(tmp_path, imagenet_wnids).iterate())
    assert [(i.image_id, i.wnid, i.read(), i.url) for i in by_cls] == [
        ("dir/1", imagenet_wnids[3], b"one", None),
        ("2", None, b"two", None),
    ]
    by_json = list(opened(tmp_path / "a.tar", imagenet_wnids, "class").iterate())
    assert [(i.image_id, i.wnid) for i in by_json] == [("dir/1", "n01443537"), ("2", None)]
    assert opened(tmp_path, imagenet_wnids).metadata().num_rows == 0
    with pytest.raises(ImageSetError, match=r"2 pictures have no label that is known: dir/1 \(no field wnid\)"):
        list(opened(tmp_path, imagenet_wnids, "wnid").iterate())


@pytest.mark.parametrize("label", ["goldfish", "n99999999", 1000, -1, 2.5, "inf", True])
def test_a_label_that_is_no_class_is_named(tmp_path: Path, imagenet_wnids: list[str], label: object) -> None:
    write_tar(tmp_path / "a.tar", [("1.jpg", b"x"), ("1.json", json.dumps({"y": label}).encode())])
    with pytest.raises(ImageSetError, match="no label that is known: 1 "):
        list(opened(tmp_path, imagenet_wnids, "y").iterate())


def test_members_with_long_names_are_read_too(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    for tar_format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        write_tar(tmp_path / "a.tar", [("x" * 150 + ".jpg", b"long"), ("short.jpg", b"short")], tar_format)
        assert [item.read() for item in opened(tmp_path, imagenet_wnids).iterate()] == [b"long", b"short"]


def test_a_tar_that_ends_early_is_used_and_said(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    write_img2dataset(tmp_path)
    before = [item.image_id for item in opened(tmp_path, imagenet_wnids).iterate()]
    os.truncate(tmp_path / "00001.tar", 4000)
    found = opened(tmp_path, imagenet_wnids)
    items = list(found.iterate())
    assert [item.image_id for item in items] == before[: len(items)] and 6 < len(items) < 12
    assert found.count() == len(items)
    assert found.outcomes()["success, but no picture in the tar"] == 12 - len(items)
    assert LeftOut("tar ends in the middle of a file", 1, ("00001.tar",)) in found.left_out()


def test_links_and_dots_in_names_are_told(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    """A hard link is the picture that it links to."""
    (tmp_path / "a.jpg").write_bytes(b"picture")
    os.link(tmp_path / "a.jpg", tmp_path / "b.jpg")
    (tmp_path / "c.jpg").symlink_to("a.jpg")
    (tmp_path / "IMG.2020.01.jpg").write_bytes(b"another")
    with tarfile.open(tmp_path / "set.tar", "w") as tar:
        for name in ("a.jpg", "b.jpg", "c.jpg", "IMG.2020.01.jpg"):
            tar.add(tmp_path / name, name)
    found = opened(tmp_path / "set.tar", imagenet_wnids)
    assert [(item.image_id, item.read()) for item in found.iterate()] == [("a", b"picture"), ("b", b"picture")]
    assert {each.reason: each.examples for each in found.left_out()} == {
        "link": ("c.jpg",),
        "dots in the name: what is behind the first is the ending": ("IMG.2020.01.jpg",),
    }


@pytest.mark.parametrize("damage", ["cut off", "something else", "empty"])
@pytest.mark.parametrize("file", ["00001.parquet", "1.json", "long.tar"])
def test_what_is_damaged_is_one_message_that_names_it(
    tmp_path: Path, imagenet_wnids: list[str], file: str, damage: str
) -> None:
    def spoilt(data: bytes) -> bytes:
        return {"cut off": data[: len(data) // 2], "something else": b"<html>no</html>", "empty": b""}[damage]

    if file == "00001.parquet":
        write_img2dataset(tmp_path)
        (tmp_path / file).write_bytes(spoilt((tmp_path / file).read_bytes()))
    elif file == "1.json":
        write_tar(tmp_path / "a.tar", [("1.jpg", b"x"), ("1.json", spoilt(b'{"wnid": "n01443537"}'))])
    else:
        write_tar(tmp_path / file, [("x" * 150 + ".jpg", b"long" * 900), ("a.jpg", b"b")], tarfile.GNU_FORMAT)
        data = (tmp_path / file).read_bytes()
        (tmp_path / file).write_bytes(data[:2_000] if damage == "cut off" else spoilt(data))
        if damage == "empty":
            return  # a tar without members
    with pytest.raises(ImageSetError) as error:
        list(opened(tmp_path, imagenet_wnids, None if file == "long.tar" else "wnid").iterate())
    assert file in str(error.value) and "image set web: " in str(error.value)


def test_the_fingerprint_sees_new_shards_and_changed_ones(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    write_img2dataset(tmp_path)
    seen = [opened(tmp_path, imagenet_wnids).fingerprint(), opened(tmp_path, imagenet_wnids, "wnid").fingerprint()]
    assert opened(tmp_path, imagenet_wnids).fingerprint() == seen[0]
    os.utime(tmp_path / "00001.parquet", ns=(1, 1))
    seen.append(opened(tmp_path, imagenet_wnids).fingerprint())
    write_img2dataset(tmp_path, shards=3)
    seen.append(opened(tmp_path, imagenet_wnids).fingerprint())
    assert len(set(seen)) == 4


def test_pairs_that_are_not_complete_are_listed(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    write_img2dataset(tmp_path, shards=4)
    (tmp_path / "00001.parquet").unlink()
    (tmp_path / "00002.tar").unlink()
    with pytest.raises(ImageSetError) as error:
        opened(tmp_path, imagenet_wnids)
    assert "without their Parquet file: 00001.tar" in str(error.value)
    assert "without their tar: 00002.parquet" in str(error.value) and "interrupted" in str(error.value)


def test_files_of_two_runs_are_told(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    write_img2dataset(tmp_path)
    (tmp_path / "00000.parquet").replace(tmp_path / "saved")
    (tmp_path / "00001.parquet").replace(tmp_path / "00000.parquet")
    (tmp_path / "saved").replace(tmp_path / "00001.parquet")
    with pytest.raises(ImageSetError, match=r"6 keys are not in 00000\.parquet: .*Parquet file of the same run"):
        list(opened(tmp_path, imagenet_wnids).iterate())


def test_a_key_twice_is_an_error(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    write_tar(tmp_path / "a.tar", [("1.jpg", b"x")])
    write_tar(tmp_path / "b.tar", [("1.jpg", b"y")])
    with pytest.raises(ImageSetError, match=r"b\.tar: 1 keys are in an earlier tar too: 1"):
        list(opened(tmp_path, imagenet_wnids).iterate())
    for members in ([("1.jpg", b"x"), ("1.jpg", b"y")], [("1.jpg", b"x"), ("1.png", b"y")]):
        write_tar(tmp_path / "a.tar", members)
        with pytest.raises(ImageSetError, match="several pictures under one key"):
            list(opened(tmp_path / "a.tar", imagenet_wnids).iterate())


def test_a_column_that_is_not_there(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    write_img2dataset(tmp_path)
    with pytest.raises(
        ImageSetError, match=r"found columns url, caption, .*; expected also synset\. Correct label_column"
    ):
        list(opened(tmp_path, imagenet_wnids, "synset").iterate())
    pq.write_table(pa.table({"url": ["x"]}), tmp_path / "00000.parquet")
    with pytest.raises(ImageSetError, match="found columns url; expected also key"):
        list(opened(tmp_path, imagenet_wnids).iterate())


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (None, "found nothing there"),
        ([], "found no tar; expected NNNNN.tar"),
        (["00000.tar.gz"], "found compressed tars: 00000.tar.gz. Decompress"),
    ],
)
def test_a_path_without_tars(tmp_path: Path, imagenet_wnids: list[str], files: list[str] | None, message: str) -> None:
    for file in files or []:
        (tmp_path / file).write_bytes(b"")
    with pytest.raises(ImageSetError, match=message):
        opened(tmp_path if files is not None else tmp_path / "absent", imagenet_wnids)


def test_a_file_that_is_no_tar(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    (tmp_path / "a.tar").write_bytes(os.urandom(2000))
    with pytest.raises(ImageSetError, match="is not a tar, or is compressed"):
        list(opened(tmp_path, imagenet_wnids).iterate())


def test_a_folder_called_as_a_tar_is_none_and_one_that_cannot_be_opened_is_named(
    tmp_path: Path, imagenet_wnids: list[str]
) -> None:
    write_img2dataset(tmp_path)
    (tmp_path / "00007.tar").mkdir()
    found = opened(tmp_path, imagenet_wnids)
    assert found.count() == len(list(found.iterate())) > 0
    (tmp_path / "00000.tar").unlink()
    (tmp_path / "00000.tar").symlink_to("nowhere")
    with pytest.raises(ImageSetError, match=r"00000\.tar cannot be read .*No such file"):
        opened(tmp_path, imagenet_wnids).count()


def test_pictures_are_found_by_their_address(tmp_path: Path) -> None:
    rows = write_img2dataset(tmp_path)
    folder = WebDataset("web", tmp_path, Labels())
    wanted = {rows[key]["url"] for key in ("000000000", "000000002", "000010005")}
    found = {
        item.url: item.read()
        for item, original_hash in folder.pictures_of(wanted, among=[1, 0])
        if original_hash is None
    }
    assert found == {rows[key]["url"]: f"picture {key}".encode() for key in ("000000000", "000010005")}
    (tmp_path / "00000.tar").write_bytes(b"not a tar, and not opened" * 100)
    assert len(list(folder.pictures_of({rows["000010005"]["url"]}, among=[0, 1]))) == 1
    assert list(folder.pictures_of(wanted, among=[])) == []
    with pytest.raises(ImageSetError, match="is not a tar"):
        list(folder.pictures_of(wanted, among=[0, 1]))


def test_an_address_comes_with_the_hash_of_the_original(tmp_path: Path) -> None:
    write_tar(tmp_path / "00000.tar", [("0.jpg", b"zero"), ("0.cls", b"no class"), ("1.jpg", b"one")])
    rows = [{"key": "0", "url": "u0", "sha256": "ab" * 32}, {"key": "1", "url": "u1", "sha256": None}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "00000.parquet")
    folder = WebDataset("web", tmp_path, Labels())
    assert [(item.url, item.wnid, original) for item, original in folder.pictures_of({"u0", "u1"}, among=[0])] == [
        ("u0", None, "ab" * 32),
        ("u1", None, None),
    ]
    pq.write_table(pa.Table.from_pylist([{"key": "0"}, {"key": "1"}]), tmp_path / "00000.parquet")
    with pytest.raises(ImageSetError, match="found columns key; expected also url"):
        list(folder.pictures_of({"u0"}, among=[0]))
