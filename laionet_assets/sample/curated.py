"""The curated image set: what a reference set would hold of the 24 classes, as a folder of folders called by wnid.

Belongs here: the files of the set: pictures, captions, and which picture is drawn how. The pictures are drawn by
`drawings`; those of the web are in `web_pictures`, and share no seed with these.
"""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from laionet_assets.errors import UserError
from laionet_assets.sample.causes import WHOLE, is_caused, is_diverse, is_looked_at, looked_at, write_causes
from laionet_assets.sample.classes import sample_classes
from laionet_assets.sample.dice import Dice
from laionet_assets.sample.drawings import curated_picture, typical_picture
from laionet_assets.sample.inventions import written_caption
from laionet_assets.sample.web_pictures import chosen_picture
from laionet_assets.sample.web_pictures.encoding import curated_file

VERSION = 3
"""Raised whenever the pictures that a seed gives change: sets of another version are drawn again."""
PER_CLASS = 20
STAMP = ".synthetic-curated.json"
CAPTIONS = "captions.json"
CAPTIONED = 0.8
"""Share of the pictures that have a caption."""
SEEDS = 1_024
SEED_STRIDE = 2**20
FIRST_SEED = 2**31
"""Beyond every picture_seed of the synthetic web, so that no picture is in both sets."""


@dataclass(frozen=True)
class CuratedSet:
    """What decides a curated set: pictures a class, seed, and the two causes (see `causes`).

    `selection_frequency`: how often people chose its pictures, as ImageNet-V2's variants have it; None of a set whose
    pictures were all chosen for their looks. `effect`: of the web that it was chosen from.
    """

    per_class: int = PER_CLASS
    seed: int = 0
    selection_frequency: float | None = None
    effect: float = WHOLE

    def picture_seed(self, number: int) -> int:
        """The seed of a picture: no two sets of other seeds or selection frequencies share one."""
        variant = round(100 * (self.selection_frequency or 0))
        return FIRST_SEED + (self.seed + SEEDS * variant) * SEED_STRIDE + number

    def style(self, wnid: str, number: int) -> str:
        """How a picture is drawn: curated, web (chosen blindly, so as diverse as the web is), or typical."""
        seed = self.picture_seed(number)
        if not is_caused(seed, self.effect):
            return "typical"
        return "web" if not is_looked_at(seed, self.selection_frequency) and is_diverse(wnid, seed) else "curated"


def write_curated_set(folder: Path, wanted: CuratedSet | None = None) -> Path:
    """An image folder of the 24 classes, `<wnid>/NNNN.jpg`, with `captions.json` and its causes; returns `folder`.

    Pictures are at most 320 pixels long. A complete set of this version is left as it is; otherwise what is missing is
    drawn, and what was drawn of another version or other causes, or beyond this size, goes. Other files stay. Raises
    UserError where the folder holds pictures that were not drawn here under names that the set needs.
    """
    wanted = wanted or CuratedSet()
    if not 0 < wanted.per_class <= 9_999 or not 0 <= wanted.seed < SEEDS:
        raise ValueError(f"a curated set has 1 to 9999 pictures a class and a seed below {SEEDS}, got {wanted}")
    drawn = {"synthetic": True, "version": VERSION, **asdict(wanted), "is_complete": True}
    stamp = _stamp(folder)
    if stamp == drawn:
        return folder
    drawn_before = int(stamp.get("per_class", 0))
    _refuse_foreign(folder, range(drawn_before, wanted.per_class))
    changing = {"per_class": 0, "is_complete": True}
    is_same_set = stamp | changing == drawn | changing
    for wnid, number in _names(range(wanted.per_class if is_same_set else 0, drawn_before)):
        _path(folder, wnid, number).unlink(missing_ok=True)
    _set_stamp(folder, drawn | {"is_complete": False})
    missing = [name for name in _names(range(wanted.per_class)) if not _path(folder, *name).exists()]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for drawing in [threads.submit(_draw, folder, wnid, number, wanted) for wnid, number in missing]:
            drawing.result()
    _write_captions(folder, wanted)
    styles = {_image_id(wnid, number): wanted.style(wnid, number) for wnid, number in _names(range(wanted.per_class))}
    looked = looked_at(wanted.selection_frequency)
    write_causes(folder, {**asdict(wanted), "looked_at": looked, "styles": styles})
    _set_stamp(folder, drawn)
    return folder


def _names(numbers: range) -> Iterator[tuple[str, int]]:
    """Class and number of the pictures with these numbers, class by class."""
    return ((one.wnid, number) for one in sample_classes() for number in numbers)


def _image_id(wnid: str, number: int) -> str:
    return f"{wnid}/{number:04d}.jpg"


def _path(folder: Path, wnid: str, number: int) -> Path:
    return folder / _image_id(wnid, number)


def _draw(folder: Path, wnid: str, number: int, wanted: CuratedSet) -> None:
    """Write one picture; it appears whole under its name."""
    draw = {"curated": curated_picture, "web": chosen_picture, "typical": typical_picture}
    picture = draw[wanted.style(wnid, number)](wnid, wanted.picture_seed(number))
    path = _path(folder, wnid, number)
    path.parent.mkdir(exist_ok=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}.staged")
    staged.write_bytes(curated_file(picture))
    os.replace(staged, path)


def _write_captions(folder: Path, wanted: CuratedSet) -> None:
    """What was written beside the pictures, in the form of ImageNet-Captions; some pictures have nothing."""
    rows = []
    for one in sample_classes():
        for number in range(wanted.per_class):
            dice = Dice("curated captions", wanted.picture_seed(number), one.wnid)
            if dice.chance(CAPTIONED):
                rows.append({"filename": _image_id(one.wnid, number), "wnid": one.wnid, **written_caption(one, dice)})
    (folder / CAPTIONS).write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


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
