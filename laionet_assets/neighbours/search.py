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

CANDIDATES = (50, 200, 800)
"""How many vectors that their codes make likely are compared themselves, for each that is wanted: as many as needed."""

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


@dataclass(frozen=True)
class Effort:
    """How far a search looks: into how many cells, and among how many likely vectors for each that is wanted."""

    probes: int
    candidates: int = CANDIDATES[0]


def nearest(pieces: "Iterable[faiss.Index]", queries: Vectors, effort: Effort, *, k: int = 1) -> Neighbours:
    """The k nearest vectors of all pieces for each query, as far as `effort` looks in each piece.

    `queries`: shape (queries, dimension). Of several vectors that are the same, any may be found.
    """
    import faiss

    wanted = np.ascontiguousarray(queries, dtype=np.float32)
    cells = faiss.SearchParametersIVF()
    cells.nprobe = effort.probes
    looking = faiss.IndexRefineSearchParameters(k_factor=effort.candidates, base_index_params=cells)
    best = _none(len(wanted), k)
    for position, piece in enumerate(pieces):
        similarity, ids = piece.search(wanted, k, params=looking)
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


def choose_effort(
    open_pieces: "Callable[[], Iterable[faiss.Index]]",
    queries: Vectors,
    exact: Neighbours,
    *,
    cells: int,
    target: float = RECALL,
) -> tuple[Effort, float]:
    """The least effort whose recall is at least `target` for these queries, and the recall then.

    `open_pieces` opens the pieces anew for each try; `exact`: the queries' true neighbours, as many of each as are
    wanted. The fewest of CANDIDATES that suffice where every cell is looked into, then the fewest cells: recall is
    taken to rise with them, so they are doubled until it suffices, then halved in. Where nothing suffices, the greatest
    effort.
    """

    def measured(effort: Effort) -> float:
        return recall(nearest(open_pieces(), queries, effort, k=exact.ids.shape[1]), exact)

    for candidates in CANDIDATES:
        reached = measured(Effort(cells, candidates))
        if reached >= target:
            break
    else:
        return Effort(cells, candidates), reached
    low, high = 0, 1
    while (here := measured(Effort(high, candidates))) < target and high < cells:
        low, high = high, min(2 * high, cells)
    reached = here
    while high - low > 1:
        middle = (low + high) // 2
        if (here := measured(Effort(middle, candidates))) >= target:
            high, reached = middle, here
        else:
            low = middle
    return Effort(high, candidates), reached


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
