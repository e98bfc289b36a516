"""The layout img2dataset: its three output formats are one set."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laionet_assets.images.downloaded import open_folders
from laionet_assets.images.sets import ImageSet, ImageSetError, open_image_set
from tests.unit.images.sets.test_webdataset import write_img2dataset


def opened(path: Path, imagenet_wnids: list[str], label_column: str | None = None) -> ImageSet:
    found = open_image_set(
        "web", "img2dataset", path, wnids=imagenet_wnids, imagenet_wnids=imagenet_wnids, label_column=label_column
    )
    assert isinstance(found, ImageSet)
    return found


def written(folder: Path, output_format: str) -> dict[str, dict]:
    """The same rows and pictures in an output format."""
    rows = write_img2dataset(folder)
    if output_format == "webdataset":
        return rows
    for parquet in sorted(folder.glob("*.parquet")):
        parquet.with_suffix(".tar").unlink()
        own = pq.read_table(parquet).to_pylist()
        pictures = {row["key"]: f"picture {row['key']}".encode() for row in own if row["status"] == "success"}
        if output_format == "files":
            parquet.with_suffix("").mkdir()
            for key, data in pictures.items():
                (parquet.with_suffix("") / f"{key}.jpg").write_bytes(data)
                (parquet.with_suffix("") / f"{key}.json").write_text("{}")
        else:
            table = pa.Table.from_pylist([row | {"jpg": pictures.get(row["key"])} for row in own])
            pq.write_table(table, parquet, row_group_size=5)
    return rows


@pytest.mark.parametrize("output_format", ["webdataset", "files", "parquet"])
def test_every_output_format_is_the_same_set(tmp_path: Path, imagenet_wnids: list[str], output_format: str) -> None:
    rows = written(tmp_path, output_format)
    found = opened(tmp_path, imagenet_wnids, "wnid")
    items = {item.image_id: item for item in found.iterate()}
    assert items.keys() == {key for key, row in rows.items() if row["status"] == "success"}
    for key, item in items.items():
        assert (item.wnid, item.url, item.read()) == (rows[key]["wnid"], rows[key]["url"], f"picture {key}".encode())
    assert found.count() == 12 and found.expected is None
    assert [(each.reason, each.count) for each in found.left_out()] == [
        ("failed_to_download: HTTP Error 404: Not Found", 6),
        ("failed_to_resize: Image decoding error", 6),
    ]


@pytest.mark.parametrize("output_format", ["files", "parquet"])
def test_the_fingerprint_sees_every_kind_of_change(
    tmp_path: Path, imagenet_wnids: list[str], output_format: str
) -> None:
    written(tmp_path, output_format)
    seen = [opened(tmp_path, imagenet_wnids).fingerprint(), opened(tmp_path, imagenet_wnids, "wnid").fingerprint()]
    assert opened(tmp_path, imagenet_wnids).fingerprint() == seen[0]
    changed = tmp_path / ("00001/000010000.jpg" if output_format == "files" else "00001.parquet")
    changed.write_bytes(changed.read_bytes() + b" ")
    seen.append(opened(tmp_path, imagenet_wnids).fingerprint())
    assert len(set(seen)) == 3


def test_pictures_and_rows_without_each_other_are_told(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    written(tmp_path, "files")
    (tmp_path / "00000/000000000.jpg").rename(tmp_path / "00000/other.jpg")
    found = opened(tmp_path, imagenet_wnids)
    assert found.count() == 11
    told = {each.reason: each.examples for each in found.left_out()}
    assert told["success, but no picture in the tar"] == ("000000000",)
    assert told["picture without a row in the Parquet file"] == ("00000/other",)


def test_what_img2dataset_does_not_write_is_refused(tmp_path: Path, imagenet_wnids: list[str]) -> None:
    with pytest.raises(ImageSetError, match=r"found no NNNNN\.parquet"):
        opened(tmp_path, imagenet_wnids)
    pq.write_table(pa.table({"key": ["1"], "url": ["u"]}), tmp_path / "0.parquet")
    with pytest.raises(ImageSetError, match=r"expected also jpg \(or a folder of that name with the pictures\)"):
        list(opened(tmp_path, imagenet_wnids).iterate())
    (tmp_path / "0.parquet").write_bytes(b"PAR1 cut off")
    with pytest.raises(ImageSetError, match=r"0\.parquet cannot be read"):
        list(opened(tmp_path, imagenet_wnids).iterate())
    pq.write_table(pa.table({"key": ["1"], "jpg": [b"x"], "label": ["shark"]}), tmp_path / "0.parquet")
    with pytest.raises(ImageSetError, match=r"1 pictures have no label that is known: 1 \(shark\)"):
        list(opened(tmp_path, imagenet_wnids, "label").iterate())


@pytest.mark.parametrize("output_format", ["webdataset", "files", "parquet"])
def test_pictures_are_found_by_their_address(tmp_path: Path, imagenet_wnids: list[str], output_format: str) -> None:
    """What images.downloaded takes over."""
    rows = written(tmp_path, output_format)
    (folder,) = open_folders([tmp_path])
    wanted = {rows[key]["url"] for key in ("000000000", "000000002", "000010001")} | {"http://elsewhere.invalid/"}
    every = range(len(folder.parquets))
    pictures = folder.pictures_of(wanted, among=every)
    found = [(item.image_id, item.url, item.read(), original) for item, original in pictures]
    assert sorted(found) == [
        (key, rows[key]["url"], f"picture {key}".encode(), None) for key in ("000000000", "000010001")
    ]
    assert list(folder.pictures_of({"http://elsewhere.invalid/"}, among=every)) == []
