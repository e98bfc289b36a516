"""The frontier and the arms of a pool in plain Python, from docs/method.md, 19: what the SQL is held against."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

PERCENTS = {22: "reference", 28: "A", 40: "B", 62: "C", 100: "D"}


@dataclass(frozen=True)
class Picture:
    """A row of core.pool."""

    source: str
    sample_id: int
    wnid: str
    similarity: float
    image_similarity: float

    @property
    def key(self) -> tuple[str, int]:
        return self.source, self.sample_id


def point(pool: Sequence[Picture], percent: int, lowest: float) -> tuple[float, float | None, set[tuple[str, int]]]:
    """Text threshold, image threshold and what passes both (strictly): the similarity of the first that is too many."""
    wanted = len(pool) * 22 // 100
    texts = sorted((each.similarity for each in pool), reverse=True)
    place = len(pool) * percent // 100
    text = texts[place] if place < len(texts) else lowest
    passing = [each for each in pool if each.similarity > text]
    images = sorted((each.image_similarity for each in passing), reverse=True)
    cut = images[wanted] if len(images) > wanted else None
    return text, cut, {each.key for each in passing if cut is None or each.image_similarity > cut}


def arms(pool: Sequence[Picture]) -> dict[str, set[tuple[str, int]]]:
    """What text, image and random arm choose: of each class the first of half its pool, at most 50."""
    orders = {
        "text": lambda each: (-each.similarity, *each.key),
        "image": lambda each: (-each.image_similarity, *each.key),
        "random": lambda each: hashlib.md5(
            f"20230627/arm/{each.source}/{each.sample_id}".encode(), usedforsecurity=False
        ).hexdigest(),
    }
    classes = defaultdict(list)
    for each in pool:
        classes[each.wnid].append(each)
    return {
        arm: {each.key for rows in classes.values() for each in sorted(rows, key=order)[: min(50, len(rows) // 2)]}
        for arm, order in orders.items()
    }
