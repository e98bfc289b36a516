"""The local sets of the settings: the paths that are taken, and the sets that are drawn."""

from pathlib import Path

import pytest

from laionet_assets.assets.local_sets import assert_paths, open_local_set
from laionet_assets.settings import SettingsError
from tests.unit.settings.files import settings_with


@pytest.mark.parametrize(
    "path",
    ["sample://web", "sample://curated/more", "sample://curated?size=3", "sample://curated?per_class=0",
     "sample://curated?per_class=many", "s3://bucket/val"],
)  # fmt: skip
def test_a_path_that_is_no_folder_is_an_error_of_the_settings(tmp_path: Path, path: str) -> None:
    settings = settings_with(tmp_path, image_sets=[{"name": "x", "layout": "imagefolder", "path": path}])
    with pytest.raises(SettingsError, match=r"image_sets\[0\].path: found .*expected"):
        assert_paths(settings)


def test_curated_sets_of_other_options_lie_side_by_side(tmp_path: Path) -> None:
    paths = ("sample://curated?per_class=1", "sample://curated?seed=1&per_class=1")
    sets = [{"name": f"s{i}", "layout": "imagefolder", "path": path} for i, path in enumerate(paths)]
    settings = settings_with(tmp_path, warehouse="./lake", image_sets=sets)
    first, second = (open_local_set(settings, image_set) for image_set in settings.image_sets)
    assert first.count() == second.count() == 24
    folders = sorted(path.name for path in (tmp_path / "lake" / "sample").iterdir())
    assert folders == ["curated-per_class-1", "curated-per_class-1-seed-1"]
    assert next(first.iterate()).read() != next(second.iterate()).read()
