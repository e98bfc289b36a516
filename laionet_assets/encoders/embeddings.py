"""Stored embeddings: what is missing, what is reused, and the arrow tables of core.query_embeddings and
core.caption_embeddings.

A vector is stored once per model, keyed by the columns that identify its text, in half precision (cosines differ by at
most 1.2e-4). Not here: reading texts, writing and publishing tables.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute

from laionet_assets.models.identity import identity
from laionet_assets.models.spec import ModelSpec
from laionet_assets.models.text_encoder import Progress, TextEncoder, load_text_encoder
from laionet_assets.warehouse.checkpoint import chunk_name
from laionet_assets.warehouse.lake import write_whole

CHUNK_TEXTS = 16_384
"""Texts embedded at a time, the unit of a checkpoint."""

_LIST_ROWS = 1 << 20
"""Rows of an arrow chunk: list offsets are 32-bit."""


def embed_missing(
    spec: ModelSpec,
    ids: pa.Table,
    texts: Sequence[str] | pa.ChunkedArray,
    *,
    existing: pa.Table | None = None,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
    log: Callable[[str], None] = lambda text: None,
    load: Callable[[ModelSpec], TextEncoder] = load_text_encoder,
) -> pa.Table:
    """The embeddings of all texts: those in `existing` copied, the others embedded.

    `ids` identify the texts, a row a text: (source, part, caption_id) or (wnid, template, query). Returns columns
    encoder, model, those of `ids`, embedding; one row a text, sorted by the columns of `ids`. Rows of `existing` (the
    same columns) are reused where the model and all ids are equal, whatever the encoder's label; the model is loaded
    only if a text is missing. `progress` counts the missing texts; `log` is told where and how fast they were embedded.

    With `checkpoint`, a folder, each chunk of texts is kept there as soon as it is embedded, and found again by a
    later call for the same missing texts: the result is the same, byte for byte. The caller removes it
    (`warehouse.checkpoint`) once the table is published.

    Raises ValueError if ids are null, repeated, or not as many as the texts, ModelError as `load_text_encoder`.
    """
    _require_keys(ids, texts)
    model = identity(spec)
    order = pa.compute.sort_indices(ids, sort_keys=[(name, "ascending") for name in ids.column_names])
    ids = ids.take(order)
    known = _known_rows(existing, model, ids)
    is_missing = known < 0
    if not is_missing.any():
        stored = np.empty((0, 0), dtype=np.float16) if existing is None else _vectors_at(existing, known)
        return _table(spec.name, model, ids, stored)
    encoder = load(spec)
    text_array = texts if isinstance(texts, pa.ChunkedArray) else pa.array(texts, pa.string())
    missing_texts = text_array.take(order.filter(pa.array(is_missing)))
    vectors = np.empty((len(ids), encoder.dimension), dtype=np.float16)
    vectors[is_missing] = _embed(encoder, missing_texts, progress=progress, checkpoint=checkpoint, log=log)
    if existing is not None and not is_missing.all():
        vectors[~is_missing] = _vectors_at(existing, known[~is_missing])
    return _table(spec.name, model, ids, vectors)


def _require_keys(ids: pa.Table, texts: Sequence[str] | pa.ChunkedArray) -> None:
    if len(ids) != len(texts):
        raise ValueError(f"found {len(ids):,} ids for {len(texts):,} texts, expected one id a text")
    nulls = [name for name in ids.column_names if ids[name].null_count]
    if nulls:
        raise ValueError(f"ids must not be null; found nulls in {', '.join(nulls)}")
    distinct = len(ids.group_by(ids.column_names).aggregate([]))
    if distinct != len(ids):
        raise ValueError(f"found {len(ids):,} ids, of them {distinct:,} distinct, expected every id once")


def _known_rows(existing: pa.Table | None, model: str, ids: pa.Table) -> np.ndarray:
    """For each id the row of `existing` that holds its vector by this model, -1 where there is none."""
    known = np.full(len(ids), -1, dtype=np.int64)
    if existing is None:
        return known
    keys = existing.select(ids.column_names).cast(ids.schema)
    keys = keys.append_column("known", pa.array(np.arange(len(keys))))
    keys = keys.filter(pa.compute.equal(existing["model"], model))
    wanted = ids.append_column("wanted", pa.array(np.arange(len(ids))))
    found = wanted.join(keys, keys=ids.column_names, join_type="inner")
    known[found["wanted"].to_numpy()] = found["known"].to_numpy()
    return known


def _vectors_at(existing: pa.Table, rows: np.ndarray) -> np.ndarray:
    """The embeddings of some rows of `existing`, all of one dimension, as a half-precision matrix."""
    vectors = np.empty((0, 0), dtype=np.float16)
    start = 0
    for chunk in existing["embedding"].chunks:
        inside = np.flatnonzero((rows >= start) & (rows < start + len(chunk)))
        for first in range(0, len(inside), CHUNK_TEXTS):
            block = inside[first : first + CHUNK_TEXTS]
            taken = chunk.take(pa.array(rows[block] - start)).flatten().to_numpy().reshape(len(block), -1)
            if not len(vectors):
                vectors = np.empty((len(rows), taken.shape[1]), dtype=np.float16)
            vectors[block] = taken
        start += len(chunk)
    return vectors


def _embed(
    encoder: TextEncoder,
    texts: pa.Array | pa.ChunkedArray,
    *,
    progress: Progress | None,
    checkpoint: Path | None,
    log: Callable[[str], None],
) -> np.ndarray:
    """Half-precision embeddings of texts, chunk after chunk."""
    vectors = np.empty((len(texts), encoder.dimension), dtype=np.float16)
    chunks = {start: texts.slice(start, CHUNK_TEXTS) for start in range(0, len(texts), CHUNK_TEXTS)}
    files = {start: _file(encoder, chunk, checkpoint) for start, chunk in chunks.items()} if checkpoint else {}
    kept = {start: file for start, file in files.items() if file.exists()}
    for start, file in kept.items():
        vectors[start : start + CHUNK_TEXTS] = np.load(file)
    missing = [start for start in chunks if start not in kept]
    done = sum(len(chunks[start]) for start in kept)

    def within(of_chunk: int, _: int) -> None:
        if progress is not None:
            progress(done + of_chunk, len(texts))

    started = time.monotonic()
    made = encoder.encode_chunks((chunks[start].to_pylist() for start in missing), progress=within)
    for start, rows in zip(missing, made, strict=True):
        vectors[start : start + len(rows)] = rows
        if start in files:
            write_whole(files[start], partial(np.save, arr=vectors[start : start + len(rows)]))
        done += len(rows)
        if progress is not None:
            progress(done, len(texts))
    made_now = sum(len(chunks[start]) for start in missing)
    log(f"{encoder.told()}, {made_now / max(time.monotonic() - started, 1e-9):,.0f} texts a second")
    return vectors


def _file(encoder: TextEncoder, chunk: pa.Array | pa.ChunkedArray, checkpoint: Path) -> Path:
    """Where the vectors of a chunk are kept."""
    return checkpoint / f"{chunk_name(encoder.identity, chunk.to_pylist())}.npy"


def _lists(vectors: np.ndarray) -> pa.ChunkedArray:
    """A matrix as a column of lists, so that encoders of different dimensions share it."""
    rows, dimension = vectors.shape
    chunks = [vectors[start : start + _LIST_ROWS] for start in range(0, max(rows, 1), _LIST_ROWS)]
    return pa.chunked_array(
        [
            pa.ListArray.from_arrays(
                pa.array(np.arange(len(chunk) + 1, dtype=np.int32) * dimension), pa.array(chunk.reshape(-1))
            )
            for chunk in chunks
        ]
    )


def _table(name: str, model: str, ids: pa.Table, vectors: np.ndarray) -> pa.Table:
    constant = {"encoder": pa.repeat(name, len(ids)), "model": pa.repeat(model, len(ids))}
    columns = {column: ids[column] for column in ids.column_names}
    return pa.table({**constant, **columns, "embedding": _lists(vectors)})
