"""Searching pieces of an inverted file, and measuring what the search misses.

Pieces are searched one after the other and their best merged exactly, so at most one is open at a time. Not here:
building pieces (`index`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import faiss

    from laionet_assets.neighbours.index import Batch

RECALL = 0.98
"""Share of the truly nearest that a search is meant to find."""

_SAME = 1e-5

Vectors = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Neighbours:
    """The k nearest of each query, nearest first; arrays of shape (queries, k).

    `piece`: which of the pieces (or batches) it is in, by position; `ids`: its id there; `similarity`: inner product.
    Equally near ones by piece, then id. Where there are fewer than k, piece and id are -1 and the similarity nan.
    """

    piece: NDArray[np.int64]
    ids: NDArray[np.int64]
    similarity: NDArray[np.float32]


def nearest(
    pieces: Iterable["faiss.IndexIVFScalarQuantizer"], queries: Vectors, *, probes: int, k: int = 1
) -> Neighbours:
    """The k nearest vectors of all pieces for each query, looking into the `probes` nearest cells.

    `queries`: shape (queries, dimension). The result is that of one index of all pieces' vectors.
    """
    import faiss

    wanted = np.ascontiguousarray(queries, dtype=np.float32)
    best = _none(len(wanted), k)
    for position, piece in enumerate(pieces):
        looked = faiss.SearchParametersIVF(nprobe=min(probes, piece.nlist))
        similarity, ids = piece.search(wanted, k, params=looked)
        best = _merged(best, position, ids, similarity)
    return best


def nearest_exactly(batches: Iterable["Batch"], queries: Vectors, *, k: int = 1) -> Neighbours:
    """The k nearest vectors of all batches for each query, by brute force: what a search is measured against.

    `batches`: (ids, vectors); `piece` counts them.
    """
    import faiss

    wanted = np.ascontiguousarray(queries, dtype=np.float32)
    best = _none(len(wanted), k)
    for position, (ids, vectors) in enumerate(batches):
        if not len(ids):
            continue
        among = np.ascontiguousarray(vectors, dtype=np.float32)
        similarity, rows = faiss.knn(wanted, among, min(k, len(among)), metric=faiss.METRIC_INNER_PRODUCT)
        best = _merged(best, position, np.where(rows < 0, -1, np.asarray(ids, dtype=np.int64)[rows]), similarity)
    return best


def recall(found: Neighbours, exact: Neighbours) -> float:
    """Share of the k nearest that a search found, over all queries: recall@k.

    One that is as near as the k-th nearest counts as found, since equally near ones can stand for each other. nan where
    there is nothing to find.
    """
    is_there = ~np.isnan(exact.similarity)
    if not is_there.any():
        return float("nan")
    least = np.where(is_there, exact.similarity, np.inf).min(axis=1, keepdims=True)
    hits = (found.similarity >= least - _SAME).sum(axis=1)
    return float(np.minimum(hits, is_there.sum(axis=1)).sum() / is_there.sum())


def choose_probes(
    open_pieces: Callable[[], Iterable["faiss.IndexIVFScalarQuantizer"]],
    queries: Vectors,
    exact: Neighbours,
    *,
    cells: int,
    target: float = RECALL,
) -> tuple[int, float]:
    """The fewest cells to look into so that recall is at least `target` for these queries, and the recall then.

    `open_pieces` opens the pieces anew for each try; `exact`: the queries' true neighbours, of as many as are wanted.
    Recall is taken to rise with the cells: they are doubled until it suffices, then halved in.
    """
    k = exact.ids.shape[1]

    def measured(probes: int) -> float:
        return recall(nearest(open_pieces(), queries, probes=probes, k=k), exact)

    low, high, reached = 0, 1, measured(1)
    while reached < target and high < cells:
        low, high = high, min(2 * high, cells)
        reached = measured(high)
    while high - low > 1:
        middle = (low + high) // 2
        here = measured(middle)
        if here >= target:
            high, reached = middle, here
        else:
            low = middle
    return high, reached


def _none(queries: int, k: int) -> Neighbours:
    return Neighbours(
        piece=np.full((queries, k), -1, dtype=np.int64),
        ids=np.full((queries, k), -1, dtype=np.int64),
        similarity=np.full((queries, k), np.nan, dtype=np.float32),
    )


def _merged(best: Neighbours, position: int, ids: NDArray[np.int64], similarity: NDArray[np.float32]) -> Neighbours:
    """The best so far and those of one more piece, the k nearest of them."""
    k = best.ids.shape[1]
    is_there = ids >= 0
    parts: Sequence[NDArray[Any]] = (np.where(is_there, position, -1), ids, np.where(is_there, similarity, np.nan))
    piece, ids, similarity = (
        np.concatenate([old, new], axis=1)
        for old, new in zip((best.piece, best.ids, best.similarity), parts, strict=True)
    )
    order = np.lexsort((ids, piece, np.where(np.isnan(similarity), np.inf, -similarity)), axis=1)[:, :k]
    return Neighbours(*(np.take_along_axis(values, order, axis=1) for values in (piece, ids, similarity)))
