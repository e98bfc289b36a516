"""The paper's claims, C1 to C9, each as something that the warehouse can measure. Source:
docs/method.md, 15 and 25.

Every function returns its rows of marts.claims. An argument that is None, or has no class that the measure needs, is a
claim that is not measured: `missing` then says what lacks, as the caller knows it. Intervals are over resampled
classes.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from laionet_assets.stats.bootstrap import Draws, Estimate, Floats, bootstrap_statistic, mean_estimate
from laionet_assets.stats.claims.verdicts import NO, NOT_MEASURED, YES, ClaimRow, Measure, Subject, judge, row
from laionet_assets.stats.comparison import Differences, DrawnMeans, pooled_difference
from laionet_assets.stats.correlations import spearman
from laionet_assets.stats.text_rank import cumulative_share, lowest_minus_highest_fifth

PUBLISHED_ROWS, PUBLISHED_CLASSES = 822_149, 915
SAME_SIZE = 0.01
"""C1 holds within this share of the published figures."""

SELECTION_FREQUENCIES = (0.73, 0.85, 0.93)
"""Of ImageNet-V2's matched-frequency, threshold0.7 and top-images variants."""

C1_ROWS = Measure("C1", "rows", "Selecting by text alone gives a set of ImageNet's size.", "822,149", PUBLISHED_ROWS)
C1_CLASSES = Measure(
    "C1", "classes", "Selecting by text alone gives a set of ImageNet's classes.", "915", PUBLISHED_CLASSES
)
C2_LEFT_OUT = Measure(
    "C2", "zero-shot top-1, LAIONet minus ImageNet, missing left out",
    "LAIONet is not harder than ImageNet for CLIP.", "2 points apart", -0.02,
)  # fmt: skip
C2_AS_WRONG = Measure(
    "C2", "zero-shot top-1, LAIONet minus ImageNet, missing as wrong",
    "LAIONet is not harder than ImageNet for CLIP.", "2 points apart", -0.02,
)  # fmt: skip
C3A = Measure(
    "C3a", "mean top-1 gap over models, LAIONet minus ImageNet",
    "ImageNet classifiers are less accurate on LAIONet.", "-0.05 to -0.12", 0.0, is_below=True, is_over_models=True,
)  # fmt: skip
C3B = Measure(
    "C3b", "mean top-1 on LAIONet over models, LAION-weighted minus equally weighted",
    "They are less accurate still where classes weigh as often as LAION has them.", "-0.05 to -0.10", 0.0,
    is_below=True, is_over_models=True,
)  # fmt: skip
C4 = Measure(
    "C4", "share of classes significantly lower minus significantly higher",
    "Images of a class are less alike in LAIONet than in ImageNet.", "0.576 - 0.279", 0.0,
)  # fmt: skip
C5 = Measure(
    "C5", "Spearman's rho of similarity difference and recall@1 over classes",
    "Recall falls where the images of a class are less alike than ImageNet's.", "scatter plot only", 0.0,
)  # fmt: skip
C6 = Measure(
    "C6", "share of classes significantly lower, the smaller step of selection frequency 0.73 to 0.85 to 0.93",
    "LAIONet differs more from sets that were selected more by their pictures.", "0.32, 0.47, 0.60", 0.0,
)  # fmt: skip
C7_D_A = Measure(
    "C7", "pooled mean similarity, point D minus point A",
    "Selecting more by the picture, at equal size, makes images of a class more alike.", "0.736 - 0.6955", 0.0,
)  # fmt: skip
C7_D_IMAGENET = Measure(
    "C7", "pooled mean similarity, point D minus ImageNet",
    "Selecting by the picture makes images of a class more alike than ImageNet's.", "0.736 - 0.7033", 0.0,
)  # fmt: skip
C8 = Measure(
    "C8", "mean share of nearer false classes, lowest minus highest fifth of own similarity",
    "Captions alone do not tell why ImageNet's images were selected.",
    "0.05 and more below a similarity of 0.2, 0.02 to 0.03 from 0.25 to 0.65; cdf(0.05) = 0.957", 0.0,
)  # fmt: skip
C9 = Measure(
    "C9", "share of classes significantly lower minus significantly higher, distinct pictures",
    "Pictures of the captions nearest to ImageNet's captions are less alike than ImageNet's.", "0.773 - 0.152", 0.0,
)  # fmt: skip


def c1(
    subject: Subject, rows: int | None, classes: int | None, *, is_whole_laion400m: bool, missing: str | None = None
) -> list[ClaimRow]:
    """Size of the paper's recipe: yes within 1% of the published rows and classes, on all of LAION-400M only."""
    found = []
    for measure, here in ((C1_ROWS, rows), (C1_CLASSES, classes)):
        if here is None or not is_whole_laion400m:
            lacks = missing or "all parts of LAION-400M's metadata"
            found.append(row(measure, subject, Estimate(None, None, None, 0), NOT_MEASURED, lacks))
            continue
        is_same = abs(here - measure.boundary) <= SAME_SIZE * measure.boundary
        estimate = Estimate(float(here), None, None, classes or 0)
        found.append(row(measure, subject, estimate, YES if is_same else NO, None))
    return found


def c2(
    subject: Subject, left_out: Floats | None, as_wrong: Floats | None, *, missing: str | None = None
) -> list[ClaimRow]:
    """Zero-shot recall@1 on LAIONet minus ImageNet of each class, shape (classes,): images without a prediction left
    out, and counted as wrong (as published).
    """
    return [
        judge(measure, subject, None if gap is None else mean_estimate(gap), missing=missing)
        for measure, gap in ((C2_LEFT_OUT, left_out), (C2_AS_WRONG, as_wrong))
    ]


