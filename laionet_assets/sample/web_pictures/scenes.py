"""Where the subject of a web picture stands: alone on white, among other things, far away, cut off, many times.

A scene is a function of (rng, wnid, size) to an RGB picture. What happens to the whole picture afterwards is in
`camera`.
"""

from collections.abc import Callable

from PIL import Image, ImageDraw

from laionet_assets.sample.drawings.canvas import BLACK, WHITE, Rng, any_color, pick
from laionet_assets.sample.web_pictures import elsewhere
from laionet_assets.sample.web_pictures.backdrops import PLACES, QUIET, own, stripes_of, studio
from laionet_assets.sample.web_pictures.clutter import hand, person, scatter
from laionet_assets.sample.web_pictures.paper import Size, chance, fitted, lit, paste, weighted
from laionet_assets.sample.web_pictures.subjects import graphic, is_sheet, sheet, subject

Scene = Callable[[Rng, str, Size], Image.Image]


def product(rng: Rng, wnid: str, size: Size) -> Image.Image:
    """One of it on a quiet ground, as shops show goods."""
    image = (own(rng, wnid) if chance(rng, 0.7) else pick(rng, QUIET))(rng, size)
    share = rng.uniform(0.68, 1.0)
    sprite = fitted(subject(rng, wnid), size[0] * share, size[1] * share)
    paste(image, sprite, _spot(rng, size, 0.06), shadow=rng.uniform(0, 0.5))
    return image


def several(rng: Rng, wnid: str, size: Size) -> Image.Image:
    """Two to six of it, side by side, in a grid or in a heap."""
    image = pick(rng, QUIET + PLACES[:3])(rng, size)
    kinds = [subject(rng, wnid) for _ in range(1 if chance(rng, 0.5) else 2)]
    columns, rows = pick(rng, [(2, 1), (3, 1), (2, 2), (3, 2)])
    room = (size[0] / columns, size[1] / rows)
    grown = rng.uniform(0.8, 1.35)
    for row in range(rows):
        for column in range(columns):
            sprite = fitted(pick(rng, kinds), room[0] * grown, room[1] * grown)
            jitter = rng.uniform(-0.12, 0.12, 2) * room
            center = ((column + 0.5) * room[0] + jitter[0], (row + 0.5) * room[1] + jitter[1])
            paste(image, sprite, center, shadow=0.3)
    return image


def in_place(rng: Rng, wnid: str, size: Size) -> Image.Image:
    """Among other things, some of them before it."""
    image = (own(rng, wnid) if chance(rng, 0.45) else pick(rng, PLACES))(rng, size)
    scatter(rng, image, int(rng.integers(0, 5)))
    share = rng.uniform(0.55, 0.95)
    sprite = fitted(subject(rng, wnid), size[0] * share, size[1] * share)
    paste(image, sprite, _spot(rng, size, 0.2), shadow=0.5)
    if chance(rng, 0.5):
        scatter(rng, image, int(rng.integers(1, 3)), 0.15, 0.4)
    return image


def far(rng: Rng, wnid: str, size: Size) -> Image.Image:
    """Small, somewhere in a busy picture."""
    image = pick(rng, PLACES)(rng, size)
    scatter(rng, image, int(rng.integers(1, 5)))
    share = rng.uniform(0.25, 0.45)
    paste(image, fitted(subject(rng, wnid), size[0] * share, size[1] * share), _spot(rng, size, 0.3), shadow=0.4)
    return image


def close(rng: Rng, wnid: str, size: Size) -> Image.Image:
    """Larger than the picture: a part of it is seen."""
    image = pick(rng, PLACES + QUIET)(rng, size)
    share = rng.uniform(1.2, 2.1)
    sprite = fitted(subject(rng, wnid), size[0] * share, size[1] * share)
    paste(image, sprite, _spot(rng, size, 0.3), shadow=0.4)
    return image


def illustration(rng: Rng, wnid: str, size: Size) -> Image.Image:
    """Drawn by hand, printed, or a sign."""
    image = pick(rng, (studio, studio, stripes_of, *QUIET))(rng, size)
    share = rng.uniform(0.6, 0.95)
    sprite = fitted(graphic(rng, subject(rng, wnid)), size[0] * share, size[1] * share)
    paste(image, sprite, _spot(rng, size, 0.05))
    return image


