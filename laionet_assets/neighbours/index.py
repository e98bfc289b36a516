"""An inverted file in pieces: cells and codes trained once, and any number of indexes that share them.

A vector lies in the cell of its nearest centre, with a code of 4 bits for every few dimensions. A search looks into the
cells nearest to the query, finds the likeliest few vectors by their codes, and decides among those by the vectors
themselves, which are kept in half precision, as embeddings are stored: similarities are those of the stored vectors.
All pieces have the same cells and codes, so a new part is a new piece, and no old piece is touched.

Why two steps: on 50,000 real texts no cells are so apt that a few of them hold the nearest text. At a recall of 0.98 a
fifth to a third of all vectors is looked at, which in half precision costs more than comparing with every vector.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import faiss

SEED = 20_230_627
PIECE_ROWS = 200_000
"""The most vectors of a piece: 0.2 GB for 512 dimensions, twice that while it is built."""

POINTS_PER_CELL = 128
"""Vectors that the centre of a cell is trained on, on average; more are left unread."""

_ITERATIONS = 10
_CODE_BITS = 4
_CODED_TOGETHER = (6, 5, 4, 3, 2, 1)
_FEWEST_CODES = 48
_SMALLEST_SAMPLE = 16
_BLOCK = 65_536

Vectors = NDArray[np.floating[Any]]
Batch = tuple[NDArray[np.int64], Vectors]
"""Ids, shape (rows,), and their vectors, shape (rows, dimension)."""


def cells_for(vectors: int) -> int:
    """How many cells suit so many vectors: about their square root, a power of two, at most 65,536."""
    return int(min(2 ** np.floor(np.log2(np.sqrt(max(vectors, 1)))), 65_536))


def train(sample: Vectors, cells: int, *, seed: int = SEED) -> "faiss.IndexIVFPQFastScan":
    """Cells and codes for vectors like those of the sample, as an index without a vector.

    Centres by spherical k-means of at most POINTS_PER_CELL vectors a cell, a seeded choice, ten rounds; codes by
    k-means of every few dimensions. The same sample and seed give the same index on the same machine. Raises ValueError
    for fewer vectors than cells, or than 16.
    """
    import faiss

    if len(sample) < max(cells, _SMALLEST_SAMPLE):
        raise ValueError(
            f"found {len(sample)} vectors for {cells} cells; expected at least one each, and {_SMALLEST_SAMPLE}: "
            "take fewer cells, or search without an index"
        )
    wanted = max(cells * POINTS_PER_CELL, 2**_CODE_BITS * POINTS_PER_CELL)
    if len(sample) > wanted:
        chosen = np.random.default_rng(seed).choice(len(sample), wanted, replace=False)
        sample = sample[np.sort(chosen)]
    points, dimension = _single(sample), sample.shape[1]
    means = faiss.Kmeans(
        dimension, cells, niter=_ITERATIONS, seed=seed % 2**31, spherical=True, min_points_per_centroid=1,
        max_points_per_centroid=len(points),
    )  # fmt: skip
    means.train(points)
    coarse = faiss.IndexFlatIP(dimension)
    coarse.add(_single(np.asarray(means.centroids)))
    codes = _codes(dimension)
    index = faiss.IndexIVFPQFastScan(coarse, dimension, cells, codes, _CODE_BITS, faiss.METRIC_INNER_PRODUCT)
    index.by_residual = False
    index.pq.cp.seed = seed % 2**31
    index.pq.cp.min_points_per_centroid = 1
    index.train(points)
    return index


def build_pieces(
    trained: "faiss.IndexIVFPQFastScan", batches: Iterable[Batch], *, max_rows: int = PIECE_ROWS
) -> "Iterator[faiss.IndexIDMap]":
    """Pieces of at most `max_rows` vectors each, in the order of the batches; none of no vector.

    The caller writes each before it asks for the next, so memory is that of one piece and a batch. An id comes once in
    all of them: ids ascend over all batches. Raises ValueError for ids that do not.
    """
    piece, last = None, -1
    for ids, vectors in batches:
        ids = np.asarray(ids, dtype=np.int64)
        if len(ids) != len(vectors) or (len(ids) and (ids[0] <= last or (np.diff(ids) <= 0).any())):
            raise ValueError(f"found {len(ids)} ids for {len(vectors)} vectors after id {last}; expected ascending ids")
        for start, stop in _cuts(0 if piece is None else piece.ntotal, len(ids), max_rows):
            if piece is not None and piece.ntotal == max_rows:
                yield piece
                piece = None
            piece = _empty_piece(trained) if piece is None else piece
            piece.add_with_ids(_single(vectors[start:stop]), ids[start:stop])
        last = int(ids[-1]) if len(ids) else last
    if piece is not None:
        yield piece


def without(piece: "faiss.IndexIDMap", ids: Sequence[int] | NDArray[np.int64]) -> "faiss.IndexIDMap | None":
    """The piece as it would be if these ids had never been in it; None if nothing is left.

    Made anew from the vectors that it keeps: nothing of what is removed stays in it.
    """
    import faiss

    stays = ~np.isin(ids_of(piece), np.asarray(ids, dtype=np.int64))
    refine: Any = faiss.downcast_index(piece.index)
    trained: Any = faiss.clone_index(faiss.downcast_index(refine.base_index))
    trained.reset()
    starts = range(0, len(stays), _BLOCK)
    kept = (
        (batch_ids[here], vectors[here])
        for start, (batch_ids, vectors) in zip(starts, batches_of(piece), strict=True)
        for here in [stays[start : start + _BLOCK]]
    )
    return next(build_pieces(trained, kept, max_rows=max(int(stays.sum()), 1)), None)


def ids_of(piece: "faiss.IndexIDMap") -> NDArray[np.int64]:
    """The ids in a piece, ascending."""
    import faiss

    return faiss.vector_to_array(piece.id_map).astype(np.int64)


def batches_of(piece: "faiss.IndexIDMap") -> Iterator[Batch]:
    """All vectors of a piece as they are stored, 65,536 at a time, in the order of their ids."""
    import faiss

    refine: Any = faiss.downcast_index(piece.index)
    vectors, ids = faiss.downcast_index(refine.refine_index), ids_of(piece)
    for start in range(0, len(ids), _BLOCK):
        here = ids[start : start + _BLOCK]
        yield here, vectors.reconstruct_n(start, len(here))


def to_bytes(piece: "faiss.IndexIDMap") -> bytes:
    """A piece as bytes; the same piece gives the same ones."""
    import faiss

    return faiss.serialize_index(piece).tobytes()


def from_bytes(data: bytes) -> "faiss.IndexIDMap":
    """The piece that `to_bytes` gave."""
    import faiss

    return faiss.deserialize_index(np.frombuffer(data, dtype=np.uint8))


def _empty_piece(trained: "faiss.IndexIVFPQFastScan") -> "faiss.IndexIDMap":
    import faiss

    kept = faiss.IndexScalarQuantizer(trained.d, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    kept.train(np.zeros((1, trained.d), dtype=np.float32))  # half precision has nothing to learn: it marks it ready
    return faiss.IndexIDMap(faiss.IndexRefine(faiss.clone_index(trained), kept))


def _codes(dimension: int) -> int:
    """Codes of a vector: each of six dimensions, or of fewer that divide it and leave 48 codes, if it has so many."""
    fitting = (dimension // each for each in _CODED_TOGETHER if dimension % each == 0)
    return next((codes for codes in fitting if codes >= _FEWEST_CODES), dimension)


def _cuts(filled: int, rows: int, most: int) -> Iterator[tuple[int, int]]:
    """The slices of a batch that go into one piece each, the first into one that is filled so far."""
    start = 0
    while start < rows:
        stop = min(rows, start + (most - filled if filled < most else most))
        yield start, stop
        start, filled = stop, 0


def _single(vectors: Vectors) -> NDArray[np.float32]:
    return np.ascontiguousarray(vectors, dtype=np.float32)
