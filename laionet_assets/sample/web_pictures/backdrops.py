"""What lies behind the subject of a web picture: studios, rooms, tables, streets, lawns, fabrics, lights.

Each is a function of (rng, size) to an RGB picture. Things that stand about are in `clutter`.
"""

from collections.abc import Callable

from PIL import Image, ImageDraw, ImageFilter

from laionet_assets.sample.drawings import DRAWINGS, canvas
from laionet_assets.sample.drawings.canvas import BLACK, WHITE, Rng, any_color, disc, mix, near, pick
from laionet_assets.sample.web_pictures.paper import Size, chance, cloudy, duotone, gradient, lit, speckle

Backdrop = Callable[[Rng, Size], Image.Image]


def studio(rng: Rng, size: Size) -> Image.Image:
    """White or nearly white, as shops photograph goods."""
    low = int(rng.integers(225, 256))
    return Image.new("RGB", size, (low, low, low)) if chance(rng, 0.6) else lit(rng, Image.new("RGB", size, WHITE), 215)


def plain(rng: Rng, size: Size) -> Image.Image:
    """One colour."""
    return Image.new("RGB", size, any_color(rng, 10, 250))


def colored_light(rng: Rng, size: Size) -> Image.Image:
    """Four colours running into each other."""
    return gradient(rng, size)


def haze(rng: Rng, size: Size) -> Image.Image:
    """Something out of focus."""
    return cloudy(rng, size, any_color(rng, 0, 130), any_color(rng, 110, 250), int(rng.integers(2, 7)))


