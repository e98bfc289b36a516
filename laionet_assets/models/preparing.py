"""How a model sees a picture, in two halves: pixels (bytes), and what is made of a whole batch of them on the device.

Belongs here: what a transform of timm or open_clip, or a processor of transformers, is split into, bit for bit. Does
not belong here: which transform a model has, and where either half runs.

The first half is all that other processes need: it holds no weights, and where Pillow alone does it, no torch. Bytes
are a quarter of the floats that are made of them, and normalising a batch takes a few large operations instead of
several small ones a picture, each of which takes Python's lock.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

Shape = Callable[["Image"], "Image"]
"""A picture to one of the size that a model takes."""

_TO_TENSOR = ("ToTensor", "MaybeToTensor")
"""torchvision's, and those that timm and open_clip derive from it: of a picture, all make the same."""

_BICUBIC_SUPPORT = 2.0
"""Half the width of Pillow's bicubic filter, in pixels of the smaller scale."""

_MAX_HEIGHT = 1.8
"""In widths. Pillow 13 resizes rows first, but columns first where a picture is shrunk and higher than two widths."""


@dataclass(frozen=True)
class Pixels:
    """The first half where the second is to normalise: uint8 of shape (height, width, 3)."""

    shape: Shape

    def __call__(self, image: "Image") -> NDArray[np.uint8]:
        return np.asarray(self.shape(image))


@dataclass(frozen=True)
class Processed:
    """The first half where a processor of transformers does everything: float32 of shape (3, height, width)."""

    processor: Any

    def __call__(self, image: "Image") -> NDArray[np.float32]:
        found: NDArray[np.float32] = self.processor(images=image, return_tensors="pt")["pixel_values"][0].numpy()
        return found


@dataclass(frozen=True)
class Transformed:
    """The first half where a transform of steps that are not known here does everything."""

    transform: Callable[["Image"], "torch.Tensor"]

    def __call__(self, image: "Image") -> NDArray[np.float32]:
        found: NDArray[np.float32] = self.transform(image).numpy()
        return found


@dataclass(frozen=True)
class Preparation:
    """Both halves. `pixels` turns an RGB picture into an array, and can be sent to another process; `mean` and
    `deviation` normalise batches of uint8, one value a channel, or one for all.
    """

    pixels: Pixels | Processed | Transformed
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()

    def finish(self, batch: "torch.Tensor") -> "torch.Tensor":
        """A batch as the model takes it, on the batch's device: float32 of shape (pictures, 3, height, width).

        uint8 of shape (pictures, height, width, 3) is scaled and normalised, and stays in that order of memory
        (channels-last); what is float32 already stays as it is.
        """
        import torch

        if batch.dtype != torch.uint8:
            return batch
        found = batch.to(torch.float32).div_(255)
        if len(set(self.mean)) == len(set(self.deviation)) == 1:
            found.sub_(self.mean[0]).div_(self.deviation[0])
        else:
            found.sub_(found.new_tensor(self.mean)).div_(found.new_tensor(self.deviation))
        return found.permute(0, 3, 1, 2)

    def tensor(self, image: "Image") -> "torch.Tensor":
        """Both halves for one RGB picture: float32 of shape (3, height, width)."""
        import torch

        return self.finish(torch.from_numpy(np.array(self.pixels(image)))[None])[0]


def split(transform: Callable[["Image"], "torch.Tensor"]) -> Preparation:
    """A transform for evaluation, of timm or open_clip, as two halves: together they give the same tensors.

    Steps that are not known here stay as they are, and so do those before them.
    """
    from torchvision.transforms import Compose, Normalize

    steps = list(getattr(transform, "transforms", ()))
    last_two = [type(step) for step in steps[-2:]]
    if len(last_two) < 2 or last_two[0].__name__ not in _TO_TENSOR or last_two[1] is not Normalize:
        return Preparation(Transformed(transform))
    mean, deviation = (tuple(float(value) for value in each) for each in (steps[-1].mean, steps[-1].std))
    shape = _known_shape(steps[:-2]) or Compose(steps[:-2])
    return Preparation(Pixels(shape), mean, deviation)


