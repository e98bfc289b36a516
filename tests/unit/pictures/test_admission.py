"""Which pictures take part: modes, sizes, transparency, orientation, damage, bombs."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from laionet_assets.pictures.admission import MAX_PIXELS, admit, decodes_alike

SIZE = (16, 12)
WHITE, RED, GREY = (255, 255, 255), (200, 30, 10), (90, 90, 90)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def centre(image: Image.Image) -> tuple[int, int, int]:
    return image.getpixel((image.width // 2, image.height // 2))


def half_transparent(mode: str) -> Image.Image:
    """Left half opaque, right half wholly transparent over black."""
    image = Image.new("RGBA", SIZE, (0, 0, 0, 0))
    image.paste((*RED, 255) if mode == "RGBA" else (90, 90, 90, 255), (0, 0, 8, 12))
    return image.convert(mode)


def png(width: int, height: int, idat: bytes, depth: int = 8, colour: int = 0) -> bytes:
    """A PNG put together by hand: whatever the header claims."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", idat) + chunk(b"IEND", b"")


MODES = {
    "rgb jpeg": (encode(Image.new("RGB", SIZE, RED), "JPEG"), "RGB", ()),
    "rgb png": (encode(Image.new("RGB", SIZE, RED), "PNG"), "RGB", ()),
    "grey jpeg": (encode(Image.new("L", SIZE, 90), "JPEG"), "L", ("grey",)),
    "bilevel png": (encode(Image.new("1", SIZE, 1), "PNG"), "1", ("grey",)),
    "cmyk jpeg": (encode(Image.new("CMYK", SIZE, (0, 255, 255, 0)), "JPEG"), "CMYK", ("cmyk",)),
    "palette gif": (encode(Image.new("RGB", SIZE, RED).quantize(4), "GIF"), "P", ("palette",)),
    "palette png with transparency": (
        encode(half_transparent("RGBA").quantize(4), "PNG"),
        "P",
        ("palette", "alpha_on_white"),
    ),
    "rgba png": (encode(half_transparent("RGBA"), "PNG"), "RGBA", ("alpha_on_white",)),
    "rgba webp": (encode(half_transparent("RGBA"), "WEBP", lossless=True), "RGBA", ("alpha_on_white",)),
    "grey and alpha png": (encode(half_transparent("LA"), "PNG"), "LA", ("grey", "alpha_on_white")),
    "16-bit grey png": (
        encode(Image.fromarray(np.full((12, 16), 90 * 256 + 7, np.uint16)), "PNG"),
        "I;16",
        ("sixteen_bit",),
    ),
    "16-bit grey tiff": (
        encode(Image.fromarray(np.full((12, 16), 90 * 256 + 7, np.uint16)), "TIFF"),
        "I;16",
        ("sixteen_bit",),
    ),
    "rgb png with a transparent colour": (
        encode(Image.new("RGB", SIZE, RED), "PNG", transparency=RED),
        "RGB",
        ("alpha_on_white",),
    ),
}


@pytest.mark.parametrize("name", MODES)
def test_paper_takes_rgb_and_nothing_else(name: str) -> None:
    data, mode, _ = MODES[name]
    found = admit(data, "paper")
    assert (found.mode, found.width, found.height, found.conversions) == (mode, *SIZE, ())
    if mode == "RGB":
        assert found.is_admitted and found.reason is None and found.image.mode == "RGB"
    else:
        assert not found.is_admitted and found.reason == "not_rgb"


@pytest.mark.parametrize("name", MODES)
def test_corrected_converts_and_says_how(name: str) -> None:
    data, mode, conversions = MODES[name]
    found = admit(data, "corrected")
    assert found.reason is None and found.image.mode == "RGB" and found.image.size == SIZE
    assert (found.mode, found.conversions) == (mode, conversions)


@pytest.mark.parametrize(
    ("name", "left", "right"),
    [
        ("grey jpeg", GREY, GREY),
        ("bilevel png", WHITE, WHITE),
        ("palette gif", RED, RED),
        ("palette png with transparency", RED, WHITE),
        ("rgba png", RED, WHITE),
        ("rgba webp", RED, WHITE),
        ("grey and alpha png", GREY, WHITE),
        ("16-bit grey png", GREY, GREY),
        ("16-bit grey tiff", GREY, GREY),
        ("rgb png with a transparent colour", WHITE, WHITE),
        ("cmyk jpeg", (255, 0, 0), (255, 0, 0)),
    ],
)
def test_the_colours_are_those_a_browser_shows(name: str, left: tuple, right: tuple) -> None:
    image = admit(MODES[name][0], "corrected").image
    assert np.abs(np.subtract(image.getpixel((3, 6)), left)).max() <= 3
    assert np.abs(np.subtract(image.getpixel((12, 6)), right)).max() <= 3


