"""Files of verdicts, as people and spreadsheets leave them."""

from pathlib import Path

import pytest

from laionet_assets.judging import Verdict, VerdictFileError, read_verdicts

HEADER = "number,recipe,source,sample_id,wnid,name,judge,verdict"


def written(folder: Path, *lines: str, header: str = HEADER, encoding: str = "utf-8") -> Path:
    path = folder / "verdicts.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding=encoding)
    return path


def test_verdicts_are_read_and_empty_ones_are_not(tmp_path: Path) -> None:
    path = written(tmp_path, '1,r,web,7,n02129165,"lion, big",anna, Yes ', "2,r,web,8,n02129165,lion,anna,")
    assert list(read_verdicts(path, ["r"])) == [Verdict("r", "web", 7, "n02129165", "anna", "yes", 2)]


def test_a_spreadsheet_may_write_semicolons_and_a_mark_at_the_start(tmp_path: Path) -> None:
    row = "1;r;web;7;n02129165;lion;anna;no"
    path = written(tmp_path, row, header=HEADER.replace(",", ";"), encoding="utf-8-sig")
    assert [each.verdict for each in read_verdicts(path, ["r"])] == ["no"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1,r,web,7,n02129165,lion,anna,maybe", "line 2: found the verdict 'maybe', expected yes, no, unsure"),
        ("1,q,web,7,n02129165,lion,anna,yes", "line 2: found the recipe 'q', expected one of recipes: p, r"),
        ("1,r,web,7,n02129165,lion,,yes", "line 2: found a verdict without a judge"),
        ("1,r,web,7e9,n02129165,lion,anna,yes", "line 2: found the sample_id '7e9'"),
        ("1,r,web,7,n02129165,lion,anna,\x1b[31m", r"found the verdict '\\\\x1b\[31m'"),
    ],
)
def test_what_cannot_be_is_said_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(VerdictFileError, match=said):
        list(read_verdicts(written(tmp_path, line), ["p", "r"]))


@pytest.mark.parametrize("data", [b"", b"judge,verdict\n", b"number,recipe,\xff\xfe\n"])
def test_a_file_that_is_no_file_of_verdicts_is_told(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "verdicts.csv"
    path.write_bytes(data)
    with pytest.raises(VerdictFileError, match=r"found no column|not UTF-8"):
        list(read_verdicts(path, ["r"]))
    path.unlink()
    with pytest.raises(VerdictFileError, match="expected a csv"):
        list(read_verdicts(path, ["r"]))
