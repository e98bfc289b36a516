"""Is it only noise? Estimates of wrong labels, and which classes cannot well be told apart.

Four looks at the same question: people judge a stratified sample; a model finds the class of an image improbable; a
caption is nearer to another sense of its class's name; classifiers confuse two classes on curated images too. Not here:
making the sheet for judges, and gaps with and without what is found. Source: docs/method.md, 23.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from laionet_assets.stats.intervals import wilson_interval
from laionet_assets.stats.similarity import unit_rows

MIN_CONFUSION = 0.20
"""Two classes are linked where a model gives one at least this share of the other's curated images."""

Bools = NDArray[np.bool_]


class Stratum(NamedTuple):
    """A stratum of a recipe's rows: how many there are, and how many of the judged ones are right, wrong, unsure."""

    rows: int
    right: int
    wrong: int
    unsure: int = 0


@dataclass(frozen=True)
class WrongRate:
    """Share of wrong labels, weighted by stratum, with its 95% interval; None where nothing was decided.

    `judged`: rows with a verdict of yes or no; `unsure`: rows of neither, which do not count. `coverage`: share of the
    rows that lie in strata with a decided row, which is what the rate is of.
    """

    rate: float | None
    low: float | None
    high: float | None
    judged: int
    unsure: int
    coverage: float


def wrong_rate(strata: Sequence[Stratum]) -> WrongRate:
    """The rate of wrong labels that a judged sample, stratified by similarity, says of all rows.

    Wilson's interval for the sample size that the weights leave: 1 / sum(w^2 / n) over strata of weight w and n decided
    rows (Kish 1965), which equals n where strata are judged in proportion. Raises ValueError for a stratum with more
    verdicts than rows, or a negative count.
    """
    bad = [each for each in strata if min(each) < 0 or each.right + each.wrong + each.unsure > each.rows]
    if bad:
        raise ValueError(f"found {bad[0]}; expected counts of at least 0, and no more verdicts than rows")
    decided = [each for each in strata if each.right + each.wrong]
    judged, unsure = sum(each.right + each.wrong for each in strata), sum(each.unsure for each in strata)
    total, covered = sum(each.rows for each in strata), sum(each.rows for each in decided)
    if not decided:
        return WrongRate(None, None, None, judged, unsure, 0.0)
    weights = [each.rows / covered for each in decided]
    sizes = [each.right + each.wrong for each in decided]
    rate = sum(w * each.wrong / n for w, n, each in zip(weights, sizes, decided, strict=True))
    effective = 1 / sum(w * w / n for w, n in zip(weights, sizes, strict=True))
    low, high = wilson_interval(min(rate, 1.0) * effective, max(effective, 1.0))
    return WrongRate(rate, low, high, judged, unsure, covered / total)


def nearer_to_another_sense(
    captions: NDArray[np.floating[Any]],
    wnids: Sequence[str],
    queries: Mapping[str, NDArray[np.floating[Any]]],
    senses: Mapping[str, NDArray[np.floating[Any]]],
) -> tuple[Bools, Bools]:
    """Whether each caption is strictly nearer to another synset of its class's lemmas than to its own class, and
    whether its class has another one.

    `captions`: embeddings, shape (captions, dimension); `queries`: the embedded query of each class; `senses`: the
    embedded "name which is definition" of the other synsets, shape (senses, dimension), of the classes that have any.
    Raises KeyError for a class without a query.
    """
    unit = unit_rows(captions)
    is_nearer, has_senses = np.zeros(len(unit), dtype=bool), np.zeros(len(unit), dtype=bool)
    if not len(unit):
        return is_nearer, has_senses
    named, which = np.unique(np.asarray(wnids, dtype=object), return_inverse=True)
    order = np.argsort(which, kind="stable")
    for wnid, here in zip(named, np.split(order, np.cumsum(np.bincount(which))[:-1]), strict=True):
        own = unit[here] @ unit_rows(queries[wnid][None])[0]
        if wnid in senses and len(senses[wnid]):
            has_senses[here] = True
            is_nearer[here] = (unit[here] @ unit_rows(senses[wnid]).T).max(axis=1) > own
    return is_nearer, has_senses


class Confusion(NamedTuple):
    """How many curated images of class `wnid` a model gives to the class `predicted` in the first place."""

    model: str
    wnid: str
    predicted: str
    images: int


def confusable_classes(
    confusions: Iterable[Confusion], images: Mapping[tuple[str, str], int], *, min_share: float = MIN_CONFUSION
) -> dict[str, str]:
    """The group of each class that is confused with another: the smallest wnid of the classes linked to it.

    Two classes are linked where some model gives one at least `min_share` of the other's images; links carry on, so a
    group is a connected component. `images`: how many images of each (model, wnid) were predicted. Classes that are
    linked to none are not in the result. Raises ValueError where a class has more confusions than images.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = []
    for each in confusions:
        known = images.get((each.model, each.wnid), 0)
        if each.images > known:
            raise ValueError(f"found {each} of {known} predicted images; expected at most as many")
        if each.wnid != each.predicted and each.images >= min_share * known > 0:
            links.append((each.wnid, each.predicted))
    wnids = sorted({wnid for link in links for wnid in link})
    if not wnids:
        return {}
    place = {wnid: i for i, wnid in enumerate(wnids)}
    one, other = np.array([[place[wnid] for wnid in link] for link in links]).T
    graph = coo_array((np.ones(len(links), dtype=bool), (one, other)), shape=(len(wnids), len(wnids)))
    _, label = connected_components(graph, directed=False)
    _, first = np.unique(label, return_index=True)
    return {wnid: wnids[first[label[i]]] for i, wnid in enumerate(wnids)}
