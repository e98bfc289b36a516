"""Claims that go beyond the paper's, N1 to N5: what its own leave open to doubt. Source:
docs/method.md, 19 and 22 to 25.

As in `paper`: arguments that are None make a row that is not measured, intervals are over resampled classes.
"""

from laionet_assets.stats.bootstrap import Estimate, Floats, mean_estimate
from laionet_assets.stats.claims.verdicts import ClaimRow, Measure, Subject, judge
from laionet_assets.stats.correlations import ranking_agreement

NEW = "not in the paper"

N1 = Measure(
    "N1", "counterfactual: mean similarity, text arm minus image arm",
    "Of one pool of images, those chosen by caption are less alike than those chosen by picture.", NEW, 0.0,
    is_below=True,
)  # fmt: skip
N2 = Measure(
    "N2", "counterfactual: recall@1, text arm minus image arm",
    "Of one pool of images, those chosen by caption are harder for classifiers than those chosen by picture.", NEW,
    0.0, is_below=True,
)  # fmt: skip
N3 = Measure(
    "N3", "Kendall's tau of the rankings of models on both sets",
    "Models rank alike on LAIONet and on ImageNet.", NEW, 0.8, is_over_models=True,
)  # fmt: skip
N4 = Measure(
    "N4", "mean top-1 gap over models, LAIONet minus ImageNet, estimated label errors left out",
    "Wrong labels alone do not make classifiers less accurate on LAIONet.", NEW, 0.0, is_below=True,
    is_over_models=True,
)  # fmt: skip
N5 = Measure(
    "N5", "area under the curve of a linear probe that tells the sets apart",
    "LAIONet and ImageNet can be told apart by their pictures.", NEW, 0.5,
)  # fmt: skip


def n1(subject: Subject, text: Floats | None, image: Floats | None, *, missing: str | None = None) -> ClaimRow:
    """Mean similarity of each class in text and image arm, shape (classes,), by a model that chose neither."""
    return judge(N1, subject, None if text is None or image is None else mean_estimate(text - image), missing=missing)


def n2(subject: Subject, text: Floats | None, image: Floats | None, *, missing: str | None = None) -> ClaimRow:
    """Recall@1 of each class in text and image arm, shape (classes,), by a model that chose neither."""
    return judge(N2, subject, None if text is None or image is None else mean_estimate(text - image), missing=missing)


def n3(subject: Subject, laionet: Floats | None, imagenet: Floats | None, *, missing: str | None = None) -> ClaimRow:
    """Recall@1 on both sets, shape (classes, models), classes and models in the same order; nan where not known."""
    if laionet is None or imagenet is None:
        return judge(N3, subject, None, missing=missing)
    return judge(N3, subject, ranking_agreement(laionet, imagenet), missing=missing, models=laionet.shape[1])


def n4(subject: Subject, gaps: Floats | None, *, missing: str | None = None) -> ClaimRow:
    """Recall@1 on LAIONet without the images held to be wrongly labelled, minus ImageNet, shape (classes, models); nan
    where a class is not in both.
    """
    models = 0 if gaps is None else gaps.shape[1]
    estimate = None if gaps is None or not models else mean_estimate(gaps.mean(axis=1))
    return judge(N4, subject, estimate, missing=missing, models=models)


def n5(subject: Subject, area: Estimate | None, *, missing: str | None = None) -> ClaimRow:
    """The area under the curve of one probe over all classes, classes resampled."""
    return judge(N5, subject, area, missing=missing)