def c3a(subject: Subject, gaps: Floats | None, *, missing: str | None = None) -> ClaimRow:
    """Recall@1 on LAIONet minus ImageNet, shape (classes, models); nan where a class is not in both. Classes that all
    models have count.
    """
    models = 0 if gaps is None else gaps.shape[1]
    estimate = None if gaps is None or not models else mean_estimate(gaps.mean(axis=1))
    return judge(C3A, subject, estimate, missing=missing, models=models)


def c3b(subject: Subject, recalls: Floats | None, laion: Floats | None, *, missing: str | None = None) -> ClaimRow:
    """Recall@1 on LAIONet, shape (classes, models), and LAION's weight of each class, shape (classes,)."""
    if recalls is None or laion is None or not recalls.shape[1]:
        return judge(C3B, subject, None, missing=missing)
    mean = recalls.mean(axis=1)
    is_used = ~np.isnan(mean)
    mean, weight = mean[is_used], laion[is_used].astype(np.float64)

    def weighted_minus_equal(draws: Draws) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return draws @ (weight * mean) / (draws @ weight) - draws @ mean / draws.sum(axis=1)

    estimate = bootstrap_statistic(weighted_minus_equal, len(mean))
    return judge(C3B, subject, estimate, missing=missing, models=recalls.shape[1])


def c4(subject: Subject, found: Differences | None, *, missing: str | None = None) -> ClaimRow:
    """LAIONet minus ImageNet, class by class."""
    return judge(C4, subject, _lower_minus_higher(found), missing=missing)


def c5(
    subject: Subject, similarity_difference: Floats | None, recall: Floats | None, *, missing: str | None = None
) -> ClaimRow:
    """Mean similarity on LAIONet minus ImageNet, and recall@1 on LAIONet, of each class, shape (classes,)."""
    if similarity_difference is None or recall is None:
        return judge(C5, subject, None, missing=missing)
    return judge(C5, subject, spearman(similarity_difference, recall), missing=missing)


def c6(subject: Subject, by_frequency: Mapping[float, Differences] | None, *, missing: str | None = None) -> ClaimRow:
    """LAIONet minus a curated set, class by class, by the set's selection frequency (three of them).

    Over the classes that are tested against all three sets; `here` is the smaller of the two steps.
    """
    if by_frequency is None or len(by_frequency) != len(SELECTION_FREQUENCIES):
        return judge(C6, subject, None, missing=missing or "image sets of three selection frequencies")
    lower = [
        dict(zip(found.wnids[found.is_tested].tolist(), found.is_lower[found.is_tested].tolist(), strict=True))
        for _, found in sorted(by_frequency.items())
    ]
    common = sorted(set.intersection(*(set(each) for each in lower)))
    table = np.array([[each[wnid] for each in lower] for wnid in common], dtype=np.float64).reshape(-1, 3)

    def smaller_step(draws: Draws) -> Floats:
        return np.diff(draws @ table / draws.sum(axis=1, keepdims=True), axis=1).min(axis=1)

    return judge(C6, subject, bootstrap_statistic(smaller_step, len(common)), missing=missing)


def c7_points(
    subject: Subject, point_d: DrawnMeans | None, point_a: DrawnMeans | None, *, missing: str | None = None
) -> ClaimRow:
    """Pooled mean similarity of points D and A of the frontier."""
    return judge(C7_D_A, subject, _pooled(point_d, point_a), missing=missing)


def c7_imagenet(
    subject: Subject, point_d: DrawnMeans | None, imagenet: DrawnMeans | None, *, missing: str | None = None
) -> ClaimRow:
    """Pooled mean similarity of point D of the frontier and of ImageNet."""
    return judge(C7_D_IMAGENET, subject, _pooled(point_d, imagenet), missing=missing)


def c8(
    subject: Subject,
    own: Floats | None,
    share: Floats | None,
    wnids: NDArray[np.str_] | None,
    *,
    missing: str | None = None,
) -> ClaimRow:
    """Of each caption of ImageNet its similarity to its class, the share of false classes that are nearer, its class.

    The statement tells the share of captions with at most 5% of the false classes nearer.
    """
    if own is None or share is None or wnids is None:
        return judge(C8, subject, None, missing=missing)
    cdf = float(cumulative_share(share, np.array([0.05]))[0])
    statement = C8.statement if np.isnan(cdf) else f"{C8.statement} cdf(0.05) = {cdf:.3f} here."
    measure = Measure(C8.claim, C8.measure, statement, C8.paper, C8.boundary)
    return judge(measure, subject, lowest_minus_highest_fifth(own, share, wnids), missing=missing)


def c9(subject: Subject, found: Differences | None, *, missing: str | None = None) -> ClaimRow:
    """Pictures of the nearest captions minus ImageNet, class by class, one of each group of duplicates."""
    return judge(C9, subject, _lower_minus_higher(found), missing=missing)


def _lower_minus_higher(found: Differences | None) -> Estimate | None:
    if found is None:
        return None
    tested = found.is_tested
    return mean_estimate(found.is_lower[tested].astype(np.float64) - found.is_higher[tested])


def _pooled(one: DrawnMeans | None, other: DrawnMeans | None) -> Estimate | None:
    return None if one is None or other is None else pooled_difference(one, other)
