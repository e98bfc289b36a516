"""Things drawn with lines and shapes: clocks, signs, stationery, a shirt, a music player, a harp, a measuring cup."""

import math

import numpy as np
from PIL import Image, ImageDraw

from laionet_assets.sample.drawings.canvas import (
    BLACK,
    WHITE,
    Color,
    Rng,
    any_color,
    around,
    disc,
    layer,
    mix,
    near,
    pick,
    write,
)

SEGMENTS = ("abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcdfg")


def analog_clock(rng: Rng) -> Image.Image:
    """A round dial with numbers, minute marks and two hands."""
    image = layer()
    draw = ImageDraw.Draw(image)
    rim = pick(rng, [(40, 30, 20), (60, 60, 70), (25, 25, 28), (120, 90, 50)])
    disc(draw, 320, 320, 250, fill=rim)
    disc(draw, 320, 320, 236, fill=near(rng, (248, 246, 238), 6))
    for hour in range(1, 13):
        write(draw, around(320, 320, 190, hour * 30 - 90), str(hour), 50, (20, 20, 20))
    for minute in range(60):
        draw.line([around(320, 320, 222, minute * 6), around(320, 320, 234, minute * 6)], fill=(30, 30, 30), width=3)
    for length, width in ((120, 16), (180, 10)):
        draw.line([(320, 320), around(320, 320, length, rng.uniform(0, 360))], fill=(10, 10, 10), width=width)
    disc(draw, 320, 320, 16, fill=(120, 20, 20))
    return image


def digital_clock(rng: Rng) -> Image.Image:
    """A dark case with four glowing digits of seven segments."""
    image = layer()
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle([40, 180, 600, 460], 36, fill=near(rng, (22, 22, 25)), outline=(100, 100, 100), width=8)
    draw.rounded_rectangle([75, 215, 565, 425], 12, fill=(8, 8, 10))
    color = pick(rng, [(255, 40, 30), (60, 255, 90), (80, 180, 255)])
    for place, limit in enumerate((1, 3, 6, 10)):
        digit = 1 if place == 0 else int(rng.integers(limit))
        _seven_segments(draw, 105 + place * 108 + (34 if place > 1 else 0), 248, digit, color)
    for y in (290, 346):
        disc(draw, 318, y, 10, fill=color)
    return image


def traffic_light(rng: Rng) -> Image.Image:
    """Three lamps under hoods on a pole, one of them lit."""
    image = layer()
    draw = ImageDraw.Draw(image)
    draw.rectangle([305, 480, 335, 640], fill=(75, 75, 78))
    housing = pick(rng, [(25, 28, 25), (215, 170, 30), (20, 50, 35)])
    draw.rounded_rectangle([205, 40, 435, 500], 30, fill=housing, outline=(5, 5, 5), width=6)
    lit = int(rng.integers(3))
    for place, color in enumerate([(255, 35, 25), (255, 190, 25), (45, 235, 90)]):
        y = 125 + place * 145
        draw.pieslice([240, y - 78, 400, y + 82], 180, 360, fill=(10, 10, 10))
        disc(draw, 320, y + 3, 65, fill=color if place == lit else mix(BLACK, color, 0.18), outline=(5, 5, 5), width=6)
        if place == lit:
            draw.ellipse([285, y - 38, 335, y + 2], fill=mix(color, WHITE, 0.6))
    return image


def street_sign(rng: Rng) -> Image.Image:
    """One or two name plates on a post."""
    image = layer()
    draw = ImageDraw.Draw(image)
    draw.rectangle([306, 150, 334, 640], fill=(125, 128, 130), outline=(80, 80, 80))
    color = near(rng, pick(rng, [(10, 100, 55), (20, 60, 140)]))
    for y in (150, 300) if rng.random() < 0.5 else (190,):
        draw.rounded_rectangle([50, y, 590, y + 130], 16, fill=color, outline=(250, 250, 250), width=8)
        name = pick(rng, ["MAIN ST", "OAK AVE", "5th AVE", "ELM ST", "KING RD", "PARK PL", "2nd ST"])
        write(draw, (320, y + 66), name, 88, WHITE)
    return image


