"""The declarations: every format of the design is there, and a declaration that cannot work is refused."""

import pytest

from laionet_assets.sources import SourceError, adapter_named, adapters, part_number_of
from laionet_assets.sources.adapters.base import COLUMN_TYPES, Adapter
from tests.unit.sources.files import ADAPTER_NAMES


def test_every_format_has_an_adapter() -> None:
    assert tuple(adapters()) == ADAPTER_NAMES


@pytest.mark.parametrize("name", ADAPTER_NAMES)
def test_an_adapter_says_where_caption_and_url_are(name: str) -> None:
    adapter = adapter_named(name)
    assert adapter.columns.keys() <= COLUMN_TYPES.keys()
    assert {"caption", "url"} <= set(adapter.required)
    assert adapter.description


def test_an_unknown_adapter_is_told_the_known_ones() -> None:
    with pytest.raises(SourceError, match="found adapter 'laion', expected auto or one of") as failure:
        adapter_named("laion")
    assert all(f"  {name}: " in str(failure.value) for name in ADAPTER_NAMES)


@pytest.mark.parametrize(
    ("declaration", "complaint"),
    [
        ({"columns": {"caption": ("a",), "colour": ("b",)}, "identified_by": (("a",),)}, "columns are among"),
        ({"columns": {"caption": ("a",)}, "identified_by": (("a",),)}, "required columns have origins"),
        ({"columns": {"caption": ("a",), "url": ("b",)}}, "columns that identify it"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused(declaration: dict, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Adapter(name="mine", description="Mine.", **declaration)


@pytest.mark.parametrize(
    ("adapter", "part", "number"),
    [
        ("laion400m", "part-00007", 7),
        ("laion400m", "part-00031-5b54c5d5-bbcf-484d-a2ce-0d6f73df1a36-c000", 31),
        ("laion2b", "train-00003-of-00014-c814658f172187b0", 3),
        ("relaion", "part-00127-339dc23d-0869-4dc0-9390-b4036fcc80c2-c000", 127),
        ("coyo", "part-00012-17da4908-939c-46e5-91d0-15f256041956-c000", 12),
        ("img2dataset", "00042", 42),
        ("laion400m", "subset", None),
        ("laion400m", "subset_part-00003", None),
        ("auto", "part-00007", 7),
        ("auto", "00042", 42),
        ("auto", "0000fa98ac43bfa2d5ef7ee5ee5fbd4b", None),
        ("auto", "01234567890123456789012345678901", None),
        ("auto", "cc12m", None),
    ],
)
def test_the_number_in_the_name_of_a_part(adapter: str, part: str, number: int | None) -> None:
    pattern = part_number_of(adapter)
    assert pattern is not None
    match = pattern.search(part)
    assert (int(match[1]) if match else None) == number


@pytest.mark.parametrize("adapter", ["commonpool", "cc3m", "cc12m"])
def test_formats_that_do_not_number_their_parts(adapter: str) -> None:
    assert part_number_of(adapter) is None
