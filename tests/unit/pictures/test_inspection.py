import io
import random
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from laionet_assets.pictures.formats import sniff
from laionet_assets.pictures.inspection import Inspection, inspect, perceptual_hash


def photo(seed: int = 0, size: tuple[int, int] = (200, 150)) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    return coarse.resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def look(data: bytes, **limits) -> Inspection:
    return inspect(data, **({"min_pixels": 100, "max_pixels": 10_000_000} | limits))


@pytest.mark.parametrize(
    ("kind", "mode", "mime_type"),
    [
        ("JPEG", "RGB", "image/jpeg"),
        ("JPEG", "L", "image/jpeg"),
        ("JPEG", "CMYK", "image/jpeg"),
        ("PNG", "RGB", "image/png"),
        ("PNG", "RGBA", "image/png"),
        ("PNG", "P", "image/png"),
        ("PNG", "1", "image/png"),
        ("PNG", "I;16", "image/png"),
        ("PNG", "LA", "image/png"),
        ("GIF", "P", "image/gif"),
        ("WEBP", "RGB", "image/webp"),
        ("BMP", "RGB", "image/bmp"),
        ("TIFF", "RGB", "image/tiff"),
    ],
)
def test_whole_pictures_of_every_format_and_mode(kind: str, mode: str, mime_type: str) -> None:
    image = photo().convert("L").convert("I").point(lambda v: v * 256).convert("I;16") if mode == "I;16" else photo()
    found = look(encoded(image if mode == "I;16" else image.convert(mode), kind))
    assert (found.error, found.mime_type, found.mode) == (None, mime_type, mode)
    assert (found.width, found.height, found.is_animated) == (200, 150, False)
    assert found.phash is not None and 0 <= found.phash < 2**64


def test_an_animation_is_told_from_a_still() -> None:
    frames = [photo(i).convert("P") for i in range(3)]
    assert look(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])).is_animated is True
    assert look(encoded(photo(), "WEBP", save_all=True, append_images=[photo(1)])).is_animated is True


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_a_truncated_file_does_not_decode(kind: str) -> None:
    data = encoded(photo(), kind)
    for share in (0.1, 0.5, 0.9, 0.98):
        found = look(data[: int(len(data) * share)])
        assert found.error == "decode" and found.phash is None


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 95}])
def test_the_scaled_decoding_refuses_what_the_full_one_refuses(options: dict) -> None:
    rng = random.Random(5)
    verdicts = set()
    for seed in range(12):
        whole = encoded(photo(seed), "JPEG", **options)
        for trial in range(10):
            data = bytearray(whole)
            if trial % 2:
                del data[rng.randrange(2, len(data)) :]
            else:
                for _ in range(rng.choice([1, 10, 100])):
                    data[rng.randrange(2, len(data))] = rng.randrange(256)
            try:
                Image.open(io.BytesIO(data), formats=["JPEG"]).load()
                is_whole = True
            except Exception:
                is_whole = False
            verdicts.add(is_whole)
            assert (look(bytes(data)).error is None) == is_whole
    assert verdicts == {True, False}


def test_size_limits_go_by_the_area_in_the_header() -> None:
    assert look(encoded(photo(size=(9, 11)), "PNG")).error == "too_small"
    assert look(encoded(photo(size=(10, 10)), "PNG")).error is None
    assert look(encoded(photo(size=(50, 50)), "PNG"), max_pixels=2_499).error == "too_many_pixels"
    assert look(encoded(photo(size=(50, 50)), "PNG"), max_pixels=2_500).error is None


def png_with(header: bytes, body: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_a_bomb_is_not_decoded() -> None:
    bomb = png_with(struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0), zlib.compress(bytes(10_000_000)))
    tracemalloc.start()
    found = look(bomb)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (found.error, found.width, found.height) == ("too_many_pixels", 50_000, 50_000)
    assert most < 5_000_000


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_hostile_bytes_never_raise() -> None:
    rng = random.Random(11)
    heads = [encoded(photo(), kind)[:300] for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")]
    for i in range(700):
        data = bytearray(heads[i % len(heads)] + rng.randbytes(200))
        for _ in range(10):
            data[rng.randrange(12, len(data))] = rng.randrange(256)
        assert look(bytes(data)).mime_type == sniff(bytes(data))


def test_near_duplicates_have_near_hashes() -> None:
    def bits(a: int, b: int) -> int:
        return (a ^ b).bit_count()

    original = look(encoded(photo(1), "JPEG", quality=90)).phash
    assert bits(original, look(encoded(photo(1), "JPEG", quality=30)).phash) <= 8
    assert bits(original, look(encoded(photo(1).resize((500, 375)), "PNG")).phash) <= 8
    others = [look(encoded(photo(seed), "JPEG")).phash for seed in range(2, 12)]
    assert min(bits(original, other) for other in others) > 16


def test_the_hash_is_that_of_the_discrete_cosine_transform() -> None:
    from scipy.fft import dct

    image = photo(3)
    grey = np.asarray(image.convert("L").resize((32, 32), Image.Resampling.LANCZOS), dtype=float)
    low = dct(dct(grey, axis=0), axis=1)[:8, :8]
    expected = int("".join("01"[int(bit)] for bit in (low > np.median(low)).ravel()), 2)
    assert perceptual_hash(image) == expected


@pytest.mark.real_data
def test_real_photographs_are_whole(real_data) -> None:
    files = sorted((real_data / "images").glob("*/*.jpg"))
    found = [look(file.read_bytes()) for file in files]
    assert len(found) == 750 and all(f.error is None and f.mode == "RGB" for f in found)
    assert len({f.phash for f in found}) > 740
