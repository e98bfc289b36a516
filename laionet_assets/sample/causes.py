"""Why pictures of a class are alike or not in the synthetic web: the causes, which the web knows and nobody measures.

Two things make the pictures of a class less alike on the web than in a curated set, and both are said here: how diverse
a class is drawn on the web (`SampleClass.diversity`), and how much the selection of a set looked at the pictures
(`looked_at`). `effect`, from 0 to 1, scales both: of all pictures, this share is drawn as those causes say, and the
rest shows one and the same drawing of its class (the style `typical`), wherever it is published. At 1 the web is as the
project ships it. At 0 no picture of a class is more typical of it than another: there is nothing to select by, so
whatever was chosen by caption or by picture is equally alike.

The causes of a set or web that was drawn are a file beside it: `CAUSES`.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from laionet_assets.sample.classes import sample_classes
from laionet_assets.sample.dice import Dice

CAUSES = "causes.json"
WHOLE = 1.0
"""The effect of the web as the project ships it."""
_CHANCE, _SURE = 0.6, 1.0
"""Selection frequencies at which a picture was chosen blindly, and for its looks alone."""


def looked_at(selection_frequency: float | None) -> float:
    """Share of a curated set's pictures that were chosen for their looks: all of a set without a selection frequency.

    A line between 0.6 (none) and 1 (all); of ImageNet-V2's frequencies 0.73, 0.85 and 0.93 it is 0.325, 0.625, 0.825.
    """
    if selection_frequency is None:
        return 1.0
    return min(1.0, max(0.0, (selection_frequency - _CHANCE) / (_SURE - _CHANCE)))


def is_caused(seed: int, effect: float) -> bool:
    """Whether the picture of a seed is drawn as the causes say: at some effect, and so at every larger one."""
    return Dice("effect", seed).between(0, 1) < effect


def is_diverse(wnid: str, seed: int) -> bool:
    """Whether the picture of a seed shows its class as the web does, rather than as a reference set would."""
    (diversity,) = (one.diversity for one in sample_classes() if one.wnid == wnid)
    return Dice("diversity", seed).chance(diversity)


def is_looked_at(seed: int, selection_frequency: float | None) -> bool:
    """Whether a picture of a curated set was chosen for its looks; one that was at some frequency is at higher ones."""
    return Dice("selection", seed).between(0, 1) < looked_at(selection_frequency)


def write_causes(folder: Path, causes: Mapping[str, Any]) -> None:
    """Write the causes of what was drawn as `causes.json`.

    Of a web (in its folder `truth`): effect, seed, and of every class its diversity. Of a curated set (beside its
    folders of classes): effect, seed, selection_frequency (null if it has none), looked_at, and of every picture its
    style.
    """
    path = folder / CAUSES
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}.staged")
    staged.write_text(json.dumps(causes, indent=1) + "\n")
    os.replace(staged, path)