def envelope(rng: Rng) -> Image.Image:
    """The back of a sealed envelope."""
    image = layer()
    draw = ImageDraw.Draw(image)
    paper = near(rng, pick(rng, [(240, 235, 220), (205, 175, 125), (250, 250, 250), (190, 60, 60), (170, 190, 215)]), 5)
    edge = mix(paper, (40, 30, 20), 0.45)
    draw.rectangle([60, 170, 580, 500], fill=paper, outline=edge, width=4)
    for fold in ([(60, 500), (255, 310)], [(580, 500), (385, 310)]):
        draw.line(fold, fill=mix(paper, edge, 0.6), width=4)
    flap = [(60, 170), (320, 355), (580, 170)]
    draw.polygon(flap, fill=mix(paper, BLACK, 0.05))
    draw.line(flap, fill=edge, width=6)
    return image


def band_aid(rng: Rng) -> Image.Image:
    """An adhesive strip with a pad and rows of holes."""
    image = layer()
    draw = ImageDraw.Draw(image)
    color = near(rng, (225, 180, 140), 10)
    draw.rounded_rectangle([40, 240, 600, 400], 78, fill=color, outline=mix(color, BLACK, 0.25), width=3)
    draw.rounded_rectangle(
        [230, 250, 410, 390], 10, fill=mix(color, WHITE, 0.25), outline=mix(color, BLACK, 0.15), width=3
    )
    holes = [(x, y, 5) for x in (*range(85, 225, 28), *range(435, 570, 28)) for y in range(272, 384, 28)]
    holes += [(x, y, 3) for x in range(250, 400, 24) for y in range(270, 384, 24)]
    for x, y, radius in holes:
        disc(draw, x, y, radius, fill=mix(color, BLACK, 0.06 * radius))
    return image


def ipod(rng: Rng) -> Image.Image:
    """A small player with a menu on its display and a click wheel."""
    image = layer()
    draw = ImageDraw.Draw(image)
    color = pick(rng, [(245, 245, 246), (30, 30, 32), (190, 70, 130), (90, 150, 200)])
    draw.rounded_rectangle([165, 20, 475, 620], 36, fill=color, outline=mix(color, (90, 90, 90), 0.6), width=5)
    draw.rectangle([195, 60, 445, 260], fill=(20, 20, 22))
    draw.rectangle([203, 68, 437, 252], fill=(205, 222, 235))
    draw.rectangle([203, 68, 437, 98], fill=(90, 130, 200))
    for line, entry in enumerate(("Music", "Photos", "Videos", "Settings")):
        write(draw, (215, 104 + line * 35), entry, 26, (20, 20, 20), "la")
    disc(draw, 320, 435, 115, fill=mix(color, (150, 150, 150), 0.25), outline=(190, 190, 190), width=3)
    disc(draw, 320, 435, 40, fill=color, outline=(180, 180, 180), width=3)
    write(draw, (320, 350), "MENU", 24, (130, 130, 130))
    return image


def t_shirt(rng: Rng) -> Image.Image:
    """A shirt laid flat, with a few letters on the chest."""
    image = layer()
    draw = ImageDraw.Draw(image)
    color = any_color(rng)
    edge = mix(color, BLACK, 0.35)
    right = [(410, 80), (500, 115), (610, 260), (520, 320), (465, 250), (465, 590)]
    draw.polygon([*right, *((640 - x, y) for x, y in reversed(right))], fill=color, outline=edge)
    draw.pieslice([240, 35, 400, 145], 0, 180, fill=edge)
    draw.pieslice([252, 35, 388, 128], 0, 180, fill=mix(color, WHITE, 0.3))
    draw.line([(175, 250), (190, 400)], fill=edge, width=4)
    draw.line([(465, 250), (450, 400)], fill=edge, width=4)
    ink = mix(color, WHITE, 0.8) if sum(color) < 380 else (30, 30, 30)
    write(draw, (320, 290), pick(rng, ["ROCK", "7", "LA", "TEAM", "10"]), 100, ink)
    return image


def harp(rng: Rng) -> Image.Image:
    """Pillar, curved neck, slanted sound box and strings between them."""
    image = layer()
    draw = ImageDraw.Draw(image)
    gold = near(rng, (205, 155, 60), 12)
    draw.line([(150, 110), (175, 590)], fill=gold, width=30)
    draw.line([_neck(share) for share in np.linspace(0, 1, 40).tolist()], fill=gold, width=34, joint="curve")
    draw.line([(480, 130), (200, 590)], fill=mix(gold, BLACK, 0.25), width=52)
    draw.rectangle([120, 575, 300, 615], fill=mix(gold, BLACK, 0.35))
    for string in range(26):
        share = 0.08 + string * 0.032
        x, y = _neck(share)
        color = (235, 235, 235) if string % 7 else (200, 50, 50)
        draw.line([(x, y), (x + 4, 565 - 415 * share)], fill=color, width=2)
    draw.ellipse([125, 75, 180, 130], fill=mix(gold, WHITE, 0.3))
    return image


