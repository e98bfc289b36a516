"""How near an image is to its class, in the three kinds of core.image_query_similarity.

`query`: to the embedding of the class's query, by the text tower that the image tower was trained with (the paper's).
`head`: to the class's own row of a classifier's weights. `prototype`: to the mean direction of the class's images in a
named image set, without the image itself. All are cosines; which model may be measured by which is the caller's.
Source: docs/method.md, 18.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laionet_assets.stats.bootstrap import Floats
from laionet_assets.stats.similarity import unit_rows

_BLOCK = 4_096

Vectors = NDArray[np.floating[Any]]


def similarity_to_classes(images: Vectors, classes: Vectors, own: NDArray[np.integer[Any]]) -> Floats:
    """Cosine of each image with the vector of its own class: kinds `query` and `head`.

    `images`: shape (images, dimension); `classes`: a row a class, embedded queries or a classifier's weights, of any
    length; `own`: for each image the row of its class, or -1 where the class has none. Returns shape (images,), nan for
    those. Raises ValueError for a row outside `classes`, and as `unit_rows` for vectors without a direction.
    """
    own = np.asarray(own)
    if len(own) != len(images) or (len(own) and not -1 <= own.min() <= own.max() < len(classes)):
        raise ValueError(f"found {len(own)} rows of {len(classes)} classes for {len(images)} images; expected one each")
    directions = unit_rows(classes)
    found = np.full(len(own), np.nan)
    for start in range(0, len(own), _BLOCK):
        rows = start + np.flatnonzero(own[start : start + _BLOCK] >= 0)
        found[rows] = np.vecdot(unit_rows(images[rows]), directions[own[rows]])
    return found


@dataclass(frozen=True)
class Prototypes:
    """Sums of the unit vectors of each class of an image set: its prototypes before they are brought to length one."""

    rows: dict[str, int]
    sums: Floats
    counts: NDArray[np.int64]


def prototypes(classes: Iterable[tuple[str, Vectors]]) -> Prototypes:
    """The prototypes of an image set, from (wnid, vectors of its images), one class at a time, each once.

    Raises ValueError for a class that comes again.
    """
    rows: dict[str, int] = {}
    sums, counts = [], []
    for wnid, vectors in classes:
        if wnid in rows:
            raise ValueError(f"found class {wnid} twice; expected all its images together")
        rows[wnid] = len(rows)
        sums.append(unit_rows(vectors).sum(axis=0))
        counts.append(len(vectors))
    return Prototypes(rows, np.array(sums), np.array(counts, dtype=np.int64))


def similarity_to_prototype(
    images: Vectors, wnid: str, reference: Prototypes, *, copies: NDArray[np.integer[Any]] | None = None
) -> Floats:
    """Cosine of each image with the mean direction of class `wnid`: kind `prototype`, leave-one-out.

    `copies`: how often each image is itself among those that the prototype was made of (0 if None); they are taken out
    of it, so that an image is never compared with itself. Returns shape (images,), nan where nothing of the class is
    left, or where what is left has no direction.
    """
    unit = unit_rows(images)
    row = reference.rows.get(wnid)
    if row is None:
        return np.full(len(unit), np.nan)
    copies = np.zeros(len(unit), dtype=np.int64) if copies is None else np.asarray(copies)
    left = reference.sums[row] - copies[:, None] * unit
    lengths = np.sqrt(np.vecdot(left, left))
    has_any = (reference.counts[row] > copies) & (lengths > 1e-9)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(has_any, np.vecdot(unit, left) / lengths, np.nan)
