"""Pictures that show none of the classes: landscapes, portraits, pages, covers, charts, icons, rooms, patterns.

Each is a function of (rng, size) to an RGB picture.
"""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from laionet_assets.sample.drawings.canvas import BLACK, WHITE, Rng, any_color, disc, mix, near, pick, write
from laionet_assets.sample.web_pictures.backdrops import (
    PLACES,
    Backdrop,
    fabric,
    haze,
    lights,
    page,
    room,
    shelf,
    street,
    stripes_of,
)
from laionet_assets.sample.web_pictures.clutter import person, scatter
from laionet_assets.sample.web_pictures.paper import Size, chance, cloudy, gradient, speckle

TITLES = (
    "Evening songs",
    "North of here",
    "Second summer",
    "Blue hour",
    "Volume 4",
    "Paper moons",
    "Live 2009",
    "A novel",
    "Best of",
    "Chapter 12",
)


def landscape(rng: Rng, size: Size) -> Image.Image:
    """Ridges before a sky, one behind the other."""
    width, height = size
    image = gradient(rng, size, near(rng, (90, 140, 210), 40), near(rng, (240, 200, 170), 40))
    draw = ImageDraw.Draw(image)
    ground = near(rng, (50, 90, 60), 40)
    for ridge in range(int(rng.integers(2, 5))):
        base = height * (0.45 + 0.16 * ridge)
        heights = base + np.cumsum(rng.uniform(-0.05, 0.05, 24)) * height * 0.5
        points = list(zip(np.linspace(0, width, 24).tolist(), heights.tolist(), strict=True))
        draw.polygon(
            [*points, (width, height), (0, height)], fill=mix(ground, (180, 200, 220), max(0.0, 0.6 - 0.2 * ridge))
        )
    return image


def portrait(rng: Rng, size: Size) -> Image.Image:
    """One to three people before something out of focus."""
    image = pick(rng, [haze, lights, street, room])(rng, size).filter(ImageFilter.BoxBlur(3))
    draw = ImageDraw.Draw(image)
    count = int(rng.integers(1, 4))
    for place in range(count):
        person(rng, draw, size[0] * (place + 0.5) / count, size[1], size[1] * rng.uniform(0.6, 0.9))
    return image


def cover(rng: Rng, size: Size) -> Image.Image:
    """Of an album or a book: shapes and a title."""
    image = pick(rng, [gradient, haze, stripes_of, landscape, lights])(rng, size)
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(1, 5))):
        x, y, side = rng.random(3).tolist()
        at = [x * size[0], y * size[1], (x + side * 0.6) * size[0], (y + side * 0.6) * size[1]]
        (draw.ellipse if chance(rng, 0.5) else draw.rectangle)(at, fill=any_color(rng))
    ink = pick(rng, [WHITE, BLACK, (240, 210, 60)])
    write(draw, (size[0] / 2, size[1] * rng.uniform(0.12, 0.88)), pick(rng, TITLES), size[0] / 9, ink)
    return image


def icon(rng: Rng, size: Size) -> Image.Image:
    """A flat sign on a button."""
    image = Image.new("RGB", size, pick(rng, [WHITE, any_color(rng, 180, 256)]))
    draw = ImageDraw.Draw(image)
    middle, radius, color = (size[0] / 2, size[1] / 2), min(size) * 0.38, any_color(rng, 20, 210)
    box = [middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius]
    draw.rounded_rectangle(box, radius * rng.uniform(0.1, 1), fill=color)
    if chance(rng, 0.4):
        write(draw, middle, pick(rng, "@&#%?!+*"), radius * 1.2, WHITE)
    else:
        for bar in range(3):
            y = middle[1] + (bar - 1) * radius * 0.4
            draw.line(
                [(middle[0] - radius * 0.5, y), (middle[0] + radius * rng.uniform(-0.1, 0.5), y)],
                fill=WHITE,
                width=int(radius * 0.16),
            )
    return image


