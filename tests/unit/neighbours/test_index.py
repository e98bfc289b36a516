"""Pieces of an inverted file."""

from typing import Any

import faiss
import numpy as np
import pytest

from laionet_assets.neighbours import index
from laionet_assets.neighbours.index import (
    batches_of,
    build_pieces,
    cells_for,
    from_bytes,
    ids_of,
    to_bytes,
    train,
    without,
)
from laionet_assets.neighbours.search import Effort, nearest


@pytest.fixture(scope="module")
def trained(vectors: np.ndarray) -> Any:
    return train(vectors, 32)


def batches(vectors: np.ndarray, size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    ids = 7 * np.arange(len(vectors)) + 100_000_000
    return [(ids[i : i + size], vectors[i : i + size]) for i in range(0, len(vectors), size)]


@pytest.mark.parametrize(("size", "most"), [(4000, 4000), (4000, 1500), (700, 1000), (1000, 333), (13, 3999)])
def test_pieces_hold_every_vector_once_and_no_more_than_they_may(
    vectors: np.ndarray, trained: Any, size: int, most: int
) -> None:
    pieces = list(build_pieces(trained, batches(vectors, size), max_rows=most))
    assert [piece.ntotal for piece in pieces[:-1]] == [most] * (len(pieces) - 1)
    assert 0 < pieces[-1].ntotal <= most and sum(piece.ntotal for piece in pieces) == 4000
    found = nearest(pieces, vectors[::100], Effort(32))
    assert (found.ids[:, 0] == 7 * np.arange(0, 4000, 100) + 100_000_000).all()
    assert (found.piece[:, 0] == np.arange(0, 4000, 100) // most).all()
    assert trained.ntotal == 0


def test_similarities_are_those_of_the_stored_half_precision(vectors: np.ndarray, trained: Any) -> None:
    (piece,) = build_pieces(trained, batches(vectors, 4000))
    found = nearest([piece], vectors[:50], Effort(32))
    expected = (vectors[:50].astype(np.float32) ** 2).sum(axis=1)
    assert found.similarity[:, 0] == pytest.approx(expected, abs=1e-6)


def test_training_is_seeded_and_its_centres_have_length_one(vectors: np.ndarray) -> None:
    def state(**settings: int) -> bytes:
        return faiss.serialize_index(train(vectors, 8, **settings)).tobytes()

    assert state() == state() != state(seed=1)
    index = train(vectors, 8)
    centres = index.quantizer.reconstruct_n(0, 8)
    assert np.linalg.norm(centres, axis=1) == pytest.approx(np.ones(8), abs=1e-5)
    with pytest.raises(ValueError, match="found 20 vectors for 21 cells"):
        train(vectors[:20], 21)
    with pytest.raises(ValueError, match="and 16: take fewer cells, or search without an index"):
        train(vectors[:15], 1)


@pytest.mark.parametrize("dimension", [7, 12, 25, 32, 512])
def test_any_dimension_can_be_coded(dimension: int) -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(300, dimension))
    points = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float16)
    pieces = list(build_pieces(train(points, 4), [(np.arange(300), points)]))
    assert (nearest(pieces, points, Effort(4)).ids[:, 0] == np.arange(300)).mean() > 0.98


def test_the_same_pieces_are_the_same_bytes(vectors: np.ndarray, trained: Any) -> None:
    one, two = (to_bytes(next(build_pieces(trained, batches(vectors, 900)))) for _ in range(2))
    assert one == two


def test_what_is_written_is_read_again(vectors: np.ndarray, trained: Any, queries: np.ndarray) -> None:
    (piece,) = build_pieces(trained, batches(vectors, 4000))
    expected = nearest([piece], queries, Effort(4), k=5)
    found = nearest([from_bytes(to_bytes(piece))], queries, Effort(4), k=5)
    assert (found.ids == expected.ids).all() and (found.similarity == expected.similarity).all()


def test_a_piece_tells_its_ids_and_vectors(vectors: np.ndarray, trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "_BLOCK", 1_500)
    (piece,) = build_pieces(trained, batches(vectors, 4000))
    given = batches(vectors, 4000)[0]
    assert (ids_of(piece) == given[0]).all()
    told = list(batches_of(piece))
    assert [len(ids) for ids, _ in told] == [1500, 1500, 1000]
    assert (np.concatenate([ids for ids, _ in told]) == given[0]).all()
    assert (np.concatenate([found for _, found in told]) == given[1].astype(np.float32)).all()


def test_removed_vectors_leave_nothing_behind(vectors: np.ndarray, trained: Any) -> None:
    (piece,) = build_pieces(trained, batches(vectors, 4000))
    gone = nearest([piece], vectors[:20], Effort(32)).ids[:, 0]
    rest = [(ids[~np.isin(ids, gone)], rows[~np.isin(ids, gone)]) for ids, rows in batches(vectors, 4000)]
    (anew,) = build_pieces(trained, rest)
    left = without(from_bytes(to_bytes(piece)), [*gone, 5])
    assert left.ntotal == 3980
    assert faiss.serialize_index(left).tobytes() == faiss.serialize_index(anew).tobytes()
    assert not set(nearest([left], vectors[:20], Effort(32), k=3).ids.ravel()) & set(gone)
    assert without(piece, batches(vectors, 4000)[0][0]) is None
    assert faiss.serialize_index(without(piece, [])).tobytes() == faiss.serialize_index(piece).tobytes()


def test_ids_ascend(vectors: np.ndarray, trained: Any) -> None:
    for ids in ([1, 1], [2, 1], [-1, 3], [1, 2, 3]):
        with pytest.raises(ValueError, match="expected ascending ids"):
            list(build_pieces(trained, [(np.array(ids), vectors[:2])]))
    with pytest.raises(ValueError, match="after id 2"):
        list(build_pieces(trained, [(np.array([1, 2]), vectors[:2]), (np.array([2]), vectors[:1])]))
    assert list(build_pieces(trained, [])) == []
    assert list(build_pieces(trained, [(np.array([], dtype=np.int64), vectors[:0])])) == []


@pytest.mark.parametrize(("count", "cells"), [(0, 1), (1, 1), (50_000, 128), (13_000_000, 2048), (10**12, 65_536)])
def test_cells_for(count: int, cells: int) -> None:
    assert cells_for(count) == cells
