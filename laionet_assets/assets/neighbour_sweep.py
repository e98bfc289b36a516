"""Stage marts: marts.neighbour_sweep, nearest captions at rising thresholds of their similarity.

Belongs here: reading the vectors class by class, and rows into and out of the sweep. Does not belong here: which
pictures there are (core.swept_images is SQL), the sweep itself (`stats.threshold_sweep`).
"""

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

from laionet_assets.assets.alikeness import PROFILES, SIDES, class_means
from laionet_assets.assets.set_captions import matrix
from laionet_assets.assets.steps import Step, Work
from laionet_assets.settings import Settings
from laionet_assets.sqlmodels.loader import Project

if TYPE_CHECKING:
    from laionet_assets.stats.bootstrap import Floats
    from laionet_assets.stats.comparison import ClassMeans
    from laionet_assets.stats.threshold_sweep import SweptClass, SweptClasses

_ROWS = 2_048
_SHARES = ("lower", "higher", "lower_minus_higher")


def steps(settings: Settings, project: Project) -> Mapping[str, Step]:
    """The step of the table."""
    return {"marts.neighbour_sweep": Step(model=project.models["marts.neighbour_sweep"], write=_write_sweep)}


def _write_sweep(work: Work) -> None:
    from laionet_assets.stats.threshold_sweep import thresholds_from

    searches = work.connection.execute("select image_set, captions_of, fetch_above from raw.neighbours").fetchall()
    encoders = work.connection.execute("select distinct encoder from core.swept_images order by all").fetchall()
    rows: list[dict[str, Any]] = []
    for image_set, captions_of, fetch_above in searches:
        thresholds = thresholds_from(fetch_above)
        counted = [_covered(work, image_set, threshold) for threshold in thresholds.tolist()]
        for (encoder,) in encoders:
            for profile, swept in _swept(work, image_set, encoder, thresholds).items():
                other = _other(work, captions_of, encoder, profile)
                key = {"profile": profile, "image_set": image_set, "other_image_set": captions_of, "encoder": encoder}
                for i, threshold in enumerate(thresholds.tolist()):
                    counts = {"threshold": threshold, **counted[i], "images": swept.images(i)}
                    rows.append({**key, **counts, **_shares(swept.means(i), other)})
    work.write_rows({name: [row[name] for row in rows] for name in work.model.table.column_names})


def _covered(work: Work, image_set: str, threshold: float) -> dict[str, int]:
    """Captions with a safe nearest one above a threshold, and their classes."""
    ((captions, classes),) = work.connection.execute(
        """
        select count(*), count(distinct wnid) from core.neighbours
        where image_set = ? and similarity > ? and coalesce(reason, 'below_threshold') = 'below_threshold'
        """,
        [image_set, threshold],
    ).fetchall()
    return {"captions": captions, "classes": classes}


def _swept(work: Work, image_set: str, encoder: str, thresholds: "Floats") -> "dict[str, SweptClasses]":
    """The classes at each threshold, by profile; memory holds one class."""
    from laionet_assets.stats.threshold_sweep import SweptClasses

    found = {profile: SweptClasses(profile) for profile in PROFILES}
    for wnid, rows in groupby(_rows(work, image_set, encoder), key=lambda row: row[0]):
        of_class = list(rows)
        for profile, classes in found.items():
            classes.add(wnid, _sweep(profile, wnid, of_class, thresholds))
    return found


def _sweep(profile: str, wnid: str, rows: list[tuple[Any, ...]], thresholds: "Floats") -> "SweptClass":
    """A class. Under corrected a sample counts once, by its nearest caption."""
    import numpy as np

    from laionet_assets.stats.intra_class import ClassImages
    from laionet_assets.stats.threshold_sweep import sweep_class

    if profile == "corrected":
        nearest_first = sorted(rows, key=lambda row: -row[3])
        rows = sorted({row[2]: row for row in reversed(nearest_first)}.values(), key=lambda row: row[2])
        ids = [row[2] for row in rows]
    else:
        ids = [row[1] for row in rows]
    _, _, _, similarity, sha256, hashes, vectors = zip(*rows, strict=True)
    images = ClassImages(wnid, ids, np.stack(vectors), sha256, hashes)
    return sweep_class(images, np.array(similarity, dtype=np.float64), thresholds, profile=profile)


def _rows(work: Work, image_set: str, encoder: str) -> Iterator[tuple[Any, ...]]:
    """Class, caption, sample, similarity, content, perceptual hash and vector, class by class."""
    reader = work.connection.sql(
        """
        select s.wnid, s.name, s.source || '/' || s.sample_id as image_id, s.similarity, s.sha256, s.phash, v.embedding
        from core.swept_images as s
        join core.image_embeddings as v
            on v.source = s.source and v.part = s.part and v.sha256 = s.sha256 and v.profile = s.look
            and v.encoder = s.encoder
        where s.image_set = $image_set and s.encoder = $encoder
        order by s.wnid, s.name
        """,
        params={"image_set": image_set, "encoder": encoder},
    ).to_arrow_reader(_ROWS)
    for batch in reader:
        names = ("wnid", "name", "image_id", "similarity", "sha256", "phash")
        yield from zip(*(batch.column(name).to_pylist() for name in names), matrix(batch["embedding"]), strict=True)


def _other(work: Work, image_set: str, encoder: str, profile: str) -> "ClassMeans":
    """The classes of the image set whose captions were looked for."""
    rows = work.connection.sql(
        f"select * from ({SIDES}) where image_set = $image_set and encoder = $encoder and profile = $profile",
        params={"image_set": image_set, "encoder": encoder, "profile": profile},
    ).to_arrow_table()
    return class_means(profile, rows.to_pylist(), is_distinct=profile == "corrected")


def _shares(one: "ClassMeans", other: "ClassMeans") -> dict[str, Any]:
    from laionet_assets.stats.comparison import compare, shares

    differences = compare(one, other)
    if not len(differences.wnids):
        nothing = [f"{name}{end}" for name in _SHARES for end in ("", "_low", "_high")]
        return {"compared": 0, "tested": 0, **dict.fromkeys(nothing)}
    found = shares(differences)
    row: dict[str, Any] = {"compared": found.classes, "tested": found.tested}
    for name in _SHARES:
        estimate = getattr(found, name)
        row |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return row
