"""Image sets: named pictures with their classes, whatever the layout they lie in.

Belongs here: one small module a layout, and the protocol they follow (`items`). Does not belong here: decoding
(`pictures`), fetching, the image store, and models.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from laionet_assets.images.sets.ilsvrc2012_val import open_ilsvrc2012_val
from laionet_assets.images.sets.imagefolder import ImageFolder
from laionet_assets.images.sets.imagenetv2 import ImageNetV2
from laionet_assets.images.sets.img2dataset import open_img2dataset
from laionet_assets.images.sets.items import ImageItem, ImageSet, ImageSetError, Labels
from laionet_assets.images.sets.webdataset import WebDataset

__all__ = [
    "LAYOUTS",
    "ImageItem",
    "ImageSet",
    "ImageSetError",
    "open_image_set",
]

LAYOUTS: dict[str, tuple[str, ...]] = {
    "imagefolder": (),
    "ilsvrc2012-val": ("devkit",),
    "imagenetv2": (),
    "img2dataset": ("label_column",),
    "webdataset": ("label_column",),
}
"""Layouts, with the options that each has."""


def open_image_set(
    name: str,
    layout: str,
    path: Path,
    *,
    wnids: Collection[str],
    imagenet_wnids: Sequence[str],
    lemmas: Mapping[str, Sequence[str]] | None = None,
    devkit: Path | None = None,
    label_column: str | None = None,
) -> ImageSet:
    """Open a local set of images.

    `wnids` are the classes of the taxonomy in use, `imagenet_wnids` the 1,000 of ImageNet-1k by class index, `lemmas`
    the names of classes. `devkit` is for ilsvrc2012-val alone, `label_column` for webdataset and img2dataset.
    Raises ImageSetError if the layout is unknown, an option is not for it, or the folder is not laid out so.
    """
    if layout not in LAYOUTS:
        raise ImageSetError(f"image set {name}: found layout {layout!r}, expected one of: {', '.join(LAYOUTS)}")
    given = {key: value for key, value in (("devkit", devkit), ("label_column", label_column)) if value is not None}
    misplaced = [key for key in given if key not in LAYOUTS[layout]]
    if misplaced:
        raise ImageSetError(
            f"image set {name}: found {', '.join(misplaced)}, which the layout {layout} does not have; take it away"
        )
    if layout == "imagefolder":
        return ImageFolder(name, path, wnids=wnids, imagenet_wnids=imagenet_wnids, lemmas=lemmas)
    if layout == "ilsvrc2012-val":
        return open_ilsvrc2012_val(name, path, imagenet_wnids=imagenet_wnids, devkit=devkit)
    if layout == "imagenetv2":
        return ImageNetV2(name, path, imagenet_wnids=imagenet_wnids)
    labels = Labels(frozenset(wnids), imagenet_wnids, label_column)
    if layout == "img2dataset":
        return open_img2dataset(name, path, labels)
    return WebDataset(name, path, labels)
