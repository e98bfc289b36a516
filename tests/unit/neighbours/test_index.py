"""Pieces of an inverted file."""

from pathlib import Path

import numpy as np
import pytest

from laionet_assets.neighbours.index import (
    build_pieces,
    cells_for,
    open_piece,
    remove,
    save_piece,
    train_centres,
)
from laionet_assets.neighbours.search import nearest


@pytest.fixture(scope="module")
def centres(vectors: np.ndarray) -> np.ndarray:
    return train_centres(vectors, 32)


def batches(vectors: np.ndarray, size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    ids = 7 * np.arange(len(vectors)) + 100_000_000
    return [(ids[i : i + size], vectors[i : i + size]) for i in range(0, len(vectors), size)]


@pytest.mark.parametrize(("size", "most"), [(4000, 4000), (4000, 1500), (700, 1000), (1000, 333), (1, 3999)])
def test_pieces_hold_every_vector_once_and_no_more_than_they_may(
    vectors: np.ndarray, centres: np.ndarray, size: int, most: int
) -> None:
    pieces = list(build_pieces(centres, batches(vectors, size), max_rows=most))
    assert [piece.ntotal for piece in pieces[:-1]] == [most] * (len(pieces) - 1)
    assert 0 < pieces[-1].ntotal <= most and sum(piece.ntotal for piece in pieces) == 4000
    found = nearest(pieces, vectors[::100], probes=32)
    assert (found.ids[:, 0] == 7 * np.arange(0, 4000, 100) + 100_000_000).all()
    assert (found.piece[:, 0] == np.arange(0, 4000, 100) // most).all()


def test_similarities_are_those_of_the_stored_half_precision(vectors: np.ndarray, centres: np.ndarray) -> None:
    (piece,) = build_pieces(centres, batches(vectors, 4000))
    found = nearest([piece], vectors[:50], probes=32)
    expected = (vectors[:50].astype(np.float32) ** 2).sum(axis=1)
    assert found.similarity[:, 0] == pytest.approx(expected, abs=1e-6)


def test_training_is_seeded_and_reads_no_more_than_it_needs(vectors: np.ndarray) -> None:
    first, again = train_centres(vectors, 8), train_centres(vectors, 8)
    assert first.shape == (8, 16) and first.dtype == np.float32 and (first == again).all()
    assert np.linalg.norm(first, axis=1) == pytest.approx(np.ones(8), abs=1e-5)
    assert (train_centres(vectors, 8, seed=1) != first).any()
    with pytest.raises(ValueError, match="found 5 vectors for 8 cells"):
        train_centres(vectors[:5], 8)


def test_the_same_pieces_are_the_same_bytes(vectors: np.ndarray, centres: np.ndarray, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (piece,) = build_pieces(centres, batches(vectors, 900))
        save_piece(piece, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_a_mapped_piece_finds_what_the_piece_in_memory_finds(
    vectors: np.ndarray, centres: np.ndarray, queries: np.ndarray, tmp_path: Path
) -> None:
    (piece,) = build_pieces(centres, batches(vectors, 4000))
    save_piece(piece, tmp_path / "piece")
    expected = nearest([piece], queries, probes=4, k=5)
    for in_memory in (False, True):
        found = nearest([open_piece(tmp_path / "piece", in_memory=in_memory)], queries, probes=4, k=5)
        assert (found.ids == expected.ids).all() and (found.similarity == expected.similarity).all()


def test_removed_vectors_are_found_no_more(vectors: np.ndarray, centres: np.ndarray, tmp_path: Path) -> None:
    (piece,) = build_pieces(centres, batches(vectors, 4000))
    save_piece(piece, tmp_path / "piece")
    changed = open_piece(tmp_path / "piece", in_memory=True)
    gone = nearest([changed], vectors[:20], probes=32).ids[:, 0]
    assert remove(changed, [*gone, 5]) == 20 and changed.ntotal == 3980
    save_piece(changed, tmp_path / "piece")
    found = nearest([open_piece(tmp_path / "piece")], vectors[:20], probes=32, k=3)
    assert not set(found.ids.ravel()) & set(gone)
    rest = [(ids[~np.isin(ids, gone)], rows[~np.isin(ids, gone)]) for ids, rows in batches(vectors, 4000)]
    anew = nearest(build_pieces(centres, rest), vectors[:20], probes=32, k=3)
    assert (found.ids == anew.ids).all()


def test_ids_ascend(vectors: np.ndarray, centres: np.ndarray) -> None:
    for ids in ([1, 1], [2, 1], [-1, 3], [1, 2, 3]):
        with pytest.raises(ValueError, match="expected ascending ids"):
            list(build_pieces(centres, [(np.array(ids), vectors[:2])]))
    with pytest.raises(ValueError, match="after id 2"):
        list(build_pieces(centres, [(np.array([1, 2]), vectors[:2]), (np.array([2]), vectors[:1])]))
    assert list(build_pieces(centres, [])) == []
    assert list(build_pieces(centres, [(np.array([], dtype=np.int64), vectors[:0])])) == []


@pytest.mark.parametrize(("vectors_", "cells"), [(0, 4), (1, 4), (50_000, 512), (13_000_000, 8192), (10**12, 65_536)])
def test_cells_for(vectors_: int, cells: int) -> None:
    assert cells_for(vectors_) == cells
