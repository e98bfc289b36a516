"""The curated image set: what a reference set would hold of the 24 classes, as a folder of folders called by wnid.

Belongs here: the files of the set. The pictures are drawn by `drawings`; those of the web are in `web_pictures`, and
share no seed with these.
"""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from laionet_assets.errors import UserError
from laionet_assets.sample.classes import sample_classes
from laionet_assets.sample.drawings import curated_picture
from laionet_assets.sample.web_pictures.encoding import curated_file

VERSION = 1
"""Raised whenever the pictures that a seed gives change: sets of another version are drawn again."""
PER_CLASS = 20
STAMP = ".synthetic-curated.json"
SEED_STRIDE = 2**20
FIRST_SEED = 2**31
"""Beyond every picture_seed of the synthetic web, so that no picture is in both sets."""


def write_curated_set(folder: Path, *, per_class: int = PER_CLASS, seed: int = 0) -> Path:
    """An image folder of the 24 classes, `<wnid>/NNNN.jpg`, 320 x 320 pixels; returns `folder`.

    A complete set of this version, seed and size is left as it is; otherwise what is missing is drawn, and what was
    drawn of another version or seed, or beyond this size, goes. Other files stay. Raises UserError where the folder
    holds pictures that were not drawn here under names that the set needs.
    """
    if not 0 < per_class <= 9_999:
        raise ValueError(f"a curated set has 1 to 9999 pictures a class, got {per_class}")
    wanted = {"synthetic": True, "version": VERSION, "seed": seed, "per_class": per_class, "is_complete": True}
    stamp = _stamp(folder)
    if stamp == wanted:
        return folder
    drawn_before = int(stamp.get("per_class", 0))
    _refuse_foreign(folder, range(drawn_before, per_class))
    is_same_set = (stamp.get("version"), stamp.get("seed")) == (VERSION, seed)
    for wnid, number in _names(range(per_class if is_same_set else 0, drawn_before)):
        _path(folder, wnid, number).unlink(missing_ok=True)
    _set_stamp(folder, wanted | {"is_complete": False})
    missing = [name for name in _names(range(per_class)) if not _path(folder, *name).exists()]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for drawing in [threads.submit(_draw, folder, wnid, number, seed) for wnid, number in missing]:
            drawing.result()
    _set_stamp(folder, wanted)
    return folder


def _names(numbers: range) -> Iterator[tuple[str, int]]:
    """Class and number of the pictures with these numbers, class by class."""
    return ((one.wnid, number) for one in sample_classes() for number in numbers)


def _path(folder: Path, wnid: str, number: int) -> Path:
    return folder / wnid / f"{number:04d}.jpg"


def _draw(folder: Path, wnid: str, number: int, seed: int) -> None:
    """Write one picture; it appears whole under its name."""
    picture = curated_picture(wnid, FIRST_SEED + seed * SEED_STRIDE + number)
    path = _path(folder, wnid, number)
    path.parent.mkdir(exist_ok=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}.staged")
    staged.write_bytes(curated_file(picture))
    os.replace(staged, path)


def _refuse_foreign(folder: Path, numbers: range) -> None:
    """Raise UserError where pictures with these numbers are there, although none was drawn."""
    foreign = [path for wnid, number in _names(numbers) if (path := _path(folder, wnid, number)).exists()]
    if foreign:
        raise UserError(
            f"{folder} holds {len(foreign)} pictures that this project did not draw, such as"
            f" {foreign[0].relative_to(folder)}; the synthetic curated set needs these names. Move them away or choose"
            " another folder."
        )


def _stamp(folder: Path) -> dict[str, Any]:
    path = folder / STAMP
    return json.loads(path.read_text()) if path.exists() else {}


def _set_stamp(folder: Path, stamp: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    staged = folder / f"{STAMP}.{os.getpid()}"
    staged.write_text(json.dumps(stamp, indent=1) + "\n")
    os.replace(staged, folder / STAMP)
