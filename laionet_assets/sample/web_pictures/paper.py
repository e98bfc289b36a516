"""The sheet that web pictures are made on: sizes, soft noise, gradients, pasting with a shadow.

Everything here works at the size of the finished picture, which costs a quarter of the drawing table of `drawings`.
What a picture shows belongs in the other modules.
"""

import math
from typing import TypeVar

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from laionet_assets.sample.drawings.canvas import Color, Rng, any_color

Size = tuple[int, int]
T = TypeVar("T")


def chance(rng: Rng, probability: float) -> bool:
    """True with this probability."""
    return rng.random() < probability


def weighted(rng: Rng, weights: dict[T, float]) -> T:
    """One of the keys, in proportion to its weight."""
    values = np.fromiter(weights.values(), float)
    return list(weights)[int(np.searchsorted(np.cumsum(values), rng.random() * values.sum(), side="right"))]


def speckle(rng: Rng, size: Size, across: int, down: int, low: int = 0, high: int = 256) -> Image.Image:
    """Grey noise: a grid of random values in [low, high), stretched smoothly over the picture."""
    grid = rng.integers(low, high, (max(down, 1), max(across, 1)), np.uint8)
    return Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC)


def cloudy(rng: Rng, size: Size, dark: Color, light: Color, cells: int = 4) -> Image.Image:
    """Soft noise of three sizes between two colours."""
    grey = speckle(rng, size, cells, cells)
    for finer, share in ((2, 0.35), (6, 0.2)):
        grey = Image.blend(grey, speckle(rng, size, cells * finer, cells * finer), share)
    return duotone(grey, dark, light)


def duotone(grey: Image.Image, dark: Color, light: Color) -> Image.Image:
    """A grey picture in the colours between two."""
    steps = np.linspace(0, 1, 256)[:, None]
    table = np.asarray(dark) * (1 - steps) + np.asarray(light) * steps
    bands = [grey.point(table[:, band].round().astype(int).tolist()) for band in range(3)]
    return Image.merge("RGB", bands)


def gradient(rng: Rng, size: Size, *colors: Color) -> Image.Image:
    """Four colours, one a corner, running into each other; the given ones where there are any."""
    corners = [colors[int(rng.integers(len(colors)))] if colors else any_color(rng) for _ in range(4)]
    return Image.fromarray(np.array(corners, np.uint8).reshape(2, 2, 3)).resize(size, Image.Resampling.BICUBIC)


def lit(rng: Rng, image: Image.Image, low: int = 140) -> Image.Image:
    """The picture under uneven light: parts are darkened down to low / 255."""
    shade = speckle(rng, image.size, 3, 3, low, 256)
    return ImageChops.multiply(image, Image.merge("RGB", [shade] * 3))


def paste(
    image: Image.Image, sprite: Image.Image, center: tuple[float, float], *, shadow: float = 0.0, drop: float = 0.02
) -> None:
    """Put a sprite (RGBA) onto a picture (RGB) in place. `shadow`: its darkness; `drop`: its way in widths."""
    left, top = int(center[0] - sprite.width / 2), int(center[1] - sprite.height / 2)
    alpha = sprite.getchannel("A")
    if shadow:
        way = max(3, int(max(sprite.size) * drop))
        soft = Image.new("L", (sprite.width + 4 * way, sprite.height + 4 * way))
        soft.paste(alpha.point(lambda value: int(value * shadow)), (2 * way, 2 * way))
        image.paste((12, 12, 16), (left - way, top - way), soft.filter(ImageFilter.BoxBlur(way)))
    image.paste(sprite, (left, top), alpha)


def fitted(sprite: Image.Image, width: float, height: float) -> Image.Image:
    """The sprite as large as fits into width x height pixels."""
    share = min(width / sprite.width, height / sprite.height)
    size = (max(2, round(sprite.width * share)), max(2, round(sprite.height * share)))
    return sprite.resize(size, Image.Resampling.BILINEAR, reducing_gap=1.5)


def tilted(rng: Rng, sprite: Image.Image, depth: float) -> Image.Image:
    """The sprite seen from the side: each corner moves by up to `depth` of its size. The size stays."""
    width, height = sprite.size
    sides = [(0, 0), (0, 1), (1, 1), (1, 0)]
    moves = rng.uniform(-depth, depth / 4, (4, 2))
    corners = [
        (width * (x + (move[0] if x == 0 else -move[0])), height * (y + (move[1] if y == 0 else -move[1])))
        for (x, y), move in zip(sides, moves.tolist(), strict=True)
    ]
    quad = tuple(value for corner in corners for value in corner)
    return sprite.transform(sprite.size, Image.Transform.QUAD, quad, Image.Resampling.BILINEAR)


def turned(sprite: Image.Image, degrees: float) -> Image.Image:
    """The sprite turned, its sheet grown to hold it."""
    if abs(degrees) < 1:
        return sprite
    return sprite.rotate(degrees, Image.Resampling.BILINEAR, expand=True)


def blob(rng: Rng, size: Size) -> Image.Image:
    """A mask (L): a lump that fills most of the sheet."""
    mask = Image.new("L", size)
    radii = rng.uniform(0.36, 0.5, 9)
    points = [
        (size[0] * (0.5 + radius * math.cos(turn)), size[1] * (0.5 + radius * math.sin(turn)))
        for radius, turn in zip(radii.tolist(), np.linspace(0, 2 * math.pi, 10)[:9].tolist(), strict=True)
    ]
    ImageDraw.Draw(mask).polygon(points, fill=255)
    return mask.filter(ImageFilter.BoxBlur(1))