@dataclass(frozen=True)
class ResizedCenter:
    """torchvision's Resize (of the shorter side) and CenterCrop (a square) by Pillow alone. `filter` is Pillow's."""

    short_side: int
    side: int
    filter: int

    def __call__(self, image: "Image") -> "Image":
        from PIL import Image as pillow

        width, height = image.size
        is_bicubic = self.filter == pillow.Resampling.BICUBIC
        if is_bicubic and self.side <= self.short_side and height <= _MAX_HEIGHT * width:
            return resized_center(image, self.short_side, self.side)
        new_width, new_height = resized_size(width, height, self.short_side)
        resized = image.resize((new_width, new_height), pillow.Resampling(self.filter))
        left, top = round((new_width - self.side) / 2), round((new_height - self.side) / 2)
        return resized.crop((left, top, left + self.side, top + self.side))


def _known_shape(steps: list[Any]) -> Shape | None:
    """Resize(short side) and CenterCrop(square within it) by Pillow alone.

    None for other steps, and where this Pillow resizes in some other way, so that the bytes differ.
    """
    from PIL import Image as pillow
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

    kept = [step for step in steps if not (type(step).__name__ == "MaybeConvertMode" and step.mode == "RGB")]
    if [type(step) for step in kept] != [Resize, CenterCrop]:
        return None
    resize, crop = kept
    filters = {
        InterpolationMode.BICUBIC: pillow.Resampling.BICUBIC,
        InterpolationMode.BILINEAR: pillow.Resampling.BILINEAR,
    }
    side = resize.size[0] if isinstance(resize.size, list | tuple) and len(resize.size) == 1 else resize.size
    height, width = crop.size
    is_known = (
        isinstance(side, int)
        and resize.max_size is None
        and resize.interpolation in filters
        and height == width <= side
    )
    if not is_known:
        return None
    shape, entire = ResizedCenter(side, width, int(filters[resize.interpolation])), Compose(steps)
    noise = np.random.default_rng(0)
    for size in ((360, 200), (200, 360), (700, 500), (500, 700), (100, 400), (side, side)):
        picture = pillow.fromarray(noise.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
        if shape(picture).tobytes() != entire(picture).tobytes():
            return None
    return shape


def resized_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """Width and height once the shorter is `short_side`, as torchvision rounds the longer."""
    long_side = int(short_side * max(width, height) / min(width, height))
    return (short_side, long_side) if width <= height else (long_side, short_side)


def resized_center(image: "Image", short_side: int, side: int) -> "Image":
    """The middle square, `side` pixels, of a picture whose shorter side is resized to `short_side` >= `side`.

    The bytes of torchvision's Resize (bicubic, antialiased) and CenterCrop, for pictures that Pillow resizes in two
    passes, rows and then columns, with 8 bits between them: each pass is done here only for what the other or the crop
    needs. Cropping in one call (`box`) would round the filter's place differently.
    """
    from PIL import Image as pillow

    width, height = image.size
    new_width, new_height = resized_size(width, height, short_side)
    left, top = round((new_width - side) / 2), round((new_height - side) / 2)
    scale = height / new_height
    reach = _BICUBIC_SUPPORT * max(scale, 1.0) + 1
    first, end = max(floor(top * scale - reach), 0), min(ceil((top + side) * scale + reach), height)
    rows = image.crop((0, first, width, end)).resize((new_width, end - first), pillow.Resampling.BICUBIC)
    columns = pillow.new(image.mode, (side, height))
    columns.paste(rows.crop((left, 0, left + side, end - first)), (0, first))
    return columns.resize((side, new_height), pillow.Resampling.BICUBIC).crop((0, top, side, top + side))
