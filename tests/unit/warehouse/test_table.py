"""Part keys and their folders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laionet_assets.warehouse.table import PartKey


@given(source=st.text(min_size=1).filter(lambda s: "/" not in s), part=st.text(min_size=1))
def test_folder_round_trips(source: str, part: str) -> None:
    key = PartKey(source, part)
    assert PartKey.of_folder(key.folder) == key
    assert not set("*?[]") & set(key.folder)
    assert PartKey.parse(key.key) == key


@pytest.mark.parametrize("text", ["", "a", "/a", "a/"])
def test_parse_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="<source>/<part>"):
        PartKey.parse(text)
