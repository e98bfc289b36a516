"""Pictures as files: mostly JPEG of some quality, a few in the modes and formats that surprise readers.

Grey, CMYK and progressive JPEG, palette and transparent PNG, GIF, WebP, and pictures of a few pixels.
"""

import io

from PIL import Image, ImageDraw, ImageOps

from laionet_assets.sample.dice import Dice
from laionet_assets.sample.drawings.canvas import Rng
from laionet_assets.sample.web_pictures.paper import weighted

FORMATS = {
    "jpeg": 0.84,
    "progressive": 0.05,
    "grey": 0.025,
    "cmyk": 0.01,
    "webp": 0.03,
    "palette": 0.02,
    "alpha": 0.015,
    "gif": 0.01,
}
TINY_SHARE = 0.006


def is_tiny(style: str, seed: int) -> bool:
    """Whether a picture has fewer than 100 pixels in all, as spacers and counters have; curated and typical ones never
    do.
    """
    return style not in ("curated", "typical") and Dice("tiny picture", seed).chance(TINY_SHARE)


def tiny(seed: int) -> bytes:
    """A GIF or PNG of 1 to 81 pixels."""
    dice = Dice("tiny picture", seed, "drawn")
    side = dice.pick((1, 1, 2, 8, 9))
    image = Image.new("P", (side, side), dice.below(256))
    return _saved(image, dice.pick(("GIF", "PNG")))


def encoded(rng: Rng, image: Image.Image) -> bytes:
    """An RGB picture as a file."""
    quality = int(rng.integers(62, 91))
    match weighted(rng, FORMATS):
        case "jpeg":
            return _saved(image, "JPEG", quality=quality)
        case "progressive":
            return _saved(image, "JPEG", quality=quality, progressive=True)
        case "grey":
            return _saved(image.convert("L"), "JPEG", quality=quality)
        case "cmyk":
            return _saved(image.convert("CMYK"), "JPEG", quality=quality)
        case "webp":
            return _saved(image, "WEBP", quality=quality, method=2)
        case "palette":
            return _saved(image.quantize(48, dither=Image.Dither.NONE), "PNG")
        case "gif":
            return _saved(image.quantize(64, dither=Image.Dither.NONE), "GIF")
        case _:
            return _saved(_with_alpha(image), "PNG")


def curated_file(image: Image.Image) -> bytes:
    """A picture of the reference set as a file: RGB JPEG of quality 88."""
    return _saved(image, "JPEG", quality=88)


def _with_alpha(image: Image.Image) -> Image.Image:
    """RGBA with round transparent corners, in few colours so that the file stays small."""
    image = ImageOps.posterize(image, 4)
    alpha = Image.new("L", image.size)
    ImageDraw.Draw(alpha).rounded_rectangle([0, 0, image.width - 1, image.height - 1], 40, fill=255)
    image.putalpha(alpha)
    return image


def _saved(image: Image.Image, file_format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()
