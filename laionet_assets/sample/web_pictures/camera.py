"""What happens to a whole web picture: light, colour, focus, grain, letters over it, borders.

Belongs here: changes of a finished scene (RGB to RGB of the same size). Files are in `encoding`.
"""

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from laionet_assets.sample.drawings.canvas import BLACK, WHITE, Rng, any_color, near, pick, write
from laionet_assets.sample.web_pictures.paper import chance, duotone, lit

MARKS = ("GAMMAPIX", "NordicView", "staplefoto", "PhotoQuay", "SAMPLE", "(c) 2014", "preview")
LINES = ("NEW IN", "SALE -30%", "Part 2", "Top 10", "Free delivery", "DIY", "2016", "Only today", "Swipe up", "HD")


def developed(rng: Rng, image: Image.Image) -> Image.Image:
    """The picture as a camera and an editor leave it."""
    for change, probability in (
        (_tint, 0.2),
        (_contrast, 0.55),
        (_shadow, 0.25),
        (_soft, 0.3),
        (_small, 0.08),
        (_vignette, 0.08),
    ):
        if chance(rng, probability):
            image = change(rng, image)
    if chance(rng, 0.05):
        image = duotone(image.convert("L"), pick(rng, [BLACK, (50, 30, 15)]), pick(rng, [WHITE, (245, 230, 200)]))
    return _grain(rng, image)


def published(rng: Rng, image: Image.Image) -> Image.Image:
    """The picture as a site shows it: now and then with a watermark, a line of text, a border."""
    image = image.copy()
    if chance(rng, 0.12):
        _watermark(rng, image)
    if chance(rng, 0.08):
        _line(rng, image)
    if chance(rng, 0.1):
        _border(rng, image)
    return image


def _tint(rng: Rng, image: Image.Image) -> Image.Image:
    return Image.blend(image, Image.new("RGB", image.size, any_color(rng)), float(rng.uniform(0.05, 0.25)))


def _contrast(rng: Rng, image: Image.Image) -> Image.Image:
    brighter = ImageEnhance.Brightness(image).enhance(float(rng.uniform(0.75, 1.25)))
    return ImageEnhance.Contrast(brighter).enhance(float(rng.uniform(0.65, 1.3)))


def _shadow(rng: Rng, image: Image.Image) -> Image.Image:
    return lit(rng, image, int(rng.integers(110, 200)))


def _soft(rng: Rng, image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.4, 1.6))))


def _small(rng: Rng, image: Image.Image) -> Image.Image:
    """Enlarged from a thumbnail."""
    share = rng.uniform(0.35, 0.6)
    thumbnail = image.resize((int(image.width * share), int(image.height * share)), Image.Resampling.BILINEAR)
    return thumbnail.resize(image.size, Image.Resampling.BICUBIC)


def _vignette(rng: Rng, image: Image.Image) -> Image.Image:
    dark = Image.radial_gradient("L").resize(image.size)
    dark = ImageOps.invert(dark.point(lambda value: int(value * 0.6)))
    return ImageChops.multiply(image, Image.merge("RGB", [dark] * 3))


def _grain(rng: Rng, image: Image.Image) -> Image.Image:
    """Noise of a cheap sensor, the same in all three channels."""
    strength = float(rng.uniform(0, 9))
    table = rng.integers(0, 256, (image.height, image.width), np.uint8)
    grey = Image.fromarray(table).point(lambda value: int(128 + (value - 128) * strength / 74))
    return ImageChops.add(image, Image.merge("RGB", [grey] * 3), 1, -128)


def _watermark(rng: Rng, image: Image.Image) -> None:
    mark, size = pick(rng, MARKS), image.width / rng.uniform(8, 14)
    draw = ImageDraw.Draw(image, "RGBA")
    color = (*pick(rng, [WHITE, BLACK]), int(rng.integers(60, 140)))
    if chance(rng, 0.5):
        write(draw, (image.width / 2, image.height / 2), mark, size * 1.5, color)
        return
    for y in range(20, image.height, 70):
        for x in range(40, image.width + 60, 120):
            write(draw, (x + y % 3 * 20, y), mark, size * 0.7, color)


def _line(rng: Rng, image: Image.Image) -> None:
    draw = ImageDraw.Draw(image)
    high = image.height * rng.uniform(0.1, 0.18)
    top = 0 if chance(rng, 0.4) else image.height - high
    draw.rectangle([0, top, image.width, top + high], fill=any_color(rng, 0, 120))
    write(draw, (image.width / 2, top + high / 2), pick(rng, LINES), high * 0.6, near(rng, (245, 245, 240), 10))


def _border(rng: Rng, image: Image.Image) -> None:
    wide = int(rng.integers(3, 18))
    ImageDraw.Draw(image).rectangle(
        [0, 0, image.width - 1, image.height - 1], outline=any_color(rng, 0, 256), width=wide
    )
