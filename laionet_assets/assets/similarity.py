"""Stage similarity: core.query_embeddings and core.caption_embeddings (core.caption_similarity is SQL)."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from laionet_assets.assets.named_models import named_models
from laionet_assets.assets.progress import progress_log
from laionet_assets.assets.steps import Step, Work, by_provider, forget_checkpoint, labelled, same_for_all_parts
from laionet_assets.models.identity import identity
from laionet_assets.models.spec import TEXT_ENCODER, ModelSpec
from laionet_assets.settings import Settings
from laionet_assets.sqlmodels.loader import Project
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse, digest

ENCODER_POOL = "encoder"


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
    import pyarrow as pa

    captions = work.connection.sql(
        "select source, part, caption_id, any_value(caption) as caption from core.candidates group by all order by all"
    ).to_arrow_table()
    ids = captions.select(["source", "part", "caption_id"])
    tables = [
        embedded(
            labelled(spec, work),
            ids,
            captions["caption"],
            work,
            existing=work.published(),
            checkpoint=work.checkpoint,
        )
        for spec in sorted(specs, key=lambda spec: spec.name)
    ]
    work.write_rows(pa.concat_tables(tables))


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
