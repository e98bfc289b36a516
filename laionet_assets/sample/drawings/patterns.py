"""Subjects that fill the frame: honeycomb, spider web, crossword, maze, jigsaw puzzle, window screen, web site."""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from laionet_assets.sample.drawings.canvas import (
    BLACK,
    SIZE,
    WHITE,
    Rng,
    any_color,
    around,
    clouds,
    mix,
    near,
    pick,
    sheet,
    sky,
    write,
)

LETTERS = "ABCDEFGHIJKLMNOPRSTUWY"
WORDS = (
    "read",
    "about",
    "our",
    "new",
    "service",
    "free",
    "trial",
    "for",
    "every",
    "user",
    "more",
    "news",
    "login",
    "today",
)


def honeycomb(rng: Rng) -> Image.Image:
    """Hexagonal cells of wax, deeper in the middle."""
    image = sheet((110, 60, 10))
    draw = ImageDraw.Draw(image)
    cell = rng.uniform(28, 46)
    for column in range(-1, int(SIZE / cell / 1.73) + 2):
        for row in range(-1, int(SIZE / cell / 1.5) + 2):
            x, y = cell * (1.732 * column + 0.866 * (row % 2)), cell * 1.5 * row
            tone = int(rng.integers(-20, 20))
            draw.polygon(_hexagon(x, y, cell * 0.95), fill=(228 + tone // 2, 165 + tone, 50))
            draw.polygon(_hexagon(x, y, cell * 0.72), fill=(150 + tone, 85 + tone, 15))
            draw.polygon(_hexagon(x + cell * 0.05, y + cell * 0.1, cell * 0.58), fill=(200 + tone, 125 + tone, 25))
    turned = image.rotate(rng.uniform(0, 30), Image.Resampling.BICUBIC, fillcolor=(190, 120, 30))
    return turned.crop((60, 60, SIZE - 60, SIZE - 60)).resize((SIZE, SIZE))


def spider_web(rng: Rng) -> Image.Image:
    """Spokes and uneven rings before a dark garden."""
    image = clouds(rng, (15, 30, 20), near(rng, (45, 80, 55), 10)).filter(ImageFilter.GaussianBlur(6))
    draw = ImageDraw.Draw(image)
    x, y = rng.uniform(280, 360, 2)
    count = int(rng.integers(18, 27))
    spokes = [360 * spoke / count + rng.uniform(-3.4, 3.4) for spoke in range(count)]
    for angle in spokes:
        draw.line([(x, y), around(x, y, 460, angle)], fill=(215, 222, 222), width=2)
    for radius in range(16, 440, 9):
        ring = [around(x, y, radius * rng.uniform(0.975, 1.025), angle) for angle in spokes]
        draw.line([*ring, ring[0]], fill=(200, 210, 210), width=2)
    return image


def crossword_puzzle(rng: Rng) -> Image.Image:
    """A symmetric grid of black and white squares, numbered, partly filled in."""
    count = int(rng.integers(11, 16))
    side = SIZE // count
    image = sheet((246, 245, 238))
    draw = ImageDraw.Draw(image)
    is_black = rng.random((count, count)) < 0.13
    is_black |= is_black[::-1, ::-1]
    solved, number = rng.uniform(0.1, 0.5), 0
    for row, column in np.ndindex(count, count):
        x, y = column * side, row * side
        box = [x, y, x + side, y + side]
        draw.rectangle(
            box, fill=(18, 18, 18) if is_black[row, column] else (252, 252, 249), outline=(50, 50, 50), width=2
        )
        if is_black[row, column]:
            continue
        if 0 in (row, column) or is_black[row, column - 1] or is_black[row - 1, column]:
            number += 1
            write(draw, (x + 3, y + 1), str(number), side * 0.28, (60, 60, 60), "la")
        if rng.random() < solved:
            write(draw, (x + side / 2, y + side * 0.56), pick(rng, LETTERS), side * 0.6, (30, 30, 90))
    return image.rotate(rng.uniform(-5, 5), Image.Resampling.BICUBIC, fillcolor=(246, 245, 238))


def maze(rng: Rng) -> Image.Image:
    """Hedges with one way between any two cells, carved depth first."""
    count = 2 * int(rng.integers(9, 14)) + 1
    is_hedge = np.ones((count, count), bool)
    is_hedge[1, 1] = False
    path = [(1, 1)]
    while path:
        x, y = path[-1]
        ways = [
            (x + a, y + b) for a, b in ((2, 0), (-2, 0), (0, 2), (0, -2)) if 0 < x + a < count and 0 < y + b < count
        ]
        ways = [way for way in ways if is_hedge[way]]
        if not ways:
            path.pop()
            continue
        step = pick(rng, ways)
        is_hedge[step] = is_hedge[(x + step[0]) // 2, (y + step[1]) // 2] = False
        path.append(step)
    side = SIZE // count + 1
    image = sheet(near(rng, (200, 190, 160), 10))
    draw = ImageDraw.Draw(image)
    for column, row in np.argwhere(is_hedge).tolist():
        box = [column * side, row * side, (column + 1) * side, (row + 1) * side]
        draw.rectangle(box, fill=near(rng, (35, 105, 38), 12))
    return image


def jigsaw_puzzle(rng: Rng) -> Image.Image:
    """A picture of nothing, cut into interlocking pieces."""
    count = int(rng.integers(5, 8))
    image = clouds(rng, any_color(rng), any_color(rng), (3, 6, 12, 30), (6, 4, 2, 1))
    draw = ImageDraw.Draw(image)
    along = np.linspace(0, 1, 40) - 0.5
    knob = 0.26 * np.exp(-((along / 0.13) ** 2))
    neck = along + 0.5 - 0.12 * np.sin(along * 4 * math.pi) * np.exp(-((along / 0.2) ** 2))
    for row in range(1, count):
        for column in range(count):
            for is_upright in (False, True):
                side = 1 if rng.random() < 0.5 else -1
                cut = np.stack([column + neck, row + side * knob], -1)[:, :: -1 if is_upright else 1] * (SIZE / count)
                draw.line([tuple(point) for point in (cut + 2).tolist()], fill=(245, 245, 240), width=3)
                draw.line([tuple(point) for point in cut.tolist()], fill=(25, 25, 25), width=4)
    return image


def window_screen(rng: Rng) -> Image.Image:
    """A fine mesh in a frame, something blurred behind it."""
    garden = clouds(rng, (60, 100, 60), (190, 210, 190)).filter(ImageFilter.GaussianBlur(8))
    pixels = np.array(sky(rng) if rng.random() < 0.5 else garden)
    step = int(rng.integers(8, 13))
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    pixels[(x % step < 2.5) | (y % step < 2.5)] = near(rng, (60, 62, 65), 10)
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    frame = pick(rng, [(235, 235, 230), (120, 85, 55), (90, 92, 95)])
    bars = [[0, 0, SIZE, 44], [0, SIZE - 44, SIZE, SIZE], [0, 0, 44, SIZE], [SIZE - 44, 0, SIZE, SIZE]]
    if rng.random() < 0.5:
        bars.append([0, 300, SIZE, 330])
    for bar in bars:
        draw.rectangle(bar, fill=frame, outline=mix(frame, BLACK, 0.4), width=3)
    return image


def web_site(rng: Rng) -> Image.Image:
    """A home page: banner, navigation, a large picture, columns of small text, boxes at the side."""
    image = sheet((250, 250, 250))
    draw = ImageDraw.Draw(image)
    color = any_color(rng, 20, 170)
    draw.rectangle([0, 0, SIZE, 90], fill=color)
    write(draw, (24, 45), pick(rng, ["MyShop", "TravelNow", "NewsDaily", "CodeHub", "Gardenly"]), 46, WHITE, "lm")
    for place, title in enumerate(("Home", "Products", "About", "Contact")):
        write(draw, (300 + place * 88, 48), title, 20, WHITE, "lm")
    draw.rectangle([0, 90, SIZE, 122], fill=mix(color, WHITE, 0.7))
    write(draw, (20, 106), "Home > Welcome", 16, (60, 60, 60), "lm")
    image.paste(clouds(rng, any_color(rng, 30, 230), any_color(rng, 30, 230)).crop((0, 0, 430, 180)), (20, 140))
    write(draw, (40, 290), "Welcome to our site", 30, WHITE, "lm")
    for column in range(3):
        x = 20 + column * 145
        write(draw, (x, 335), pick(rng, ["News", "Offers", "Blog", "Team"]), 22, color, "la")
        _paragraph(draw, rng, x, 366, 12)
    for box in range(5):
        y = 140 + box * 95
        draw.rectangle([470, y, 620, y + 85], fill=mix(color, WHITE, 0.85), outline=(200, 200, 200))
        write(draw, (480, y + 8), pick(rng, ["Login", "Search", "Archive", "Links", "Popular"]), 18, color, "la")
        _paragraph(draw, rng, 480, y + 34, 2)
    draw.rectangle([0, 610, SIZE, SIZE], fill=(50, 50, 50))
    write(draw, (20, 625), "Copyright  Privacy  Terms of use", 14, (220, 220, 220), "lm")
    return image


def _hexagon(x: float, y: float, radius: float) -> list[tuple[float, float]]:
    return [around(x, y, radius, 30 + 60 * corner) for corner in range(6)]


def _paragraph(draw: ImageDraw.ImageDraw, rng: Rng, x: float, y: float, lines: int) -> None:
    for line in range(lines):
        write(draw, (x, y + line * 19), " ".join(pick(rng, WORDS) for _ in range(3)), 13, (70, 70, 70), "la")
