"""Bytes to pictures that a model can read: every way in which a file can be wrong becomes one short reason.

Decoding is that of `admission`; here is what models add to it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from laionet_assets.pictures.admission import MAX_ASPECT_RATIO, MAX_PIXELS, Profiles, admit

if TYPE_CHECKING:
    from PIL.Image import Image

Content = bytes | Path | Callable[[], bytes]
"""The bytes of a picture, the file that has them, or what gives them."""


class UnreadablePicture(ValueError):
    """The bytes are no picture that can be used. The message is the reason, for a column."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture. `image` is RGB, as the profile `corrected` shows it: upright, on white where transparent.

    `as_stored` is the picture without that, as the profile `paper` takes it, where that is RGB and looks otherwise.
    `mode` (as Pillow names it: `L`, `CMYK`, `P` ...), `width` and `height` are those of the file.
    """

    image: "Image"
    mode: str
    width: int
    height: int
    as_stored: "Image | None" = None

    @property
    def looks(self) -> "list[tuple[Profiles, Image]]":
        """Every way in which it looks, one or two: which profiles see it so, and the RGB picture.

        Where the mode is not RGB, only `corrected` sees it.
        """
        if self.as_stored is not None:
            return [("paper", self.as_stored), ("corrected", self.image)]
        return [("both" if self.mode == "RGB" else "corrected", self.image)]


def read_picture(content: Content, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode a whole picture, or the first of an animation.

    Raises UnreadablePicture if the file cannot be read or is no picture, is cut off or broken, has no meaning as RGB,
    or has too many pixels (checked before they are decoded) or too long a side. What `content` raises passes, if it
    is called.
    """
    found = admit(bytes_of(content), "corrected", min_pixels=1, max_pixels=max_pixels)
    if found.image is None or found.mode is None or found.width is None or found.height is None:
        raise UnreadablePicture(f"{found.reason}: {found.detail}")
    if max(found.image.size) > MAX_ASPECT_RATIO * min(found.image.size):
        size = f"{found.width} x {found.height} pixels"
        raise UnreadablePicture(f"too_narrow: {size}, at most {MAX_ASPECT_RATIO:g} to 1 are scaled")
    as_stored = found.as_stored if found.conversions else None
    return Picture(found.image, found.mode, found.width, found.height, as_stored)


def bytes_of(content: Content) -> bytes:
    """The bytes of a picture. Raises UnreadablePicture if its file cannot be read; what `content` raises passes."""
    if isinstance(content, Path):
        try:
            return content.read_bytes()
        except OSError as error:
            raise UnreadablePicture(f"{type(error).__name__}: {error}") from error
    return content if isinstance(content, bytes) else content()
