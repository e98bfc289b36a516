"""Each claim flips with made-up rows: yes, no, undecided, and not measured."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from laionet_assets.stats.claims import ClaimRow, Subject, beyond, paper
from laionet_assets.stats.comparison import ClassMeans, Differences, DrawnMeans, compare
from laionet_assets.stats.probe import ProbeScores, pooled_area

ABOUT = Subject("paper", "imagenet-val", "clip", "corrected", "made up")
CLASSES = 40
WNIDS = np.array([f"n{i:02}" for i in range(CLASSES)])
YES, NO, UNDECIDED = 0.1, -0.1, 0.0
"""Shifts in the direction of a claim."""


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def noise(*shape: int, scale: float = 0.1, seed: int = 0) -> np.ndarray:
    """Random values whose mean is exactly 0."""
    values = rng(seed).normal(0, scale, shape)
    return values - values.mean(axis=0)


def differences(lower: int, higher: int, classes: int = CLASSES) -> Differences:
    """So many classes clearly lower and higher, the others alike."""
    shift = np.zeros(classes)
    shift[:lower], shift[lower : lower + higher] = -1, 1
    se = np.full(classes, 0.01)
    return compare(ClassMeans(WNIDS[:classes], 0.5 + shift, se), ClassMeans(WNIDS[:classes], np.full(classes, 0.5), se))


def by_class(to: float) -> Differences:
    return {YES: differences(25, 5), NO: differences(5, 25), UNDECIDED: differences(11, 10)}[to]


def drawn(shift: float, seed: int = 0) -> DrawnMeans:
    return DrawnMeans(WNIDS, 0.7 + shift + noise(CLASSES, seed=seed), np.full(CLASSES, 100))


def text_shares(slope: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    own = rng(1).uniform(0, 1, 2000)
    return own, np.clip(0.1 - slope * (own - 0.5) + rng(2).normal(0, 0.02, 2000), 0, 1), rng(3).choice(WNIDS, 2000)


def scores(shift: float) -> ProbeScores:
    is_first = np.arange(800) % 2 == 0
    return ProbeScores(rng().normal(0, 1, 800) + 10 * shift * is_first, np.arange(800) // 2 % 5, is_first)


def six(*lower: int) -> ClaimRow:
    return paper.c6(ABOUT, {f: differences(n, 0) for f, n in zip((0.93, 0.73, 0.85), lower, strict=True)})


def rankings(agreement: float) -> tuple[np.ndarray, np.ndarray]:
    base = np.linspace(0.2, 0.9, 8)
    order = {YES: np.arange(8), NO: np.arange(8)[::-1], UNDECIDED: np.array([1, 0, 2, 3, 4, 5, 6, 7])}[agreement]
    loud = 0.6 if agreement == UNDECIDED else 0.01
    return base + noise(CLASSES, 8, scale=loud), base[order] + noise(CLASSES, 8, scale=loud, seed=1)


FLIPS: dict[str, Callable[[float], ClaimRow]] = {
    "C2 left out": lambda to: paper.c2(ABOUT, noise(CLASSES) + to - 0.02, None)[0],
    "C2 as wrong": lambda to: paper.c2(ABOUT, None, noise(CLASSES) + to - 0.02)[1],
    "C3a": lambda to: paper.c3a(ABOUT, noise(CLASSES, 6) - to),
    "C3b": lambda to: paper.c3b(ABOUT, *({
        YES: (np.linspace(0.2, 0.9, CLASSES)[:, None] + np.zeros(5), np.linspace(9, 1, CLASSES)),
        NO: (np.linspace(0.2, 0.9, CLASSES)[:, None] + np.zeros(5), np.linspace(1, 9, CLASSES)),
        UNDECIDED: (0.5 + noise(CLASSES, 5), rng(1).uniform(1, 2, CLASSES)),
    }[to])),
    "C4": lambda to: paper.c4(ABOUT, by_class(to)),
    "C5": lambda to: paper.c5(ABOUT, noise(CLASSES), 10 * to * noise(CLASSES) + noise(CLASSES, seed=5, scale=0.02)),
    "C6": lambda to: {YES: six(30, 10, 20), NO: six(10, 30, 20), UNDECIDED: six(21, 10, 20)}[to],
    "C7 D A": lambda to: paper.c7_points(ABOUT, drawn(to), drawn(0, seed=1)),
    "C7 D ImageNet": lambda to: paper.c7_imagenet(ABOUT, drawn(to), drawn(0, seed=1)),
    "C8": lambda to: paper.c8(ABOUT, *text_shares(to)),
    "C9": lambda to: paper.c9(ABOUT, by_class(to)),
    "N1": lambda to: beyond.n1(ABOUT, 0.5 + noise(CLASSES) - to, np.full(CLASSES, 0.5)),
    "N2": lambda to: beyond.n2(ABOUT, 0.5 + noise(CLASSES) - to, np.full(CLASSES, 0.5)),
    "N3": lambda to: beyond.n3(ABOUT, *rankings(to)),
    "N4": lambda to: beyond.n4(ABOUT, noise(CLASSES, 6) - to),
    "N5": lambda to: beyond.n5(ABOUT, pooled_area(scores(to), WNIDS[np.arange(800) // 2 % CLASSES])),
}  # fmt: skip

UNMEASURED: dict[str, Callable[[], list[ClaimRow]]] = {
    "C1": lambda: paper.c1(ABOUT, None, None, is_whole_laion400m=True, missing="it"),
    "C2": lambda: paper.c2(ABOUT, None, np.full(20, np.nan), missing="it"),
    "C3a": lambda: [paper.c3a(ABOUT, None, missing="it"), paper.c3a(ABOUT, np.full((9, 5), np.nan), missing="it")],
    "C3b": lambda: [
        paper.c3b(ABOUT, None, np.ones(3), missing="it"),
        paper.c3b(ABOUT, np.empty((0, 5)), np.empty(0), missing="it"),
    ],
    "C4": lambda: [paper.c4(ABOUT, None, missing="it"), paper.c4(ABOUT, differences(0, 0, 0), missing="it")],
    "C5": lambda: [
        paper.c5(ABOUT, None, np.ones(3), missing="it"),
        paper.c5(ABOUT, np.empty(0), np.empty(0), missing="it"),
    ],
    "C6": lambda: [paper.c6(ABOUT, {0.73: differences(1, 1)}, missing="it"), paper.c6(ABOUT, None, missing="it")],
    "C7": lambda: [
        paper.c7_points(ABOUT, None, drawn(0), missing="it"),
        paper.c7_imagenet(ABOUT, drawn(0), None, missing="it"),
    ],
    "C8": lambda: [
        paper.c8(ABOUT, None, None, None, missing="it"),
        paper.c8(ABOUT, np.empty(0), np.empty(0), WNIDS[:0], missing="it"),
    ],
    "C9": lambda: [paper.c9(ABOUT, None, missing="it")],
    "N1": lambda: [
        beyond.n1(ABOUT, None, np.ones(3), missing="it"),
        beyond.n1(ABOUT, np.empty(0), np.empty(0), missing="it"),
    ],
    "N2": lambda: [beyond.n2(ABOUT, np.ones(3), None, missing="it")],
    "N3": lambda: [
        beyond.n3(ABOUT, None, None, missing="it"),
        beyond.n3(ABOUT, np.ones((9, 1)), np.ones((9, 1)), missing="it"),
    ],
    "N4": lambda: [beyond.n4(ABOUT, None, missing="it"), beyond.n4(ABOUT, np.empty((9, 0)), missing="it")],
    "N5": lambda: [beyond.n5(ABOUT, None, missing="it")],
}


@pytest.mark.parametrize("claim", FLIPS)
@pytest.mark.parametrize(("shift", "holds"), [(YES, "yes"), (NO, "no"), (UNDECIDED, "undecided")])
def test_made_up_rows_flip_the_verdict(claim: str, shift: float, holds: str) -> None:
    row = FLIPS[claim](shift)
    assert row.holds == holds, row
    assert row.claim == claim.split()[0] and row.missing is None and row.data == "made up"
    assert row.ci_low <= row.here <= row.ci_high


@pytest.mark.parametrize("claim", UNMEASURED)
def test_what_lacks_is_said(claim: str) -> None:
    for row in UNMEASURED[claim]():
        assert (row.claim, row.holds, row.here, row.missing) == (claim, "not_measured", None, "it")


@pytest.mark.parametrize(
    ("rows", "classes", "holds"),
    [
        (822_149, 915, ("yes", "yes")),
        (815_000, 906, ("yes", "yes")),
        (810_000, 900, ("no", "no")),
        (830_400, 930, ("no", "no")),
    ],
)
def test_c1_within_one_percent_on_all_of_laion400m_only(rows: int, classes: int, holds: tuple[str, str]) -> None:
    found = paper.c1(ABOUT, rows, classes, is_whole_laion400m=True)
    assert [(row.measure, row.here) for row in found] == [("rows", rows), ("classes", classes)]
    assert tuple(row.holds for row in found) == holds
    small = paper.c1(ABOUT, rows, classes, is_whole_laion400m=False)
    assert all(row.holds == "not_measured" and "LAION-400M" in row.missing for row in small)


def test_every_claim_has_its_flip() -> None:
    claims = {f"C{i}" for i in range(2, 10)} - {"C3"} | {"C3a", "C3b"} | {f"N{i}" for i in range(1, 6)}
    assert {name.split()[0] for name in FLIPS} == claims
    assert set(UNMEASURED) == claims | {"C1"}


def test_few_classes_and_few_models_are_undecided_however_clear() -> None:
    assert paper.c4(ABOUT, differences(9, 0, 9)).holds == "undecided"
    assert paper.c3a(ABOUT, noise(CLASSES, 4) - 0.3).holds == "undecided"
    assert beyond.n4(ABOUT, noise(9, 6) - 0.3).missing == "9 classes, 10 wanted"


def test_c6_is_over_the_classes_tested_against_all_three() -> None:
    three = {0.73: differences(10, 0), 0.85: differences(20, 0), 0.93: differences(30, 0)}
    assert paper.c6(ABOUT, three).here == pytest.approx(10 / CLASSES)
    untested = three[0.85].p.copy()
    untested[:20] = np.nan
    three[0.85] = replace(three[0.85], p=untested)
    row = paper.c6(ABOUT, three)
    assert (row.holds, row.here) == ("no", 0), "of the 20 classes left, 0, 0 and 10 are lower: the first step is 0"


def test_c8_tells_the_share_of_captions_with_few_nearer_classes() -> None:
    own, share, wnids = text_shares(0.1)
    row = paper.c8(ABOUT, own, share, wnids)
    assert f"cdf(0.05) = {(share <= 0.05).mean():.3f} here" in row.statement
