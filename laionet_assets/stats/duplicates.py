"""Duplicates among the images of a class or a set: which are the same picture, and which one of them stays.

Two images are exact duplicates if their bytes are equal (sha256), near ones if their perceptual hashes differ in few
bits or their embeddings point the same way. Duplicates of duplicates are duplicates: images form groups, and the
smallest id of each stays. Source: docs/method.md, 17. Making the perceptual hash is `pictures.inspection`'s.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_HASH_BITS = 4
"""Perceptual hashes of 64 bits that differ in at most so many are of one picture."""

MIN_COSINE = 0.98
"""Embeddings with at least this cosine are of one picture."""

_BLOCK = 1_024


@dataclass(frozen=True)
class Duplicates:
    """Groups of the same picture.

    `group`: for each image the position of the one of its group that stays, shape (images,). `n_exact`: images that do
    not stay and whose bytes are those of an image of a smaller id; `n_near`: the others that do not stay. So
    images = those that stay + n_exact + n_near.
    """

    group: NDArray[np.intp]
    n_exact: int
    n_near: int

    @property
    def stays(self) -> NDArray[np.bool_]:
        """Which images are the smallest id of their group."""
        return self.group == np.arange(len(self.group))


def find_duplicates(
    ids: Sequence[Any],
    *,
    sha256: Sequence[str | None] | None = None,
    hashes: Sequence[int | None] | None = None,
    unit: NDArray[np.floating[Any]] | None = None,
    max_hash_bits: int = MAX_HASH_BITS,
    min_cosine: float = MIN_COSINE,
) -> Duplicates:
    """The groups of duplicates among images, by any of their three marks; a mark that is not given decides nothing.

    `ids` are distinct and of one type that sorts; `hashes`: 64-bit perceptual hashes; `unit`: unit vectors, shape
    (images, dimension). None in a list is an image without that mark. Every pair of images is looked at, in blocks of
    rows: exact, and 60,000 images take about a minute. Raises ValueError where the lengths differ or an id comes twice.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(ids)
    _check(ids, sha256=sha256, hashes=hashes, unit=unit)
    order = sorted(range(count), key=ids.__getitem__)
    exact = list(_equal_pairs([sha256[i] for i in order])) if sha256 is not None else []
    links = [np.array(exact, dtype=np.intp).reshape(-1, 2)]
    if hashes is not None:
        links += _near_hashes([hashes[i] for i in order], max_hash_bits)
    if unit is not None:
        links += _near_vectors(np.asarray(unit, dtype=np.float32)[order], min_cosine)
    one, other = np.concatenate(links).T
    graph = coo_array((np.ones(len(one), dtype=bool), (one, other)), shape=(count, count))
    _, label = connected_components(graph, directed=False)
    _, first = np.unique(label, return_index=True)
    smallest = first[label]
    place = np.array(order, dtype=np.intp)
    group = np.empty(count, dtype=np.intp)
    group[place] = place[smallest]
    n_exact = len({second for _, second in exact})
    return Duplicates(group, n_exact, int((smallest != np.arange(count)).sum()) - n_exact)


def _check(ids: Sequence[Any], **marks: Sequence[Any] | NDArray[Any] | None) -> None:
    lengths = {name: len(mark) for name, mark in marks.items() if mark is not None}
    if any(length != len(ids) for length in lengths.values()):
        raise ValueError(f"found {len(ids)} ids and {lengths}; expected as many of each")
    if len(set(ids)) != len(ids):
        raise ValueError(f"found {len(ids) - len(set(ids))} ids that come again; expected each image once")


def _equal_pairs(values: Sequence[str | None]) -> Iterator[tuple[int, int]]:
    """Every later value that equals an earlier one, linked to its first."""
    first: dict[str, int] = {}
    for i, value in enumerate(values):
        if value is not None and first.setdefault(value, i) != i:
            yield first[value], i


def _near_hashes(hashes: Sequence[int | None], max_bits: int) -> Iterator[NDArray[np.intp]]:
    known = np.array([i for i, value in enumerate(hashes) if value is not None], dtype=np.intp)
    values = np.array([hashes[i] for i in known], dtype=np.uint64)
    for start in range(0, len(known), _BLOCK):
        block = values[start : start + _BLOCK, None]
        rows, columns = np.nonzero(np.bitwise_count(block ^ values[None, start:]) <= max_bits)
        yield _later(known[start + rows], known[start + columns])


def _near_vectors(unit: NDArray[np.float32], min_cosine: float) -> Iterator[NDArray[np.intp]]:
    for start in range(0, len(unit), _BLOCK):
        rows, columns = np.nonzero(unit[start : start + _BLOCK] @ unit[start:].T >= min_cosine)
        yield _later(start + rows, start + columns)


def _later(one: NDArray[np.intp], other: NDArray[np.intp]) -> NDArray[np.intp]:
    """The pairs whose second image comes later, shape (pairs, 2)."""
    is_later = other > one
    return np.stack([one[is_later], other[is_later]], axis=1)