def measuring_cup(rng: Rng) -> Image.Image:
    """A glass jug with a red or blue scale, partly full."""
    image = layer()
    draw = ImageDraw.Draw(image)
    draw.polygon([(120, 90), (480, 90), (440, 560), (170, 560)], fill=(200, 222, 230, 150), outline=(120, 140, 150))
    liquid = pick(rng, [(250, 250, 245, 235), (170, 200, 230, 200), (220, 150, 60, 210)])
    level = int(rng.integers(200, 400))
    left, right = 120 + (level - 90) * 50 / 470, 480 - (level - 90) * 40 / 470
    draw.polygon([(left, level), (right, level), (440, 560), (170, 560)], fill=liquid)
    draw.ellipse([left, level - 14, right, level + 14], fill=liquid)
    draw.ellipse([115, 70, 485, 112], outline=(120, 140, 150), width=6)
    draw.arc([420, 150, 600, 430], -95, 100, fill=(150, 175, 185), width=30)
    draw.polygon([(120, 82), (85, 80), (130, 120)], fill=(190, 212, 220))
    ink = pick(rng, [(200, 30, 40), (200, 30, 40), (30, 60, 160)])
    draw.line([(200, 120), (200, 520)], fill=ink, width=4)
    for mark, label in enumerate(("", "1/4", "", "1/2", "", "3/4", "", "1 CUP")):
        y = 520 - mark * 52
        draw.line([(200, y), (300 if label else 260, y)], fill=ink, width=5)
        write(draw, (345, y), label, 36, ink)
    return image


def fountain_pen(rng: Rng) -> Image.Image:
    """Barrel, grip, gold rings, clip and nib, lying across the frame."""
    image = layer()
    draw = ImageDraw.Draw(image)
    lacquer, gold = pick(rng, [(20, 20, 24), (30, 50, 120), (120, 20, 35)]), (215, 175, 75)
    for y in range(-38, 39):
        draw.line([(30, 320 + y), (430, 320 + y)], fill=_lit(lacquer, y + 12, 14, 40))
    for y in range(-32, 33):
        draw.line([(430, 320 + y), (500, 320 + int(y * 0.75))], fill=_lit((25, 25, 28), y + 10, 12, 30))
    for x in (40, 210, 425):
        draw.rectangle([x, 282, x + 14, 358], fill=gold)
    nib = [(498, 296), (540, 292), (630, 320), (540, 348), (498, 344)]
    draw.polygon(nib, fill=gold, outline=(130, 100, 30))
    draw.line([(545, 320), (630, 320)], fill=(40, 30, 10), width=3)
    disc(draw, 545, 320, 7, fill=(40, 30, 10))
    draw.rounded_rectangle([60, 262, 230, 278], 6, fill=gold)
    return image


def _seven_segments(draw: ImageDraw.ImageDraw, x: int, y: int, digit: int, color: Color) -> None:
    """A digit 72 wide and 144 high with its upper left corner at (x, y)."""
    boxes = {
        "a": (0, 0, 72, 15),
        "b": (57, 0, 72, 72),
        "c": (57, 72, 72, 144),
        "d": (0, 129, 72, 144),
        "e": (0, 72, 15, 144),
        "f": (0, 0, 15, 72),
        "g": (0, 65, 72, 80),
    }
    for segment in SEGMENTS[digit]:
        x0, y0, x1, y1 = boxes[segment]
        draw.rounded_rectangle([x + x0, y + y0, x + x1, y + y1], 5, fill=color)


def _neck(share: float) -> tuple[float, float]:
    """A point on the harp's neck, from the pillar (0) to the sound box (1)."""
    return 150 + share * 330, 110 + 60 * math.sin(share * math.pi * 1.6 + 0.4)


def _lit(color: Color, distance: float, width: float, shine: float) -> Color:
    """The colour of a line of a lacquered tube, brightest where the distance to the highlight is 0."""
    light = math.exp(-((distance / width) ** 2))
    red, green, blue = (min(255, int(value * (0.55 + 0.6 * light) + shine * light**2)) for value in color)
    return red, green, blue
