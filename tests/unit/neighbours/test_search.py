"""Searching pieces: the same as one index, and near to brute force."""

import numpy as np
import pytest

from laionet_assets.neighbours.index import build_pieces, train
from laionet_assets.neighbours.search import (
    CANDIDATES,
    Effort,
    Neighbours,
    choose_effort,
    nearest,
    nearest_exactly,
    recall,
)
from tests.unit.neighbours.conftest import clustered


def parts(vectors: np.ndarray, *sizes: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Consecutive batches; ids count on, so that one index can hold them all."""
    ends = np.cumsum(sizes)
    return [(np.arange(end - size, end), vectors[end - size : end]) for end, size in zip(ends, sizes, strict=True)]


@pytest.mark.parametrize("k", [1, 7])
@pytest.mark.parametrize("probes", [1, 5, 64])
def test_pieces_are_merged_exactly(vectors: np.ndarray, queries: np.ndarray, k: int, probes: int) -> None:
    trained = train(vectors[:2000], 64)
    pieces = [next(build_pieces(trained, [batch])) for batch in parts(vectors, 1500, 1, 2000, 499)]
    merged = nearest(pieces, queries, Effort(probes), k=k)
    apart = [nearest([piece], queries, Effort(probes), k=k) for piece in pieces]
    for row in range(len(queries)):
        found = sorted(
            (-float(each.similarity[row, i]), position, int(each.ids[row, i]))
            for position, each in enumerate(apart)
            for i in range(k)
            if each.ids[row, i] >= 0
        )[:k]
        assert merged.ids[row].tolist() == [each[2] for each in found] + [-1] * (k - len(found))
        assert merged.piece[row].tolist() == [each[1] for each in found] + [-1] * (k - len(found))
        assert merged.similarity[row, : len(found)].tolist() == [-each[0] for each in found]


def test_pieces_find_what_one_index_of_everything_finds(vectors: np.ndarray, queries: np.ndarray) -> None:
    trained, divided = train(vectors[:2000], 64), parts(vectors, 1500, 1, 2000, 499)
    for probes in (4, 64):
        whole = nearest(build_pieces(trained, divided), queries, Effort(probes))
        merged = nearest([next(build_pieces(trained, [batch])) for batch in divided], queries, Effort(probes))
        assert (merged.similarity >= whole.similarity).all()
        assert (merged.ids == whole.ids).mean() > 0.98


def test_a_new_part_alone_is_added(vectors: np.ndarray, queries: np.ndarray) -> None:
    trained = train(vectors[:2000], 64)
    old, new = parts(vectors, 2000, 2000)
    piece = next(build_pieces(trained, [old]))
    before = nearest([piece], queries, Effort(64))
    after = nearest([piece, next(build_pieces(trained, [new]))], queries, Effort(64))
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
    trained = train(vectors, 32)
    pieces = list(build_pieces(trained, batches))
    assert recall(nearest(pieces, queries, Effort(32), k=5), exact) > 0.998
    assert recall(nearest(pieces, queries, Effort(1), k=5), exact) < 1


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


def test_the_fewest_cells_that_reach_the_recall() -> None:
    vectors, queries = clustered(4000, 1, noise=2), clustered(200, 2, noise=2)
    batches = parts(vectors, 4000)
    pieces = list(build_pieces(train(vectors, 64), batches))
    exact = nearest_exactly(batches, queries)
    effort, reached = choose_effort(lambda: pieces, queries, exact, cells=64, target=0.9)
    assert effort.candidates == CANDIDATES[0] and 1 < effort.probes < 64
    recalls = [recall(nearest(pieces, queries, Effort(n)), exact) for n in range(1, effort.probes + 1)]
    assert reached == recalls[-1] >= 0.9 and all(each < 0.9 for each in recalls[:-1])
    assert choose_effort(lambda: pieces, queries, exact, cells=64, target=0.0)[0] == Effort(1)
    most, whole = choose_effort(lambda: pieces, queries, exact, cells=64, target=1.1)
    assert most == Effort(64, CANDIDATES[-1]) and whole == 1


def test_more_candidates_where_codes_are_too_coarse() -> None:
    vectors, queries = (clustered(*each, dimension=300, noise=10) for each in ((4000, 1), (200, 2)))
    batches = parts(vectors, 4000)
    pieces = list(build_pieces(train(vectors, 4), batches))
    exact = nearest_exactly(batches, queries)
    effort, reached = choose_effort(lambda: pieces, queries, exact, cells=4)
    assert effort.candidates > CANDIDATES[0] and reached >= 0.98
    assert recall(nearest(pieces, queries, Effort(4)), exact) < 0.98


def test_equal_vectors_are_in_the_order_of_pieces_and_ids() -> None:
    same = np.repeat(clustered(1, 5), 6, axis=0)
    trained = train(clustered(50, 1), 4)
    pieces = [next(build_pieces(trained, [(np.array(ids), same[: len(ids)])])) for ids in ([5, 9], [1, 2, 3])]
    found = nearest(pieces, same[:1], Effort(4), k=6)
    assert found.ids.tolist() == [[5, 9, 1, 2, 3, -1]] and found.piece.tolist() == [[0, 0, 1, 1, 1, -1]]
    assert np.isnan(found.similarity[0, 5])


def test_nothing_to_search(queries: np.ndarray) -> None:
    for found in (nearest([], queries, Effort(3), k=2), nearest_exactly([], queries, k=2)):
        assert found.ids.shape == (200, 2) and (found.ids == -1).all() and np.isnan(found.similarity).all()
    assert nearest([], queries[:0], Effort(1)).ids.shape == (0, 1)
