"""Vectors to search among."""

import numpy as np
import pytest


def clustered(count: int, seed: int, *, dimension: int = 16, clusters: int = 30) -> np.ndarray:
    """Unit vectors around common centres, in half precision, as embeddings are stored."""
    centres = np.random.default_rng(0).normal(size=(clusters, dimension))
    rng = np.random.default_rng(seed)
    vectors = centres[rng.integers(0, clusters, count)] + 0.5 * rng.normal(size=(count, dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


@pytest.fixture(scope="session")
def vectors() -> np.ndarray:
    return clustered(4_000, 1)


@pytest.fixture(scope="session")
def queries() -> np.ndarray:
    return clustered(200, 2)
