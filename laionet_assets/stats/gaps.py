"""Accuracy gaps: how much more accurate a model is on one image set than on another, over the classes of both.

Makes the rows of marts.accuracy_gap from marts.class_recall and core.class_weights. Resampling is `bootstrap`'s.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from laionet_assets.stats.bootstrap import RESAMPLES, SEED, Floats, bootstrap_classes
from laionet_assets.stats.intervals import Z_PUBLISHED

if TYPE_CHECKING:
    import pyarrow as pa

EQUAL, LAION = "equal", "laion"


@dataclass(frozen=True)
class _ImageSet:
    """Recalls and standard errors of an image set, shape (classes, columns), nan where there is no prediction, a column
    for each model and k; LAION weights, shape (classes,), of its label list.
    """

    name: str
    recall: Floats
    se: Floats
    laion: Floats
    label_list: str | None

    @property
    def owns_its_list(self) -> bool:
        """Whether it is LAIONet (a recipe or an imported list) and not weighted by another's list."""
        return self.label_list == self.name


def accuracy_gaps(
    recalls: "pa.Table", weights: "pa.Table", *, resamples: int = RESAMPLES, seed: int = SEED
) -> list[dict[str, Any]]:
    """The rows of marts.accuracy_gap: every ordered pair of image sets that share classes.

    `recalls` has the columns image_set, model, k, wnid, recall and se of marts.class_recall; `weights` image_set,
    weighting, wnid, label_list and weight of core.class_weights. The same rows, in any order, give the same result.
    """
    columns, image_sets = _image_sets(recalls, weights)
    return [
        row
        for one, other in combinations(image_sets, 2)
        for row in _both_ways(one, other, columns, resamples=resamples, seed=seed)
    ]


def _both_ways(
    one: _ImageSet, other: _ImageSet, columns: list[tuple[str, int]], *, resamples: int, seed: int
) -> Iterator[dict[str, Any]]:
    """Rows of a pair and of its reverse, which is computed only if it is weighted otherwise."""
    there, back = _weighted_by(one, other), _weighted_by(other, one)
    for weighting in (EQUAL, LAION):
        rows = list(_pair(one, other, columns, weighting, there, resamples=resamples, seed=seed))
        yield from rows
        if weighting == EQUAL or there.label_list == back.label_list:
            yield from map(_reversed, rows)
        else:
            yield from _pair(other, one, columns, weighting, back, resamples=resamples, seed=seed)


def _pair(
    one: _ImageSet,
    other: _ImageSet,
    columns: list[tuple[str, int]],
    weighting: str,
    owner: _ImageSet,
    *,
    resamples: int,
    seed: int,
) -> Iterator[dict[str, Any]]:
    """Rows of one ordered pair. Columns (model and k) with the same classes go through the bootstrap together."""
    is_common = ~np.isnan(one.recall) & ~np.isnan(other.recall)
    weight = np.ones(len(is_common)) if weighting == EQUAL else owner.laion
    for is_used, members in _by_classes(is_common & (weight > 0)[:, None]):
        here = np.ix_(is_used, np.asarray(members))
        gaps = _gaps(one, other, here, weight[is_used], resamples=resamples, seed=seed)
        for i, member in enumerate(members):
            model, k = columns[member]
            yield {
                "image_set": one.name,
                "other_image_set": other.name,
                "model": model,
                "k": k,
                "weighting": weighting,
                "label_list": None if weighting == EQUAL else owner.label_list,
                "classes": int(is_used.sum()),
                "resamples": resamples,
                **{name: None if values is None else float(values[i]) for name, values in gaps.items()},
            }


def _weighted_by(one: _ImageSet, other: _ImageSet) -> _ImageSet:
    """The side whose LAION weights an ordered pair takes: one that owns its list, the first of the two if it can be."""
    return other if other.owns_its_list and not one.owns_its_list else one


def _reversed(row: dict[str, Any]) -> dict[str, Any]:
    """The same pair the other way round, of the same weights and resamples."""
    is_drawn = row["bootstrap_low"] is not None
    return row | {
        "image_set": row["other_image_set"],
        "other_image_set": row["image_set"],
        "accuracy": row["other_accuracy"],
        "other_accuracy": row["accuracy"],
        "gap": 0.0 - row["gap"],
        "ci_low": 0.0 - row["ci_high"],
        "ci_high": 0.0 - row["ci_low"],
        "bootstrap_low": 0.0 - row["bootstrap_high"] if is_drawn else None,
        "bootstrap_high": 0.0 - row["bootstrap_low"] if is_drawn else None,
    }


