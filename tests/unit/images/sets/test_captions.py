"""Files of captions: every format says the same, and what is none says what was expected."""

import json
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laionet_assets.images.sets.captions import Caption, CaptionFileError, read_captions

ENTRIES = [
    {
        "filename": "n1_1.JPEG",
        "wnid": "n1",
        "title": "a bird",
        "tags": ["blue", "sky"],
        "description": 'seen, "twice"\nby us',
    },
    {"filename": "n1_2.JPEG", "wnid": "n1", "title": "", "tags": [], "description": None},
]
EXPECTED = [
    Caption("n1_1.JPEG", "n1", 'a bird blue sky seen, "twice"\nby us'),
    Caption("n1_2.JPEG", "n1", " "),
]


def written(folder: Path, ending: str) -> Path:
    path = folder / f"captions{ending}"
    if ending == ".json":
        path.write_text(json.dumps(ENTRIES))
    elif ending == ".parquet":
        pq.write_table(pa.Table.from_pylist(ENTRIES), path)
    else:
        mark = "," if ending == ".csv" else "\t"
        lines = [mark.join(ENTRIES[0])]
        for entry in ENTRIES:
            values = [", ".join(value) if isinstance(value, list) else value or "" for value in entry.values()]
            lines.append(mark.join('"' + value.replace('"', '""') + '"' for value in values))
        path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("ending", [".json", ".csv", ".tsv", ".parquet"])
def test_every_format_says_the_same(tmp_path: Path, ending: str) -> None:
    assert list(read_captions(written(tmp_path, ending))) == EXPECTED


def test_a_caption_takes_the_place_of_its_pieces(tmp_path: Path) -> None:
    path = tmp_path / "captions.csv"
    path.write_text("image_id,caption,title\nn1/a.jpg,a bird,not this\nn1/b.jpg,,nor this\n")
    assert list(read_captions(path)) == [Caption("n1/a.jpg", None, "a bird"), Caption("n1/b.jpg", None, "")]


def test_numbers_and_wnids_of_a_table_stay_texts(tmp_path: Path) -> None:
    path = tmp_path / "captions.csv"
    path.write_text("filename,caption\n007.jpg,1e5\n")
    assert list(read_captions(path)) == [Caption("007.jpg", None, "1e5")]


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("captions.txt", "x", "found the ending '.txt', expected one of .json"),
        ("captions.json", "{", "not readable as JSON"),
        ("captions.json", "{}", "found dict, expected a list of objects"),
        ("captions.json", '["x"]', "found 'x' as entry 1"),
        ("captions.json", '[{"filename": "a"}]', "found entry 1 with filename; expected filename or image_id"),
        ("captions.json", '[{"title": "a"}]', "found entry 1 with title; expected filename or image_id"),
        ("captions.csv", "filename,caption\na\n", "not readable"),
        ("captions.parquet", "x", "not readable"),
        ("captions.json", "[" * 100_000, "not readable as JSON"),
        ("captions.csv", "n\xe4me,caption\na,b\n", "not readable"),
        ("captions.tsv", "filename\tcaption\na\tcaf\xe9\n", "not readable"),
    ],
)
def test_what_is_none_says_what_was_expected(tmp_path: Path, name: str, content: str, found: str) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="latin-1")
    with pytest.raises(CaptionFileError, match=found.replace(".", r"\.")):
        list(read_captions(path))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CaptionFileError, match="No such file"):
        list(read_captions(tmp_path / "captions.json"))


def test_a_damaged_byte_of_a_table_is_one_message(tmp_path: Path) -> None:
    path = tmp_path / "captions.parquet"
    rows = [{"filename": f"{i}.jpg", "caption": f"caption {i}"} for i in range(30)]
    pq.write_table(pa.Table.from_pylist(rows), path)
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x84]) + whole[at + 1 :])
        with suppress(CaptionFileError):
            list(read_captions(path))
