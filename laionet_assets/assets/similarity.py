"""Stage similarity: core.query_embeddings and core.caption_embeddings (core.caption_similarity is SQL)."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laionet_assets.assets.named_models import named_models
from laionet_assets.assets.progress import progress_log
from laionet_assets.assets.steps import Step, Work, by_provider, forget_checkpoint, labelled, same_for_all_parts
from laionet_assets.models.identity import identity
from laionet_assets.models.spec import TEXT_ENCODER, ModelSpec
from laionet_assets.settings import Settings
from laionet_assets.sqlmodels.loader import Project
from laionet_assets.warehouse.rows import VECTOR_GROUP_ROWS
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse, digest

if TYPE_CHECKING:
    import pyarrow as pa

ENCODER_POOL = "encoder"
PIECE_TEXTS = 8 * VECTOR_GROUP_ROWS
"""Captions whose vectors are in memory together: a whole number of row groups, and of chunks of a checkpoint."""


def steps(settings: Settings, project: Project) -> Mapping[str, Step]:
    """The steps of the two tables. Raises SettingsError naming every encoder of the settings that is not possible."""
    specs = encoder_specs(settings)
    templates = {encoder.name: encoder.query_template for encoder in settings.text_encoders}

    def models(warehouse: Warehouse, part: PartKey | None) -> str:
        return digest(*(f"{spec.name}={identity(spec)}" for spec in specs))

    computations = by_provider(specs, embedded)
    queries, captions = project.models["core.query_embeddings"], project.models["core.caption_embeddings"]
    return {
        queries.name: Step(
            model=queries,
            write=partial(_write_queries, specs, templates),
            computations=computations,
            settings=(repr(sorted(templates.items())),),
            outside=models,
            pool=ENCODER_POOL,
        ),
        captions.name: Step(
            model=captions,
            write=partial(_write_captions, specs),
            computations=computations,
            outside=models,
            outside_by=same_for_all_parts,
            pool=ENCODER_POOL,
            after_publish=forget_checkpoint,
        ),
    }


def encoder_specs(settings: Settings) -> list[ModelSpec]:
    """The text encoders of the settings. Raises SettingsError listing all that are not possible, by the path of their
    key.
    """
    return named_models(settings, "text_encoders", TEXT_ENCODER)


def _write_queries(specs: Sequence[ModelSpec], templates: Mapping[str, str], work: Work) -> None:
    import pyarrow as pa

    tables = []
    for spec in sorted(specs, key=lambda spec: spec.name):
        queries = work.connection.sql(
            "select wnid, template, query from staging.queries where template = ? order by wnid",
            params=[templates[spec.name]],
        ).to_arrow_table()
        ids = queries.select(["wnid", "template", "query"])
        tables.append(embedded(labelled(spec, work), ids, queries["query"], work, existing=work.published()))
    work.write_rows(pa.concat_tables(tables))


def _write_captions(specs: Sequence[ModelSpec], work: Work) -> None:
    captions = work.connection.sql(
        "select source, part, caption_id, any_value(caption) as caption from core.candidates group by all order by all"
    ).to_arrow_table()
    pieces = (
        _embedded_pieces(labelled(spec, work), captions, work) for spec in sorted(specs, key=lambda spec: spec.name)
    )
    work.write_batches(itertools.chain.from_iterable(pieces))


def _embedded_pieces(spec: ModelSpec, captions: "pa.Table", work: Work) -> "Iterator[pa.Table]":
    """The vectors of the captions of a part by one model, a row group at a time: a part of LAION-400M has several
    gigabytes of them.
    """
    told = progress_log(work.log, f"texts embedded by {spec.name}")
    for start in range(0, len(captions), PIECE_TEXTS):
        piece = captions.slice(start, PIECE_TEXTS)
        ids = piece.select(["source", "part", "caption_id"])
        first, last = (ids["caption_id"][i].as_py() for i in (0, -1))
        rows = embedded(
            spec,
            ids,
            piece["caption"],
            work,
            existing=work.published(f"caption_id between {first} and {last}"),
            checkpoint=work.checkpoint,
            is_told=False,
        )
        told(start + len(piece), len(captions))
        for row in range(0, len(rows), VECTOR_GROUP_ROWS):
            yield rows.slice(row, VECTOR_GROUP_ROWS)
    if spec.name in work.told:
        work.tell(spec.name, work.told[spec.name])


def embedded(
    spec: ModelSpec,
    ids: Any,
    texts: Any,
    work: Work,
    *,
    existing: Any,
    checkpoint: Path | None = None,
    is_told: bool = True,
) -> Any:
    """Embeddings by one model: those of `existing` kept, the others computed. With `is_told`, the log says how far
    that is, and where and how fast it was computed; the materialization says the latter in any case.
    """
    from laionet_assets.encoders.embeddings import embed_missing

    return embed_missing(
        spec,
        ids,
        texts,
        existing=existing,
        progress=progress_log(work.log, f"texts embedded by {spec.name}") if is_told else None,
        checkpoint=checkpoint,
        log=partial(work.tell if is_told else work.told.__setitem__, spec.name),
    )
