"""The curated set on disk: an image folder, drawn once, drawn again only when it must be."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from laionet_assets.errors import UserError
from laionet_assets.sample import sample_classes
from laionet_assets.sample.curated import STAMP, CuratedSet, write_curated_set
from laionet_assets.sample.drawings import DRAWINGS


def pictures(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.glob("*/*"))}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_curated_set(tmp_path_factory.mktemp("sets") / "curated", CuratedSet(per_class=1))


@pytest.fixture
def curated(drawn: Path, tmp_path: Path) -> Path:
    """A copy of a set of one picture a class."""
    return shutil.copytree(drawn, tmp_path / "curated")


def test_a_set_is_an_image_folder_of_the_classes(drawn: Path) -> None:
    assert sorted(pictures(drawn)) == sorted(f"{one.wnid}/0000.jpg" for one in sample_classes())
    for wnid in ("n03733281", "n06794110"):
        image = Image.open(drawn / wnid / "0000.jpg")
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (320, 320))
    assert len(set(pictures(drawn).values())) == len(DRAWINGS)


def test_a_set_is_drawn_once(curated: Path) -> None:
    changed = curated / "n03733281" / "0000.jpg"
    changed.write_bytes(b"changed since")
    write_curated_set(curated, CuratedSet(per_class=1))
    assert changed.read_bytes() == b"changed since"


def test_what_was_cut_short_is_finished(curated: Path, drawn: Path) -> None:
    stamp = json.loads((curated / STAMP).read_text())
    (curated / STAMP).write_text(json.dumps(stamp | {"is_complete": False}))
    (curated / "n03733281" / "0000.jpg").unlink()
    write_curated_set(curated, CuratedSet(per_class=1))
    assert pictures(curated) == pictures(drawn)
    assert json.loads((curated / STAMP).read_text()) == stamp


def test_another_seed_is_another_set_and_other_files_stay(curated: Path, drawn: Path) -> None:
    mine = curated / "n03733281" / "mine.jpg"
    mine.write_bytes(b"mine")
    write_curated_set(curated, CuratedSet(per_class=1, seed=1))
    assert mine.read_bytes() == b"mine"
    mine.unlink()
    redrawn, before = pictures(curated), pictures(drawn)
    assert set(redrawn) == set(before)
    assert all(redrawn[name] != before[name] for name in before)


def test_a_smaller_set_loses_what_is_beyond_it(curated: Path, drawn: Path) -> None:
    stamp = json.loads((curated / STAMP).read_text())
    for wnid in DRAWINGS:
        (curated / wnid / "0001.jpg").write_bytes(b"drawn earlier")
    (curated / STAMP).write_text(json.dumps(stamp | {"per_class": 2}))
    write_curated_set(curated, CuratedSet(per_class=1))
    assert pictures(curated) == pictures(drawn)


def test_foreign_pictures_under_our_names_are_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "n03733281" / "0000.jpg"
    foreign.parent.mkdir()
    foreign.write_bytes(b"a photograph")
    with pytest.raises(UserError, match=r"1 pictures .* n03733281/0000\.jpg.*another folder"):
        write_curated_set(tmp_path, CuratedSet(per_class=1))
    assert foreign.read_bytes() == b"a photograph"
    assert list(tmp_path.rglob("*.jpg")) == [foreign]


@pytest.mark.parametrize("per_class", [0, 10_000])
def test_size_must_fit_the_names(per_class: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 to 9999"):
        write_curated_set(tmp_path, CuratedSet(per_class=per_class))
