"""Which pictures take part, and as what: bytes in, an RGB image or a reason out. The one place where pictures are
decoded for models and text recognisers, so that what takes part is what is predicted.

Belongs here: what the two profiles make of a picture. Does not belong here: which formats are read (`formats`), and
resizing and normalising (a model's own business).

* `paper`: mode exactly RGB as Pillow opens it, width x height of at least 100 pixels. Nothing is converted, EXIF
  orientation is ignored. The study only ran Pillow's `verify`; here the picture is decoded, because a truncated file
  passes `verify` and failed a whole batch later (docs/method.md, 7 and D14).
* `corrected`: every mode that has a defined meaning as RGB is converted, the orientation that EXIF asks for is applied
  (the picture is seen the way a browser shows it), and each conversion is named.

Of an animation, both take the first frame. A picture of more than `max_pixels` is refused by its header, before its
pixels are decoded.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from laionet_assets.pictures.formats import NotAPicture, sniff, with_picture

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageFile import ImageFile

Profile = Literal["paper", "corrected"]
PROFILES: tuple[Profile, ...] = ("paper", "corrected")
Profiles = Literal["both", "paper", "corrected"]
"""The profiles under which a picture looks so."""
Reason = Literal["not_rgb", "too_small", "too_many_pixels", "decode"]

MIN_PIXELS = 100
MAX_PIXELS = 89_478_485
"""Pillow's own limit: 256 MiB of 24-bit pixels."""
MAX_ASPECT_RATIO = 100.0
"""Beyond it no model sees a picture: scaling the short side to its input makes many millions of pixels."""

_JPEG_BEGINS, _JPEG_ENDS = b"\xff\xd8\xff", b"\xff\xd9"
_ORIENTATION = 0x0112
_XMP = ("XML:com.adobe.xmp", "xmp")
"""Where Pillow keeps XMP, of which its `getexif` takes an orientation that browsers do not look at."""
_PLAIN = {"1": "grey", "L": "grey", "CMYK": "cmyk", "YCbCr": "ycbcr", "HSV": "hsv", "RGBX": "rgbx", "P": "palette"}
_WITH_ALPHA = {"LA": "grey", "PA": "palette", "RGBA": None, "RGBa": None}


@dataclass(frozen=True)
class Admission:
    """What became of one picture: an image in mode RGB, wholly decoded, or the reason why not."""

    image: "Image.Image | None"
    reason: Reason | None
    mode: str | None
    """Pillow's mode of the file as stored; None if it could not be opened."""
    width: int | None
    """In pixels, as stored."""
    height: int | None
    conversions: tuple[str, ...] = ()
    """What `corrected` did: grey, palette, cmyk, ycbcr, hsv, rgbx, sixteen_bit, alpha_on_white, exif_orientation."""
    detail: str | None = None
    """A message for a person: the decoder's, or what the limit is. The same bytes give the same."""
    as_stored: "Image.Image | None" = None
    """The picture as `paper` sees it; None where `paper` does not take its mode."""

    @property
    def is_admitted(self) -> bool:
        return self.image is not None


def admit(data: bytes, profile: Profile, *, min_pixels: int = MIN_PIXELS, max_pixels: int = MAX_PIXELS) -> Admission:
    """Decode a picture under a profile. Never raises for what the bytes are.

    `not_rgb` is a mode that the profile does not take: under `corrected`, one without a defined white (32-bit integer
    and floating-point pixels, Lab). `too_small` is fewer than `min_pixels` pixels in all, not a side.
    """
    seen: dict[str, Any] = {"mode": None, "width": None, "height": None}

    def look(image: "ImageFile") -> Admission:
        mode, (width, height) = image.mode, image.size
        seen.update(mode=mode, width=width, height=height)
        refusal = _refusal(mode, width * height, profile, min_pixels=min_pixels, max_pixels=max_pixels)
        if refusal is not None:
            limit = {
                "too_many_pixels": f"{width} x {height} pixels, at most {max_pixels:,} are decoded",
                "too_small": f"{width} x {height} pixels, expected at least {min_pixels:,} in all",
                "not_rgb": f"mode {mode}" + ("" if profile == "paper" else " has no defined white"),
            }
            return Admission(None, refusal, **seen, detail=limit[refusal])
        image.load()
        as_stored = image if mode == "RGB" else None
        admitted, conversions = to_rgb(image) if profile == "corrected" else (image, ())
        return Admission(admitted, None, **seen, conversions=conversions, as_stored=as_stored)

    try:
        return with_picture(data, look)
    except NotAPicture as error:
        return Admission(None, "decode", **seen, detail=str(error))
    except Exception as error:  # whatever a decoder raises over bytes from the web concerns this picture alone
        detail = _first_line(error)
        if seen["mode"] is None:
            detail = f"begins as {sniff(data)}, but does not open: {detail}"
        return Admission(None, "decode", **seen, detail=detail)


