"""Prepared faster, the tensors are timm's to the bit."""

import pickle
import subprocess
import sys
from math import ceil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from timm.data import create_transform
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

from laionet_assets.models import preparing
from laionet_assets.models.preparing import Pixels, ResizedCenter, resized_center, split

SIDES = st.integers(1, 700)
NO_HIGHER = 1.8  # higher pictures are timm's own to resize


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@settings(max_examples=60, deadline=None)
@given(width=SIDES, height=SIDES, short_side=st.integers(1, 300), less=st.integers(0, 60), seed=st.integers(0, 9))
def test_the_middle_is_torchvisions(width: int, height: int, short_side: int, less: int, seed: int) -> None:
    width, height = max(width, ceil(height / NO_HIGHER)), max(height, width // 20 + 1)
    side = max(short_side - less, 1)
    image = noise(width, height, seed)
    expected = Compose([Resize(short_side, interpolation=InterpolationMode.BICUBIC), CenterCrop(side)])(image)
    assert np.array_equal(np.asarray(resized_center(image, short_side, side)), np.asarray(expected))


@pytest.mark.parametrize(
    "size", [(301, 301), (174, 262), (2000, 40), (600, 1300), (256, 256), (256, 300), (300, 256), (1, 1)]
)
@pytest.mark.parametrize(("side", "crop_pct"), [(224, 0.875), (240, 0.882), (260, 0.89), (224, 1.0)])
def test_tensors_are_timms(size: tuple[int, int], side: int, crop_pct: float) -> None:
    known = create_transform(
        (3, side, side), interpolation="bicubic", crop_pct=crop_pct, mean=(0.5,) * 3, std=(0.5,) * 3
    )
    quick = split(known)
    assert isinstance(quick.pixels, Pixels) and isinstance(quick.pixels.shape, ResizedCenter)
    image = noise(*size)
    assert torch.equal(quick.tensor(image), known(image))


@pytest.mark.parametrize(
    "options",
    [
        {"interpolation": "bilinear"},
        {"interpolation": "bicubic", "crop_mode": "squash", "crop_pct": 0.9},
        {"interpolation": "bicubic", "crop_mode": "border", "crop_pct": 0.9},
        {"interpolation": "bicubic"},
    ],
)
@pytest.mark.parametrize("mean", [(0.485, 0.456, 0.406), (0.5,) * 3])
def test_other_steps_give_timms_tensors_too(options: dict[str, object], mean: tuple[float, ...]) -> None:
    known = create_transform((3, 64, 64), mean=mean, std=mean, **options)
    image = noise(120, 97)
    assert torch.equal(split(known).tensor(image), known(image))


def test_where_pillow_resizes_otherwise_the_pictures_are_timms(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(image: Image.Image, short_side: int, side: int) -> Image.Image:
        return image.resize((side, side), Image.Resampling.BILINEAR)

    monkeypatch.setattr(preparing, "resized_center", other)
    known = create_transform((3, 64, 64), interpolation="bicubic", crop_pct=0.875, mean=(0.5,) * 3, std=(0.5,) * 3)
    image = noise(120, 97)
    assert torch.equal(split(known).tensor(image), known(image))


@pytest.mark.parametrize("mean", [(0.485, 0.456, 0.406), (0.5,) * 3])
def test_a_batch_is_finished_as_each_picture_alone(mean: tuple[float, ...]) -> None:
    known = create_transform((3, 64, 64), interpolation="bicubic", crop_pct=0.875, mean=mean, std=(0.2, 0.3, 0.4))
    quick = split(known)
    images = [noise(120, 97, seed) for seed in range(5)]
    batch = quick.finish(torch.from_numpy(np.stack([quick.pixels(image) for image in images])))
    assert torch.equal(batch, torch.stack([known(image) for image in images]))
    assert batch.is_contiguous(memory_format=torch.channels_last)


def test_the_first_half_can_be_sent_to_a_process_that_has_no_torch() -> None:
    known = create_transform((3, 64, 64), interpolation="bicubic", crop_pct=0.875)
    image = noise(120, 97)
    code = (
        "import pickle, sys; from PIL import Image; first, size, pixels = pickle.load(sys.stdin.buffer);"
        "sys.stdout.buffer.write(first(Image.frombytes('RGB', size, pixels)).tobytes());"
        "assert 'torch' not in sys.modules"
    )
    sent = pickle.dumps((split(known).pixels, image.size, image.tobytes()))
    answer = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, check=True)
    assert answer.stdout == split(known).pixels(image).tobytes()


def test_a_transform_of_open_clip() -> None:
    from open_clip.transform import PreprocessCfg, image_transform_v2

    known = image_transform_v2(PreprocessCfg(size=64), is_train=False)
    quick = split(known)
    assert isinstance(quick.pixels, Pixels) and isinstance(quick.pixels.shape, ResizedCenter)
    for size in ((120, 97), (50, 300), (64, 64)):
        assert torch.equal(quick.tensor(noise(*size)), known(noise(*size)))
