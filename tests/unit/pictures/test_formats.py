"""The one list of formats: what the bytes say, and that every way of reading a picture agrees on it."""

import io
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from laionet_assets.images.sets.items import is_picture
from laionet_assets.pictures.admission import admit
from laionet_assets.pictures.formats import ENDINGS, FORMATS, extension_of, is_read
from laionet_assets.pictures.inspection import inspect
from laionet_assets.pictures.reading import read_picture


def photo(size: tuple[int, int] = (160, 120)) -> Image.Image:
    coarse = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8))
    return coarse.resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


AVIF, BMP = encoded(photo(), "AVIF"), encoded(photo(), "BMP")
ISO_BRANDS = struct.pack(">I", 24) + b"ftypmif1" + bytes(4)
PICTURES = {
    "jpeg": (encoded(photo(), "JPEG"), "image/jpeg"),
    "several pictures in a jpeg": (encoded(photo(), "MPO", save_all=True, append_images=[photo()]), "image/jpeg"),
    "png": (encoded(photo(), "PNG"), "image/png"),
    "gif": (encoded(photo(), "GIF"), "image/gif"),
    "webp": (encoded(photo(), "WEBP"), "image/webp"),
    "avif": (AVIF, "image/avif"),
    "avif, major brand mif1": (AVIF[:8] + b"mif1" + AVIF[12:], "image/avif"),
    "avif, major brand msf1": (AVIF[:8] + b"msf1" + AVIF[12:], "image/avif"),
    "tiff": (encoded(photo(), "TIFF"), "image/tiff"),
    "big tiff": (encoded(photo(), "TIFF", big_tiff=True), "image/tiff"),
    "bmp": (BMP, "image/bmp"),
    "bmp, reserved bytes used": (BMP[:6] + b"\1\2\3\4" + BMP[10:], "image/bmp"),
    "dib": (BMP[14:], "image/bmp"),
    "jpeg 2000": (encoded(photo(), "JPEG2000"), "image/jp2"),
    "jpeg 2000 codestream": (encoded(photo(), "JPEG2000", no_jp2=True), "image/jp2"),
    "ppm": (encoded(photo(), "PPM"), "image/x-portable-anymap"),
    "pgm": (encoded(photo().convert("L"), "PPM"), "image/x-portable-anymap"),
    "pbm": (encoded(photo().convert("1"), "PPM"), "image/x-portable-anymap"),
    "ico": (encoded(photo((64, 64)), "ICO"), "image/vnd.microsoft.icon"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_every_way_of_reading_takes_it(name: str) -> None:
    """What a local set takes, the web takes too, and models see it."""
    data, media_type = PICTURES[name]
    found = inspect(data, min_pixels=100, max_pixels=10**7)
    admitted = admit(data, "corrected")
    assert (found.error, found.mime_type) == (None, media_type)
    assert admitted.is_admitted
    assert (found.width, found.height, found.mode) == (admitted.width, admitted.height, admitted.mode)
    assert read_picture(data).image.size == admitted.image.size
    assert is_read(media_type)


def test_every_format_is_tried() -> None:
    assert {media_type for _, media_type in PICTURES.values()} == {each.media_type for each in FORMATS}


@pytest.mark.parametrize("name", PICTURES)
def test_pillow_reads_the_same_pixels_by_itself(name: str) -> None:
    data, _ = PICTURES[name]
    assert admit(data, "corrected").image.tobytes() == Image.open(io.BytesIO(data)).convert("RGB").tobytes()


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (b"", "application/octet-stream"),
        (b"\0\1\2\3", "application/octet-stream"),
        (b"hello", "text/plain"),
        (b"BMW and other cars, a list", "text/plain"),
        (b"P5: the fifth page", "text/plain"),
        (b"Python", "text/plain"),
        (b"<!DOCTYPE html><html>", "text/html"),
        (b"\xef\xbb\xbf \n<HTML>", "text/html"),
        (b"<svg xmlns='x'>", "image/svg+xml"),
        (b"<?xml version='1.0'?>\n<!-- a --><!-- b -->\n<!DOCTYPE svg PUBLIC 'x'><svg>", "image/svg+xml"),
        (b"<!---->" * 200, "text/plain"),
        (b"%PDF-1.4", "text/plain"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\n", "text/plain"),
        (b"\0\0\0\x1cftypisom", "video/mp4"),
        (ISO_BRANDS + b"mif1heic", "video/mp4"),
        (ISO_BRANDS + b"mif1heicavif", "video/mp4"),
        (b"\xff\x0a\0\0", "image/jxl"),
    ],
)
def test_what_is_no_picture(data: bytes, media_type: str) -> None:
    found = inspect(data, min_pixels=100, max_pixels=10**7)
    assert (found.error, found.mime_type) == ("not_an_image", media_type)
    assert admit(data, "corrected").detail == "not a picture of a known format"
    assert not is_read(media_type)


def test_files_are_called_by_their_format() -> None:
    assert {each.endings[0] for each in FORMATS} <= ENDINGS
    assert [extension_of(kind) for kind in ("image/jpeg", "image/bmp", "image/jp2")] == ["jpg", "bmp", "jp2"]
    assert all(extension_of(each.media_type).isalnum() for each in FORMATS)
    assert all(is_picture(f"a.{ending.upper()}") for ending in ENDINGS)
    with pytest.raises(KeyError):
        extension_of("text/html")


def png_chunks(data: bytes) -> list[tuple[bytes, range]]:
    """The name of every chunk of a PNG, and where its data and checksum lie."""
    chunks, at = [], 8
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], range(at + 8, at + 12 + size)))
        at += 12 + size
    return chunks


