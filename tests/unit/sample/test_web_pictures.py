"""Pictures of the web: seeded, of the promised sizes and formats, one for every style, scene and class.

What a classifier sees in them is an integration test.
"""

import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from laionet_assets.sample import sample_classes
from laionet_assets.sample.drawings import DRAWINGS, curated_picture
from laionet_assets.sample.web_pictures import STYLES, is_tiny, web_picture
from laionet_assets.sample.web_pictures.backdrops import PLACES, QUIET, own
from laionet_assets.sample.web_pictures.elsewhere import KINDS, OTHER_SENSES
from laionet_assets.sample.web_pictures.lettering import DESIGNS, name_in_picture
from laionet_assets.sample.web_pictures.scenes import FILLING, STANDING
from laionet_assets.sample.web_pictures.subjects import is_sheet

STANDS, FILLS = "n04254680", "n03733281"
"""A soccer ball, a maze."""


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def is_drawn(image: Image.Image, size: tuple[int, int]) -> bool:
    return image.size == size and image.mode == "RGB" and np.asarray(image).std() > 3


@pytest.mark.parametrize("style", STYLES)
def test_style_class_and_seed_decide_the_bytes(style: str) -> None:
    wnid = None if style in ("other_sense", "noise") else FILLS
    first, again, other = (web_picture(style, wnid, seed) for seed in (11, 11, 12))
    assert first == again
    assert first != other


def test_a_style_is_a_picture_of_its_own() -> None:
    pictures = {web_picture(style, FILLS, 11) for style in ("curated", "web", "text")}
    assert len(pictures | {web_picture("noise", None, 11), web_picture("other_sense", None, 11)}) == 5


@pytest.mark.parametrize("wnid", sorted(DRAWINGS))
def test_every_class_is_shown(wnid: str) -> None:
    image = opened(web_picture("web", wnid, 3))
    assert 220 <= max(image.size) <= 320
    assert min(image.size) >= 120
    assert np.asarray(image.convert("RGB")).std() > 3


@pytest.mark.parametrize("scene", STANDING)
def test_every_scene_of_a_thing(scene) -> None:
    assert is_drawn(scene(np.random.default_rng(5), STANDS, (240, 180)), (240, 180))


@pytest.mark.parametrize("scene", FILLING)
def test_every_scene_of_what_fills_the_frame(scene) -> None:
    assert is_drawn(scene(np.random.default_rng(5), FILLS, (180, 240)), (180, 240))


def test_sheets_are_the_drawings_that_fill_the_frame() -> None:
    assert [is_sheet(wnid) for wnid in (STANDS, FILLS)] == [False, True]
    for wnid in DRAWINGS:
        assert (DRAWINGS[wnid].subject(np.random.default_rng(0)).mode == "RGB") == is_sheet(wnid)


@pytest.mark.parametrize("kind", dict.fromkeys([*KINDS, *OTHER_SENSES, *PLACES]))
def test_every_picture_of_no_class(kind) -> None:
    assert is_drawn(kind(np.random.default_rng(7), (260, 200)), (260, 200))


@pytest.mark.parametrize("ground", dict.fromkeys([*QUIET, *(own(np.random.default_rng(0), wnid) for wnid in DRAWINGS)]))
def test_every_ground_fills_the_picture(ground) -> None:
    assert ground(np.random.default_rng(7), (260, 200)).size == (260, 200)


@pytest.mark.parametrize("design", dict.fromkeys(DESIGNS))
def test_every_way_to_write_a_name(design) -> None:
    assert is_drawn(design(np.random.default_rng(5), STANDS, (240, 180)), (240, 180))


def test_the_name_in_a_picture_is_a_lemma() -> None:
    rng = np.random.default_rng(0)
    for one in sample_classes():
        names = [name_in_picture(rng, one.wnid) for _ in range(20)]
        assert {name.lower() for name in names} <= {lemma.lower() for lemma in one.lemmas}
        assert one.name.lower() in {name.lower() for name in names}


def test_curated_pictures_are_those_of_the_drawings() -> None:
    image = opened(web_picture("curated", STANDS, 21))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (320, 320))
    difference = np.abs(np.asarray(image, float) - np.asarray(curated_picture(STANDS, 21), float)).mean()
    assert difference < 5, "apart from what JPEG loses they are the same"


def test_files_are_of_many_kinds_and_small() -> None:
    files = [web_picture("noise", None, seed) for seed in range(400) if not is_tiny("noise", seed)]
    kinds = Counter((image.format, image.mode) for image in map(opened, files))
    assert kinds[("JPEG", "RGB")] > 0.8 * len(files)
    rare = {("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "P"), ("PNG", "RGBA"), ("GIF", "P"), ("WEBP", "RGB")}
    assert rare <= set(kinds)
    sizes = [len(data) for data in files]
    assert 8_000 < np.mean(sizes) < 30_000
    assert max(sizes) < 150_000


def test_a_few_pictures_are_tiny() -> None:
    seeds = [seed for seed in range(3_000) if is_tiny("web", seed)]
    assert 0.003 < len(seeds) / 3_000 < 0.012
    for seed in seeds:
        image = opened(web_picture("web", STANDS, seed))
        assert image.width * image.height < 100
    assert not is_tiny("curated", seeds[0])
    assert opened(web_picture("curated", FILLS, seeds[0])).size == (320, 320)


def test_a_wrong_picture_shows_another_class_or_none() -> None:
    assert opened(web_picture("wrong", FILLS, 4)).width >= 120
    assert opened(web_picture("wrong", None, 4)).width >= 120
    assert web_picture("wrong", FILLS, 4) != web_picture("wrong", None, 4)


@pytest.mark.parametrize(("style", "wnid"), [("dead", None), ("nice", STANDS), ("web", None), ("text", None)])
def test_what_is_never_drawn_is_refused(style: str, wnid: str | None) -> None:
    with pytest.raises(ValueError, match=style):
        web_picture(style, wnid, 1)


def test_a_class_that_is_not_drawn_is_refused() -> None:
    with pytest.raises(KeyError):
        web_picture("web", "n01440764", 1)