def chart(rng: Rng, size: Size) -> Image.Image:
    """Bars, a line or a pie, with labels that say nothing."""
    width, height = size
    image = Image.new("RGB", size, near(rng, (248, 248, 250), 7))
    draw = ImageDraw.Draw(image)
    kind, color = int(rng.integers(3)), any_color(rng, 30, 200)
    values = rng.uniform(0.1, 0.8, int(rng.integers(4, 10))).tolist()
    if kind == 2:
        start = 0.0
        for value in values:
            end = start + 360 * value / sum(values)
            draw.pieslice(
                [width * 0.2, height * 0.15, width * 0.8, height * 0.9], start, end, fill=any_color(rng), outline=WHITE
            )
            start = end
        return image
    draw.line(
        [(width * 0.1, height * 0.05), (width * 0.1, height * 0.9), (width * 0.95, height * 0.9)],
        fill=(60, 60, 60),
        width=2,
    )
    step = width * 0.8 / len(values)
    points = [(width * 0.12 + place * step, height * (0.9 - value)) for place, value in enumerate(values)]
    if kind == 1:
        draw.line(points, fill=color, width=4, joint="curve")
    for x, y in points if kind == 0 else ():
        draw.rectangle([x, y, x + step * 0.7, height * 0.9], fill=color)
    return image


def goods(rng: Rng, size: Size) -> Image.Image:
    """Things of no class on a table, in a shop or on white."""
    image = pick(rng, PLACES)(rng, size)
    scatter(rng, image, int(rng.integers(2, 6)), 0.4, 0.9)
    return image


def garment(rng: Rng, size: Size) -> Image.Image:
    """A dress or a coat on a plain ground."""
    width, height = size
    image = gradient(rng, size, near(rng, (225, 222, 218), 20), near(rng, (200, 205, 210), 20))
    draw, color = ImageDraw.Draw(image), any_color(rng)
    flare, middle = width * rng.uniform(0.12, 0.36), width / 2
    left = [
        (middle - width * 0.1, height * 0.08),
        (middle - width * 0.09, height * 0.4),
        (middle - flare, height * 0.94),
    ]
    draw.polygon([*left, *((2 * middle - x, y) for x, y in reversed(left))], fill=color, outline=mix(color, BLACK, 0.4))
    for fold in np.linspace(-0.6, 0.6, 5).tolist():
        draw.line(
            [(middle + fold * width * 0.08, height * 0.45), (middle + fold * flare, height * 0.92)],
            fill=mix(color, BLACK, 0.2),
            width=2,
        )
    return image


def ornament(rng: Rng, size: Size) -> Image.Image:
    """Waves or rings, as wallpapers have them."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    angle, length = rng.uniform(0, math.pi), rng.uniform(8, 40)
    along = (
        x * math.cos(angle) + y * math.sin(angle) if chance(rng, 0.5) else np.hypot(x - size[0] / 2, y - size[1] / 2)
    )
    wave = np.sin(along / length * 2 * math.pi + np.asarray(speckle(rng, size, 4, 4), float) / rng.uniform(20, 90))
    grey = Image.fromarray((127.5 + 127.5 * wave).astype(np.uint8))
    return Image.composite(Image.new("RGB", size, any_color(rng)), Image.new("RGB", size, any_color(rng)), grey)


def planet(rng: Rng, size: Size) -> Image.Image:
    """Round spots in space."""
    image = cloudy(rng, size, near(rng, (10, 10, 25), 10), any_color(rng, 20, 90))
    draw = ImageDraw.Draw(image)
    for x, y, radius in (rng.random((60, 3)) * (*size, 2)).tolist():
        disc(draw, x, y, radius, fill=(220, 220, 240))
    for step, radius in enumerate(np.linspace(0.3, 0.02, 12).tolist()):
        disc(
            draw,
            size[0] / 2 - step,
            size[1] / 2 - step,
            radius * min(size),
            fill=mix((60, 50, 70), (240, 210, 170), step / 12),
        )
    return image


KINDS: tuple[Backdrop, ...] = (
    landscape,
    portrait,
    page,
    cover,
    icon,
    chart,
    goods,
    garment,
    ornament,
    planet,
    street,
    room,
    shelf,
    fabric,
)
OTHER_SENSES: tuple[Backdrop, ...] = (cover, cover, page, icon, chart, portrait, street, landscape)
"""What hides behind the same word: songs, books, programs, places, people, teams."""


def anything(rng: Rng, size: Size) -> Image.Image:
    """A picture of no class."""
    return pick(rng, KINDS)(rng, size)


def other_sense(rng: Rng, size: Size) -> Image.Image:
    """A picture of what else a class's word may mean."""
    return pick(rng, OTHER_SENSES)(rng, size)
