"""Pictures as the web has them: what a row of the synthetic web leads to, as the bytes of a file.

A row's style, class and seed decide the picture; the same three give the same bytes (with the same numpy and Pillow).
`scenes` shows a class, `elsewhere` shows none, `lettering` writes its name; `camera` and `encoding` do the rest. The
things themselves are drawn by `laionet_assets.sample.drawings`.

A classifier finds these pictures harder than the curated ones, and those of a class are less alike; by how much is
measured in tests/integration/test_sample_pictures.py.
"""

import numpy as np
from PIL import Image

from laionet_assets.sample.drawings import curated_picture, typical_picture
from laionet_assets.sample.drawings.canvas import Rng, pick
from laionet_assets.sample.web_pictures import elsewhere
from laionet_assets.sample.web_pictures.camera import developed, published
from laionet_assets.sample.web_pictures.encoding import curated_file, encoded, is_tiny, tiny
from laionet_assets.sample.web_pictures.lettering import lettered
from laionet_assets.sample.web_pictures.paper import Size
from laionet_assets.sample.web_pictures.scenes import scene

__all__ = ["STYLES", "VERSION", "chosen_picture", "is_tiny", "web_picture"]

VERSION = 2
"""Raised whenever the bytes that a seed gives change: cached pictures of another version are drawn again."""
STYLES = ("curated", "web", "text", "wrong", "other_sense", "noise", "typical")
ASPECTS = (1.0, 1.0, 1.0, 4 / 3, 4 / 3, 3 / 4, 3 / 2, 2 / 3, 16 / 9)
"""Width to height."""


def web_picture(style: str, depicted: str | None, seed: int) -> bytes:
    """The file behind a row of the synthetic web: JPEG mostly, sometimes PNG, GIF or WebP, 220 to 320 pixels long.

    `style` is one of STYLES, `depicted` the class shown (None if it is none of them), `seed` the row's
    picture_seed: see `web.truth_schema`. Styles `web` and `text` show the class; `wrong` shows `depicted`, which is
    not what the caption says, or nothing; `typical` shows the same of a class every time, or no class. About one in
    170 is tiny (`is_tiny`). Raises ValueError for a style that is never drawn or lacks its class, KeyError for a
    class that is not drawn.
    """
    if style not in STYLES:
        raise ValueError(f"no picture has the style {style!r}; expected one of {', '.join(STYLES)}")
    if depicted is None and style in ("curated", "web", "text"):
        raise ValueError(f"a picture of the style {style!r} needs the class that it depicts")
    if style == "curated" and depicted is not None:
        return curated_file(curated_picture(depicted, seed))
    if style == "typical":
        return curated_file(typical_picture(depicted, seed))
    if is_tiny(style, seed):
        return tiny(seed)
    rng, image = _taken(style, depicted, seed)
    return encoded(rng, image if style == "text" else published(rng, image))


def chosen_picture(wnid: str, seed: int) -> Image.Image:
    """A picture of the style `web`, RGB, as somebody downloads it for a set: not tiny, nothing written over it."""
    return _taken("web", wnid, seed)[1]


def _taken(style: str, depicted: str | None, seed: int) -> tuple[Rng, Image.Image]:
    """The picture as the camera took it, and the source of chance for what the web makes of it."""
    rng = np.random.default_rng([seed, int(depicted[1:]) if depicted else 0, STYLES.index(style)])
    return rng, developed(rng, _shown(rng, style, depicted))


def _shown(rng: Rng, style: str, depicted: str | None) -> Image.Image:
    size = _size(rng)
    if style == "other_sense":
        return elsewhere.other_sense(rng, size)
    if depicted is None:
        return elsewhere.anything(rng, size)
    return (lettered if style == "text" else scene)(rng, depicted, size)


def _size(rng: Rng) -> Size:
    longest, aspect = int(rng.integers(220, 321)), pick(rng, ASPECTS)
    return (longest, int(longest / aspect)) if aspect >= 1 else (int(longest * aspect), longest)
