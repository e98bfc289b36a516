"""Bytes to pictures that a model can read: every way in which a file can be wrong becomes one short reason."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 100_000_000
MAX_ASPECT_RATIO = 100.0
"""Beyond it, scaling the short side to a model's input makes a picture of many millions of pixels."""


class UnreadablePicture(ValueError):
    """The bytes are no picture that can be used. The message is the reason, for a column."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture: `image` is RGB, `mode` is the mode of the file as Pillow names it (`L`, `CMYK`, `P` ...)."""

    image: "Image"
    mode: str


def read_picture(content: bytes | Path, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode a whole picture, or the first of an animation, from bytes or a file.

    The orientation tag of cameras is not applied, as in ImageNet's own evaluation. Raises UnreadablePicture if the
    file cannot be read or is no picture, is cut off or broken, or has too many pixels or too long a side; the size is
    checked before pixels are decoded.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(content if isinstance(content, Path) else BytesIO(content)) as image:
            _check_size(*image.size, max_pixels=max_pixels)
            image.load()
            return Picture(to_rgb(image), image.mode)
    except UnreadablePicture:
        raise
    except UnidentifiedImageError:
        raise UnreadablePicture("not a picture of a known format") from None
    except Exception as error:  # Pillow's decoders raise whatever their format's broken bytes lead to
        reason = (str(error).strip().splitlines() or [""])[0]
        raise UnreadablePicture(f"{type(error).__name__}: {reason}" if reason else type(error).__name__) from error


def to_rgb(image: "Image") -> "Image":
    """The picture in RGB: on white where it is transparent, as a browser shows it; 16-bit grey scaled to 8 bits."""
    from PIL import Image

    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), rgba).convert("RGB")
    if image.mode.startswith("I;16"):
        import numpy as np

        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _check_size(width: int, height: int, *, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise UnreadablePicture(f"too large: {width} x {height} pixels, at most {max_pixels:,} are decoded")
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise UnreadablePicture(f"too narrow: {width} x {height} pixels, at most {MAX_ASPECT_RATIO:g} to 1")
