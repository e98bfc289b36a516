"""Stage similarity: core.query_embeddings and core.caption_embeddings (core.caption_similarity is SQL)."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
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
    import numpy as np
    import pyarrow as pa

ENCODER_POOL = "encoder"
PIECE_TEXTS = 8 * VECTOR_GROUP_ROWS
"""Captions whose vectors are in memory together: a whole number of row groups, and of chunks of a checkpoint."""
READ_TEXTS = 2 * VECTOR_GROUP_ROWS
"""Captions whose vectors are read at one time."""


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


def caption_vectors(work: Work, encoder: str, *, model: str | None = None) -> "Iterator[tuple[np.ndarray, np.ndarray]]":
    """Ids (rising) of the captions of the part that an encoder embedded (with `model`: by that model alone), and their
    vectors, some thousands at a time.

    They are read in the order of their file and neither joined nor sorted: those of a part of LAION-400M are gigabytes,
    which DuckDB would spill several times over.
    """
    of_model = "from core.caption_embeddings where encoder = $1 and ($2::varchar is null or model = $2)"
    ids = work.connection.sql(f"select caption_id {of_model} order by caption_id", params=[encoder, model])
    every = ids.to_arrow_table()["caption_id"].to_numpy()
    for start in range(0, len(every), READ_TEXTS):
        piece = every[start : start + READ_TEXTS]
        read = work.connection.sql(
            f"select embedding {of_model} and caption_id between $3::ubigint and $4::ubigint order by caption_id",
            params=[encoder, model, int(piece[0]), int(piece[-1])],
        ).to_arrow_table()
        lists = read["embedding"].combine_chunks()
        yield piece, lists.flatten().to_numpy(zero_copy_only=False).reshape(len(piece), -1)


def known_vectors(work: Work, encoder: str, *, model: str) -> "Callable[[np.ndarray], dict[int, np.ndarray]]":
    """The vectors that core.caption_embeddings has of captions, in half precision, by their places among those asked
    for. They lie in a file that goes with the process.
    """
    import numpy as np

    work.warehouse.scratch.mkdir(parents=True, exist_ok=True)
    pieces: list[np.ndarray] = [np.empty(0, np.uint64)]
    dimensions = 0
    with TemporaryFile(dir=work.warehouse.scratch) as file:
        for piece, read in caption_vectors(work, encoder, model=model):
            pieces.append(piece)
            file.write(read.astype(np.float16).tobytes())
            dimensions = read.shape[1]
        file.flush()
        ids = np.concatenate(pieces)
        vectors = np.memmap(file, np.float16, "r", shape=(len(ids), dimensions)) if len(ids) else np.empty((0, 0))

    def of(caption_ids: "np.ndarray") -> "dict[int, np.ndarray]":
        at = np.searchsorted(ids, caption_ids)
        inside = np.flatnonzero(at < len(ids))
        return {i: vectors[at[i]] for i in inside[ids[at[inside]] == caption_ids[inside]].tolist()}

    return of
