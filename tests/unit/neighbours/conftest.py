"""Vectors to search among."""

from collections.abc import Iterator

import faiss
import numpy as np
import pytest


def clustered(count: int, seed: int, *, dimension: int = 96, noise: float = 0.3) -> np.ndarray:
    """Unit vectors around 300 directions, ten around each of 30, in half precision, as embeddings are stored."""
    rng = np.random.default_rng(0)
    directions = np.repeat(rng.normal(size=(30, dimension)), 10, axis=0) + 0.7 * rng.normal(size=(300, dimension))
    rng = np.random.default_rng(seed)
    vectors = directions[rng.integers(0, 300, count)] + noise * rng.normal(size=(count, dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


@pytest.fixture(scope="session")
def vectors() -> np.ndarray:
    return clustered(4_000, 1)


@pytest.fixture(scope="session")
def queries() -> np.ndarray:
    return clustered(200, 2)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Several wait for each other longer than such small indexes take."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(before)
