"""The 24 classes of the synthetic web: their lemmas, how often they occur and what captions say of them.

The facts are in `vocabulary/classes.yaml`, the words around them in `vocabulary/web.yaml`. The room keeps its own
short copy of the lemmas, because it must not read another room's tables; a test compares it with timm's WordNet
files.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

# Lemmas that another class of ImageNet-1k lists too (harmonica, chime), so that the paper gives them to neither.
SHARED = frozenset({"harp", "gong"})


@dataclass(frozen=True, eq=False)
class SampleClass:
    """One class of the sample: its lemmas, its frequency, templates for its captions (see the head of classes.yaml)."""

    wnid: str
    lemmas: tuple[str, ...]
    use: tuple[str, ...]
    share: int
    other: float
    diversity: float
    adjectives: tuple[str, ...]
    near: tuple[str, ...]
    far: tuple[str, ...]
    senses: tuple[str, ...]
    foreign: tuple[str, ...]
    misspelt: tuple[str, ...]

    @property
    def name(self) -> str:
        """The first lemma."""
        return self.lemmas[0]


@dataclass(frozen=True)
class Web:
    """What every page may say: slot fillers, frames around a caption, captions of no class, lemmas of other classes."""

    slots: dict[str, tuple[str, ...]]
    frames: dict[str, tuple[str, ...]]
    several: tuple[str, ...]
    noise: tuple[str, ...]
    near_miss: tuple[str, ...]
    other_class: tuple[str, ...]
    bystanders: dict[str, str]
    foreign: tuple[str, ...]
    emoji: tuple[str, ...]


@cache
def sample_classes() -> tuple[SampleClass, ...]:
    """The 24 classes, the most frequent first."""
    return tuple(SampleClass(wnid=wnid, **_frozen(facts)) for wnid, facts in _vocabulary("classes").items())


@cache
def web() -> Web:
    """The words around the classes."""
    tables = _vocabulary("web")
    nested = {key: {name: tuple(items) for name, items in tables.pop(key).items()} for key in ("slots", "frames")}
    words: dict[str, Any] = {key: tuple(items) for key, items in tables.items() if key != "bystanders"}
    return Web(slots=nested["slots"], frames=nested["frames"], bystanders=tables["bystanders"], **words)


@cache
def lemma_owners() -> dict[str, str]:
    """Every lemma that a caption of the sample may hold, and the class it stands for."""
    return {lemma: one.wnid for one in sample_classes() for lemma in one.lemmas} | web().bystanders


def _frozen(facts: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()}


def _vocabulary(name: str) -> dict[str, Any]:
    text = files("laionet_assets.sample").joinpath("vocabulary", f"{name}.yaml").read_text(encoding="utf-8")
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
