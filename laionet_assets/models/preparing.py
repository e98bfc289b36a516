"""timm's preprocessing for evaluation, bit for bit, in less time.

Belongs here: what a transform of timm can be replaced with. Does not belong here: which transform a model has.
"""

from collections.abc import Callable
from math import ceil, floor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

Prepare = Callable[["Image"], "torch.Tensor"]

_BICUBIC_SUPPORT = 2.0
"""Half the width of Pillow's bicubic filter, in pixels of the smaller scale."""

_MAX_HEIGHT = 1.8
"""In widths. Pillow 13 resizes rows first, but columns first where a picture is shrunk and higher than two widths."""


def faster(transform: Prepare) -> Prepare:
    """The same function: picture to tensor (3, height, width), float32.

    Tensors are normalised in place, in the order of the picture's bytes (channels-last); what the crop throws away is
    not resized. A step that is not known here stays as it is, and so do those before it.
    """
    import numpy as np
    import torch
    from timm.data.transforms import MaybeToTensor
    from torchvision.transforms import Compose, Normalize

    steps = list(getattr(transform, "transforms", ()))
    if [type(step) for step in steps[-2:]] != [MaybeToTensor, Normalize]:
        return transform
    means, deviations = ({float(value) for value in each} for each in (steps[-1].mean, steps[-1].std))
    if len(means) > 1 or len(deviations) > 1:
        return transform
    (mean,), (deviation,) = means, deviations
    shape = _cropped_resize(steps[:-2]) or Compose(steps[:-2])

    def prepare(image: "Image") -> torch.Tensor:
        pixels = torch.from_numpy(np.array(shape(image))).to(torch.float32)
        return pixels.div_(255).sub_(mean).div_(deviation).permute(2, 0, 1)

    return prepare


def _cropped_resize(steps: list[Any]) -> Callable[["Image"], "Image"] | None:
    """Resize(short side, bicubic) and CenterCrop(square within it), in the time of `resized_center` where that fits.

    None for other steps, and where this Pillow resizes in some other way, so that the bytes differ.
    """
    import numpy as np
    from PIL import Image as pillow
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

    if [type(step) for step in steps] != [Resize, CenterCrop]:
        return None
    resize, crop = steps
    height, width = crop.size
    is_known = (
        isinstance(resize.size, int)
        and resize.max_size is None
        and resize.interpolation == InterpolationMode.BICUBIC
        and height == width <= resize.size
    )
    if not is_known:
        return None
    entire = Compose(steps)

    def shape(image: "Image") -> "Image":
        if image.height > _MAX_HEIGHT * image.width:
            return entire(image)
        return resized_center(image, resize.size, width)

    noise = np.random.default_rng(0)
    for size in ((360, 200), (200, 360), (700, 500), (500, 700)):
        picture = pillow.fromarray(noise.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
        if shape(picture).tobytes() != entire(picture).tobytes():
            return None
    return shape


def resized_center(image: "Image", short_side: int, side: int) -> "Image":
    """The middle square, `side` pixels, of a picture whose shorter side is resized to `short_side` >= `side`.

    The bytes of torchvision's Resize (bicubic, antialiased) and CenterCrop, for pictures that Pillow resizes in two
    passes, rows and then columns, with 8 bits between them: each pass is done here only for what the other or the crop
    needs. Cropping in one call (`box`) would round the filter's place differently.
    """
    from PIL import Image as pillow

    width, height = image.size
    short, long = min(width, height), max(width, height)
    new_long = int(short_side * long / short)
    new_width, new_height = (short_side, new_long) if width <= height else (new_long, short_side)
    left, top = round((new_width - side) / 2), round((new_height - side) / 2)
    scale = height / new_height
    reach = _BICUBIC_SUPPORT * max(scale, 1.0) + 1
    first, end = max(floor(top * scale - reach), 0), min(ceil((top + side) * scale + reach), height)
    rows = image.crop((0, first, width, end)).resize((new_width, end - first), pillow.Resampling.BICUBIC)
    columns = pillow.new(image.mode, (side, height))
    columns.paste(rows.crop((left, 0, left + side, end - first)), (0, first))
    return columns.resize((side, new_height), pillow.Resampling.BICUBIC).crop((0, top, side, top + side))
