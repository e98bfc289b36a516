"""Drawn pictures of the 24 classes: Pillow and numpy, seeded, no photograph anywhere.

`curated_picture` is the class as a reference set would show it: one subject, centred, on a quiet backdrop;
`typical_picture` is the same drawing of it every time. A class is
a `Drawing`: how the subject looks (other modules of this package) and where it usually stands. The drawings are
sketches that real ImageNet classifiers recognise (tests/integration/test_sample_drawings.py); a person sees at once
that they are drawn.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

from laionet_assets.sample.drawings import patterns, solids, things
from laionet_assets.sample.drawings.canvas import (
    PICTURE,
    Backdrop,
    Rng,
    dark_wall,
    grass,
    letter,
    near,
    photograph,
    pick,
    place,
    sky,
    wall,
    wood,
)

LIGHT_CELLS = 16
"""Across the coloured light of a typical picture."""
LIGHT_STRENGTH = 60
"""Its standard deviation, of 255."""
GREY = np.array([1, 1, 1]) / np.sqrt(3)
RED_GREEN = np.array([1, -1, 0]) / np.sqrt(2)
BLUE_YELLOW = np.array([1, 1, -2]) / np.sqrt(6)


@dataclass(frozen=True)
class Drawing:
    """A class as a picture: its subject (a layer; a full frame where there are no backdrops) and how it is set down."""

    subject: Callable[[Rng], Image.Image]
    backdrops: tuple[Backdrop, ...] = ()
    turn: float = 8
    has_shadow: bool = True


def _table_tennis(rng: Rng) -> Image.Image:
    return wall(rng, near(rng, (25, 80, 130), 15))


DRAWINGS: dict[str, Drawing] = {
    "n06359193": Drawing(patterns.web_site),
    "n03595614": Drawing(things.t_shirt, (wall,), turn=4),
    "n03584254": Drawing(things.ipod, (wall,), turn=10),
    "n02948072": Drawing(solids.candle, (dark_wall,), turn=2, has_shadow=False),
    "n03793489": Drawing(solids.computer_mouse, (wall, wood), turn=50),
    "n03291819": Drawing(things.envelope, (wall, wood)),
    "n06874185": Drawing(things.traffic_light, (sky,), has_shadow=False),
    "n04254680": Drawing(solids.soccer_ball, (grass,)),
    "n03196217": Drawing(things.digital_clock, (wood,), turn=4),
    "n04275548": Drawing(patterns.spider_web),
    "n06785654": Drawing(patterns.crossword_puzzle),
    "n03733281": Drawing(patterns.maze),
    "n06794110": Drawing(things.street_sign, (sky,), turn=4, has_shadow=False),
    "n03598930": Drawing(patterns.jigsaw_puzzle),
    "n03388183": Drawing(things.fountain_pen, (letter,), turn=50),
    "n03495258": Drawing(things.harp, (wall,), turn=4),
    "n02708093": Drawing(things.analog_clock, (wood,), turn=3),
    "n03733805": Drawing(things.measuring_cup, (wall,), turn=3),
    "n03530642": Drawing(patterns.honeycomb),
    "n03590841": Drawing(solids.jack_o_lantern, (dark_wall,)),
    "n03447721": Drawing(solids.gong, (wall,), turn=2),
    "n02786058": Drawing(things.band_aid, (wall,), turn=60),
    "n03942813": Drawing(solids.ping_pong_balls, (_table_tennis,)),
    "n04589890": Drawing(patterns.window_screen),
}


def curated_picture(wnid: str, seed: int) -> Image.Image:
    """A stereotypical picture of the class, RGB, 320 x 320 pixels.

    The same seed gives the same picture (with the same numpy and Pillow). KeyError for a class that is not drawn.
    """
    return photograph(*_set_down(wnid, seed))


def typical_picture(wnid: str | None, seed: int) -> Image.Image:
    """The one drawing of the class (of nothing, for None) behind coloured light of its own, RGB, 320 x 320 pixels.

    Every cell of the light is as strong as any other, in brightness and in colour: lighter or darker, of some hue. So
    no picture hides more of the drawing than another, wherever one looks, and two models that are asked which picture
    is the most typical agree as little as can be (correlation 0.11; 0.29 where light differs in strength from place to
    place).
    """
    rng = np.random.default_rng([seed, int(wnid[1:]) if wnid else 0, 1])
    sign = rng.choice([-1.0, 1.0], size=(LIGHT_CELLS, LIGHT_CELLS, 1))
    hue = rng.uniform(0, 2 * np.pi, size=(LIGHT_CELLS, LIGHT_CELLS, 1))
    cells = sign * GREY + np.cos(hue) * RED_GREEN + np.sin(hue) * BLUE_YELLOW
    grids = [Image.fromarray(cells[..., channel].astype(np.float32)) for channel in range(3)]
    light = np.stack([np.asarray(each.resize((PICTURE, PICTURE), Image.Resampling.BICUBIC)) for each in grids], axis=-1)
    light = (light - light.mean()) * (LIGHT_STRENGTH / light.std())
    return Image.fromarray(np.clip(_typical(wnid) + light, 0, 255).astype(np.uint8))


@cache
def _typical(wnid: str | None) -> np.ndarray:
    """The drawing of a class that is the same every time, paler than it is so that light can be added."""
    if wnid is None:
        return np.full((PICTURE, PICTURE, 3), 128, np.float32)
    picture, _ = _set_down(wnid, 0)
    small = picture.convert("RGB").resize((PICTURE, PICTURE), Image.Resampling.LANCZOS)
    return np.asarray(small, np.float32) * 0.75 + 32


def _set_down(wnid: str, seed: int) -> tuple[Image.Image, Rng]:
    """The subject of a class on one of its backdrops, and the source of chance for what follows."""
    drawing = DRAWINGS[wnid]
    rng = np.random.default_rng([seed, int(wnid[1:])])
    picture = drawing.subject(rng)
    if drawing.backdrops:
        backdrop = pick(rng, drawing.backdrops)(rng)
        picture = place(backdrop, picture, rng, turn=drawing.turn, has_shadow=drawing.has_shadow)
    return picture, rng
