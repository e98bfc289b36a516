"""The drawing table: layers, colours, backdrops, lit solids, and putting a subject into a picture.

Subjects are drawn on a square of `SIZE` pixels, twice as large as the finished picture, so that the final reduction
smooths every edge. What the classes look like belongs in the other modules of this package.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

T = TypeVar("T")
Rng = np.random.Generator
Color = tuple[int, int, int]
Backdrop = Callable[[Rng], Image.Image]

SIZE = 640
PICTURE = 320
LIGHT = np.array([-0.45, -0.6, 0.66])
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


def layer() -> Image.Image:
    """An empty transparent square to draw a subject on."""
    return Image.new("RGBA", (SIZE, SIZE), (0, 0, 0, 0))


def sheet(color: Color) -> Image.Image:
    """A square of one colour, for subjects that fill the frame."""
    return Image.new("RGB", (SIZE, SIZE), color)


def write(
    draw: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    size: float,
    color: Color | tuple[int, int, int, int],
    anchor: str = "mm",
) -> None:
    """Text in Pillow's own font; `anchor` as in Pillow (mm = centred)."""
    draw.text(at, text, font=ImageFont.load_default(size), fill=color, anchor=anchor)


def disc(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, **style: Any) -> None:
    """A filled or outlined circle."""
    draw.ellipse([x - radius, y - radius, x + radius, y + radius], **style)


def around(x: float, y: float, radius: float, degrees: float) -> tuple[float, float]:
    """The point on a circle; 0 degrees is to the right, 90 below."""
    return x + radius * math.cos(math.radians(degrees)), y + radius * math.sin(math.radians(degrees))


def pick(rng: Rng, items: Sequence[T]) -> T:
    """One of the items, all equally likely."""
    return items[int(rng.integers(len(items)))]


def near(rng: Rng, color: Color, spread: int = 8) -> Color:
    """A colour up to `spread` away in each channel."""
    red, green, blue = (int(np.clip(value + rng.integers(-spread, spread + 1), 0, 255)) for value in color)
    return red, green, blue


def any_color(rng: Rng, low: int = 20, high: int = 240) -> Color:
    """A colour with every channel in [low, high)."""
    red, green, blue = (int(value) for value in rng.integers(low, high, 3))
    return red, green, blue


def mix(color: Color, other: Color, share: float) -> Color:
    """`color` with a share of `other` in it."""
    red, green, blue = (int(a + (b - a) * share) for a, b in zip(color, other, strict=True))
    return red, green, blue


def clouds(
    rng: Rng, low: Color, high: Color, cells: Sequence[int] = (4, 9, 20, 45), weights: Sequence[float] = (8, 4, 2, 1)
) -> Image.Image:
    """Soft noise between two colours: grids of random values, each stretched over the square."""
    total = sum(weight * noise(rng, count) for count, weight in zip(cells, weights, strict=True)) / sum(weights)
    share = np.clip((total - 0.25) / 0.5, 0, 1)[..., None]
    return _image(np.asarray(low) * (1 - share) + np.asarray(high) * share)


def noise(rng: Rng, cells: int) -> np.ndarray:
    """(SIZE, SIZE) values in 0..1, smooth over SIZE / cells pixels."""
    grid = Image.fromarray((rng.random((cells, cells)) * 255).astype(np.uint8))
    return np.asarray(grid.resize((SIZE, SIZE), Image.Resampling.BICUBIC), float) / 255


def wall(rng: Rng, color: Color | None = None) -> Image.Image:
    """A plain backdrop, lit a little from one side."""
    base = np.asarray(color or any_color(rng, 150, 246), float)
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE - 0.5
    direction = rng.uniform(0, 2 * math.pi)
    slope = (math.cos(direction) * x + math.sin(direction) * y) * rng.uniform(20, 60)
    return _image(base + slope[..., None])


def dark_wall(rng: Rng) -> Image.Image:
    """A nearly black backdrop, for things that glow."""
    return wall(rng, near(rng, (30, 22, 26), 12))


def sky(rng: Rng) -> Image.Image:
    """Blue, paler towards the horizon, with clouds."""
    height = np.linspace(0, 1, SIZE)[:, None, None]
    blue = (
        np.asarray(near(rng, (70, 130, 210), 20)) * (1 - height) + np.asarray(near(rng, (180, 210, 240), 15)) * height
    )
    cover = np.clip(np.asarray(clouds(rng, BLACK, WHITE), float) / 255 - 0.55, 0, 1) * 1.2
    return _image(blue * (1 - cover) + 255 * cover)


def wood(rng: Rng) -> Image.Image:
    """Planks with a grain."""
    base = np.asarray(pick(rng, [(150, 100, 60), (190, 140, 90), (120, 75, 45), (205, 165, 115)]), float)
    y = np.arange(SIZE)[:, None]
    bend = np.asarray(clouds(rng, BLACK, WHITE, (3, 5), (2, 1)), float)[..., 0] / 255
    grain = np.sin((y + bend * 60) / rng.uniform(5, 9)) / 2 + 0.5
    fibres = Image.fromarray((rng.random((SIZE, 8)) * 255).astype(np.uint8)).resize(
        (SIZE, SIZE), Image.Resampling.BICUBIC
    )
    planks = base * (0.8 + 0.18 * grain + 0.12 * np.asarray(fibres, float) / 255)[..., None]
    planks[np.arange(SIZE) % int(rng.integers(120, 220)) < 4] *= 0.55
    return _image(planks)


