"""Stage similarity, how near pictures are to their classes: core.sample_query_similarity (by part) and
core.set_query_similarity.

Belongs here: which vector of a picture meets which vector of a class, and rows into and out of `stats.image_to_class`.
Does not belong here: vectors of pictures (`embeddings`), those of classes (`predictors.class_vectors`), who counts
(core.image_query_similarity is SQL).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from laionet_assets.assets.named_models import named_models
from laionet_assets.assets.steps import Step, Work, same_for_all_parts
from laionet_assets.errors import UserError
from laionet_assets.models.identity import identity
from laionet_assets.models.prompts import query_prompts
from laionet_assets.models.spec import IMAGE_ENCODER, ModelError, ModelSpec
from laionet_assets.predictors import ImageNetClasses
from laionet_assets.predictors.class_vectors import (
    HAVE_HEADS,
    HAVE_TOWERS,
    HEAD,
    QUERY,
    ClassVectors,
    head_vectors,
    query_vectors,
)
from laionet_assets.settings import Settings
from laionet_assets.sqlmodels.loader import Project
from laionet_assets.stats.image_to_class import Prototypes, prototypes, similarity_to_classes, similarity_to_prototype
from laionet_assets.taxonomy import load_synsets
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse, digest

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

PROTOTYPE = "prototype"
_TEMPLATE = "name_def"
"""Template of the class query that pictures are compared with: the paper's."""
_ROWS = 4_096

_OF_SAMPLES = """
    with asked as (
        select distinct source, part, sample_id, wnid from core.selection where reason is null
    ),
    images as (
        select source, part, sample_id, sha256 from core.images where status = 'success'
    )
    select source, part, sample_id, wnid, e.profile, sha256, e.embedding
    from asked
    join images using (source, part, sample_id)
    join core.image_embeddings as e using (source, part, sha256)
    where e.encoder = $encoder and e.error is null
    order by wnid, sample_id, e.profile
"""
_OF_SETS = """
    select image_set, image_id, i.wnid, i.sha256, e.embedding
    from core.set_images as i
    join core.set_embeddings as e using (image_set, image_id)
    where i.is_admitted and i.wnid is not null and e.encoder = $encoder and e.error is null
    order by i.wnid, image_set, image_id
"""

Compare = Callable[["pa.RecordBatch", "np.ndarray"], "np.ndarray"]
"""Rows of pictures and their vectors, to the cosine of each with its class; nan where the class has no vector."""


def steps(settings: Settings, project: Project) -> Mapping[str, Step]:
    """The steps of the two tables."""
    specs = named_models(settings, "image_encoders", IMAGE_ENCODER)
    needed = {(found[0].name, found[1]) for r in settings.recipes if (found := settings.image_similarity_of(r))}

    def models(warehouse: Warehouse, part: PartKey | None) -> str:
        return digest(*(f"{spec.name}={identity(spec)}" for spec in specs))

    return {
        name: Step(
            model=project.models[name],
            write=partial(_write, select, specs, frozenset(needed), settings.prototypes),
            settings=(repr(sorted(needed)), settings.prototypes or ""),
            outside=models,
            outside_by=same_for_all_parts,
        )
        for name, select in (("core.sample_query_similarity", _OF_SAMPLES), ("core.set_query_similarity", _OF_SETS))
    }


def _write(
    select: str, specs: Sequence[ModelSpec], needed: frozenset[tuple[str, str]], reference: str | None, work: Work
) -> None:
    """Every picture with every kind that its encoder can give. Raises ModelError for a kind that a recipe needs and
    that it cannot.
    """
    import pyarrow as pa

    names = work.model.table.column_names
    found: list[pa.Table] = []
    for spec in specs:
        kinds = dict(_kinds(spec, needed, reference, work)) if _has_pictures(select, spec, work) else {}
        for batch, vectors in _pictures(select, spec, work) if kinds else ():
            for kind, compare in kinds.items():
                similarity = compare(batch, vectors)
                keys = {name: batch.column(name) for name in names if name in batch.schema.names}
                rows = {**keys, "encoder": [spec.name] * len(batch), "kind": [kind] * len(batch)}
                table = work.typed({**rows, "similarity": similarity})
                found.append(table.filter(pa.array(similarity == similarity)))
    if not found:
        work.write_rows({name: [] for name in names})
        return
    work.connection.register("found", pa.concat_tables(found))
    work.write_rows(f"select {', '.join(names)} from found")