def framed(rng: Rng, wnid: str, size: Size) -> Image.Image:
    """A picture of it that hangs on a wall, lies on a table or stands on a page."""
    image = pick(rng, PLACES + QUIET)(rng, size)
    inner = (int(size[0] * rng.uniform(0.4, 0.75)), int(size[1] * rng.uniform(0.4, 0.75)))
    mat = Image.new("RGB", (inner[0] + 20, inner[1] + 20), pick(rng, [WHITE, (30, 25, 22), (190, 150, 90)]))
    mat.paste((product if chance(rng, 0.6) else in_place)(rng, wnid, inner), (10, 10))
    sprite = mat.convert("RGBA").rotate(rng.uniform(-12, 12), Image.Resampling.BILINEAR, expand=True)
    paste(image, sprite, _spot(rng, size, 0.1), shadow=0.5)
    return image


def collage(rng: Rng, wnid: str, size: Size) -> Image.Image:
    """Tiles: some show it, others show other things."""
    columns, rows = pick(rng, [(2, 1), (1, 2), (2, 2), (2, 2), (3, 2)])
    gap = int(rng.integers(0, 8))
    image = Image.new("RGB", size, pick(rng, [WHITE, BLACK, any_color(rng)]))
    tile = (size[0] // columns - gap, size[1] // rows - gap)
    places = [(column, row) for row in range(rows) for column in range(columns)]
    shown = {int(place) for place in rng.permutation(len(places))[: 1 + len(places) // 3]}
    for place, (column, row) in enumerate(places):
        part = (
            (product if chance(rng, 0.6) else in_place)(rng, wnid, tile)
            if place in shown
            else elsewhere.anything(rng, tile)
        )
        image.paste(part, (column * (tile[0] + gap), row * (tile[1] + gap)))
    return image


def whole(rng: Rng, wnid: str, size: Size) -> Image.Image:
    """It fills the picture from edge to edge."""
    image = sheet(rng, wnid).resize(size, Image.Resampling.BILINEAR) if is_sheet(wnid) else close(rng, wnid, size)
    if chance(rng, 0.35):
        scatter(rng, image, int(rng.integers(1, 4)), 0.15, 0.45)
    return lit(rng, image, int(rng.integers(150, 250)))


def used(rng: Rng, wnid: str, size: Size) -> Image.Image:
    """In somebody's hands, or worn: a person stands behind it."""
    image = pick(rng, PLACES)(rng, size)
    draw = ImageDraw.Draw(image)
    person(rng, draw, size[0] * rng.uniform(0.3, 0.7), size[1] * 0.98, size[1] * rng.uniform(0.6, 0.95))
    share = rng.uniform(0.4, 0.7)
    sprite = fitted(subject(rng, wnid), size[0] * share, size[1] * share)
    at = _spot(rng, size, 0.15)
    paste(image, sprite, (at[0], size[1] * 0.64), shadow=0.3)
    hand(rng, ImageDraw.Draw(image), at[0] - size[0] * 0.1, size[1] * 0.95, size[1] * 0.24)
    return image


STANDING: dict[Scene, float] = {
    product: 0.47,
    several: 0.13,
    in_place: 0.2,
    far: 0.03,
    close: 0.04,
    illustration: 0.04,
    framed: 0.03,
    collage: 0.04,
    used: 0.02,
}
FILLING: dict[Scene, float] = {
    whole: 0.64,
    product: 0.1,
    several: 0.03,
    in_place: 0.08,
    far: 0.02,
    illustration: 0.04,
    framed: 0.03,
    collage: 0.04,
    used: 0.02,
}


def scene(rng: Rng, wnid: str, size: Size) -> Image.Image:
    """The class somewhere on the web."""
    return weighted(rng, FILLING if is_sheet(wnid) else STANDING)(rng, wnid, size)


def _spot(rng: Rng, size: Size, spread: float) -> tuple[float, float]:
    """A point up to `spread` of the picture away from its middle."""
    across, down = rng.uniform(-spread, spread, 2).tolist()
    return size[0] * (0.5 + across), size[1] * (0.5 + down)
