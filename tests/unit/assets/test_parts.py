"""The paths that the project itself provides."""

from pathlib import Path

import pytest

from laionet_assets.assets.parts import source_path
from laionet_assets.errors import UserError
from laionet_assets.settings import Settings, load_settings

CONFIG = """
sources: [{{name: s, path: "{path}"}}]
text_encoders: [{{name: e, model: "sentence-transformers:all-MiniLM-L6-v2"}}]
recipes: [{{name: r, encoder: e, text_threshold: 0.5}}]
"""


def settings(folder: Path, path: str) -> Settings:
    (folder / "laionet.yaml").write_text(CONFIG.format(path=path))
    return load_settings(folder / "laionet.yaml")


def test_a_synthetic_web_of_another_size_lies_apart(tmp_path: Path) -> None:
    found = []
    for path in ("sample://web?parts=1&rows=100", "sample://web?rows=100&parts=1", "sample://web?parts=2&rows=100"):
        made = settings(tmp_path, path)
        found.append(Path(source_path(made, made.sources[0])))
    assert found[0] == found[1] != found[2]
    assert [len(list(folder.glob("part-*.parquet"))) for folder in found] == [1, 1, 2]
    assert all(folder.is_relative_to(tmp_path / "warehouse" / "sample") for folder in found)


@pytest.mark.parametrize(
    "name",
    ["page", "web?rows=99", "web?parts=0", "web?rows=many", "web?seed=1", "web?rows=100&rows=200", "web?rows"],
)
def test_other_names_are_refused(tmp_path: Path, name: str) -> None:
    made = settings(tmp_path, f"sample://{name}")
    with pytest.raises(UserError, match=r"expected sample://web, or with a size"):
        source_path(made, made.sources[0])
