"""Seeded choices that give the same answers on every Python version.

Only `random.Random.random()` is promised to be stable for a seed, so every choice is made from it. Nothing about the
web belongs here.
"""

import math
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """A stream of choices decided by its seed words, for example `Dice("sample", 0, "part", 3)`."""

    def __init__(self, *seed: str | int) -> None:
        self._random = random.Random("/".join(map(str, seed))).random

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self._random() < probability

    def below(self, stop: int) -> int:
        """An integer in 0 .. stop - 1; `stop` up to 2**53."""
        return int(self._random() * stop)

    def between(self, low: float, high: float) -> float:
        """A real number in [low, high)."""
        return low + (high - low) * self._random()

    def bell(self, mean: float, deviation: float) -> float:
        """A normally distributed number (Box and Muller)."""
        radius = math.sqrt(-2 * math.log(1 - self._random()))
        return mean + deviation * radius * math.cos(2 * math.pi * self._random())

    def pick(self, items: Sequence[T]) -> T:
        """One of the items, all equally likely."""
        return items[self.below(len(items))]

    def weighted(self, weights: dict[T, float]) -> T:
        """One of the keys, in proportion to its weight."""
        left = self._random() * sum(weights.values())
        for item, weight in weights.items():
            left -= weight
            if left < 0:
                return item
        return item
