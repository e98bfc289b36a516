"""Round things lit from the upper left: soccer ball, ping-pong ball, jack-o'-lantern, gong, candle, computer mouse."""

import itertools
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from laionet_assets.sample.drawings.canvas import (
    BLACK,
    WHITE,
    Rng,
    ball,
    disc,
    gloss,
    layer,
    mix,
    near,
    pick,
    shade,
    solid,
    turned,
)

GOLDEN = (1 + 5**0.5) / 2


def soccer_ball(rng: Rng) -> Image.Image:
    """Dark spots at the corners of an icosahedron, seams halfway between them."""
    signs = list(itertools.product((1, -1), repeat=2))
    corners = [corner for a, b in signs for corner in ((0, a, b * GOLDEN), (a, b * GOLDEN, 0), (b * GOLDEN, 0, a))]
    spots = np.array(corners) / math.hypot(1, GOLDEN)
    normals, mask = ball(220)
    closeness = np.sort(turned(rng, normals) @ spots.T, -1)
    is_spot = closeness[..., -1] > 0.925
    is_seam = (closeness[..., -1] - closeness[..., -2] < 0.02) & ~is_spot
    leather = np.select([is_spot, is_seam], [28.0, 130.0], 240.0)[..., None]
    return solid(leather * shade(normals) + 60 * gloss(normals), mask)


def ping_pong_balls(rng: Rng) -> Image.Image:
    """One to three balls on a bat."""
    image = layer()
    draw = ImageDraw.Draw(image)
    draw.ellipse([90, 60, 480, 460], fill=near(rng, (190, 30, 35), 12), outline=(160, 120, 70), width=8)
    draw.polygon([(400, 380), (450, 340), (590, 520), (540, 570)], fill=(190, 140, 80))
    color = np.array(pick(rng, [(250, 250, 248), (250, 160, 50)]), float)
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.uniform(180, 460, 2)
        shadow = layer()
        disc(ImageDraw.Draw(shadow), x + 14, y + 18, 75, fill=(*BLACK, 110))
        image = Image.alpha_composite(image, shadow.filter(ImageFilter.GaussianBlur(10)))
        normals, mask = ball(75, x, y)
        image = Image.alpha_composite(image, solid(color * shade(normals, 0.6), mask))
    return image


def jack_o_lantern(rng: Rng) -> Image.Image:
    """A ribbed pumpkin with a cut face that glows."""
    normals, mask = ball(235, 320, 345, squash=0.81)
    ribs = np.cos(np.arctan2(normals[..., 0], normals[..., 2] + 0.15) * 9) / 2 + 0.5
    skin = np.array(near(rng, (235, 120, 20), 10)) * (0.62 + 0.38 * ribs)[..., None]
    image = solid(skin * shade(normals, 0.35), mask)
    draw = ImageDraw.Draw(image)
    draw.polygon([(295, 170), (345, 165), (362, 85), (318, 95)], fill=(90, 110, 40))
    brow = rng.uniform(-10, 10)
    teeth = [
        (float(x), 1 - ((x - 320) / 160) ** 2, 22 * (place % 2)) for place, x in enumerate(np.linspace(165, 475, 9))
    ]
    upper = [(x, 395 + 35 * bend + tooth) for x, bend, tooth in teeth]
    lower = [(x, 415 + 75 * bend - tooth) for x, bend, tooth in reversed(teeth)]
    for cut in (
        [(190, 300 + brow), (285, 300), (240, 225)],
        [(355, 300), (450, 300 + brow), (400, 225)],
        [(295, 370), (345, 370), (320, 325)],
        [(150, 375), *upper, (490, 375), *lower],
    ):
        draw.polygon(cut, fill=(255, 215, 90), outline=(120, 50, 5), width=7)
    return image


