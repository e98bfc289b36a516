"""Bytes to RGB pictures, and one reason for every way in which they can be wrong."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from laionet_assets.predictors.pictures import UnreadablePicture, read_picture, to_rgb


def noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, kind: str = "JPEG") -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def test_a_jpeg_is_decoded_as_pillow_decodes_it(tmp_path: Path) -> None:
    content = encoded(noise(40, 30))
    file = tmp_path / "a.jpg"
    file.write_bytes(content)
    expected = np.asarray(Image.open(BytesIO(content)))
    for source in (content, file):
        picture = read_picture(source)
        assert picture.mode == picture.image.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(picture.image), expected)


@pytest.mark.parametrize(
    ("mode", "kind"), [("L", "JPEG"), ("CMYK", "JPEG"), ("P", "GIF"), ("1", "PNG"), ("LA", "PNG"), ("RGBA", "PNG")]
)
def test_every_mode_becomes_rgb_and_is_remembered(mode: str, kind: str) -> None:
    picture = read_picture(encoded(noise(40, 30).convert(mode), kind))
    assert picture.mode == mode
    assert picture.image.mode == "RGB"
    assert picture.image.size == (40, 30)


def test_transparent_is_white() -> None:
    image = Image.new("RGBA", (4, 2), (255, 0, 0, 0))
    image.putpixel((0, 0), (0, 0, 255, 255))
    rgb = to_rgb(image)
    assert rgb.getpixel((0, 0)) == (0, 0, 255)
    assert rgb.getpixel((1, 1)) == (255, 255, 255)


def test_sixteen_bit_grey_keeps_its_shades() -> None:
    shades = np.array([[0, 0x4000, 0x8000, 0xFFFF]], dtype=np.uint16)
    picture = read_picture(encoded(Image.fromarray(shades), "PNG"))
    assert picture.mode.startswith("I;16")
    assert [picture.image.getpixel((x, 0))[0] for x in range(4)] == [0, 0x40, 0x80, 0xFF]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda content: content[: len(content) // 2], "truncated"),
        (lambda content: b"", "not a picture of a known format"),
        (lambda content: b"<html>404</html>", "not a picture of a known format"),
        (lambda content: b"\xff\xd8\xff" + b"\0" * 50, "not a picture of a known format"),
    ],
)
def test_broken_bytes_are_unreadable(spoil: Callable[[bytes], bytes], reason: str) -> None:
    with pytest.raises(UnreadablePicture, match=reason):
        read_picture(spoil(encoded(noise(400, 300))))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnreadablePicture, match=r"FileNotFoundError.*none.jpg"):
        read_picture(tmp_path / "none.jpg")


def test_sizes_are_checked_before_pixels_are_decoded() -> None:
    header_only = encoded(Image.new("L", (5000, 5000)), "PNG")[:60]
    with pytest.raises(UnreadablePicture, match=r"too large: 5000 x 5000 pixels, at most 1,000,000"):
        read_picture(header_only, max_pixels=1_000_000)
    with pytest.raises(UnreadablePicture, match="too narrow: 1 x 5000"):
        read_picture(encoded(Image.new("L", (1, 5000)), "PNG"))


def test_the_same_broken_bytes_give_the_same_reason() -> None:
    reasons = set()
    for _ in range(2):
        with pytest.raises(UnreadablePicture) as error:
            read_picture(b"nothing")
        reasons.add(str(error.value))
    assert len(reasons) == 1
