"""Things that stand about in web pictures and belong to no class of the sample: boxes, bottles, books, plants, people.

Each is drawn straight onto the picture, standing at (x, y), about `side` pixels high.
"""

from collections.abc import Callable

from PIL import Image, ImageDraw

from laionet_assets.sample.drawings.canvas import BLACK, WHITE, Rng, any_color, around, disc, mix, near, pick, write

Thing = Callable[[Rng, ImageDraw.ImageDraw, float, float, float], None]
SKINS = ((245, 205, 170), (220, 165, 120), (150, 100, 70), (95, 60, 42))


def box(rng: Rng, draw: ImageDraw.ImageDraw, x: float, y: float, side: float) -> None:
    """A carton, seen from the right."""
    color, high = any_color(rng), side * rng.uniform(0.5, 1)
    broad, deep = side * rng.uniform(0.5, 1), side * rng.uniform(0.1, 0.3)
    draw.rectangle([x, y - high, x + broad, y], fill=color)
    top = [(x, y - high), (x + deep, y - high - deep), (x + broad + deep, y - high - deep), (x + broad, y - high)]
    draw.polygon(top, fill=mix(color, WHITE, 0.35))
    flank = [(x + broad, y - high), (x + broad + deep, y - high - deep), (x + broad + deep, y - deep), (x + broad, y)]
    draw.polygon(flank, fill=mix(color, BLACK, 0.4))


def bottle(rng: Rng, draw: ImageDraw.ImageDraw, x: float, y: float, side: float) -> None:
    """With a label."""
    glass, broad = any_color(rng, 20, 180), side * rng.uniform(0.22, 0.34)
    draw.rounded_rectangle([x, y - side * 0.68, x + broad, y], broad * 0.2, fill=glass)
    draw.rectangle([x + broad * 0.33, y - side, x + broad * 0.67, y - side * 0.6], fill=mix(glass, BLACK, 0.2))
    draw.rectangle([x, y - side * 0.45, x + broad, y - side * 0.18], fill=any_color(rng, 120, 250))
    draw.line([(x + broad * 0.2, y - side * 0.62), (x + broad * 0.2, y - 4)], fill=mix(glass, WHITE, 0.5), width=2)


def books(rng: Rng, draw: ImageDraw.ImageDraw, x: float, y: float, side: float) -> None:
    """A pile of them."""
    for _ in range(int(rng.integers(2, 6))):
        high, out = side * rng.uniform(0.1, 0.2), side * rng.uniform(0, 0.15)
        color = any_color(rng)
        draw.rectangle([x + out, y - high, x + side + out, y], fill=color, outline=mix(color, BLACK, 0.5))
        draw.line(
            [(x + out + side * 0.3, y - high / 2), (x + out + side * 0.8, y - high / 2)], fill=mix(color, WHITE, 0.6)
        )
        y -= high


def plant(rng: Rng, draw: ImageDraw.ImageDraw, x: float, y: float, side: float) -> None:
    """In a pot."""
    foot, pot = side * 0.16, near(rng, (170, 95, 60), 40)
    for leaf in range(int(rng.integers(5, 12))):
        tip = around(x, y - side * 0.4, side * rng.uniform(0.35, 0.6), 200 + leaf * 14 + rng.uniform(-8, 8))
        middle = ((x + tip[0]) / 2 + side * 0.06, (y - side * 0.3 + tip[1]) / 2)
        draw.polygon(
            [(x, y - side * 0.3), middle, tip, (middle[0] - side * 0.12, middle[1])], fill=near(rng, (50, 115, 50), 40)
        )
    draw.polygon(
        [(x - foot * 1.3, y - side * 0.34), (x + foot * 1.3, y - side * 0.34), (x + foot, y), (x - foot, y)], fill=pot
    )


