"""Stage similarity, nearest captions: raw.neighbours, core.caption_index and core.caption_neighbours (what is searched,
what is asked for and what is nearest of all parts are SQL).

Belongs here: which captions of a part are indexed, of which vectors, and rows into and out of the search. Does not
belong here: indexes and searching (`neighbours`), embedding texts (`encoders.embeddings`), pictures.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache, partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from laionet_assets.assets.progress import progress_log
from laionet_assets.assets.set_captions import matrix
from laionet_assets.assets.similarity import ENCODER_POOL, embedded, encoder_specs, known_vectors
from laionet_assets.assets.steps import (
    Computation,
    Step,
    Work,
    by_provider,
    forget_checkpoint,
    labelled,
    same_for_all_parts,
    write_given,
)
from laionet_assets.models.identity import identity
from laionet_assets.models.spec import ModelSpec
from laionet_assets.settings import NeighboursSettings, Settings
from laionet_assets.sqlmodels.loader import Project
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse

if TYPE_CHECKING:
    import faiss
    import numpy as np

    from laionet_assets.neighbours.index import Batch
    from laionet_assets.neighbours.search import Effort

CAPTION_INDEX = "core.caption_index"
BUILDING = "caption index"
"""The computation of core.caption_index: cells, codes and pieces from vectors."""
CHOSEN_ON, MEASURED_ON = 256, 512
"""Captions of the image set, at most: those that the effort is chosen by, and others that recall is measured on."""
CHOSEN_IN = 2
"""Pieces of a part that the effort is chosen in."""
_ROWS = 16_384
_FEWEST = 16
"""Vectors that codes are trained on, at least."""


def steps(settings: Settings, project: Project) -> Mapping[str, Step]:
    """The steps of the three tables."""
    models, search = project.models, settings.neighbours
    specs = [spec for spec in encoder_specs(settings) if search and spec.name == encoder_of(settings, search)]
    rows = [search_row(settings, search)] if search is not None else []

    def encoder(warehouse: Warehouse, part: PartKey | None) -> str:
        return " ".join(identity(spec) for spec in specs)

    return {
        "raw.neighbours": Step(
            model=models["raw.neighbours"], settings=(repr(rows),), write=partial(write_given, rows)
        ),
        CAPTION_INDEX: Step(
            model=models[CAPTION_INDEX],
            write=partial(_write_index, specs),
            computations=(*by_provider(specs, embedded), Computation(BUILDING, built)),
            outside=encoder,
            outside_by=same_for_all_parts,
            pool=ENCODER_POOL,
            after_publish=forget_checkpoint,
        ),
        "core.caption_neighbours": Step(
            model=models["core.caption_neighbours"],
            write=_write_neighbours,
        ),
    }


def search_row(settings: Settings, search: NeighboursSettings) -> dict[str, Any]:
    """The row of raw.neighbours."""
    captioned = next(image_set.name for image_set in settings.image_sets if image_set.captions is not None)
    return {
        "image_set": search.name,
        "captions_of": search.captions_of or captioned,
        "encoder": encoder_of(settings, search),
        "over": search.over,
        "threshold": search.threshold,
        "fetch_above": search.fetch_above,
        "nsfw_tags": list(search.nsfw),
        "max_punsafe": search.max_punsafe,
    }


def encoder_of(settings: Settings, search: NeighboursSettings) -> str:
    """Name of the text encoder that compares captions."""
    return search.encoder or settings.text_encoders[0].name


def _write_index(specs: Iterable[ModelSpec], work: Work) -> None:
    work.write_batches(row for spec in specs for row in _pieces(labelled(spec, work), work))


def _pieces(spec: ModelSpec, work: Work) -> Iterator[dict[str, list[Any]]]:
    """The rows of an encoder, a piece each: published ones without what is gone, or all anew where there is more to
    index or other code builds them.
    """
    _want(work, spec)
    ((wanted, new),) = work.connection.execute("""
        select count(*), count(*) filter (x.piece is null or not x.is_built_so)
        from wanted left join indexed as x using (sample_id, caption_id)
    """).fetchall()
    ((gone,),) = work.connection.execute(
        "select count(*) from indexed anti join wanted using (sample_id, caption_id)"
    ).fetchall()
    work.log(f"{wanted:,} captions of the part: {new:,} are not in its index yet, {gone:,} leave it")
    yield from _kept(spec, work) if not new else _made(spec, work, wanted)


def _want(work: Work, spec: ModelSpec) -> None:
    """Tables of this work alone: `wanted`, the captions that belong in the index, each by its first sample; `indexed`,
    those of published pieces of this model.
    """
    work.connection.execute(f"create or replace view published_pieces as {work.published_select}")
    work.connection.execute("""
        create or replace table wanted as
        with removed_samples as (select value from core.removals where kind = 'sample'),
        removed_addresses as (select value from core.removals where kind = 'url_hash')
        select c.caption_id, min(c.sample_id) as sample_id
        from core.searched_captions as c
        anti join removed_samples as s on s.value = c.source || '/' || c.sample_id
        anti join removed_addresses as a on a.value = sha256(c.url)
        group by c.caption_id
    """)
    work.connection.execute(
        """
        create or replace table indexed as
        select piece, built_by = $2 as is_built_so, unnest(range(len(sample_ids))) as place,
            unnest(sample_ids) as sample_id, unnest(caption_ids) as caption_id,
        from published_pieces where encoder = $3 and model = $1
        """,
        [identity(spec), work.labels[BUILDING], spec.name],
    )


def _kept(spec: ModelSpec, work: Work) -> Iterator[dict[str, list[Any]]]:
    """Published pieces, without the captions that are not wanted any more."""
    from laionet_assets.neighbours.index import ids_of, without

    pieces = work.connection.execute("""
        select piece, list(x.sample_id) filter (w.sample_id is null) as gone
        from indexed as x left join wanted as w using (sample_id, caption_id) group by piece order by piece
    """).fetchall()
    for number, gone in pieces:
        piece, caption_ids, cells = _open(work, spec.name, number)
        if gone:
            leaving = frozenset(gone)
            stays = [sample_id not in leaving for sample_id in ids_of(piece).tolist()]
            left = without(piece, gone)
            if left is None:
                continue
            piece = left
            caption_ids = [caption_id for caption_id, is_kept in zip(caption_ids, stays, strict=True) if is_kept]
        yield _row(spec, work, number, piece, caption_ids, cells)


def _made(spec: ModelSpec, work: Work, wanted: int) -> Iterator[dict[str, list[Any]]]:
    """All pieces anew, of vectors that are known and of those that are not yet."""
    from laionet_assets.neighbours.index import ids_of

    for number, (piece, cells) in enumerate(built(_vectors(spec, work, wanted))):
        ids = ids_of(piece).tolist()
        caption_ids = dict(
            work.connection.execute(
                "select sample_id, caption_id from wanted where sample_id between ? and ?", [ids[0], ids[-1]]
            ).fetchall()
        )
        yield _row(spec, work, number, piece, [caption_ids[sample_id] for sample_id in ids], cells)


def built(batches: "Iterable[Batch]") -> "Iterator[tuple[faiss.IndexIDMap, int]]":
    """Pieces of an index of all vectors, with their cells: trained on the vectors of the first piece."""
    import numpy as np

    from laionet_assets.neighbours.index import PIECE_ROWS, build_pieces, cells_for, train

    every = iter(batches)
    first: list[Batch] = []
    rows = 0
    while rows < PIECE_ROWS and (batch := next(every, None)) is not None:
        first.append(batch)
        rows += len(batch[0])
    if not rows:
        return
    sample = np.concatenate([vectors for _, vectors in first])[:PIECE_ROWS]
    cells = cells_for(len(sample))
    if len(sample) < _FEWEST:
        sample = np.resize(sample, (_FEWEST, sample.shape[1]))  # vectors come again: codes need so many
    trained = train(sample, cells)
    del sample
    for piece in build_pieces(trained, chain(_given_away(first), every)):
        yield piece, cells


def _given_away(batches: "list[Batch]") -> "Iterator[Batch]":
    """Each once, and kept no longer."""
    batches.reverse()
    while batches:
        yield batches.pop()


def _vectors(spec: ModelSpec, work: Work, wanted: int) -> "Iterator[Batch]":
    """The wanted captions by sample, with their vectors: of published pieces, of core.caption_embeddings, or embedded
    now, some thousands at a time.
    """
    import numpy as np
    import pyarrow as pa

    @lru_cache(maxsize=2)
    def of_piece(number: int) -> "np.ndarray":
        return _all_vectors(_open(work, spec.name, number)[0])

    of_table = known_vectors(work, spec.name, model=identity(spec))
    reading = work.connection.cursor()  # pieces are opened while rows come
    reader = reading.sql("""
        select w.sample_id, w.caption_id, c.caption, x.piece, x.place
        from wanted as w
        join core.searched_captions as c using (sample_id)
        left join indexed as x on x.caption_id = w.caption_id
        order by w.sample_id
    """).to_arrow_reader(_ROWS)
    progress, done = progress_log(work.log, f"captions indexed by {spec.name}"), 0
    for batch in reader:
        rows = pa.table(batch)
        found: dict[int, np.ndarray] = {}
        pieces, places = rows["piece"].to_pylist(), rows["place"].to_pylist()
        for i, number in enumerate(pieces):
            if number is not None:
                found[i] = of_piece(number)[places[i]]
        found = of_table(rows["caption_id"].to_numpy()) | found
        missing = [i for i in range(len(rows)) if i not in found]
        if missing:
            lacking = rows.take(missing)
            made = embedded(
                spec,
                lacking.select(["sample_id"]),
                lacking["caption"],
                work,
                existing=None,
                checkpoint=work.checkpoint,
                is_told=False,
            )
            found |= dict(zip(missing, matrix(made["embedding"].combine_chunks()), strict=True))
        done += len(rows)
        progress(done, wanted)
        yield rows["sample_id"].to_numpy(), np.stack([found[i] for i in range(len(rows))]).astype(np.float16)


def _all_vectors(piece: "faiss.IndexIDMap") -> "np.ndarray":
    import numpy as np

    from laionet_assets.neighbours.index import batches_of

    return np.concatenate([vectors.astype(np.float16) for _, vectors in batches_of(piece)])


def _open(work: Work, encoder: str, number: int) -> "tuple[faiss.IndexIDMap, list[int], int]":
    """A published piece, its caption_ids and cells."""
    from laionet_assets.neighbours.index import from_bytes

    ((data, caption_ids, cells),) = work.connection.execute(
        "select index, caption_ids, cells from published_pieces where encoder = ? and piece = ?", [encoder, number]
    ).fetchall()
    return from_bytes(data), caption_ids, cells


def _row(
    spec: ModelSpec, work: Work, number: int, piece: "faiss.IndexIDMap", caption_ids: list[int], cells: int
) -> dict[str, list[Any]]:
    from laionet_assets.neighbours.index import ids_of, to_bytes

    return {
        "encoder": [spec.name],
        "source": [work.part_key.source],
        "part": [work.part_key.part],
        "piece": [number],
        "model": [identity(spec)],
        "built_by": [work.labels[BUILDING]],
        "captions": [len(caption_ids)],
        "cells": [cells],
        "caption_ids": [caption_ids],
        "sample_ids": [ids_of(piece).tolist()],
        "index": [to_bytes(piece)],
    }


def _write_neighbours(work: Work) -> None:
    """The nearest caption of the part for every caption that is looked for."""
    import pyarrow as pa

    from laionet_assets.neighbours.search import nearest

    searches = work.connection.execute("select encoder, captions_of from raw.neighbours").fetchall()
    rows = pa.table({})
    for encoder, captions_of in searches:
        asked = work.connection.sql(
            """
            select distinct e.caption_id, e.embedding
            from core.set_caption_embeddings as e semi join core.set_captions as c
                on c.caption_id = e.caption_id and c.image_set = $captions_of
            where e.encoder = $encoder order by e.caption_id
            """,
            params={"encoder": encoder, "captions_of": captions_of},
        ).to_arrow_table()
        pieces = work.connection.execute(
            "select piece, cells from core.caption_index where encoder = ? order by piece", [encoder]
        ).fetchall()
        if not pieces or not len(asked):
            continue
        queries = matrix(asked["embedding"].combine_chunks())
        effort, recall, measured_on = _effort(work, encoder, dict(pieces), queries)
        found = nearest(_searched(work, encoder, [number for number, _ in pieces]), queries, effort)
        count = len(asked)
        rows = pa.table(
            {
                "encoder": [encoder] * count,
                "caption_id": asked["caption_id"],
                "sample_id": found.ids[:, 0],
                "similarity": found.similarity[:, 0].astype("float64"),
                "probes": [effort.probes] * count,
                "candidates": [effort.candidates] * count,
                "recall": pa.array([recall] * count, pa.float64()),
                "measured_on": [measured_on] * count,
            }
        )
    if not len(rows):
        work.write_rows([])
        return
    work.connection.register("found", rows)
    work.write_rows("""
        select f.*, c.source, c.part, c.caption, c.url, c.nsfw, c.punsafe
        from found as f join core.searched_captions as c using (sample_id)
    """)


def _effort(
    work: Work, encoder: str, cells: Mapping[int, int], queries: "np.ndarray"
) -> "tuple[Effort, float | None, int]":
    """How far to look, the recall that was measured then, and on how many captions.

    Chosen on a seeded half of the captions (at most CHOSEN_ON) in the first pieces, measured on others in all of them.
    """
    import numpy as np

    from laionet_assets.neighbours.index import SEED, batches_of
    from laionet_assets.neighbours.search import choose_effort, nearest, nearest_exactly, recall

    order = np.random.default_rng(SEED).permutation(len(queries))
    half = (len(queries) + 1) // 2
    choosing, measuring = queries[order[:half][:CHOSEN_ON]], queries[order[half:][:MEASURED_ON]]
    numbers = list(cells)

    def batches(some: list[int]) -> "Iterator[Batch]":
        return (batch for piece in _searched(work, encoder, some) for batch in batches_of(piece))

    effort, _ = choose_effort(
        lambda: _searched(work, encoder, numbers[:CHOSEN_IN]),
        choosing,
        nearest_exactly(batches(numbers[:CHOSEN_IN]), choosing),
        cells=max(cells.values()),
    )
    if not len(measuring):
        return effort, None, 0
    found = nearest(_searched(work, encoder, numbers), measuring, effort)
    reached = recall(found, nearest_exactly(batches(numbers), measuring))
    work.log(
        f"{effort.probes} of {max(cells.values())} cells and {effort.candidates} likely captions for each: "
        f"recall {reached:.3f} on {len(measuring)} captions that it was not chosen by"
    )
    return effort, reached, len(measuring)


def _searched(work: Work, encoder: str, numbers: Iterable[int]) -> "Iterator[faiss.IndexIDMap]":
    """The pieces of the part, one at a time."""
    from laionet_assets.neighbours.index import from_bytes

    for number in numbers:
        ((data,),) = work.connection.execute(
            "select index from core.caption_index where encoder = ? and piece = ?", [encoder, number]
        ).fetchall()
        yield from_bytes(data)