def table(rng: Rng, size: Size) -> Image.Image:
    """A table top with a grain before a wall, or seen from above."""
    width, height = size
    board = pick(rng, [(150, 100, 60), (190, 140, 90), (95, 60, 40), (225, 215, 200), (70, 72, 76)])
    grain = Image.blend(speckle(rng, size, 4, height // 2), speckle(rng, size, 2, 12), 0.5)
    image = duotone(grain, mix(board, BLACK, 0.45), mix(board, WHITE, 0.25))
    if chance(rng, 0.6):
        horizon = int(height * rng.uniform(0.3, 0.65))
        image.paste(haze(rng, (width, horizon)).filter(ImageFilter.BoxBlur(6)), (0, 0))
    return image


def lawn(rng: Rng, size: Size) -> Image.Image:
    """Leaves or grass."""
    fine = Image.blend(speckle(rng, size, size[0] // 3, size[1] // 4), speckle(rng, size, 6, 6), 0.4)
    return duotone(fine, near(rng, (20, 45, 15), 15), near(rng, (130, 170, 70), 30))


def street(rng: Rng, size: Size) -> Image.Image:
    """Houses with rows of windows below a sky."""
    width, height = size
    image = cloudy(rng, size, near(rng, (110, 150, 205), 30), near(rng, (215, 225, 235), 20), 3)
    draw = ImageDraw.Draw(image)
    x = -int(rng.integers(0, 40))
    while x < width:
        broad, top = int(rng.integers(40, 110)), int(height * rng.uniform(0.1, 0.6))
        wall = any_color(rng, 60, 200)
        draw.rectangle([x, top, x + broad, height], fill=wall)
        pane, step = mix(wall, pick(rng, [BLACK, (250, 240, 190)]), 0.6), int(rng.integers(12, 22))
        for left in range(x + 5, x + broad - 8, step):
            for up in range(top + 6, height, step + 5):
                draw.rectangle([left, up, left + step // 2, up + step * 2 // 3], fill=pane)
        x += broad
    draw.rectangle([0, int(height * 0.88), width, height], fill=near(rng, (80, 80, 84), 20))
    return image.filter(ImageFilter.BoxBlur(float(rng.uniform(0, 2.5))))


def room(rng: Rng, size: Size) -> Image.Image:
    """Wall, floor, and a window or a shelf."""
    width, height = size
    wall = any_color(rng, 110, 240)
    image = Image.new("RGB", size, wall)
    draw = ImageDraw.Draw(image)
    floor = int(height * rng.uniform(0.6, 0.85))
    draw.rectangle([0, floor, width, height], fill=near(rng, (130, 95, 70), 40))
    draw.line([(0, floor), (width, floor)], fill=mix(wall, WHITE, 0.5), width=4)
    left, top = int(width * rng.uniform(0.02, 0.6)), int(height * rng.uniform(0.02, 0.2))
    broad, high = int(width * rng.uniform(0.2, 0.4)), int(height * rng.uniform(0.25, 0.4))
    if chance(rng, 0.5):
        draw.rectangle(
            [left, top, left + broad, top + high], fill=near(rng, (205, 225, 240), 20), outline=WHITE, width=5
        )
        draw.line([(left + broad // 2, top), (left + broad // 2, top + high)], fill=WHITE, width=4)
    else:
        for board in range(3):
            y = top + high * (board + 1) // 3
            for x in range(left, left + broad, 9):
                draw.rectangle([x, y - int(rng.integers(10, 26)), x + 7, y], fill=any_color(rng))
            draw.rectangle([left - 4, y, left + broad + 4, y + 4], fill=(90, 60, 40))
    return lit(rng, image, 150)


def bricks(rng: Rng, size: Size) -> Image.Image:
    """A wall of bricks or tiles."""
    width, height = size
    clay, joint = near(rng, pick(rng, [(150, 70, 50), (200, 195, 190), (110, 110, 120)]), 20), any_color(rng, 120, 220)
    image = Image.new("RGB", size, joint)
    draw = ImageDraw.Draw(image)
    high = int(rng.integers(12, 26))
    for row in range(height // high + 1):
        for x in range(-(row % 2) * high, width, 2 * high + 2):
            box = [x, row * high, x + 2 * high - 1, row * high + high - 3]
            draw.rectangle(box, fill=mix(clay, BLACK, float(rng.random()) * 0.3))
    return lit(rng, image, 150)


def fabric(rng: Rng, size: Size) -> Image.Image:
    """Stripes, checks or dots."""
    width, height = size
    image = Image.new("RGB", size, any_color(rng, 60, 250))
    draw = ImageDraw.Draw(image)
    color, step = any_color(rng), int(rng.integers(10, 36))
    kind = int(rng.integers(4))
    if kind == 0:
        for x in range(step // 2, width + step, step):
            for y in range(step // 2, height + step, step):
                disc(draw, x + (y // step % 2) * step // 2, y, step * 0.25, fill=color)
    for x in range(0, width + height, step) if kind else ():
        slant = height if kind == 3 else 0
        draw.line([(x, 0), (x - slant, height)], fill=color, width=step // 2)
    for y in range(0, height, step) if kind == 2 else ():
        draw.line([(0, y), (width, y)], fill=mix(color, WHITE, 0.3), width=step // 3)
    return lit(rng, image, 170)


def lights(rng: Rng, size: Size) -> Image.Image:
    """Lamps out of focus in the dark."""
    image = gradient(rng, size, near(rng, (14, 14, 26), 12), near(rng, (50, 25, 40), 20))
    draw = ImageDraw.Draw(image)
    for x, y, radius in (rng.random((int(rng.integers(8, 30)), 3)) * (size[0], size[1], 22)).tolist():
        disc(draw, x, y, 4 + radius, fill=mix(any_color(rng, 90, 255), BLACK, float(rng.random()) * 0.5))
    return image.filter(ImageFilter.BoxBlur(3))


def rubble(rng: Rng, size: Size) -> Image.Image:
    """Stones, confetti or beads all over."""
    image = Image.new("RGB", size, any_color(rng, 20, 160))
    draw = ImageDraw.Draw(image)
    tones = [any_color(rng) for _ in range(4)]
    for x, y, radius in (rng.random((140, 3)) * (size[0], size[1], 14)).tolist():
        disc(draw, x, y, 4 + radius, fill=pick(rng, tones))
    return image


def shelf(rng: Rng, size: Size) -> Image.Image:
    """Rows of boxes in a shop."""
    width, height = size
    image = Image.new("RGB", size, any_color(rng, 40, 120))
    draw = ImageDraw.Draw(image)
    rows = int(rng.integers(2, 5))
    for row in range(rows):
        bottom, x = height * (row + 1) // rows, 0
        while x < width:
            broad, high = int(rng.integers(10, 34)), int(height / rows * rng.uniform(0.5, 0.9))
            draw.rectangle([x, bottom - high, x + broad - 2, bottom], fill=any_color(rng, 30, 250))
            x += broad
        draw.rectangle([0, bottom - 5, width, bottom], fill=(225, 225, 225))
    return image.filter(ImageFilter.BoxBlur(float(rng.uniform(0, 3))))


def stripes_of(rng: Rng, size: Size) -> Image.Image:
    """Rays from one point, as posters have them."""
    image = Image.new("RGB", size, any_color(rng))
    draw = ImageDraw.Draw(image)
    x, y = rng.uniform(0.3, 0.7, 2) * size
    color = any_color(rng)
    for angle in range(0, 360, 24):
        draw.pieslice([x - 400, y - 400, x + 400, y + 400], angle, angle + 12, fill=color)
    return image


def wall(rng: Rng, size: Size) -> Image.Image:
    """A painted wall, brighter on one side."""
    color = any_color(rng, 140, 246)
    return gradient(rng, size, color, mix(color, WHITE, 0.5), mix(color, BLACK, 0.15))


def dark(rng: Rng, size: Size) -> Image.Image:
    """Nearly black."""
    return gradient(rng, size, near(rng, (18, 14, 18), 12), near(rng, (48, 36, 38), 14))


def open_sky(rng: Rng, size: Size) -> Image.Image:
    """Blue with clouds, or the grey of a dull day."""
    blue = pick(rng, [(70, 130, 210), (100, 155, 220), (150, 165, 185)])
    return cloudy(rng, size, near(rng, blue, 15), near(rng, (228, 236, 244), 10), 3)


def page(rng: Rng, size: Size) -> Image.Image:
    """A page of a book or a letter: lines of text too small to read."""
    width, height = size
    image = Image.new("RGB", size, near(rng, (242, 238, 226), 10))
    draw = ImageDraw.Draw(image)
    margin, step = width * rng.uniform(0.06, 0.16), int(rng.integers(6, 11))
    for y in range(int(margin), int(height - margin), step):
        x, end = margin, width - margin - (rng.random() < 0.15) * width * rng.uniform(0.2, 0.6)
        while x < end:
            word = min(float(rng.uniform(5, 26)), end - x)
            draw.line([(x, y), (x + word, y)], fill=near(rng, (70, 70, 75), 25), width=max(2, step // 3))
            x += word + 5
    return image.rotate(rng.uniform(-3, 3), Image.Resampling.BILINEAR, fillcolor=(215, 210, 200))


PLACES: tuple[Backdrop, ...] = (haze, table, table, lawn, street, room, bricks, fabric, lights, rubble, shelf)
QUIET: tuple[Backdrop, ...] = (studio, studio, wall, plain, colored_light)
OWN: dict[object, Backdrop] = {
    canvas.wall: wall,
    canvas.dark_wall: dark,
    canvas.sky: open_sky,
    canvas.wood: table,
    canvas.grass: lawn,
    canvas.letter: page,
}


def own(rng: Rng, wnid: str) -> Backdrop:
    """Where curated pictures of the class set it down, or a quiet ground where they have no such place."""
    known = [OWN[each] for each in DRAWINGS[wnid].backdrops if each in OWN]
    return pick(rng, known or QUIET)
