"""The perceptual hash."""

import io

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from laionet_assets.pictures.phash import BITS, perceptual_hash


def picture(seed: int, size: tuple[int, int] = (240, 180)) -> Image.Image:
    """Soft coloured blobs."""
    small = np.random.default_rng(seed).integers(0, 256, size=(7, 9, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def bits_apart(one: Image.Image, other: Image.Image) -> int:
    return (perceptual_hash(one) ^ perceptual_hash(other)).bit_count()


def recompressed(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


@pytest.mark.parametrize("seed", range(5))
def test_the_same_picture_otherwise_stored_is_within_four_bits(seed: int) -> None:
    image = picture(seed)
    changed = [
        recompressed(image, 30),
        image.resize((120, 90)),
        image.resize((300, 300)),
        image.convert("L"),
        ImageEnhance.Brightness(image).enhance(0.9),
    ]
    assert all(bits_apart(image, each) <= 4 for each in changed)


def test_other_pictures_are_far_apart() -> None:
    hashes = [perceptual_hash(picture(seed)) for seed in range(40)]
    apart = [(a ^ b).bit_count() for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(apart) > 10 and BITS / 2 - 3 < np.mean(apart) < BITS / 2 + 3
    assert bits_apart(picture(0), ImageOps.mirror(picture(0))) > 10


def test_it_is_imagehashs_own_in_sixteen_digits() -> None:
    number = perceptual_hash(picture(1))
    assert 0 <= number < 1 << 64
    assert imagehash.hex_to_hash(f"{number:016x}") == imagehash.phash(picture(1))


def test_flat_pictures_are_alike() -> None:
    grey, red = Image.new("RGB", (50, 50), "grey"), Image.new("RGB", (99, 40), "red")
    assert bits_apart(grey, red) <= 4


def test_against_the_definition() -> None:
    from scipy.fft import dctn

    small = np.asarray(picture(3).convert("L").resize((32, 32), Image.Resampling.LANCZOS), dtype=float)
    low = dctn(small)[:8, :8]
    expected = "".join("1" if each else "0" for each in (low > np.median(low)).ravel())
    assert f"{perceptual_hash(picture(3)):064b}" == expected
