"""Label lists as published."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from laionet_assets.published_results.label_lists import LabelList, LabelListError, label_counts, read_label_list

LION, TENCH = "n02129165", "n01440764"


def written(folder: Path, data: object, *, name: str = "labels.pkl", protocol: int = 4) -> Path:
    path = folder / name
    path.write_bytes(json.dumps(data).encode() if name.endswith("json") else pickle.dumps(data, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_of_indices_by_class(tmp_path: Path, protocol: int) -> None:
    path = written(tmp_path, {LION: [100000007, 3], TENCH: []}, protocol=protocol)
    assert read_label_list(path) == LabelList((LION, TENCH), {LION: ("100000007", "3"), TENCH: ()})


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("order", ["<", ">"])
def test_texts_and_numbers_of_numpy(tmp_path: Path, protocol: int, order: str) -> None:
    lion = np.array([LION], dtype=f"{order}U9")[0]
    by_image = read_label_list(written(tmp_path, {"a.JPEG": lion, "b.JPEG": np.str_(LION)}, protocol=protocol))
    assert by_image == LabelList((LION,), {LION: ("a.JPEG", "b.JPEG")})
    index = np.array([-5], dtype=f"{order}i8")[0]
    by_class = read_label_list(written(tmp_path, {LION: [index, np.uint16(9)]}, protocol=protocol))
    assert by_class.images == {LION: ("-5", "9")}


def test_json_of_each_kind(tmp_path: Path) -> None:
    def read(data: object) -> LabelList:
        return read_label_list(written(tmp_path, data, name="labels.json"))

    assert read({LION: [1, 2], TENCH: []}).images == {LION: ("1", "2"), TENCH: ()}
    assert read({"1": LION, "2": TENCH, "3": LION}).images == {LION: ("1", "3"), TENCH: ("2",)}
    assert read([TENCH, LION]) == LabelList((TENCH, LION), None)
    assert read({"clip_keys": [TENCH, LION], "mpnet_keys": [LION, TENCH]}) == LabelList((TENCH, LION), None)


def test_names_with_different_classes_are_no_one_list(tmp_path: Path) -> None:
    path = written(tmp_path, {"clip_keys": [TENCH, LION], "mpnet_keys": [LION]}, name="keys.json")
    with pytest.raises(LabelListError, match=r"different classes under clip_keys, mpnet_keys; .*keep one of them"):
        read_label_list(path)


def test_counts_keep_empty_classes_and_are_null_for_keys_alone() -> None:
    labels = LabelList((LION, TENCH), {LION: ("1", "2"), TENCH: ()})
    assert label_counts("clip", labels) == [
        {"image_set": "clip", "wnid": TENCH, "images": 0},
        {"image_set": "clip", "wnid": LION, "images": 2},
    ]
    keys = label_counts("keys", LabelList((LION,), None))
    assert keys == [{"image_set": "keys", "wnid": LION, "images": None}]


class Harmful:
    """Unpickled by Python's own unpickler, it would make a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_runs_something_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    trap = tmp_path / "harm"
    path = written(tmp_path, {LION: [Harmful(trap)]})
    with pytest.raises(LabelListError, match=r"posix\.mkdir, which no label list needs"):
        read_label_list(path)
    assert not trap.exists()
    pickle.loads(path.read_bytes())
    assert trap.exists()


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({"lion": [1]}, "'lion' where a wnid should be"),
        ({"a.JPEG": "lion"}, "'lion' where a wnid should be"),
        ([], "no wnid"),
        ([LION, LION], "twice"),
        ({}, "dict"),
        ("text", "str 'text'"),
        (7, "int '7'"),
    ],
)
def test_what_is_no_label_list(tmp_path: Path, data: object, found: str) -> None:
    with pytest.raises(LabelListError, match=found) as error:
        read_label_list(written(tmp_path, data))
    assert "expected a mapping from wnid" in str(error.value) and str(tmp_path) in str(error.value)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\x80\x04", b"not a pickle", b"\x80\x04}", b"\x93cos\nsystem"),
        *(
            b"\x80\x04\x95(\x00\x00\x9c\r\x00\x00\xb1}\x94.",
            b"\x80\x04(\xb2\x05a.j\xd7S\x94\x8c.",
        ),  # lengths beyond memory
    ],
)
def test_files_that_are_no_pickle(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "labels.pkl"
    path.write_bytes(content)
    with pytest.raises(LabelListError, match="not readable"):
        read_label_list(path)


def test_json_that_is_none_and_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    for text in ("{", "[" * 100_000):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(LabelListError, match="not readable"):
            read_label_list(path)
    with pytest.raises(LabelListError, match="No such file"):
        read_label_list(tmp_path / "absent.json")


def test_numbers_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelListError, match="expected texts or integers"):
        read_label_list(written(tmp_path, {LION: [np.float64(1.5)]}))
