"""The declarations: every format of the design is there, and a declaration that cannot work is refused."""

import pytest

from laionet_assets.sources import SourceError, adapter_named, adapters
from laionet_assets.sources.adapters.base import COLUMN_TYPES, Adapter
from tests.unit.sources.files import ADAPTER_NAMES


def test_every_format_has_an_adapter() -> None:
    assert tuple(adapters()) == tuple(sorted((*ADAPTER_NAMES, "recap")))


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
