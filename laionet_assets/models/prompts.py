"""What zero-shot prediction compares a picture with: the texts of each class.

Here: the single query of the paper, and the ensemble of 80 templates that OpenAI published for ImageNet. Not here:
their embedding (`zero_shot`).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class ClassPrompts:
    """The texts of every class that can be predicted; a class with several is their mean direction.

    `wnids[i]` is described by `texts[i]`. Raises ValueError if a class is named twice, has no text, or none is given.
    """

    wnids: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        if not self.wnids or len(self.wnids) != len(self.texts):
            raise ValueError(f"expected texts for each class, found {len(self.wnids)} wnids, {len(self.texts)} texts")
        if len(set(self.wnids)) < len(self.wnids):
            raise ValueError("expected each class once, found a wnid twice")
        empty = [wnid for wnid, texts in zip(self.wnids, self.texts, strict=True) if not texts]
        if empty:
            raise ValueError(f"expected at least one text a class, found none for {', '.join(empty)}")

    @cached_property
    def digest(self) -> str:
        """sha256 (hex) of classes and texts, in their order."""
        lines = ("\x1f".join((wnid, *texts)) for wnid, texts in zip(self.wnids, self.texts, strict=True))
        return hashlib.sha256("\x1e".join(lines).encode()).hexdigest()


def query_prompts(queries: Mapping[str, str]) -> ClassPrompts:
    """One prompt a class, as in the paper: wnid -> its query (`name which is definition`), in the mapping's order."""
    return ClassPrompts(tuple(queries), tuple((query,) for query in queries.values()))


def template_prompts(class_indices: Mapping[str, int]) -> ClassPrompts:
    """80 prompts a class: OpenAI's templates filled with OpenAI's class names, both as open_clip ships them.

    `class_indices` maps each wnid to its index in ImageNet-1k (0 to 999, by sorted wnid). The names tell apart what
    lemmas do not: `crane bird` and `construction crane`.
    """
    from open_clip import IMAGENET_CLASSNAMES, OPENAI_IMAGENET_TEMPLATES

    return ClassPrompts(
        tuple(class_indices),
        tuple(
            tuple(template(IMAGENET_CLASSNAMES[index]) for template in OPENAI_IMAGENET_TEMPLATES)
            for index in class_indices.values()
        ),
    )
