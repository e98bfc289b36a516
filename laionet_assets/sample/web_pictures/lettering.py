"""The name of a class written big in a picture: banner, meme, price label, poster.

These are the pictures that a recipe drops for their text, so the letters are large enough to be read by a machine.
Small letters that say nothing are in `camera`.
"""

from collections.abc import Callable
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from laionet_assets.sample.classes import sample_classes
from laionet_assets.sample.drawings.canvas import BLACK, WHITE, Color, Rng, any_color, near, pick
from laionet_assets.sample.web_pictures import elsewhere
from laionet_assets.sample.web_pictures.backdrops import QUIET
from laionet_assets.sample.web_pictures.paper import Size, chance
from laionet_assets.sample.web_pictures.scenes import product, scene

Design = Callable[[Rng, str, Size], Image.Image]
SHARES = (0.12, 0.22)
"""Height of the letters, in shares of the picture's height."""


def lettered(rng: Rng, wnid: str, size: Size) -> Image.Image:
    """A picture with the class's name in it, with or without the class."""
    return pick(rng, DESIGNS)(rng, wnid, size)


def name_in_picture(rng: Rng, wnid: str) -> str:
    """The class's first lemma mostly, sometimes another of those that captions use; in some letter case."""
    one = next(each for each in sample_classes() if each.wnid == wnid)
    name = one.name if chance(rng, 0.7) else pick(rng, one.use)
    cases: list[Callable[[str], str]] = [str, str.upper, str.title]
    return pick(rng, cases)(name)


def banner(rng: Rng, wnid: str, size: Size) -> Image.Image:
    """The subject, and its name on a bar."""
    image = (product if chance(rng, 0.6) else scene)(rng, wnid, size)
    high = int(size[1] * rng.uniform(*SHARES) * 1.4)
    top = int(pick(rng, [0.0, 0.4, 1.0]) * (size[1] - high))
    color = any_color(rng, 0, 110)
    ImageDraw.Draw(image).rectangle([0, top, size[0], top + high], fill=color)
    _letters(
        image, name_in_picture(rng, wnid), (size[0] / 2, top + high / 2), high * 0.72, near(rng, (248, 246, 240), 7)
    )
    return image


def meme(rng: Rng, wnid: str, size: Size) -> Image.Image:
    """Some picture, and lines above and below."""
    image = scene(rng, wnid, size) if chance(rng, 0.5) else elsewhere.anything(rng, size)
    high = size[1] * rng.uniform(*SHARES)
    top, bottom = pick(rng, ["WHEN YOU SEE A", "ONE MORE"]), name_in_picture(rng, wnid).upper()
    if chance(rng, 0.5):
        top, bottom = bottom, pick(rng, ["THEY SAID", "WHY NOT", "AGAIN"])
    for text, y in ((top, high * 0.8), (bottom, size[1] - high * 0.8)):
        _letters(image, text, (size[0] / 2, y), high, WHITE, outline=BLACK)
    return image


def label(rng: Rng, wnid: str, size: Size) -> Image.Image:
    """Goods with a price."""
    image = product(rng, wnid, size)
    wide, high = size[0] * rng.uniform(0.6, 0.9), size[1] * rng.uniform(0.26, 0.36)
    left, top = rng.uniform(0.05, 0.95) * (size[0] - wide), rng.uniform(0.5, 0.95) * (size[1] - high)
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle([left, top, left + wide, top + high], 8, fill=(252, 236, 90), outline=(180, 30, 30), width=3)
    _letters(
        image, name_in_picture(rng, wnid), (left + wide / 2, top + high * 0.32), high * 0.42, BLACK, width=wide * 0.9
    )
    price = f"{int(rng.integers(2, 99))}.99"
    _letters(image, price, (left + wide / 2, top + high * 0.74), high * 0.4, (190, 20, 20), width=wide * 0.9)
    return image


def poster(rng: Rng, wnid: str, size: Size) -> Image.Image:
    """The name on a quiet ground, without the thing."""
    image = pick(rng, QUIET)(rng, size)
    ground = image.resize((1, 1)).tobytes()
    ink = near(rng, (20, 20, 30), 20) if sum(ground) > 380 else near(rng, (245, 240, 235), 10)
    middle = (size[0] / 2, size[1] * rng.uniform(0.35, 0.65))
    _letters(image, name_in_picture(rng, wnid), middle, size[1] * rng.uniform(0.2, 0.3), ink)
    _letters(
        image,
        pick(rng, ["the guide", "how it works", "our story", "No. 12"]),
        (middle[0], size[1] * 0.86),
        size[1] * 0.08,
        ink,
    )
    return image


DESIGNS: tuple[Design, ...] = (banner, banner, meme, label, poster)


def _letters(
    image: Image.Image,
    text: str,
    at: tuple[float, float],
    height: float,
    color: Color,
    *,
    outline: Color | None = None,
    width: float | None = None,
) -> None:
    """Text centred at a point, `height` high unless it would be wider than `width` (the picture's by default)."""
    most = width or image.width * 0.94
    letters = ImageFont.load_default(height)
    length = letters.getlength(text)
    if length > most:
        letters = ImageFont.load_default(height * most / length)
    style: dict[str, Any] = {"stroke_width": max(1, round(height / 14)), "stroke_fill": outline} if outline else {}
    ImageDraw.Draw(image).text(at, text, font=letters, fill=color, anchor="mm", **style)
