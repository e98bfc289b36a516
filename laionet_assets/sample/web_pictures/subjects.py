"""The subject of a web picture: a class's drawing, cut out and changed as the web changes things.

Belongs here: what happens to the thing itself (colour, shape, angle, how much of it is seen). Where it stands is in
`scenes`.
"""

import math

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from laionet_assets.sample.drawings import DRAWINGS
from laionet_assets.sample.drawings.canvas import BLACK, WHITE, Rng, any_color, near, pick
from laionet_assets.sample.web_pictures.paper import blob, chance, duotone, fitted, tilted, turned, weighted

SIDE = 320
"""Longest side of a subject in pixels: the drawing table's, halved."""
TURNS = {"usual": 0.86, "some": 0.11, "any": 0.03}
GREY = np.full((3, 3), 1 / 3)


def is_sheet(wnid: str) -> bool:
    """Whether the class's drawing fills the frame (a maze, a web site) instead of standing free."""
    return not DRAWINGS[wnid].backdrops


def sheet(rng: Rng, wnid: str) -> Image.Image:
    """The drawing of a class that fills the frame: RGB, all of it or a part."""
    drawn = DRAWINGS[wnid].subject(rng).convert("RGB")
    side = int(drawn.width * rng.uniform(0.6, 1.0))
    left, top = (int(rng.integers(0, drawn.width - side + 1)) for _ in range(2))
    return drawn.crop((left, top, left + side, top + side)).resize(
        (SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=1.5
    )


def subject(rng: Rng, wnid: str) -> Image.Image:
    """The class as a layer (RGBA), cut to its outline, at most SIDE pixels: changed, turned, seen from some side."""
    if is_sheet(wnid):
        sprite = _cut(rng, sheet(rng, wnid))
    else:
        drawn = DRAWINGS[wnid].subject(rng)
        sprite = drawn.crop(drawn.getbbox()).reduce(2)
    sprite = recolored(rng, sprite)
    if chance(rng, 0.25):
        squash = rng.uniform(0.75, 1.35)
        sprite = sprite.resize(
            (max(2, int(sprite.width * min(1, squash))), max(2, int(sprite.height / max(1, squash))))
        )
    if chance(rng, 0.3):
        sprite = ImageOps.mirror(sprite)
    if chance(rng, 0.35):
        sprite = tilted(rng, sprite, rng.uniform(0.04, 0.2))
    amount = weighted(rng, TURNS)
    usual = max(6.0, DRAWINGS[wnid].turn)
    degrees = {"usual": usual, "some": 35.0, "any": 180.0}[amount]
    return turned(sprite, rng.uniform(-degrees, degrees))


def recolored(rng: Rng, sprite: Image.Image) -> Image.Image:
    """The sprite in other colours: its hues turned, paler, darker, of one tint; or as it was."""
    kind = weighted(rng, {"as drawn": 0.76, "hue": 0.06, "pale": 0.08, "tint": 0.04, "dark": 0.06})
    if kind == "as drawn":
        return sprite
    color = sprite.convert("RGB")
    if kind == "tint":
        color = duotone(color.convert("L"), any_color(rng, 0, 90), any_color(rng, 150, 255))
    elif kind == "hue":
        color = color.convert("RGB", _hue(rng.uniform(-math.pi, math.pi)))
    else:
        to = near(rng, WHITE if kind == "pale" else BLACK, 40)
        color = Image.blend(color, Image.new("RGB", color.size, to), rng.uniform(0.15, 0.4))
    color.putalpha(sprite.getchannel("A"))
    return color


def graphic(rng: Rng, sprite: Image.Image) -> Image.Image:
    """The sprite as an illustration: a silhouette, an outline, few flat colours, a pencil drawing, a stencil."""
    alpha, color = sprite.getchannel("A"), sprite.convert("RGB")
    kind = weighted(rng, {"flat": 0.35, "pencil": 0.3, "outline": 0.15, "stencil": 0.15, "silhouette": 0.05})
    ink = any_color(rng, 0, 120)
    if kind == "flat":
        color = ImageOps.posterize(color.filter(ImageFilter.ModeFilter(5)), int(rng.integers(1, 3)))
    elif kind == "pencil":
        edges = color.convert("L").filter(ImageFilter.CONTOUR).filter(ImageFilter.BoxBlur(0.6))
        color = duotone(edges, ink, WHITE)
    elif kind == "outline":
        rim = ImageChops.subtract(alpha.filter(ImageFilter.MaxFilter(5)), alpha.filter(ImageFilter.MinFilter(5)))
        edges = ImageOps.invert(color.convert("L").filter(ImageFilter.FIND_EDGES)).point(
            lambda value: 255 * (value > 190)
        )
        color = duotone(ImageChops.multiply(ImageOps.invert(rim), edges), ink, WHITE)
    elif kind == "stencil":
        bound = int(np.median(np.asarray(color.convert("L"))[np.asarray(alpha) > 128] if alpha.getbbox() else 128))
        color = duotone(color.convert("L").point(lambda value: 255 * (value > bound)), ink, any_color(rng, 170, 255))
    else:
        color = Image.new("RGB", sprite.size, ink)
    color.putalpha(alpha)
    return color


def _cut(rng: Rng, image: Image.Image) -> Image.Image:
    """A sheet as a thing: a print, a card with round corners, a round piece, a torn one, a screen in its case."""
    width, height = image.size
    kind = weighted(rng, {"print": 0.55, "card": 0.18, "round": 0.06, "torn": 0.06, "screen": 0.15})
    alpha = Image.new("L", image.size, 255 if kind == "print" else 0)
    if kind == "screen":
        case = Image.new("RGB", (width + 24, height + 40), near(rng, pick(rng, [(25, 25, 28), (215, 215, 220)]), 10))
        case.paste(image, (12, 12))
        return fitted(case.convert("RGBA"), SIDE, SIDE)
    if kind == "card":
        ImageDraw.Draw(alpha).rounded_rectangle([0, 0, width - 1, height - 1], 30, fill=255)
    elif kind == "round":
        ImageDraw.Draw(alpha).ellipse([0, 0, width - 1, height - 1], fill=255)
    elif kind == "torn":
        alpha = blob(rng, image.size)
    image.putalpha(alpha)
    return image


def _hue(angle: float) -> tuple[float, ...]:
    """The matrix, for Image.convert, that turns hues around the grey axis."""
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    matrix = math.cos(angle) * np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * GREY
    return tuple(value for row in matrix.tolist() for value in (*row, 0.0))
