"""Similarity within a class and between sets, against plain references over the full matrix."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from laionet_assets.stats.similarity import GRAM_IMAGES, ClassVectors, between_sets, unit_rows, welch_degrees

shapes = st.tuples(st.integers(2, 12), st.integers(1, 20), st.integers(0, 2**32 - 1))


def random_vectors(images: int, dimension: int, seed: int, *, centre: float = 0.7) -> np.ndarray:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(images, dimension)) + centre * rng.normal(size=dimension)
    return vectors.astype(np.float32)


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    one, other = one.astype(np.float64), other.astype(np.float64)
    return (one @ other.T) / np.outer(np.linalg.norm(one, axis=1), np.linalg.norm(other, axis=1))


def pairs_of(vectors: np.ndarray) -> np.ndarray:
    """The published `vec`: the matrix of all cosines, and a mask of its lower triangle."""
    matrix = cosines(vectors, vectors)
    return matrix[np.tril(np.ones_like(matrix, dtype=bool), -1)]


@given(shapes)
def test_mean_and_published_interval_are_those_over_all_pairs(shape: tuple[int, int, int]) -> None:
    vectors = random_vectors(*shape)
    pairs = pairs_of(vectors)
    found = ClassVectors(vectors)
    assert found.pairs == len(pairs)
    assert found.mean() == pytest.approx(pairs.mean(), abs=1e-12)
    published = found.independent_pairs()
    assert published.mean == found.mean()
    if len(pairs) < 2:
        assert published.se is published.low is published.high is None
        return
    half_width = 1.96 * np.std(pairs) / np.sqrt(len(pairs) - 1)
    assert published.low == pytest.approx(pairs.mean() - half_width, abs=1e-12)
    assert published.high == pytest.approx(pairs.mean() + half_width, abs=1e-12)


@given(shapes)
def test_the_jackknife_is_that_of_means_with_each_image_left_out(shape: tuple[int, int, int]) -> None:
    vectors = random_vectors(*shape)
    n = len(vectors)
    found = ClassVectors(vectors).jackknife()
    if n < 3:
        assert found.se is found.low is found.high is None
        return
    without = np.array([pairs_of(np.delete(vectors, i, axis=0)).mean() for i in range(n)])
    pseudo = n * pairs_of(vectors).mean() - (n - 1) * without
    half_width = stats.t.ppf(0.975, n - 1) * pseudo.std(ddof=1) / np.sqrt(n)
    assert pseudo.mean() == pytest.approx(found.mean, abs=1e-12)
    assert found.low == pytest.approx(found.mean - half_width, abs=1e-12)
    assert found.high == pytest.approx(found.mean + half_width, abs=1e-12)


@given(shapes, st.integers(1, 300))
def test_the_histogram_is_numpys(shape: tuple[int, int, int], bins: int) -> None:
    vectors = random_vectors(*shape)
    pairs = pairs_of(vectors)
    found = ClassVectors(vectors).histogram(bins)
    inner = pairs[np.abs((pairs + 1) * bins / 2 - np.round((pairs + 1) * bins / 2)) > 1e-4]
    at_an_edge = len(pairs) - len(inner)
    expected, _ = np.histogram(np.clip(pairs, -1, 1), bins=bins, range=(-1, 1))
    assert found.sum() == expected.sum() == len(pairs)
    assert np.abs(found - expected).sum() <= 2 * at_an_edge


def test_cosines_beyond_one_by_rounding_are_in_the_last_bin() -> None:
    alike = ClassVectors(np.repeat(random_vectors(1, 7, 0), 5, axis=0))
    assert alike.histogram(10).tolist() == [0] * 9 + [10]
    opposite = random_vectors(1, 7, 0)
    assert ClassVectors(np.concatenate([opposite, -opposite])).histogram(10)[0] == 1
    assert ClassVectors(np.eye(2)).histogram(10)[5] == 1, "a cosine of 0 begins the upper half"


@given(shapes)
def test_vendi_is_the_entropy_of_the_kernels_eigenvalues(shape: tuple[int, int, int]) -> None:
    vectors = random_vectors(*shape)
    shares = np.linalg.eigvals(cosines(vectors, vectors) / len(vectors)).real
    shares = shares[shares > 1e-15]
    assert ClassVectors(vectors).vendi() == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-9)


def test_vendi_counts_different_images() -> None:
    assert ClassVectors(np.eye(6)).vendi() == pytest.approx(6)
    assert ClassVectors(np.repeat(np.eye(3, 8), 4, axis=0)).vendi() == pytest.approx(3)
    assert ClassVectors(np.ones((5, 2))).vendi() == pytest.approx(1)
    with pytest.raises(ValueError, match="found no image"):
        ClassVectors(np.ones((0, 2))).vendi()


def test_a_class_too_large_for_its_matrix_has_the_same_published_interval() -> None:
    vectors = random_vectors(GRAM_IMAGES + 50, 6, 3)
    found = ClassVectors(vectors)
    pairs = pairs_of(vectors)
    assert found.independent_pairs().se == pytest.approx(pairs.std() / np.sqrt(len(pairs) - 1), abs=1e-12)
    assert found.mean() == pytest.approx(pairs.mean(), abs=1e-12)
    with pytest.raises(ValueError, match="expected at most 1000"):
        found.histogram()


def test_images_that_are_all_alike_have_no_spread() -> None:
    for images in (5, GRAM_IMAGES + 1):
        alike = ClassVectors(np.repeat(random_vectors(1, 30, 1), images, axis=0))
        for interval in (alike.jackknife(), alike.independent_pairs()):
            assert interval.mean == pytest.approx(1, abs=1e-12)
            assert interval.se == pytest.approx(0, abs=1e-9)


def test_half_precision_gives_true_cosines() -> None:
    vectors = random_vectors(20, 64, 2)
    halves = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    assert ClassVectors(halves).mean() == pytest.approx(pairs_of(halves).mean(), abs=1e-12)
    assert ClassVectors(halves).mean() == pytest.approx(pairs_of(vectors).mean(), abs=5e-4)


@given(st.integers(2, 6), st.integers(0, 1000))
def test_pairs_are_drawn_from_all_pairs_and_never_of_one_image(images: int, seed: int) -> None:
    vectors = random_vectors(images, 5, seed)
    drawn = ClassVectors(vectors).drawn_pairs("n01", 4, seed=seed)
    pairs = pairs_of(vectors)
    assert len(drawn) == min(4, len(pairs))
    assert np.abs(drawn[:, None] - pairs[None]).min(axis=1).max() < 1e-12


def test_every_pair_is_as_likely_to_be_drawn() -> None:
    vectors = random_vectors(200, 5, 0)
    found = ClassVectors(vectors)
    drawn = np.concatenate([found.drawn_pairs("n01", 2000, seed=seed) for seed in range(20)])
    pairs = pairs_of(vectors)
    assert drawn.mean() == pytest.approx(pairs.mean(), abs=4 * pairs.std() / np.sqrt(len(drawn)))
    assert stats.kstest(drawn, pairs).pvalue > 0.001
    assert (found.drawn_pairs("n01") == found.drawn_pairs("n01")).all()
    assert (found.drawn_pairs("n01") != found.drawn_pairs("n02")).any()


@given(shapes, st.integers(2, 9))
def test_between_sets_is_the_mean_over_the_rectangle(shape: tuple[int, int, int], others: int) -> None:
    images, dimension, seed = shape
    one, other = random_vectors(images, dimension, seed), random_vectors(others, dimension, seed + 1)
    found = between_sets(ClassVectors(one), ClassVectors(other))
    rectangle = cosines(one, other)
    assert found.mean == pytest.approx(rectangle.mean(), abs=1e-12)
    rows = np.array([np.delete(rectangle, i, axis=0).mean() for i in range(images)])
    columns = np.array([np.delete(rectangle, i, axis=1).mean() for i in range(others)])
    variance = (images - 1) / images * ((rows - rows.mean()) ** 2).sum()
    variance += (others - 1) / others * ((columns - columns.mean()) ** 2).sum()
    assert found.se == pytest.approx(np.sqrt(variance), abs=1e-12)
    assert found.low <= found.mean <= found.high


def test_too_few_images() -> None:
    single = ClassVectors(np.ones((1, 3)))
    assert between_sets(single, ClassVectors(np.eye(3))).se is None
    assert single.pairs == 0 and single.histogram(4).sum() == 0 and len(single.drawn_pairs("n")) == 0
    with pytest.raises(ValueError, match="found 1 images"):
        single.mean()
    with pytest.raises(ValueError, match="found 1 and 0 images"):
        between_sets(single, ClassVectors(np.ones((0, 3))))


@pytest.mark.parametrize("bad", [np.zeros(3), np.full(3, np.nan), np.array([np.inf, 0, 0])])
def test_vectors_without_a_direction_are_counted_and_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="found 1 of 3 vectors without a direction"):
        unit_rows(np.stack([np.ones(3), bad, np.ones(3)]))
    with pytest.raises(ValueError, match="expected \\(images, dimension\\)"):
        unit_rows(bad)


def test_welchs_degrees_of_freedom_are_scipys() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=7), rng.normal(size=12) * 3
    expected = stats.ttest_ind(one, other, equal_var=False).df
    errors = np.array([one.std(ddof=1) / np.sqrt(7), other.std(ddof=1) / np.sqrt(12)])
    assert welch_degrees(errors, np.array([6, 11])) == pytest.approx(expected)
    assert welch_degrees(errors, np.array([np.inf, np.inf])) == np.inf
    assert welch_degrees(np.zeros(2), np.array([3, 3])) == np.inf
