"""Stage marts, do two sets differ because one of them is nearer to a third?: marts.equally_near.

Belongs here: which sets are thinned against which reference, and what is measured before and after. Does not belong
here: nearest pictures and thinning (`stats.cross_set`), reading vectors (`telling_apart`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from laionet_assets.assets.alikeness import write_mappings
from laionet_assets.assets.steps import Step, Work
from laionet_assets.assets.telling_apart import recipes_beside_sets, sides_of_classes
from laionet_assets.settings import Settings
from laionet_assets.sqlmodels.loader import Project
from laionet_assets.stats.bootstrap import Estimate, mean_estimate
from laionet_assets.stats.cross_set import equally_similar, nearest_in

if TYPE_CHECKING:
    import numpy as np

SIMILARITY, RECALL = "similarity", "recall"
Figures = Mapping[str, float]
"""One a class."""


class _Trio(NamedTuple):
    """A recipe, a local set, and the local set that both are thinned to be equally near to; by an encoder."""

    encoder: str
    recipe: str
    image_set: str
    reference: str


@dataclass
class _Pictures:
    """Pictures of one side in classes that all three sets have, and how near each is to the reference's nearest."""

    wnids: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    nearest: list[float] = field(default_factory=list)
    kept: frozenset[tuple[str, str]] = frozenset()
    """Class and id of those that stay."""


Sides = tuple[_Pictures, _Pictures]


def steps(settings: Settings, project: Project) -> Mapping[str, Step]:
    """The step of the table."""
    return {"marts.equally_near": Step(model=project.models["marts.equally_near"], write=_write)}


def _write(work: Work) -> None:
    """Recall by every predictor and similarity by the encoder, of all pictures and of those that stay."""
    found = _nearest(work)
    for sides in found.values():
        _thin(*sides)
    rows: list[dict[str, Any]] = []
    for trio, measure, model, all_of, kept in (*_recalls(work, found), *_similarities(work, found)):
        one, other = found[trio]
        before, after = _difference(*all_of), _difference(*kept)
        if before.value is None:
            continue
        row: dict[str, Any] = trio._asdict() | {"measure": measure, "model": model}
        row |= {"images": len(one.ids), "other_images": len(other.ids), "images_kept": len(one.kept)}
        row |= {"classes": before.units, "difference": before.value, "ci_low": before.low, "ci_high": before.high}
        row |= {"classes_kept": after.units, "difference_kept": after.value}
        rows.append(row | {"ci_low_kept": after.low, "ci_high_kept": after.high})
    write_mappings(work, rows)


def _trios(work: Work) -> list[tuple[str, str, str]]:
    """References are local sets without a selection frequency: of ImageNet and its variants, ImageNet."""
    references = work.connection.execute(
        "select image_set from raw.image_sets where kind = 'local' and selection_frequency is null order by position"
    ).fetchall()
    pairs = recipes_beside_sets(work)
    return [(*pair, reference) for (reference,) in references for pair in pairs if pair[1] != reference]


def _nearest(work: Work) -> dict[_Trio, Sides]:
    """How near every picture is to the nearest picture of its class in the reference."""
    trios, found = _trios(work), dict[_Trio, Sides]()
    for encoder, wnid, sides in sides_of_classes(work, {name for trio in trios for name in trio}):
        for names in trios:
            if not set(names) <= sides.keys():
                continue
            both = found.setdefault(_Trio(encoder, *names), (_Pictures(), _Pictures()))
            for pictures, name in zip(both, names, strict=False):
                pictures.ids += sides[name].ids
                pictures.wnids += [wnid] * len(sides[name].ids)
                pictures.nearest += nearest_in(sides[name].unit, sides[names[2]].unit).similarity.tolist()
    return found


def _thin(one: _Pictures, other: _Pictures) -> None:
    import numpy as np

    names = [[f"{wnid}/{name}" for wnid, name in zip(side.wnids, side.ids, strict=True)] for side in (one, other)]
    near = [np.array(side.nearest) for side in (one, other)]
    for side, at in zip((one, other), equally_similar(names[0], near[0], names[1], near[1]), strict=True):
        side.kept = frozenset((side.wnids[i], side.ids[i]) for i in at)


Measured = tuple[_Trio, str, str, tuple[Figures, Figures], tuple[Figures, Figures]]
"""Sets, measure, model, and the figures of both sides: of all pictures, and of those that stay."""


def _recalls(work: Work, found: Mapping[_Trio, Sides]) -> Iterator[Measured]:
    for trio, sides in found.items():
        one, other = (_recalls_of(work, name, side) for name, side in zip(trio[1:3], sides, strict=True))
        for model in sorted(one.keys() & other.keys()):
            (all_of, kept), (others, others_kept) = one[model], other[model]
            yield trio, RECALL, model, (all_of, others), (kept, others_kept)


def _recalls_of(work: Work, image_set: str, side: _Pictures) -> dict[str, tuple[dict[str, float], dict[str, float]]]:
    """By model: recall@1 of each class, of all pictures and of those that stay."""
    import pyarrow as pa

    is_kept = [key in side.kept for key in zip(side.wnids, side.ids, strict=True)]
    work.connection.register("pictures", pa.table({"wnid": side.wnids, "image_id": side.ids, "is_kept": is_kept}))
    rows = work.connection.execute(
        """
        select model, wnid, avg(top_1_is_correct::integer), avg(top_1_is_correct::integer) filter (is_kept)
        from core.correctness join pictures using (image_id, wnid)
        where image_set = ? and top_1_is_correct is not null group by all order by all
        """,
        [image_set],
    ).fetchall()
    work.connection.unregister("pictures")
    recalls: dict[str, tuple[dict[str, float], dict[str, float]]] = {}
    for model, wnid, recall, recall_kept in rows:
        all_of, kept = recalls.setdefault(model, ({}, {}))
        all_of[wnid] = recall
        if recall_kept is not None:
            kept[wnid] = recall_kept
    return recalls


def _similarities(work: Work, found: Mapping[_Trio, Sides]) -> Iterator[Measured]:
    figures = {trio: tuple(dict[str, float]() for _ in range(4)) for trio in found}
    for encoder, wnid, sides in sides_of_classes(work, {name for trio in found for name in trio[1:]}):
        for trio, both in found.items():
            if trio.encoder != encoder or not set(trio[1:]) <= sides.keys():
                continue
            for i, (name, pictures) in enumerate(zip(trio[1:3], both, strict=True)):
                side = sides[name]
                stays = [(wnid, each) in pictures.kept for each in side.ids]
                for of_class, unit in zip(figures[trio][2 * i : 2 * i + 2], (side.unit, side.unit[stays]), strict=True):
                    if len(unit) > 1:
                        of_class[wnid] = _mean_similarity(unit)
    for trio, (all_of, kept, others, others_kept) in figures.items():
        yield trio, SIMILARITY, trio.encoder, (all_of, others), (kept, others_kept)


def _mean_similarity(unit: "np.ndarray") -> float:
    """Mean cosine over pairs of unit vectors, shape (images, dimension)."""
    total, images = unit.sum(axis=0, dtype="float64"), len(unit)
    return float((total @ total - images) / (images * (images - 1)))


def _difference(one: Figures, other: Figures) -> Estimate:
    """Mean over the classes of both, which are resampled."""
    import numpy as np

    return mean_estimate(np.array([one[wnid] - other[wnid] for wnid in sorted(one.keys() & other.keys())]))
