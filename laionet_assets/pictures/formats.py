"""The one list of formats that are read, and the one way in which a file of each is opened.

Belongs here: what the first bytes say, the decoder of each format, and what damaged metadata must not spoil. Does not
belong here: whether a picture is within limits, and what becomes of its pixels.

The bytes choose among these formats and no others: Pillow knows more, some of which start programs (EPS) or are shown
by no browser.
"""

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

T = TypeVar("T")


@dataclass(frozen=True)
class Format:
    """A format that is read: how its files are called, which class of Pillow decodes them, and how they begin.

    The first of `endings` is that of the files that are written here.
    """

    media_type: str
    endings: tuple[str, ...]
    decoder: str
    begins: Callable[[bytes], object]


def _matches(pattern: bytes) -> Callable[[bytes], object]:
    return re.compile(pattern, re.DOTALL).match


def _is_avif(head: bytes) -> bool:
    """An ISO media file that names AVIF as its brand or among its compatible brands (AV1 Image File Format, 6)."""
    if head[4:8] != b"ftyp":
        return False
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, end, 4))]
    return not {b"avif", b"avis"}.isdisjoint(brands)


_DIB = rb"[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0"
"""The size of the header of a device-independent bitmap, of any version of the format."""

FORMATS = (
    Format("image/jpeg", ("jpg", "jpeg", "jpe", "jfif"), "JpegImagePlugin.JpegImageFile", _matches(rb"\xff\xd8\xff")),
    Format("image/png", ("png",), "PngImagePlugin.PngImageFile", _matches(rb"\x89PNG\r\n\x1a\n")),
    Format("image/gif", ("gif",), "GifImagePlugin.GifImageFile", _matches(rb"GIF8[79]a")),
    Format("image/webp", ("webp",), "WebPImagePlugin.WebPImageFile", _matches(rb"RIFF.{4}WEBP")),
    Format("image/avif", ("avif",), "AvifImagePlugin.AvifImageFile", _is_avif),
    Format("image/tiff", ("tiff", "tif"), "TiffImagePlugin.TiffImageFile", _matches(rb"(II|MM)(\0[*+]|[*+]\0)")),
    Format("image/bmp", ("bmp",), "BmpImagePlugin.BmpImageFile", _matches(rb"BM.{12}" + _DIB)),
    Format("image/bmp", ("dib",), "BmpImagePlugin.DibImageFile", _matches(_DIB)),
    Format(
        "image/jp2",
        ("jp2", "j2k", "jpx"),
        "Jpeg2KImagePlugin.Jpeg2KImageFile",
        _matches(rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n"),
    ),
    Format(
        "image/x-portable-anymap",
        ("pnm", "ppm", "pgm", "pbm"),
        "PpmImagePlugin.PpmImageFile",
        _matches(rb"P[1-6f][ \t\r\n#]"),
    ),
    Format("image/vnd.microsoft.icon", ("ico",), "IcoImagePlugin.IcoImageFile", _matches(rb"\0\0\x01\0")),
)
ENDINGS = frozenset(ending for each in FORMATS for ending in each.endings)
"""What the name of a picture ends in, in lower case. Whether it is one, decoding says."""

_MARKUP = re.compile(rb"<(?:!doctype\s+)?(\w+)", re.IGNORECASE)
_HEAD_BYTES = 1_024
_PNG_KEPT = frozenset({b"tRNS", b"gAMA", b"cHRM", b"sRGB"})
"""Chunks of a PNG that say how its pixels look, besides those that every reader must know."""


class NotAPicture(ValueError):
    """The bytes begin as no format that is read; `media_type` is what they may be."""

    def __init__(self, media_type: str) -> None:
        super().__init__("not a picture of a known format")
        self.media_type = media_type


def sniff(data: bytes) -> str:
    """Media type by the first bytes; `application/octet-stream` if they say nothing."""
    head = data[:_HEAD_BYTES]
    if (known := _format_of(head)) is not None:
        return known.media_type
    if head[4:8] == b"ftyp":
        return "video/mp4"
    if head.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        return "image/jxl"
    if (markup := _MARKUP.match(_without_prolog(head))) is not None:
        return "image/svg+xml" if markup[1].lower() == b"svg" else "text/html"
    if head and not any(byte < 9 or 13 < byte < 32 for byte in head):
        return "text/plain"
    return "application/octet-stream"


def is_read(media_type: str) -> bool:
    """Whether files of a media type are read here."""
    return any(each.media_type == media_type for each in FORMATS)


def extension_of(media_type: str) -> str:
    """The ending of a file of a media type that is read: `image/jpeg` is jpg. Raises KeyError for another."""
    return {each.media_type: each.endings[0] for each in reversed(FORMATS)}[media_type]


def with_picture(data: bytes, work: "Callable[[ImageFile], T]") -> T:
    """What `work` makes of the opened picture.

    Damaged metadata are no damage of the picture: where a PNG cannot be read, it is tried without them, and `work`
    called again. Raises NotAPicture, and whatever the decoder or `work` raise.
    """
    known = _format_of(data[:_HEAD_BYTES])
    if known is None:
        raise NotAPicture(sniff(data))
    decoder = _decoder(known.decoder)
    try:
        return work(decoder(BytesIO(data)))
    except Exception:
        if known.media_type != "image/png" or (bare := _without_metadata(data)) == data:
            raise
    return work(decoder(BytesIO(bare)))


def _format_of(head: bytes) -> Format | None:
    return next((each for each in FORMATS if each.begins(head)), None)


@cache
def _decoder(path: str) -> "Callable[[BytesIO], ImageFile]":
    module, _, name = path.partition(".")
    return getattr(import_module(f"PIL.{module}"), name)


def _without_metadata(png: bytes) -> bytes:
    """A PNG without the chunks that its pixels do not need; EXIF stays if it is whole, for the orientation."""
    kept, at = [png[:8]], 8
    while at + 12 <= len(png):
        size_bytes = int.from_bytes(png[at : at + 4], "big")
        chunk = png[at : at + 12 + size_bytes]
        kind = chunk[4:8]
        is_whole = zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")
        if kind[:1].isupper() or (is_whole and (kind in _PNG_KEPT or kind == b"eXIf")):
            kept.append(chunk)
        at += len(chunk)
    return b"".join([*kept, png[at:]])


def _without_prolog(head: bytes) -> bytes:
    """Markup from its doctype or first element on: without byte order mark, XML declaration and comments."""
    head = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    while head.startswith((b"<?", b"<!--")):
        head = head.partition(b"-->" if head.startswith(b"<!--") else b"?>")[2].lstrip()
    return head
