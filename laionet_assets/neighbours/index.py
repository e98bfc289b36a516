"""An inverted file in pieces: cells trained once, and any number of indexes over the same cells.

Vectors lie in the cell of their nearest centre; a search looks into the cells nearest to the query. All pieces have the
same centres, so a search probes the same cells in every piece, and the best of all pieces are the best of one index of
all vectors: a new part is a new piece, and no old piece is touched. Codes are half precision without residuals, which
is what embeddings are stored in: similarities are those of the stored vectors.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from laionet_assets.warehouse.lake import write_whole

if TYPE_CHECKING:
    import faiss

SEED = 20_230_627
PIECE_ROWS = 1_000_000
"""The most vectors of a piece: 0.8 GB for 384 dimensions."""

POINTS_PER_CELL = 64
"""Vectors that the centre of a cell is trained on, on average; more are left unread."""

_ITERATIONS = 10

Vectors = NDArray[np.floating[Any]]
Batch = tuple[NDArray[np.int64], Vectors]
"""Ids, shape (rows,), and their vectors, shape (rows, dimension)."""


def cells_for(vectors: int) -> int:
    """How many cells suit so many vectors: about four times their square root, a power of two, at most 65,536."""
    wanted = max(1.0, 4 * np.sqrt(max(vectors, 1)))
    return int(min(2 ** np.floor(np.log2(wanted)), 65_536))


def train_centres(sample: Vectors, cells: int, *, seed: int = SEED) -> NDArray[np.float32]:
    """Centres of the cells: spherical k-means of a sample, shape (cells, dimension), float32 of length one.

    At most POINTS_PER_CELL vectors a cell are used, a seeded choice; ten rounds. The same sample and seed give the same
    centres on the same machine. Raises ValueError for fewer vectors than cells.
    """
    import faiss

    if len(sample) < cells:
        raise ValueError(f"found {len(sample)} vectors for {cells} cells; expected at least one each: take fewer cells")
    rng = np.random.default_rng(seed)
    wanted = cells * POINTS_PER_CELL
    if len(sample) > wanted:
        sample = sample[np.sort(rng.choice(len(sample), wanted, replace=False))]
    means = faiss.Kmeans(
        sample.shape[1], cells, niter=_ITERATIONS, seed=seed % 2**31, spherical=True, min_points_per_centroid=1,
        max_points_per_centroid=POINTS_PER_CELL,
    )  # fmt: skip
    means.train(_single(sample))
    return means.centroids.copy()


def build_pieces(
    centres: NDArray[np.float32], batches: Iterable[Batch], *, max_rows: int = PIECE_ROWS
) -> Iterator["faiss.IndexIVFScalarQuantizer"]:
    """Indexes of at most `max_rows` vectors each, in the order of the batches; none of no vector.

    The caller writes each before it asks for the next, so memory is that of one piece and a batch. Ids ascend over all
    batches, which makes equal vectors stay in the order of their ids. Raises ValueError for ids that do not ascend.
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
            piece = _empty(centres) if piece is None else piece
            piece.add_with_ids(_single(vectors[start:stop]), ids[start:stop])
        last = int(ids[-1]) if len(ids) else last
    if piece is not None:
        yield piece


def remove(piece: "faiss.IndexIVFScalarQuantizer", ids: Sequence[int] | NDArray[np.int64]) -> int:
    """Take the vectors of these ids out of a piece, in memory; how many there were."""
    import faiss

    return int(piece.remove_ids(faiss.IDSelectorBatch(np.asarray(ids, dtype=np.int64))))


def save_piece(piece: "faiss.IndexIVFScalarQuantizer", path: Path) -> None:
    """Write a piece, whole or not at all."""
    import faiss

    write_whole(path, lambda file: faiss.write_index(piece, faiss.PyCallbackIOWriter(file.write)))


def open_piece(path: Path, *, in_memory: bool = False) -> "faiss.IndexIVFScalarQuantizer":
    """A piece that `save_piece` wrote: mapped for searching, or read whole to be changed (`in_memory`)."""
    import faiss

    return faiss.read_index(str(path), 0 if in_memory else faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)


def _empty(centres: NDArray[np.float32]) -> "faiss.IndexIVFScalarQuantizer":
    import faiss

    cells, dimension = centres.shape
    coarse = faiss.IndexFlatIP(dimension)
    coarse.add(_single(centres))
    index = faiss.IndexIVFScalarQuantizer(
        coarse, dimension, cells, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT, False
    )
    index.train(
        _single(centres)
    )  # the centres are there and half precision needs no training: it marks the index ready
    return index


def _cuts(filled: int, rows: int, most: int) -> Iterator[tuple[int, int]]:
    """The slices of a batch that go into one piece each, the first into one that is filled so far."""
    start = 0
    while start < rows:
        stop = min(rows, start + (most - filled if filled < most else most))
        yield start, stop
        start, filled = stop, 0


def _single(vectors: Vectors) -> NDArray[np.float32]:
    return np.ascontiguousarray(vectors, dtype=np.float32)