def test_the_rest_of_the_modes_have_no_defined_white() -> None:
    for mode, kind in (("F", "TIFF"), ("I", "TIFF"), ("LAB", "TIFF")):
        found = admit(encode(Image.new(mode, SIZE), kind), "corrected")
        assert (found.reason, found.mode, found.image) == ("not_rgb", mode, None)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_only_corrected_applies_the_orientation_of_exif(orientation: int) -> None:
    pixels = np.zeros((12, 16, 3), np.uint8)
    pixels[:4, :4] = RED
    upright = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(upright, "PNG", exif=exif)
    paper, corrected = admit(data, "paper"), admit(data, "corrected")
    assert np.array_equal(paper.image, pixels) and paper.conversions == ()
    assert np.array_equal(corrected.image, ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert corrected.conversions == (() if orientation == 1 else ("exif_orientation",))
    assert (corrected.width, corrected.height) == (16, 12), "as stored"


@pytest.mark.parametrize(
    ("size", "is_admitted"), [((10, 10), True), ((100, 1), True), ((9, 11), False), ((99, 1), False)]
)
def test_the_limit_is_an_area(size: tuple[int, int], is_admitted: bool) -> None:
    data = encode(Image.new("RGB", size, RED), "PNG")
    for profile in ("paper", "corrected"):
        found = admit(data, profile)
        assert found.is_admitted is is_admitted
        assert found.reason == (None if is_admitted else "too_small")
    assert admit(data, "paper", min_pixels=1).is_admitted


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF"])
def test_a_truncated_file_is_a_decode_error_though_it_opens(kind: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 80, 3), np.uint8))
    data = encode(noise.convert("P") if kind == "GIF" else noise, kind)
    found = admit(data[: len(data) // 2], "corrected")
    assert found.reason == "decode" and found.image is None and found.detail


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>not found</html>",
        b"\xff\xd8\xff",
        b"GIF89a",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\n",
    ],
)
def test_what_is_no_picture_is_a_decode_error(data: bytes) -> None:
    found = admit(data, "paper")
    assert (found.reason, found.mode, found.width) == ("decode", None, None) and found.detail


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("side", [9_460, 12_000, 30_000, 60_000])
def test_bombs_are_refused_by_their_header(side: int) -> None:
    assert side * side > MAX_PIXELS
    data = png(side, side, zlib.compress(bytes(1_000_000), 9))
    for profile in ("paper", "corrected"):
        found = admit(data, profile)
        assert found.reason == "too_many_pixels" and found.image is None


def test_the_first_frame_of_an_animation_counts() -> None:
    frames = [Image.new("RGB", SIZE, RED), Image.new("RGB", SIZE, (0, 200, 0))]
    data = encode(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    found = admit(data, "paper")
    assert found.mode == "RGB" and found.image.getpixel((5, 5)) == RED


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(Image.new("RGB", SIZE, RED), "JPEG", exif=exif)


PLAIN = MODES["rgb jpeg"][0]


def without_segment(data: bytes, marker: bytes) -> bytes:
    """A JPEG file without its first segment of this kind."""
    start = data.index(marker)
    return data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4], "big") :]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (PLAIN, SIZE),
        (encode(Image.new("RGB", SIZE, RED), "JPEG", progressive=True, subsampling=0), SIZE),
        (turned(1), SIZE),
        (encode(Image.new("RGB", (10, 10)), "JPEG"), (10, 10)),
        *((turned(orientation), None) for orientation in range(2, 9)),
        *((data, None) for name, (data, _, _) in MODES.items() if name != "rgb jpeg"),
        (encode(Image.new("RGB", SIZE, RED), "JPEG", keep_rgb=True), None),
        (without_segment(encode(Image.new("RGB", SIZE, RED), "JPEG", keep_rgb=True), b"\xff\xee"), None),
        (PLAIN[:-2], None),
        (PLAIN[:-40], None),
        (PLAIN + b"more", None),
        (PLAIN[:20] + b"\xff\xd9", None),
        (encode(Image.new("RGB", (5, 501)), "JPEG"), None),
        (encode(Image.new("RGB", (101, 100)), "JPEG"), None),
        (b"", None),
        (b"\xff\xd8\xff\xd9", None),
    ],
)
def test_files_that_any_decoder_shows_alike(data: bytes, expected: tuple[int, int] | None) -> None:
    assert decodes_alike(data, max_pixels=10_000) == expected
    if expected is not None:
        found = admit(data, "corrected", min_pixels=1)
        assert (found.mode, found.width, found.height, found.conversions) == ("RGB", *expected, ())
        assert found.image is not None and found.image.size == expected