def grass(rng: Rng) -> Image.Image:
    """A lawn: blades over soft greens."""
    lawn = clouds(rng, (35, 85, 25), (95, 150, 50))
    draw = ImageDraw.Draw(lawn)
    for x, y in rng.integers(0, SIZE, (5000, 2)).tolist():
        tip = (x + int(rng.integers(-6, 7)), y - int(rng.integers(8, 26)))
        draw.line([(x, y), tip], fill=near(rng, (70, 130, 40), 35), width=2)
    return lawn


def letter(rng: Rng) -> Image.Image:
    """A ruled page with handwriting that says nothing."""
    page = sheet(near(rng, (244, 240, 228), 6))
    draw = ImageDraw.Draw(page)
    for y in range(60, SIZE, 56):
        draw.line([(0, y), (SIZE, y)], fill=(190, 205, 225), width=2)
        x, end = 20.0, rng.uniform(300, 600)
        while x < end:
            width = rng.uniform(30, 90)
            steps = np.linspace(0, width, int(width / 3))
            heights = y - 12 - 14 * np.abs(np.sin(steps / 6)) * rng.uniform(0.5, 1.2, len(steps))
            draw.line(list(zip((x + steps).tolist(), heights.tolist(), strict=True)), fill=(30, 40, 110), width=3)
            x += width + 18
    return page


def ball(radius: float, x: float = SIZE / 2, y: float = SIZE / 2, squash: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Normals (SIZE, SIZE, 3) of a ball seen from the front, and the mask of where it is; `squash` flattens it."""
    rows, columns = np.mgrid[0:SIZE, 0:SIZE].astype(float)
    across, down = (columns + 0.5 - x) / radius, (rows + 0.5 - y) / (radius * squash)
    depth = 1 - across**2 - down**2
    return np.stack([across, down, np.sqrt(np.maximum(depth, 0))], -1), depth > 0


def shade(normals: np.ndarray, ambient: float = 0.45) -> np.ndarray:
    """Brightness under the lamp, with a last axis of one to multiply colours by."""
    return (ambient + (1 - ambient) * np.clip(normals @ _unit(LIGHT), 0, 1))[..., None]


def gloss(normals: np.ndarray, sharpness: float = 40) -> np.ndarray:
    """The lamp's reflection, 0..1, shaped like `shade`."""
    return (np.clip(normals @ _unit(_unit(LIGHT) + np.array([0, 0, 1])), 0, 1) ** sharpness)[..., None]


def turned(rng: Rng, normals: np.ndarray) -> np.ndarray:
    """The normals in the frame of a solid that was turned at random."""
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return normals @ rotation


def solid(colors: np.ndarray, mask: np.ndarray) -> Image.Image:
    """Colours (SIZE, SIZE, 3) as a layer that is opaque inside the mask."""
    alpha = Image.fromarray((mask * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1))
    image = _image(np.broadcast_to(colors, (SIZE, SIZE, 3)))
    image.putalpha(alpha)
    return image


def place(
    backdrop: Image.Image,
    subject: Image.Image,
    rng: Rng,
    *,
    scale: tuple[float, float] = (0.85, 1.05),
    turn: float = 8,
    shift: int = 30,
    has_shadow: bool = True,
) -> Image.Image:
    """The subject on the backdrop: turned up to `turn` degrees, scaled, moved up to `shift` pixels, above a shadow."""
    side = int(SIZE * rng.uniform(*scale))
    moved = subject.rotate(rng.uniform(-turn, turn), Image.Resampling.BICUBIC).resize(
        (side, side), Image.Resampling.LANCZOS
    )
    left, top = ((SIZE - side) // 2 + int(rng.integers(-shift, shift + 1)) for _ in range(2))
    placed = layer()
    placed.paste(moved, (left, top))
    picture = backdrop.convert("RGBA")
    if has_shadow:
        shadow = Image.new("RGBA", (SIZE, SIZE), (*BLACK, 255))
        soft = placed.getchannel("A").filter(ImageFilter.GaussianBlur(14)).point(lambda value: int(value * 0.45))
        shadow.putalpha(ImageChops.offset(soft, 14, 18))
        picture = Image.alpha_composite(picture, shadow)
    return Image.alpha_composite(picture, placed).convert("RGB")


def photograph(picture: Image.Image, rng: Rng) -> Image.Image:
    """The finished picture, PICTURE pixels square: reduced, a little soft, with grain and a change of contrast."""
    small = picture.convert("RGB").resize((PICTURE, PICTURE), Image.Resampling.LANCZOS)
    pixels = np.asarray(small.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.7))), float)
    pixels = pixels + rng.normal(0, 5, (PICTURE, PICTURE, 1)) + rng.normal(0, 2.5, pixels.shape)
    return _image((pixels - 128) * rng.uniform(0.92, 1.08) + 128 + rng.uniform(-8, 8))


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
