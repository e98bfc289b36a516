"""Bytes to RGB pictures, and one reason for every way in which they can be wrong."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from laionet_assets.pictures.admission import admit
from laionet_assets.pictures.reading import UnreadablePicture, read_picture


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


def test_transparent_is_white_where_the_mode_is_corrected_and_both_ways_where_it_is_rgb() -> None:
    image = Image.new("RGBA", (4, 2), (255, 0, 0, 0))
    image.putpixel((0, 0), (0, 0, 255, 255))
    rgba = read_picture(encoded(image, "PNG"))
    assert [(seen, look.getpixel((1, 1))) for seen, look in rgba.looks] == [("corrected", (255, 255, 255))]
    assert rgba.image.getpixel((0, 0)) == (0, 0, 255)
    buffer = BytesIO()
    Image.new("RGB", (4, 2), (255, 0, 0)).save(buffer, "PNG", transparency=(255, 0, 0))
    keyed = read_picture(buffer.getvalue())
    assert [(seen, look.getpixel((1, 1))) for seen, look in keyed.looks] == [
        ("paper", (255, 0, 0)),
        ("corrected", (255, 255, 255)),
    ]


@pytest.mark.parametrize(("orientation", "profiles"), [(None, ["both"]), (1, ["both"]), (6, ["paper", "corrected"])])
def test_what_exif_turns_looks_two_ways(orientation: int | None, profiles: list[str]) -> None:
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    buffer = BytesIO()
    noise(40, 30).save(buffer, "PNG", exif=exif)
    picture = read_picture(buffer.getvalue())
    assert [seen for seen, _ in picture.looks] == profiles
    for seen, look in picture.looks:
        admitted = admit(buffer.getvalue(), "corrected" if seen == "both" else seen)
        np.testing.assert_array_equal(np.asarray(look), np.asarray(admitted.image))
    assert (picture.width, picture.height) == (40, 30)


def test_what_has_no_meaning_as_rgb_is_unreadable() -> None:
    with pytest.raises(UnreadablePicture, match="not_rgb: mode F has no defined white"):
        read_picture(encoded(Image.new("F", (8, 8)), "TIFF"))


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
        (lambda content: b"\xff\xd8\xff" + b"\0" * 50, "begins as image/jpeg, but does not open"),
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
    with pytest.raises(UnreadablePicture, match=r"too_many_pixels: 5000 x 5000 pixels, at most 1,000,000"):
        read_picture(header_only, max_pixels=1_000_000)
    with pytest.raises(UnreadablePicture, match="too_narrow: 1 x 5000"):
        read_picture(encoded(Image.new("L", (1, 5000)), "PNG"))


def test_the_same_broken_bytes_give_the_same_reason() -> None:
    reasons = set()
    for _ in range(2):
        with pytest.raises(UnreadablePicture) as error:
            read_picture(b"nothing")
        reasons.add(str(error.value))
    assert len(reasons) == 1