def person(rng: Rng, draw: ImageDraw.ImageDraw, x: float, y: float, side: float) -> None:
    """From the waist up; `side` is the height of head and chest."""
    skin, cloth, head = pick(rng, SKINS), any_color(rng, 20, 220), side * 0.16
    draw.rounded_rectangle([x - side * 0.25, y - side * 0.6, x + side * 0.25, y + side], side * 0.14, fill=cloth)
    draw.rectangle([x - head * 0.35, y - side * 0.68, x + head * 0.35, y - side * 0.55], fill=skin)
    disc(draw, x, y - side * 0.82, head, fill=skin)
    draw.pieslice([x - head, y - side, x + head, y - side * 0.64], 170, 370, fill=any_color(rng, 10, 130))
    for eye in (-0.4, 0.4):
        disc(draw, x + eye * head, y - side * 0.82, head * 0.1, fill=(30, 20, 20))
    draw.arc([x - head * 0.5, y - side * 0.84, x + head * 0.5, y - side * 0.72], 20, 160, fill=(150, 40, 40), width=2)


def hand(rng: Rng, draw: ImageDraw.ImageDraw, x: float, y: float, side: float) -> None:
    """Held up, or holding something."""
    skin = pick(rng, SKINS)
    for finger in range(4):
        top = y - side * (0.75 + 0.2 * rng.random())
        left = x + finger * side * 0.16
        draw.rounded_rectangle(
            [left, top, left + side * 0.14, y], side * 0.07, fill=skin, outline=mix(skin, BLACK, 0.25)
        )
    draw.rounded_rectangle([x - side * 0.06, y - side * 0.3, x + side * 0.7, y + side], side * 0.1, fill=skin)


def paper(rng: Rng, draw: ImageDraw.ImageDraw, x: float, y: float, side: float) -> None:
    """A sheet with lines."""
    lean, sheet = side * rng.uniform(-0.3, 0.3), near(rng, (240, 238, 230), 12)
    draw.polygon(
        [(x + lean, y - side), (x + side * 0.7 + lean, y - side), (x + side * 0.7, y), (x, y)],
        fill=sheet,
        outline=(150, 150, 150),
    )
    for line in range(1, 8):
        share = line / 9
        left = x + lean * share + side * 0.08
        draw.line(
            [(left, y - side * share), (left + side * rng.uniform(0.2, 0.5), y - side * share)], fill=(120, 120, 130)
        )


def ribbon(rng: Rng, draw: ImageDraw.ImageDraw, x: float, y: float, side: float) -> None:
    """A wavy band."""
    points = [(x + step * side * 0.25, y + rng.uniform(-0.4, 0.4) * side) for step in range(-2, 6)]
    draw.line(points, fill=any_color(rng), width=max(2, int(side * 0.05)), joint="curve")


def fruit(rng: Rng, draw: ImageDraw.ImageDraw, x: float, y: float, side: float) -> None:
    """One to four pieces."""
    color = pick(rng, [(190, 40, 40), (110, 160, 50), (120, 60, 130), (225, 200, 70)])
    for piece in range(int(rng.integers(1, 5))):
        radius, left = side * rng.uniform(0.15, 0.3), x + piece * side * 0.3
        disc(draw, left, y - radius, radius, fill=near(rng, color, 20))
        disc(draw, left - radius * 0.3, y - radius * 1.4, radius * 0.25, fill=mix(color, WHITE, 0.5))


def tag(rng: Rng, draw: ImageDraw.ImageDraw, x: float, y: float, side: float) -> None:
    """A price."""
    color = any_color(rng, 60, 240)
    draw.rounded_rectangle([x, y - side * 0.4, x + side, y], side * 0.08, fill=color)
    write(draw, (x + side / 2, y - side * 0.2), f"${int(rng.integers(3, 90))}", max(8, side * 0.26), WHITE)


THINGS: tuple[Thing, ...] = (box, bottle, books, plant, person, hand, paper, ribbon, fruit, tag)


def scatter(rng: Rng, image: Image.Image, count: int, low: float = 0.2, high: float = 0.5) -> None:
    """Put `count` things into the picture, in place; sizes in shares of its height."""
    draw = ImageDraw.Draw(image)
    width, height = image.size
    for _ in range(count):
        side = height * rng.uniform(low, high)
        pick(rng, THINGS)(rng, draw, rng.uniform(-0.1, 0.9) * width, height * rng.uniform(0.55, 1.1), side)
