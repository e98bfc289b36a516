"""The local image sets of the settings: folders of the user's, and sets that this project draws.

Belongs here: opening a set, drawing `sample://curated` first, the state of what lies there, which paths are possible.
Does not belong here: how a layout is read (`images.sets`), what is taken of a set (`image_sets`).
"""

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from laionet_assets.assets.parts import sample_cache, sample_effect
from laionet_assets.errors import UserError
from laionet_assets.images.sets import ImageSet, open_image_set
from laionet_assets.settings import ImageSetSettings, Settings, SettingsError
from laionet_assets.taxonomy import load_synsets
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse, digest

if TYPE_CHECKING:
    from laionet_assets.sample.curated import CuratedSet

_CURATED = "sample://curated"

CURATED_CAPTIONS = "captions.json"
"""The file of captions in the folder of a curated set."""


def open_local_set(settings: Settings, image_set: ImageSetSettings) -> ImageSet:
    """A local set of the settings; the curated set is drawn first if it is not there.

    Raises UserError (ImageSetError) if the folder is not what its layout promises.
    """
    synsets = load_synsets(settings.taxonomy_source)
    return open_image_set(
        image_set.name,
        image_set.layout,
        _folder_of(settings, image_set),
        wnids=[synset.wnid for synset in synsets],
        lemmas={synset.wnid: synset.lemmas for synset in synsets},
        imagenet_wnids=[synset.wnid for synset in load_synsets("imagenet-1k")],
        devkit=Path(settings.resolve(image_set.devkit)) if image_set.devkit else None,
        label_column=image_set.label_column,
    )


def local_sets_state(settings: Settings, warehouse: Warehouse, part: PartKey | None) -> str:
    """The state of every local set: cheap, no picture is read, and none is drawn to find out."""

    def state(one: ImageSetSettings) -> str:
        if "://" in one.path:
            return drawn_state(settings, one.path)
        try:
            return open_local_set(settings, one).fingerprint()
        except UserError as error:
            return f"cannot be read: {error}"

    return digest(*(f"{one.name}={state(one)}" for one in settings.image_sets))


def assert_paths(settings: Settings) -> None:
    """Raise SettingsError naming every path or file of captions of a local set that is a URL not of this project."""
    problems = []
    for i, image_set in enumerate(settings.image_sets):
        for key in ("path", "captions"):
            try:
                if "://" in (value := getattr(image_set, key) or ""):
                    _curated(settings, value)
            except UserError as error:
                problems.append(f"  image_sets[{i}].{key}: {error}")
    if problems:
        raise SettingsError(f"{settings.config_path}: {len(problems)} problem(s)\n" + "\n".join(problems))


def _folder_of(settings: Settings, image_set: ImageSetSettings) -> Path:
    if "://" not in image_set.path:
        return Path(settings.resolve(image_set.path))
    return drawn_folder(settings, image_set.path)


def drawn_folder(settings: Settings, path: str) -> Path:
    """The folder behind `sample://curated`, whose pictures and captions are drawn first if they are not there."""
    from laionet_assets.sample.curated import write_curated_set

    wanted = _curated(settings, path)
    plain = type(wanted)()
    changed = {key: value for key, value in sorted(asdict(wanted).items()) if value != getattr(plain, key)}
    name = "-".join(["curated", *(f"{key}-{value}" for key, value in changed.items())])
    return write_curated_set(sample_cache(settings) / name, wanted)


def drawn_state(settings: Settings, path: str) -> str:
    """What a curated set and its captions depend on; nothing is drawn to find out."""
    from laionet_assets.sample import curated

    return f"curated {curated.VERSION} {_curated(settings, path)}"


def _curated(settings: Settings, path: str) -> "CuratedSet":
    """The set that `sample://curated?per_class=20&seed=0&selection_frequency=0.73` names, chosen from the synthetic web
    of the settings. Raises UserError for anything else.
    """
    from laionet_assets.sample.curated import CuratedSet

    url = urlsplit(path)
    options = dict(parse_qsl(url.query, keep_blank_values=True))
    frequency = options.pop("selection_frequency", None)
    is_known = f"{url.scheme}://{url.netloc}{url.path}" == _CURATED and options.keys() <= {"per_class", "seed"}
    is_share = frequency is None or re.fullmatch(r"0?\.\d{1,2}|1(\.0+)?|0", frequency)
    if not is_known or not is_share or not all(value.isascii() and value.isdigit() for value in options.values()):
        raise UserError(
            f"found {path!r}, expected a local folder or {_CURATED}, with ?per_class=<pictures>, &seed=<number> and "
            "&selection_frequency=<share of two decimals, such as 0.73>"
        )
    numbers = {key: int(value) for key, value in options.items()}
    if not 1 <= numbers.get("per_class", 1) <= 9_999 or numbers.get("seed", 0) > 1_023:
        raise UserError(f"found {path!r}, expected per_class from 1 to 9999 and seed from 0 to 1023")
    return CuratedSet(
        **numbers,
        selection_frequency=None if frequency is None else float(frequency),
        effect=sample_effect(settings),
    )