def _has_pictures(select: str, spec: ModelSpec, work: Work) -> bool:
    return bool(work.connection.execute(f"select 1 from ({select}) limit 1", {"encoder": spec.name}).fetchall())


def _pictures(select: str, spec: ModelSpec, work: Work) -> "Iterator[tuple[pa.RecordBatch, np.ndarray]]":
    """Pictures by class, with their vectors."""
    for batch in work.connection.sql(select, params={"encoder": spec.name}).to_arrow_reader(_ROWS):
        lists = batch.column("embedding")
        yield batch, lists.flatten().to_numpy(zero_copy_only=False).reshape(len(lists), -1)


def _kinds(
    spec: ModelSpec, needed: frozenset[tuple[str, str]], reference: str | None, work: Work
) -> Iterator[tuple[str, Compare]]:
    """The kinds that an encoder can give."""
    for kind, vectors, providers in ((QUERY, _queries, HAVE_TOWERS), (HEAD, _heads, HAVE_HEADS)):
        if spec.provider not in providers and (spec.name, kind) not in needed:
            continue
        try:
            classes = vectors(spec, work)
        except UserError as error:
            if (spec.name, kind) in needed:
                raise
            work.log(f"{spec.name}, {kind}: {str(error).splitlines()[0]}")
            continue
        yield kind, partial(_with_classes, classes)
    if reference is not None:
        yield PROTOTYPE, partial(_with_prototypes, *_prototypes(spec, reference, work))


def _queries(spec: ModelSpec, work: Work) -> ClassVectors:
    rows = work.connection.execute(
        "select wnid, query from staging.queries where template = ? order by wnid", [_TEMPLATE]
    ).fetchall()
    return query_vectors(spec, query_prompts(dict(rows)), cache=work.warehouse.scratch / "class_embeddings")


def _heads(spec: ModelSpec, work: Work) -> ClassVectors:
    synsets = load_synsets("imagenet-1k")
    return head_vectors(spec, ImageNetClasses.of_rows((synset.wnid, synset.lemmas) for synset in synsets))


def _with_classes(classes: ClassVectors, batch: "pa.RecordBatch", vectors: "np.ndarray") -> "np.ndarray":
    import numpy as np

    own = np.array([classes.rows.get(wnid, -1) for wnid in batch.column("wnid").to_pylist()], dtype=np.int64)
    if vectors.shape[1] != classes.vectors.shape[1]:
        raise ModelError(
            f"vectors of pictures have {vectors.shape[1]} dimensions, those of classes {classes.vectors.shape[1]}; "
            "expected one space: use another kind of image_similarity"
        )
    return similarity_to_classes(vectors, classes.vectors, own)


def _prototypes(spec: ModelSpec, reference: str, work: Work) -> tuple[Prototypes, dict[tuple[str, str], int]]:
    """The prototypes of a set, and how often each of its contents is in which class."""
    from itertools import groupby

    import numpy as np

    copies: dict[tuple[str, str], int] = {}

    def rows() -> "Iterator[tuple[str, np.ndarray]]":
        where = f"select * from ({_OF_SETS}) where image_set = $image_set order by wnid, image_id"
        reader = work.connection.sql(where, params={"encoder": spec.name, "image_set": reference})
        for batch in reader.to_arrow_reader(_ROWS):
            lists = batch.column("embedding")
            vectors = lists.flatten().to_numpy(zero_copy_only=False).reshape(len(lists), -1)
            for wnid, sha256, vector in zip(*(batch.column(n).to_pylist() for n in ("wnid", "sha256")), vectors,
                                            strict=True):  # fmt: skip
                copies[wnid, sha256] = copies.get((wnid, sha256), 0) + 1
                yield wnid, vector

    classes = groupby(rows(), key=lambda row: row[0])
    found = prototypes((wnid, np.stack([vector for _, vector in images])) for wnid, images in classes)
    return found, copies


def _with_prototypes(
    reference: Prototypes, copies: Mapping[tuple[str, str], int], batch: "pa.RecordBatch", vectors: "np.ndarray"
) -> "np.ndarray":
    import numpy as np

    wnids = np.array(batch.column("wnid").to_pylist(), dtype=np.str_)
    sha256s = batch.column("sha256").to_pylist()
    similarity = np.full(len(wnids), np.nan)
    for wnid in np.unique(wnids):
        here = np.flatnonzero(wnids == wnid)
        own = np.array([copies.get((str(wnid), sha256s[i]), 0) for i in here], dtype=np.int64)
        similarity[here] = similarity_to_prototype(vectors[here], str(wnid), reference, copies=own)
    return similarity