def decodes_alike(data: bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int] | None:
    """Width and height of a file that any decoder shows as `admit` does, under both profiles and up to rounding.

    That is a JPEG of three colours, upright, whole to its last byte, and within the limits. None for other files.
    """
    if not data.startswith(_JPEG_BEGINS) or not data.endswith(_JPEG_ENDS):
        return None

    def look(image: "ImageFile") -> tuple[int, int] | None:
        width, height = image.size
        is_within = width * height <= max_pixels and max(width, height) <= MAX_ASPECT_RATIO * min(width, height)
        components = [layer[0] for layer in getattr(image, "layer", ())]  # named R, G, B they are no YCbCr for libjpeg
        is_plain = image.mode == "RGB" and image.info.get("adobe_transform") != 0 and components != [*b"RGB"]
        return (width, height) if is_within and is_plain and _orientation(image) not in range(2, 9) else None

    try:
        return with_picture(data, look)
    except Exception:  # whatever is wrong with it, the exact way finds words for it
        return None


def _refusal(
    mode: str, pixels: int, profile: Profile, *, min_pixels: int, max_pixels: int
) -> Literal["too_many_pixels", "not_rgb", "too_small"] | None:
    """Why a profile does not take a picture of this mode and area, known before its pixels are."""
    if pixels > max_pixels:
        return "too_many_pixels"
    if mode != "RGB" and (profile == "paper" or not _is_convertible(mode)):
        return "not_rgb"
    return "too_small" if pixels < min_pixels else None


def _is_convertible(mode: str) -> bool:
    return mode in _PLAIN or mode in _WITH_ALPHA or mode.startswith("I;16")


def to_rgb(image: "Image.Image") -> "tuple[Image.Image, tuple[str, ...]]":
    """Convert a decoded picture as `corrected` does, and say how; one that needs nothing is returned itself."""
    conversions: list[str] = []
    orientation = _orientation(image)
    if image.mode.startswith("I;16"):
        conversions.append("sixteen_bit")
        image = _high_byte(image)
    elif image.mode != "RGB":
        conversions += filter(None, [_PLAIN.get(image.mode) or _WITH_ALPHA.get(image.mode)])
    if image.has_transparency_data:
        conversions.append("alpha_on_white")
        image = _on_white(image)
    elif image.mode != "RGB":
        image = image.convert("RGB")
    if orientation in range(2, 9):
        conversions.append("exif_orientation")
        image = image.transpose(_transposition(orientation))  # type: ignore[arg-type]  # it is one of 2 to 8
        image.info.pop("exif", None)  # it would ask for another turn
    return image, tuple(conversions)


def _orientation(image: "Image.Image") -> int | None:
    """What EXIF alone says; None where it says nothing or is damaged."""
    info = image.info
    image.info = {key: value for key, value in info.items() if key not in _XMP}
    try:
        return image.getexif().get(_ORIENTATION)
    except Exception:  # damaged metadata are no damage of the picture
        return None
    finally:
        image.info = info


def _high_byte(image: "Image.Image") -> "Image.Image":
    """16-bit grey as 8-bit grey. Pillow's own conversion clips everything above 255 to white in some modes."""
    import numpy as np
    from PIL import Image

    return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))


def _on_white(image: "Image.Image") -> "Image.Image":
    from PIL import Image

    layer = image.convert("RGBA")
    white = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(white, layer).convert("RGB")


def _transposition(orientation: int) -> "Image.Transpose":
    """What undoes an EXIF orientation (TIFF 6.0 tag 274)."""
    from PIL import Image

    step = Image.Transpose
    undo = {
        2: step.FLIP_LEFT_RIGHT,
        3: step.ROTATE_180,
        4: step.FLIP_TOP_BOTTOM,
        5: step.TRANSPOSE,
        6: step.ROTATE_270,
        7: step.TRANSVERSE,
        8: step.ROTATE_90,
    }
    return undo[orientation]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
