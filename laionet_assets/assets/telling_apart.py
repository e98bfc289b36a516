"""Stage marts, can one tell the sets apart?: marts.probe, marts.nearest_images, marts.caption_terms.

Belongs here: which pictures and captions of two sets meet, class by class. Does not belong here: the probe and the
other statistics (`stats`), reading vectors (`alikeness`).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, groupby
from typing import TYPE_CHECKING, Any

from laionet_assets.assets.alikeness import classes_of_sets, write_mappings
from laionet_assets.assets.steps import Step, Work
from laionet_assets.settings import Settings
from laionet_assets.sqlmodels.loader import Project
from laionet_assets.stats.arms import ARMS
from laionet_assets.stats.caption_terms import caption_terms
from laionet_assets.stats.cross_set import nearest_in
from laionet_assets.stats.duplicates import find_duplicates
from laionet_assets.stats.probe import area_in_class, balanced, pooled_area, probe
from laionet_assets.stats.sampling import seeded_sample
from laionet_assets.stats.similarity import unit_rows

if TYPE_CHECKING:
    import numpy as np

ALL_CLASSES = ALL_ARMS = "*"
_PER_CLASS = 50
"""Pictures of a side in the probe of a class: more tell little more, and cost."""
_PER_CLASS_OF_ALL = 10
"""Pictures of a class and side in the probe over all classes: what memory holds grows by these alone."""


def steps(settings: Settings, project: Project) -> Mapping[str, Step]:
    """The steps of the three tables."""
    writers = {
        "marts.probe": _write_probe,
        "marts.nearest_images": _write_nearest,
        "marts.caption_terms": _write_terms,
    }
    return {name: Step(model=project.models[name], write=write) for name, write in writers.items()}


@dataclass(frozen=True)
class Side:
    """Pictures of a class in one set: ids, contents and unit vectors."""

    ids: Sequence[str]
    sha256: Sequence[str]
    hashes: Sequence[int | None]
    unit: "np.ndarray"


def recipes_beside_sets(work: Work) -> list[tuple[str, str]]:
    """Recipes that keep all of a class, each beside every local set: neither pools nor the top k of another recipe."""
    sets = work.connection.execute("""
        select image_set, kind from raw.image_sets
        where image_set not in (select recipe from raw.recipes where is_pool or top_k is not null) order by position
    """).fetchall()
    recipes = [name for name, kind in sets if kind == "recipe"]
    return [(recipe, name) for recipe in recipes for name, kind in sets if kind == "local"]


def sides_of_classes(work: Work, sets: Collection[str]) -> Iterator[tuple[str, str, dict[str, Side]]]:
    """Encoder, class, and its pictures in each of these sets that has any, one class at a time."""
    import numpy as np

    for encoder, wnid, images in classes_of_sets(work):
        sides = {}
        for name, group in groupby((each for each in images if each[1] in sets), key=lambda image: image[1]):
            _, _, ids, sha256, hashes, vectors = zip(*group, strict=True)
            sides[name] = Side(ids, sha256, hashes, unit_rows(np.stack(vectors)).astype(np.float32))
        yield encoder, wnid, sides


def _classes(work: Work, pairs: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str, tuple[str, str], Side, Side]]:
    """Encoder, class and the two sides of every pair that has it, one class at a time."""
    for encoder, wnid, sides in sides_of_classes(work, {name for pair in pairs for name in pair}):
        for pair in pairs:
            if set(pair) <= sides.keys():
                yield encoder, wnid, pair, sides[pair[0]], sides[pair[1]]


@dataclass
class _Pool:
    """Pictures of many classes for one probe."""

    unit: list["np.ndarray"] = field(default_factory=list)
    is_first: list["np.ndarray"] = field(default_factory=list)
    groups: list["np.ndarray"] = field(default_factory=list)
    wnids: list[str] = field(default_factory=list)
    pictures: int = 0


def _write_probe(work: Work) -> None:
    """A probe a class, and one over all classes, for every recipe, local set and encoder."""
    import numpy as np

    rows: list[dict[str, Any]] = []
    pools: dict[tuple[str, tuple[str, str]], _Pool] = {}
    for encoder, wnid, pair, one, other in _classes(work, recipes_beside_sets(work)):
        key = {"image_set": pair[0], "other_image_set": pair[1], "encoder": encoder}
        unit, is_first, groups = _both_sides(one, other, _PER_CLASS)
        scores = probe(unit, is_first, groups)
        if scores is not None and (area := area_in_class(scores, groups)).value is not None:
            interval = {"auc": area.value, "ci_low": area.low, "ci_high": area.high}
            rows.append(key | {"wnid": wnid, "images": len(unit), "classes": 1} | interval)
        unit, is_first, groups = _both_sides(one, other, _PER_CLASS_OF_ALL)
        pool = pools.setdefault((encoder, pair), _Pool())
        pool.unit.append(unit)
        pool.is_first.append(is_first)
        pool.groups.append(groups + pool.pictures)
        pool.wnids += [wnid] * len(unit)
        pool.pictures += len(unit)
    for (encoder, pair), pool in pools.items():
        scores = probe(np.concatenate(pool.unit), np.concatenate(pool.is_first), np.concatenate(pool.groups))
        if scores is not None:
            area = pooled_area(scores, np.array(pool.wnids))
            key = {"image_set": pair[0], "other_image_set": pair[1], "encoder": encoder, "wnid": ALL_CLASSES}
            interval = {"auc": area.value, "ci_low": area.low, "ci_high": area.high}
            rows.append(key | {"images": pool.pictures, "classes": area.units} | interval)
    write_mappings(work, rows)


def _both_sides(one: Side, other: Side, limit: int) -> "tuple[np.ndarray, np.ndarray, np.ndarray]":
    """Equally many pictures of both sides, at most `limit` of each: unit vectors, which are of the first, and groups of
    duplicates.
    """
    import numpy as np

    kept = [(side, seeded_sample(side.ids, limit)) for side in (one, other)]
    names = [f"{name}/{side.ids[i]}" for name, (side, at) in zip("ab", kept, strict=True) for i in at]
    unit = np.concatenate([side.unit[at] for side, at in kept])
    is_first = np.arange(len(unit)) < len(kept[0][1])
    sha256 = [side.sha256[i] for side, at in kept for i in at]
    hashes = [side.hashes[i] for side, at in kept for i in at]
    at = balanced(names, is_first, [""] * len(names))
    groups = find_duplicates(names, sha256=sha256, hashes=hashes, unit=unit).group
    _, numbers = np.unique(groups[at], return_inverse=True)
    return unit[at], is_first[at], numbers


def _write_nearest(work: Work) -> None:
    """The nearest picture of the other set for each picture of a recipe, within the class."""
    import numpy as np

    rows: list[dict[str, Any]] = []
    for encoder, wnid, (recipe, image_set), one, other in _classes(work, recipes_beside_sets(work)):
        found = nearest_in(one.unit, other.unit)
        theirs = frozenset(other.sha256)
        is_exact = np.array([sha256 in theirs for sha256 in one.sha256])
        rows.append(
            {
                "image_set": recipe,
                "other_image_set": image_set,
                "encoder": encoder,
                "wnid": wnid,
                "images": len(one.ids),
                "other_images": len(other.ids),
                "mean_nearest": float(found.similarity.mean()),
                "median_nearest": float(np.median(found.similarity)),
                "shared_exact": int(is_exact.sum()),
                "shared_near": int((found.is_shared() & ~is_exact).sum()),
            }
        )
    write_mappings(work, rows)


def _write_terms(work: Work) -> None:
    """The words that mark the captions of an arm, for every two arms of a pool, and those that mark the captions of a
    recipe, beside every local set that has captions.
    """
    write_mappings(work, [*_terms_of_arms(work), *_terms_of_sets(work)])


def _terms_of_arms(work: Work) -> Iterator[dict[str, Any]]:
    captions: dict[tuple[str, str], list[str]] = {}
    for recipe, arm, caption in work.connection.execute("""
        select a.recipe, a.arm, l.caption
        from core.arms as a join core.laionet as l using (recipe, source, sample_id, wnid)
        where l.caption is not null and a.arm in ('text', 'image', 'random') order by all
    """).fetchall():
        captions.setdefault((recipe, arm), []).append(caption)
    for recipe in sorted({recipe for recipe, _ in captions}):
        for arm, other in combinations([arm for arm in ARMS if (recipe, arm) in captions], 2):
            for term in caption_terms(captions[recipe, arm], captions[recipe, other]):
                yield {"recipe": recipe, "arm": arm, "other": other, "other_kind": "arm", **vars(term)}


def _terms_of_sets(work: Work) -> Iterator[dict[str, Any]]:
    """Equally many captions of each class of both sides: what is written of a class, not which classes there are."""
    import numpy as np

    for recipe, image_set in recipes_beside_sets(work):
        rows = work.connection.execute(
            """
            select true as is_first, source || '/' || sample_id as name, wnid, caption from core.laionet
            where recipe = $1 and caption is not null
            union all
            select false, name, wnid, caption from core.set_captions
            where image_set = $2 and caption is not null and wnid is not null
            order by all
            """,
            [recipe, image_set],
        ).fetchall()
        if not rows:
            continue
        sides, names, wnids, captions = zip(*rows, strict=True)
        kept = balanced([f"{side}/{name}" for side, name in zip(sides, names, strict=True)], np.array(sides), wnids)
        here, there = ([captions[i] for i in kept if sides[i] is side] for side in (True, False))
        for term in caption_terms(here, there):
            yield {"recipe": recipe, "arm": ALL_ARMS, "other": image_set, "other_kind": "image_set", **vars(term)}