def _gaps(
    one: _ImageSet, other: _ImageSet, here: Any, weight: Floats, *, resamples: int, seed: int
) -> dict[str, Floats | None]:
    """Every statistic of the gap, by the name of its column; arrays of shape (columns,)."""
    share = (weight / weight.sum())[:, None]
    accuracy, other_accuracy = (share * one.recall[here]).sum(axis=0), (share * other.recall[here]).sum(axis=0)
    gap = accuracy - other_accuracy
    se = np.sqrt((share**2 * (one.se[here] ** 2 + other.se[here] ** 2)).sum(axis=0))
    drawn = None
    if len(weight) > 1:
        drawn = bootstrap_classes(one.recall[here] - other.recall[here], weight, resamples=resamples, seed=seed)
    return {
        "accuracy": accuracy,
        "other_accuracy": other_accuracy,
        "gap": gap,
        "se": se,
        "ci_low": gap - Z_PUBLISHED * se,
        "ci_high": gap + Z_PUBLISHED * se,
        "bootstrap_se": drawn.se if drawn else None,
        "bootstrap_low": drawn.low if drawn else None,
        "bootstrap_high": drawn.high if drawn else None,
    }


def _by_classes(is_used: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.bool_], list[int]]]:
    """The distinct sets of classes among the columns, each with its columns; columns without a class are left out."""
    groups: dict[bytes, list[int]] = {}
    for column in np.flatnonzero(is_used.any(axis=0)):
        groups.setdefault(is_used[:, column].tobytes(), []).append(int(column))
    for members in groups.values():
        yield is_used[:, members[0]], members


def _image_sets(recalls: "pa.Table", weights: "pa.Table") -> tuple[list[tuple[str, int]], list[_ImageSet]]:
    """Models and values of k, and the image sets over all classes, each sorted by name."""
    models, model_at = _codes(recalls["model"])
    wnids, row_at = _codes(recalls["wnid"])
    names, set_at = _codes(recalls["image_set"])
    ks, k_at = _codes(recalls["k"])
    pairs, column_at = np.unique(model_at * len(ks) + k_at, return_inverse=True)
    columns = [(models[pair // len(ks)], ks[pair % len(ks)]) for pair in pairs]
    laion = _laion_weights(weights)
    image_sets = []
    for i, name in enumerate(names):
        is_here = set_at == i
        filled = {}
        for key in ("recall", "se"):
            filled[key] = np.full((len(wnids), len(columns)), np.nan)
            filled[key][row_at[is_here], column_at[is_here]] = recalls[key].to_numpy()[is_here]
        label_list, weight = laion.get(name, (None, {}))
        image_sets.append(
            _ImageSet(
                name=name,
                recall=filled["recall"],
                se=filled["se"],
                laion=np.array([weight.get(wnid, 0.0) for wnid in wnids]),
                label_list=label_list,
            )
        )
    return columns, image_sets


def _codes(column: "pa.ChunkedArray") -> tuple[list[Any], NDArray[np.intp]]:
    """The distinct values, sorted, and the place of each row's value among them."""
    values = sorted(column.unique().to_pylist())
    place = {value: i for i, value in enumerate(values)}
    encoded = column.combine_chunks().dictionary_encode()
    order = np.array([place[value] for value in encoded.dictionary.to_pylist()], dtype=np.intp)
    return values, order[encoded.indices.to_numpy()] if len(column) else np.empty(0, dtype=np.intp)


def _laion_weights(weights: "pa.Table") -> dict[str, tuple[str, dict[str, float]]]:
    """Label list and weights by class of each image set that has LAION weights."""
    found: dict[str, tuple[str, dict[str, float]]] = {}
    for row in weights.select(["image_set", "weighting", "wnid", "label_list", "weight"]).to_pylist():
        if row["weighting"] == LAION:
            found.setdefault(row["image_set"], (row["label_list"], {}))[1][row["wnid"]] = row["weight"]
    return found
