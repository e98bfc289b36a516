"""The list of removals: what is read, and every wrong line named."""

from pathlib import Path

import pytest

from laionet_assets.images.removal_list import Removal, RemovalsError, read_removals, unmatched
from laionet_assets.images.shards import content_hash
from laionet_assets.images.tombstones import url_hash
from tests.unit.images.removing import URL, listed


def test_the_list_is_read_and_addresses_are_hashed(tmp_path: Path) -> None:
    path = listed(
        tmp_path,
        f"""
        kind,value,reason
        url,{URL},request of the person shown
        url_hash,{url_hash("https://x").upper()}, court order
        sha256,{content_hash(b"one")},"copyright, again"
        sample,web/100000007,wrong label
        sample,web/100000007,wrong label
        """,
    )
    assert read_removals(path) == [
        Removal("sample", "web/100000007", "wrong label"),
        Removal("sha256", content_hash(b"one"), "copyright, again"),
        *sorted(
            [
                Removal("url_hash", url_hash(URL), "request of the person shown"),
                Removal("url_hash", url_hash("https://x"), "court order"),
            ]
        ),
    ]


def test_all_wrong_lines_are_named_and_no_address_is_shown(tmp_path: Path) -> None:
    path = listed(
        tmp_path,
        f"""
        kind,value,reason
        url,{URL},
        sha256,{URL},x
        sample,web,x
        person,somebody,x
        """,
    )
    with pytest.raises(RemovalsError) as error:
        read_removals(path)
    message = str(error.value)
    assert "4 wrong" in message and "example.org" not in message
    for line, problem in enumerate(
        ["no reason", "64 hexadecimal", "<source>/<sample_id>", "found kind 'person'"], start=2
    ):
        assert f"line {line}: " in message and problem in message


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (f"url,{URL},1.jpg,request", "found 4 fields, expected 3 (kind, value, reason)"),
        (f"url,{URL}", "found 2 fields, expected 3"),
        ("url", "found 1 fields, expected 3"),
        (f'url,{URL},"one" more', "quotes"),
        (f'url,"{URL},request\nurl,http://x.test/",request', "found a field that goes over several lines"),
        (f'url,{URL},"request', "quotes"),
    ],
)
def test_a_line_of_other_fields_than_the_columns_is_named(tmp_path: Path, line: str, problem: str) -> None:
    path = listed(tmp_path, "kind,value,reason\nsample,web/1,request\n\n")
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(RemovalsError) as error:
        read_removals(path)
    last = 4 + line.count("\n")
    assert f"line {last}: " in str(error.value) or f"line {last + 1}: " in str(error.value)
    assert problem in str(error.value) and "example.org" not in str(error.value)


def test_lines_that_name_nothing_are_told(tmp_path: Path) -> None:
    """By number and by address, which may be written as published or as it is asked."""
    quoted = URL.replace(" ", "%20")
    text = f"""
        kind,value,reason
        url,{quoted},written as asked
        url,https://other.example/ä.jpg,written as published
        url,https://other.example/mistyped.jpg,x
        sample,web/01,x
        sample,Web/1,x
        sample,web/2,x
        sha256,{content_hash(b"never seen")},x
        """
    lines = read_removals(listed(tmp_path, text))
    reached = [("web", 1, URL), ("web", 3, "https://other.example/%C3%A4.jpg"), ("web", 5, None), ("web", 6, "no url")]
    assert {(each.line, each.kind) for each in unmatched(lines, reached)} == {
        (4, "url_hash"), (6, "sample"), (7, "sample")
    }  # fmt: skip
    assert len(unmatched(lines, [])) == 6


@pytest.mark.parametrize(
    ("text", "expected"), [("", "found columns (none)"), ("a,b\n1,2\n", "found columns a, b"), (None, "No such file")]
)
def test_a_list_that_is_no_list_says_what_is_expected(tmp_path: Path, text: str | None, expected: str) -> None:
    path = tmp_path / "removals.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RemovalsError) as error:
        read_removals(path)
    assert expected in str(error.value) and "kind, value, reason" in str(error.value)