def described_png(orientation: int = 6) -> bytes:
    exif, text = Image.Exif(), PngImagePlugin.PngInfo()
    exif[0x0112] = orientation
    text.add_text("Comment", "words " * 20)
    text.add_text("Comment", "words " * 20, zip=True)
    text.add_itxt("Comment", "words " * 20)
    return encoded(photo(), "PNG", exif=exif, pnginfo=text, icc_profile=bytes(range(200)))


METADATA = {b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf"}


@pytest.mark.parametrize("kind", sorted(METADATA))
def test_a_damaged_chunk_of_metadata_is_no_damage_of_the_picture(kind: bytes) -> None:
    data = described_png()
    (where,) = [where for name, where in png_chunks(data) if name == kind]
    upright = photo().transpose(Image.Transpose.ROTATE_270)
    dice = random.Random(1)
    for at in (where[0], where[-1], *(dice.choice(where) for _ in range(20))):
        spoilt = bytearray(data)
        spoilt[at] ^= 0x55
        assert inspect(bytes(spoilt), min_pixels=1, max_pixels=10**6).error is None
        expected = photo() if kind == b"eXIf" else upright
        assert admit(bytes(spoilt), "corrected").image.tobytes() == expected.tobytes()


def test_a_text_chunk_that_unpacks_to_gigabytes_is_no_damage_of_the_picture() -> None:
    data = encoded(photo(), "PNG")
    body = b"Comment\0\0" + zlib.compress(bytes(200_000_000))
    bomb = struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    found = admit(data[:33] + bomb + data[33:], "paper")
    assert found.is_admitted
    assert found.image.tobytes() == photo().tobytes()


@pytest.mark.parametrize("kind", [b"IHDR", b"IDAT", b"IEND"])
def test_damage_of_the_picture_itself_stays_damage(kind: bytes) -> None:
    data = described_png()
    where = next(where for name, where in png_chunks(data) if name == kind)
    spoilt = bytearray(data)
    spoilt[where[len(where) // 2]] ^= 0x55
    if kind == b"IEND":
        del spoilt[where[0] - 8 - 4_000 :]
    assert inspect(bytes(spoilt), min_pixels=1, max_pixels=10**6).error == "decode"
    assert admit(bytes(spoilt), "corrected").reason == "decode"


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_damaged_exif_xmp_and_profiles_are_no_damage(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 1, "Maker of cameras"
    xmp, profile = b"<x:xmpmeta>" + bytes(80) + b"</x:xmpmeta>", bytes(range(200))
    data = encoded(photo(), kind, exif=exif, xmp=xmp, icc_profile=profile)
    plain = admit(data, "paper").image.tobytes()
    found = data.index(exif.tobytes().removeprefix(b"Exif\0\0")), data.index(xmp), data.index(profile)
    dice = random.Random(2)
    for start, length in zip(found, (len(exif.tobytes()) - 6, len(xmp), len(profile)), strict=True):
        for _ in range(40):
            spoilt = bytearray(data)
            for _ in range(dice.choice([1, 10])):
                spoilt[start + dice.randrange(length)] = dice.randrange(256)
            assert admit(bytes(spoilt), "paper").image.tobytes() == plain
            assert admit(bytes(spoilt), "corrected").is_admitted
            assert inspect(bytes(spoilt), min_pixels=1, max_pixels=10**6).error is None


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_an_orientation_in_xmp_alone_is_not_applied(kind: str) -> None:
    """Browsers look at EXIF alone; editors leave XMP behind where a service took EXIF away."""
    xmp = (
        b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
        b"<rdf:Description xmlns:tiff='http://ns.adobe.com/tiff/1.0/' tiff:Orientation=\"6\"/></rdf:RDF></x:xmpmeta>"
    )
    if kind == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp.decode())
        data = encoded(photo(), kind, pnginfo=text)
    else:
        data = encoded(photo(), kind, xmp=xmp)
    assert Image.open(io.BytesIO(data)).getexif().get(0x0112) == 6, "Pillow reads it"
    found = admit(data, "corrected")
    assert (found.image.size, found.conversions) == ((160, 120), ())


def test_a_picture_is_turned_once() -> None:
    from laionet_assets.pictures.admission import to_rgb

    turned = admit(described_png(), "corrected").image
    assert turned.size == (120, 160)
    assert to_rgb(turned) == (turned, ())


def segments(jpeg: bytes) -> list[tuple[int, range]]:
    """Marker of every segment of a JPEG before its pixels, and where its content lies."""
    found, at = [], 2
    while jpeg[at + 1] != 0xDA:
        size = int.from_bytes(jpeg[at + 2 : at + 4], "big")
        found.append((jpeg[at + 1], range(at + 4, at + 2 + size)))
        at += 2 + size
    return found


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_no_damaged_segment_of_metadata_is_damage_of_a_jpeg() -> None:
    """EXIF, XMP, profile, comment, Photoshop's resources, the list of pictures of a multi-picture file."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "words " * 9
    data = encoded(photo(), "JPEG", exif=exif, icc_profile=bytes(range(200)), comment=b"words " * 9, xmp=b"<x/>" * 9)
    pictures = b"MPF\0II*\0\x08\0\0\0\x01\0\x01\xb0\4\0\1\0\0\0\2\0\0\0" + bytes(40)
    resources = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x10" + bytes(16)
    for marker, content in ((b"\xff\xe2", pictures), (b"\xff\xed", resources)):
        data = data[:2] + marker + struct.pack(">H", len(content) + 2) + content + data[2:]
    metadata = [place for marker, place in segments(data) if marker in (0xE0, 0xE1, 0xE2, 0xED, 0xFE)]
    assert len(metadata) == 7
    plain, dice = admit(data, "paper").image.tobytes(), random.Random(4)
    for place in metadata:
        for _ in range(20):
            spoilt = bytearray(data)
            for _ in range(dice.choice([1, 8])):
                spoilt[dice.choice(place)] = dice.randrange(256)
            assert admit(bytes(spoilt), "paper").image.tobytes() == plain
            assert admit(bytes(spoilt), "corrected").is_admitted
            assert inspect(bytes(spoilt), min_pixels=1, max_pixels=10**6).error is None
