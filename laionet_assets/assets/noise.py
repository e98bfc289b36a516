"""Stage marts, is it only noise?: core.caption_senses (by part), core.confusable_classes, marts.gaps_without_noise.

Belongs here: which pictures and classes are left out, and rows into and out of `stats.noise`. Does not belong here: who
holds a label to be wrong (core.label_doubts is SQL), the statistics (`stats`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from laionet_assets.assets.alikeness import write_mappings
from laionet_assets.assets.named_models import named_models
from laionet_assets.assets.similarity import caption_vectors
from laionet_assets.assets.steps import Step, Work, same_for_all_parts
from laionet_assets.models.class_embeddings import class_embeddings
from laionet_assets.models.identity import identity
from laionet_assets.models.prompts import ClassPrompts
from laionet_assets.models.spec import TEXT_ENCODER, ModelSpec
from laionet_assets.settings import Settings
from laionet_assets.sqlmodels.loader import Project
from laionet_assets.stats.bootstrap import mean_estimate
from laionet_assets.stats.noise import Confusion, confusable_classes, nearer_to_another_sense
from laionet_assets.taxonomy.synsets import other_senses
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse, digest

if TYPE_CHECKING:
    import numpy as np

LABEL_ERRORS = "label_errors"
_LEFT_OUT: Mapping[str, tuple[str, bool]] = {
    "nothing": ("false", False),
    "disagreement": ("is_disagreed", False),
    "other_sense": ("is_other_sense", False),
    LABEL_ERRORS: ("is_disagreed or is_other_sense", False),
    "confusable": ("false", True),
    "all_doubts": ("is_disagreed or is_other_sense", True),
    "unjudged": ("is_judged_wrong is null", False),
    "judged_wrong": ("is_judged_wrong is distinct from false", False),
}
"""What is left out: pictures of the recipe, and whether confusable classes are."""
ALL_MODELS = "*"


def steps(settings: Settings, project: Project) -> Mapping[str, Step]:
    """The steps of the three tables."""
    specs = named_models(settings, "text_encoders", TEXT_ENCODER)
    templates = {encoder.name: encoder.query_template for encoder in settings.text_encoders}
    models = project.models

    def encoders(warehouse: Warehouse, part: PartKey | None) -> str:
        return digest(*(f"{spec.name}={identity(spec)}" for spec in specs))

    return {
        "core.caption_senses": Step(
            model=models["core.caption_senses"],
            write=partial(_write_senses, specs, templates),
            settings=(repr(sorted(templates.items())),),
            outside=encoders,
            outside_by=same_for_all_parts,
        ),
        "core.confusable_classes": Step(model=models["core.confusable_classes"], write=_write_confusable),
        "marts.gaps_without_noise": Step(model=models["marts.gaps_without_noise"], write=_write_gaps),
    }


def _write_senses(specs: Sequence[ModelSpec], templates: Mapping[str, str], work: Work) -> None:
    """Captions of classes whose lemmas have another sense, a piece of the part's captions after the other.

    Vectors are read in the order of their file and neither joined nor sorted: those of a part of LAION-400M are
    gigabytes, which DuckDB would spill several times over.
    """
    import numpy as np
    import pyarrow as pa

    kept = "select distinct wnid from core.selection where reason is null order by all"
    senses = other_senses([wnid for (wnid,) in work.connection.execute(kept).fetchall()])
    named = work.connection.sql(
        """
        with kept as (select distinct source, sample_id, wnid from core.selection where reason is null),
        captions as (select distinct source, sample_id, wnid, caption_id from core.candidates)
        select c.caption_id, k.wnid, k.sample_id
        from kept as k join captions as c using (source, sample_id, wnid)
        where k.wnid in (select unnest($1::varchar[]))
        order by all
        """,
        params=[sorted(senses)],
    ).to_arrow_table()
    caption_ids = named["caption_id"].to_numpy()
    found: list[pa.Table] = []
    for spec in specs if len(named) else ():
        queries = _vectors_by(work, "select wnid, embedding from core.query_embeddings where encoder = $1", spec.name)
        definitions = _definitions(spec, senses, work)
        for ids, vectors in caption_vectors(work, spec.name):
            first = np.searchsorted(caption_ids, ids[0])
            end = np.searchsorted(caption_ids, ids[-1], side="right")
            here = named.slice(first, end - first)
            at = np.searchsorted(ids, caption_ids[first:end])
            is_there = ids[at] == caption_ids[first:end]
            here, at = here.filter(pa.array(is_there)), at[is_there]
            is_nearer, _ = nearer_to_another_sense(vectors[at], here["wnid"].to_pylist(), queries, definitions)
            same = {"encoder": spec.name, "source": work.part_key.source, "part": work.part_key.part}
            columns = {name: [value] * len(here) for name, value in same.items()}
            keys = {name: here[name] for name in ("sample_id", "wnid")}
            found.append(work.typed({**columns, **keys, "is_nearer": is_nearer}))
    names = work.model.table.column_names
    if not found:
        work.write_rows({name: [] for name in names})
        return
    work.connection.register("found", pa.concat_tables(found))
    work.write_rows(f"select {', '.join(names)} from found")


def _vectors_by(work: Work, select: str, encoder: str) -> "dict[str, np.ndarray]":
    import numpy as np

    rows = work.connection.execute(select, [encoder]).fetchall()
    return {name: np.array(vector, dtype=np.float64) for name, vector in rows}


def _definitions(
    spec: ModelSpec, senses: Mapping[str, Sequence[tuple[str, str]]], work: Work
) -> "dict[str, np.ndarray]":
    """The embedded "name which is definition" of the other senses of each class."""
    texts = dict(sorted({each for others in senses.values() for each in others}))
    prompts = ClassPrompts(tuple(texts), tuple((text,) for text in texts.values()))
    vectors = class_embeddings(spec, prompts=prompts, cache=work.warehouse.scratch / "class_embeddings")
    row = {wnid: i for i, wnid in enumerate(prompts.wnids)}
    return {wnid: vectors[[row[other] for other, _ in others]] for wnid, others in senses.items()}


def _write_confusable(work: Work) -> None:
    """Groups of every local set, by what any predictor gives its pictures in the first place."""
    rows = work.connection.execute("""
        select l.image_set, p.model, l.wnid, p.wnid, count(*)
        from core.image_labels as l
        join raw.image_sets as s using (image_set)
        join core.predictions as p using (image_set, image_id)
        where s.kind = 'local' and l.is_admitted and p.rank = 1
        group by all order by all
    """).fetchall()
    found: list[dict[str, Any]] = []
    for image_set, group in groupby(rows, key=lambda row: row[0]):
        confusions = [Confusion(*row[1:]) for row in group]
        images: dict[tuple[str, str], int] = {}
        for each in confusions:
            images[each.model, each.wnid] = images.get((each.model, each.wnid), 0) + each.images
        for wnid, name in sorted(confusable_classes(confusions, images).items()):
            found.append({"image_set": image_set, "wnid": wnid, "confused_with": name})
    write_mappings(work, found)


@dataclass(frozen=True)
class GapWithout:
    """Recalls at 1 of a recipe and an image set over the classes of both, shape (classes, models), nan where there is
    none; `left_out` is the share of the recipe's pictures that are.
    """

    recipe: str
    image_set: str
    without: str
    left_out: float
    models: tuple[str, ...]
    recall: "np.ndarray"
    other_recall: "np.ndarray"


def gaps_without(work: Work, only: Sequence[str] = tuple(_LEFT_OUT)) -> Iterator[GapWithout]:
    """Every recipe that is no pool beside every local set and published results, for each thing left out."""
    import numpy as np

    sets = work.connection.execute("""
        select image_set, kind from raw.image_sets
        where image_set not in (select recipe from raw.recipes where is_pool) order by position
    """).fetchall()
    recipes = [name for name, kind in sets if kind == "recipe"]
    beside = [name for name, kind in sets if kind in ("local", "published")]
    others = {name: _recalls(work, name, "false")[0] for name in beside}
    for recipe in recipes:
        for without in only:
            is_left_out, has_confusable = _LEFT_OUT[without]
            here, left_out = _recalls(work, recipe, is_left_out)
            for image_set in beside:
                there = others[image_set]
                apart = _confusable(work, image_set) if has_confusable else frozenset()
                wnids = sorted({wnid for _, wnid in here} & {wnid for _, wnid in there} - apart)
                models = tuple(sorted({model for model, _ in here} & {model for model, _ in there}))
                if wnids and models:
                    one, other = (
                        np.array([[side.get((model, wnid), np.nan) for model in models] for wnid in wnids])
                        for side in (here, there)
                    )
                    yield GapWithout(recipe, image_set, without, left_out, models, one, other)


def _recalls(work: Work, image_set: str, is_left_out: str) -> tuple[dict[tuple[str, str], float], float]:
    """Recall@1 by model and class that counts, without the pictures left out, and the share of pictures that are."""
    rows = work.connection.execute(
        f"""
        with counting as (
            select image_set, wnid from core.class_weights where weighting = 'equal' and image_set = $1
        ),
        doubts as (
            select image_set, image_id, wnid from core.label_doubts where image_set = $1 and ({is_left_out})
        )
        select model, wnid, avg(top_1_is_correct::integer)
        from core.correctness semi join counting using (image_set, wnid)
        anti join doubts using (image_set, image_id, wnid)
        where image_set = $1 and top_1_is_correct is not null
        group by all
        """,
        [image_set],
    ).fetchall()
    share = f"coalesce(count_if({is_left_out}) / nullif(count(*), 0), 0)"
    ((left_out,),) = work.connection.execute(
        f"select {share} from core.label_doubts where image_set = $1", [image_set]
    ).fetchall()
    return {(model, wnid): recall for model, wnid, recall in rows}, left_out


def _confusable(work: Work, image_set: str) -> frozenset[str]:
    rows = work.connection.execute("select wnid from core.confusable_classes where image_set = ?", [image_set])
    return frozenset(wnid for (wnid,) in rows.fetchall())


def zero_shot_models(work: Work) -> frozenset[str]:
    """Predictors that compare pictures with texts: claims over models are about the others."""
    rows = work.connection.execute("select model from raw.predictors where is_zero_shot").fetchall()
    return frozenset(model for (model,) in rows)


def _write_gaps(work: Work) -> None:
    """Each model, and the mean over those with a head."""
    import numpy as np

    zero_shot = zero_shot_models(work)
    rows: list[dict[str, Any]] = []
    for found in gaps_without(work):
        heads = [i for i, model in enumerate(found.models) if model not in zero_shot]
        columns = {model: [i] for i, model in enumerate(found.models)} | ({ALL_MODELS: heads} if heads else {})
        for model, at in columns.items():
            recall, other = found.recall[:, at].mean(axis=1), found.other_recall[:, at].mean(axis=1)
            estimate = mean_estimate(recall - other)
            if estimate.value is None:
                continue
            is_common = ~np.isnan(recall - other)
            row: dict[str, Any] = {
                "recipe": found.recipe,
                "image_set": found.image_set,
                "model": model,
                "without": found.without,
            }
            row |= {"left_out": found.left_out, "classes": estimate.units, "accuracy": float(recall[is_common].mean())}
            row |= {"other_accuracy": float(other[is_common].mean()), "gap": estimate.value}
            rows.append(row | {"ci_low": estimate.low, "ci_high": estimate.high})
    write_mappings(work, rows)
