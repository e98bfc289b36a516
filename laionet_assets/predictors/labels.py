"""Which class of ImageNet-1k each output of a model stands for, by wnid and with proof.

Names are not enough: "crane" is two classes, fifty lemma lists of ImageNet-1k occur twice among 21,841 classes, and
two published checkpoints number their labels past two gaps, which mis-decodes 281 classes (docs/method.md, D2). A map
is made only if all classes of ImageNet-1k that such a head has are found, and if nothing but their order tells two of
them apart, only if that order is ImageNet's; otherwise the error lists the classes. The taxonomy is handed in.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise

_LISTED = 20
"""Classes that an error message lists at most."""


@dataclass(frozen=True)
class ImageNetClasses:
    """The classes of ImageNet-1k by class index: their wnids, and the lemmas of each as one text."""

    wnids: tuple[str, ...]
    lemmas: tuple[str, ...]

    @classmethod
    def of_rows(cls, rows: Iterable[tuple[str, Sequence[str]]]) -> "ImageNetClasses":
        """From the wnid and the lemmas of each class, in the order of class indices."""
        wnids, lemmas = zip(*rows, strict=True)
        return cls(tuple(wnids), tuple(", ".join(each) for each in lemmas))

    @cached_property
    def names(self) -> Mapping[str, str]:
        """wnid -> lemmas, in order."""
        return dict(zip(self.wnids, self.lemmas, strict=True))


@dataclass(frozen=True)
class LabelMap:
    """Where the classes of ImageNet-1k are among the outputs of a model.

    Output `columns[i]` is the class `wnids[i]`, in the order of ImageNet-1k. `missing` are the classes that no head
    over this class list has: ImageNet-21k lacks n04399382, teddy. `moved` counts labels that the config numbers
    otherwise than the outputs.
    """

    wnids: tuple[str, ...]
    columns: tuple[int, ...]
    missing: tuple[str, ...] = ()
    moved: int = 0


class LabelsUnproven(ValueError):
    """The labels do not say which output is which class. The message says what was found and expected."""


def contiguous_labels(id2label: Mapping[int, str], outputs: int) -> tuple[list[str], int]:
    """Labels by output, and how many of them the config numbers otherwise.

    Labels are the outputs' in the order of their keys: keys with gaps (a label was deleted, the later ones kept their
    numbers) are counted anew. Raises LabelsUnproven unless there is one label an output.
    """
    if len(id2label) != outputs:
        raise LabelsUnproven(f"expected one label an output, found {len(id2label):,} labels, {outputs:,} outputs")
    keys = sorted(int(key) for key in id2label)
    by_key = {int(key): label for key, label in id2label.items()}
    return [by_key[key] for key in keys], sum(key != rank for rank, key in enumerate(keys))


def map_labels(labels: Sequence[str], classes: ImageNetClasses, *, moved: int = 0) -> LabelMap:
    """The map of outputs labelled with wnids or with lists of lemmas ("tench, Tinca tinca"; `_` counts as a space).

    Where a known class list of this length agrees with the labels at every class of ImageNet-1k, outputs are classes
    by position in it. Otherwise by label: equal lemma lists ("crane") are told apart by their order where all other
    labels stand in ImageNet's. Raises LabelsUnproven, listing the classes that are missing or ambiguous.
    """
    cleaned = [label.replace("_", " ").strip() for label in labels]
    names = classes.names
    table = class_list(len(labels))
    if table is not None:
        position = {wnid: i for i, wnid in enumerate(table)}
        if all(cleaned[position[wnid]] in (wnid, name) for wnid, name in names.items() if wnid in position):
            return _from_positions(position, names, moved=moved)
    return _by_label(cleaned, names, moved=moved)


def map_outputs(outputs: int, classes: ImageNetClasses) -> LabelMap:
    """The map of a timm head without labels of its own: classes by position in the class list of this length.

    Source: timm's rule that 1,000 outputs are ImageNet-1k, 21,843 are ImageNet-21k as Google numbers it, and so on.
    Raises LabelsUnproven if no class list has this length.
    """
    table = class_list(outputs)
    if table is None:
        raise LabelsUnproven(
            f"its head has {outputs:,} outputs; expected a class list that timm knows: 1,000 (ImageNet-1k), 11,221, "
            "11,821, 21,841, 21,842 or 21,843"
        )
    return _from_positions({wnid: i for i, wnid in enumerate(table)}, classes.names)


def _from_positions(position: Mapping[str, int], names: Mapping[str, str], *, moved: int = 0) -> LabelMap:
    found = tuple(wnid for wnid in names if wnid in position)
    missing = tuple(wnid for wnid in names if wnid not in position)
    return LabelMap(found, tuple(position[wnid] for wnid in found), missing, moved)


def _by_label(labels: Sequence[str], names: Mapping[str, str], *, moved: int) -> LabelMap:
    positions = defaultdict(list)
    for i, label in enumerate(labels):
        positions[label].append(i)
    wnids_of = defaultdict(list)
    for wnid, name in names.items():
        wnids_of[wnid if wnid in positions else name].append(wnid)
    column, missing, ambiguous = {}, [], []
    for label, wnids in wnids_of.items():
        if len(positions[label]) == len(wnids):
            column.update(zip(wnids, positions[label], strict=True))
        else:
            (ambiguous if len(positions[label]) > len(wnids) else missing).extend(wnids)
    if missing or ambiguous:
        raise LabelsUnproven(_unproven(len(labels), sorted(missing), sorted(ambiguous), names))
    alike = [wnid for wnids in wnids_of.values() if len(wnids) > 1 for wnid in wnids]
    columns = tuple(column[wnid] for wnid in names)
    if alike and not all(one < following for one, following in pairwise(columns)):
        raise LabelsUnproven(_unordered(len(labels), alike, names))
    return LabelMap(tuple(names), columns, moved=moved)


def _unproven(labels: int, missing: Sequence[str], ambiguous: Sequence[str], names: Mapping[str, str]) -> str:
    parts = []
    for wnids, fault in ((missing, "are not among"), (ambiguous, "stand more than once among")):
        if wnids:
            listed = "; ".join(f"{wnid} ({names[wnid]})" for wnid in wnids[:_LISTED])
            more = f"; and {len(wnids) - _LISTED:,} more" if len(wnids) > _LISTED else ""
            parts.append(f"{len(wnids):,} of 1,000 ImageNet classes {fault} its {labels:,} labels: {listed}{more}")
    return ". ".join(parts) + (
        ". Expected each class once, as a wnid or as its list of WordNet lemmas, such as 'tench, Tinca tinca'; put "
        "them into id2label of the model's config.json, or name another model"
    )


def _unordered(labels: int, alike: Sequence[str], names: Mapping[str, str]) -> str:
    listed = ", ".join(f"{wnid} ({names[wnid]})" for wnid in alike)
    return (
        f"its {labels:,} labels are lemmas in another order than ImageNet's, so nothing tells {listed} apart, which "
        "have the same. Put wnids into id2label of the model's config.json, or name another model"
    )


@lru_cache(maxsize=8)
def class_list(outputs: int) -> tuple[str, ...] | None:
    """The wnids of the list of ImageNet's classes that has this length, in the order of the outputs (timm)."""
    from timm.data import ImageNetInfo, infer_imagenet_subset

    subset = infer_imagenet_subset({"num_classes": outputs})
    return tuple(ImageNetInfo(subset).label_names()) if subset else None
