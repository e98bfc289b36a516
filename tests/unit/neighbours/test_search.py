"""Searching pieces: the same as one index, and near to brute force."""

import numpy as np
import pytest

from laionet_assets.neighbours.index import build_pieces, train_centres
from laionet_assets.neighbours.search import Neighbours, choose_probes, nearest, nearest_exactly, recall
from tests.unit.neighbours.conftest import clustered


def parts(vectors: np.ndarray, *sizes: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Consecutive batches; ids count on, so that one index can hold them all."""
    ends = np.cumsum(sizes)
    return [(np.arange(end - size, end), vectors[end - size : end]) for end, size in zip(ends, sizes, strict=True)]


@pytest.mark.parametrize("k", [1, 7])
@pytest.mark.parametrize("probes", [1, 5, 64])
def test_pieces_merged_are_one_index_of_everything(
    vectors: np.ndarray, queries: np.ndarray, k: int, probes: int
) -> None:
    centres = train_centres(vectors[:2000], 64)
    divided = parts(vectors, 1500, 1, 2000, 499)
    pieces = [next(build_pieces(centres, [batch])) for batch in divided]
    whole = nearest(build_pieces(centres, divided), queries, probes=probes, k=k)
    merged = nearest(pieces, queries, probes=probes, k=k)
    assert (merged.ids == whole.ids).all()
    assert np.array_equal(merged.similarity, whole.similarity, equal_nan=True)
    bounds = np.array([1500, 1501, 3501, 4000])
    assert (merged.piece == np.where(merged.ids < 0, -1, np.searchsorted(bounds, merged.ids, side="right"))).all()


def test_a_new_part_alone_is_added(vectors: np.ndarray, queries: np.ndarray) -> None:
    centres = train_centres(vectors[:2000], 64)
    old, new = parts(vectors, 2000, 2000)
    piece = next(build_pieces(centres, [old]))
    before = nearest([piece], queries, probes=64)
    after = nearest([piece, next(build_pieces(centres, [new]))], queries, probes=64)
    assert (after.similarity >= before.similarity).all() and (after.piece == 1).any() and (after.piece == 0).any()
    is_kept = after.piece == 0
    assert (after.ids[is_kept] == before.ids[is_kept]).all()


@pytest.mark.parametrize("k", [1, 4])
def test_brute_force_is_the_whole_table(vectors: np.ndarray, queries: np.ndarray, k: int) -> None:
    found = nearest_exactly(parts(vectors, 3000, 0, 1000), queries, k=k)
    table = queries.astype(np.float32) @ vectors.astype(np.float32).T
    expected = np.sort(table, axis=1)[:, ::-1][:, :k]
    assert found.similarity == pytest.approx(expected, abs=1e-5)
    assert np.take_along_axis(table, found.ids, axis=1) == pytest.approx(expected, abs=1e-5)
    assert (found.piece == np.where(found.ids < 3000, 0, 2)).all()


def test_every_cell_looked_into_finds_everything(vectors: np.ndarray, queries: np.ndarray) -> None:
    batches = parts(vectors, 4000)
    exact = nearest_exactly(batches, queries, k=5)
    centres = train_centres(vectors, 32)
    pieces = list(build_pieces(centres, batches))
    assert recall(nearest(pieces, queries, probes=32, k=5), exact) == 1
    assert recall(nearest(pieces, queries, probes=1, k=5), exact) < 1


def test_recall_counts_by_hand() -> None:
    def neighbours(*rows: list[float]) -> Neighbours:
        similarity = np.array(rows, dtype=np.float32)
        return Neighbours(np.zeros(similarity.shape, int), np.zeros(similarity.shape, int), similarity)

    exact = neighbours([0.9, 0.8], [0.9, 0.7])
    assert recall(neighbours([0.9, 0.8], [0.9, 0.7]), exact) == 1
    assert recall(neighbours([0.9, 0.5], [0.6, 0.5]), exact) == 0.25
    assert recall(neighbours([np.nan, np.nan], [0.9, np.nan]), exact) == 0.25
    single = neighbours([0.9, np.nan], [np.nan, np.nan])
    assert recall(neighbours([0.9, np.nan], [np.nan, np.nan]), single) == 1
    assert np.isnan(recall(single, neighbours([np.nan, np.nan])))


def test_the_fewest_probes_that_reach_the_recall(vectors: np.ndarray, queries: np.ndarray) -> None:
    centres = train_centres(vectors, 64)
    batches = parts(vectors, 4000)
    pieces = list(build_pieces(centres, batches))
    exact = nearest_exactly(batches, queries)
    probes, reached = choose_probes(lambda: pieces, queries, exact, cells=64)
    recalls = [recall(nearest(pieces, queries, probes=n), exact) for n in range(1, probes + 1)]
    assert reached == recalls[-1] >= 0.98 and all(each < 0.98 for each in recalls[:-1]) and 1 < probes < 64
    assert choose_probes(lambda: pieces, queries, exact, cells=64, target=0.0)[0] == 1
    everywhere, whole = choose_probes(lambda: pieces, queries, exact, cells=64, target=1.1)
    assert (everywhere, whole) == (64, 1)


def test_equal_vectors_are_in_the_order_of_pieces_and_ids() -> None:
    same = np.repeat(clustered(1, 5), 6, axis=0)
    centres = train_centres(clustered(50, 1), 4)
    pieces = [next(build_pieces(centres, [(np.array(ids), same[: len(ids)])])) for ids in ([5, 9], [1, 2, 3])]
    found = nearest(pieces, same[:1], probes=4, k=6)
    assert found.ids.tolist() == [[5, 9, 1, 2, 3, -1]] and found.piece.tolist() == [[0, 0, 1, 1, 1, -1]]
    assert np.isnan(found.similarity[0, 5])


def test_nothing_to_search(queries: np.ndarray) -> None:
    for found in (nearest([], queries, probes=3, k=2), nearest_exactly([], queries, k=2)):
        assert found.ids.shape == (200, 2) and (found.ids == -1).all() and np.isnan(found.similarity).all()
    assert nearest([], queries[:0], probes=1).ids.shape == (0, 1)