def gong(rng: Rng) -> Image.Image:
    """A bronze disc with hammered rings, hung in a frame."""
    image = layer()
    draw = ImageDraw.Draw(image)
    frame = pick(rng, [(110, 30, 25), (60, 35, 20)])
    for box in ([50, 60, 80, 600], [560, 60, 590, 600], [30, 60, 610, 92], [20, 590, 110, 612], [530, 590, 620, 612]):
        draw.rectangle(box, fill=frame)
    for top, bottom in ((220, 240), (420, 400)):
        draw.line([(top, 90), (bottom, 190)], fill=(200, 180, 140), width=6)
    normals, mask = ball(185, 320, 340)
    radius = np.hypot(normals[..., 0], normals[..., 1])
    sheen = 0.7 + 0.25 * np.cos(2 * np.arctan2(normals[..., 1], normals[..., 0]) + 1) + 0.12 * np.sin(radius * 70)
    sheen = np.select([radius < 0.25, radius > 0.9], [1.15, 0.6], sheen)
    bronze = np.array(near(rng, (195, 140, 55), 12)) * sheen[..., None]
    return Image.alpha_composite(image, solid(bronze, mask))


def candle(rng: Rng) -> Image.Image:
    """A pillar of wax on a plate, with a flame and its glow."""
    wax = near(rng, pick(rng, [(240, 230, 205), (190, 40, 40), (235, 235, 240)]))
    half, top = int(rng.integers(45, 80)), 570 - int(rng.integers(240, 330))
    body = layer()
    draw = ImageDraw.Draw(body)
    for x in range(-half, half + 1):
        light = 0.6 + 0.4 * math.sqrt(max(0, 1 - ((x + half * 0.3) / (1.4 * half)) ** 2))
        draw.line([(320 + x, top), (320 + x, 570)], fill=mix(BLACK, wax, light))
    draw.ellipse([320 - half, top - 14, 320 + half, top + 14], fill=mix(wax, (255, 255, 200), 0.5))
    draw.line([(320, top - 2), (322, top - 34)], fill=(30, 20, 15), width=5)
    draw.ellipse([270 - half, 556, 370 + half, 596], fill=(150, 120, 70))
    draw.rectangle([320 - half, 540, 320 + half, 572], fill=mix(wax, BLACK, 0.25))
    glow, flame = layer(), layer()
    ImageDraw.Draw(glow).ellipse([180, top - 260, 460, top + 60], fill=(255, 190, 80, 150))
    outline = [(0, -150), (22, -80), (26, -45), (12, -18), (-12, -18), (-26, -45), (-20, -85)]
    draw = ImageDraw.Draw(flame)
    draw.polygon([(320 + x, top + y) for x, y in outline], fill=(255, 170, 40))
    draw.ellipse([306, top - 80, 334, top - 20], fill=(255, 245, 190))
    image = Image.alpha_composite(glow.filter(ImageFilter.GaussianBlur(45)), body)
    return Image.alpha_composite(image, flame.filter(ImageFilter.GaussianBlur(4)))


def computer_mouse(rng: Rng) -> Image.Image:
    """Seen from above: two buttons, a wheel, a cable and a soft highlight."""
    image = layer()
    draw = ImageDraw.Draw(image)
    shell = pick(rng, [(40, 40, 44), (230, 230, 228), (150, 152, 156)])
    edge = mix(shell, BLACK, 0.5)
    draw.line([(320, 70), (330, 20), (300, -10)], fill=(50, 50, 50), width=12)
    draw.ellipse([185, 60, 455, 600], fill=shell, outline=edge, width=5)
    draw.arc([185, 60, 455, 480], 0, 180, fill=edge, width=4)
    draw.line([(320, 64), (320, 300)], fill=edge, width=5)
    draw.rounded_rectangle([298, 130, 342, 230], 20, fill=mix(shell, BLACK, 0.7))
    draw.rounded_rectangle([304, 145, 336, 215], 14, fill=(120, 120, 120))
    highlight = layer()
    ImageDraw.Draw(highlight).ellipse([220, 360, 330, 540], fill=(*WHITE, 60))
    return Image.alpha_composite(image, highlight.filter(ImageFilter.GaussianBlur(20)))
