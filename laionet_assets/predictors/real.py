"""ReaL labels: a second ground truth for the ImageNet validation set, several classes an image or none.

Source: Beyer et al., "Are we done with ImageNet?" (2020), reassessed labels, as timm ships them.
"""

import json
from functools import lru_cache
from importlib.resources import files

IMAGENET_VAL_IMAGES = 50_000
_CLASSES = 1_000


def real_labels() -> list[list[int]]:
    """Class indices (0 to 999, by sorted wnid) that are right for each image of ImageNet val, by image number.

    Entry i is `ILSVRC2012_val_{i + 1:08d}`. An empty list means that the annotators found none of the classes: such
    images are left out of ReaL accuracy, and a prediction is right if it is any of the list.
    """
    return [list(labels) for labels in _read()]


@lru_cache(maxsize=1)
def _read() -> tuple[tuple[int, ...], ...]:
    text = files("timm.data").joinpath("_info", "imagenet_real_labels.json").read_text(encoding="utf-8")
    labels = tuple(tuple(row) for row in json.loads(text))
    if len(labels) != IMAGENET_VAL_IMAGES or not all(0 <= label < _CLASSES for row in labels for label in row):
        raise RuntimeError(f"timm's ReaL labels: expected classes below {_CLASSES} of {IMAGENET_VAL_IMAGES:,} images")
    return labels
