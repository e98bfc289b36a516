"""Seeded samples that depend on the ids alone, not on their order nor on what else is there.

Every id has a number made of the seed and its own text; a sample is the ids of the smallest numbers. So a set that
grows by a few items keeps most of its sample, and two machines draw the same one.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from laionet_assets.stats.bootstrap import SEED


def seeded_sample(ids: Sequence[str | int], size: int, *, seed: int = SEED) -> NDArray[np.intp]:
    """Positions, ascending, of at most `size` of the ids, each as likely as any other.

    The sample of a smaller size is part of the sample of a larger one. Raises ValueError for a negative size.
    """
    if size < 0:
        raise ValueError(f"found a sample of {size}; expected none or more")
    if size >= len(ids):
        return np.arange(len(ids))
    return np.sort(seeded_order(ids, seed=seed)[:size])


def seeded_order(ids: Sequence[str | int], *, seed: int = SEED) -> NDArray[np.intp]:
    """Positions of all ids in their seeded order; equal ids one after the other."""
    numbers = np.fromiter((_number(each, seed) for each in ids), dtype=np.uint64, count=len(ids))
    return np.argsort(numbers, kind="stable")


def seeded_generator(seed: int, *words: str | int) -> np.random.Generator:
    """A stream of random numbers for the thing that the words name: the same whatever was drawn before."""
    return np.random.default_rng([seed, *(_number(word, seed) for word in words)])


def _number(word: str | int, seed: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}/{word}".encode(), digest_size=8).digest(), "little")
