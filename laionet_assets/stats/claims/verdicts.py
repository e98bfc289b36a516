"""When a claim holds: an estimate, its interval, and a boundary."""

from dataclasses import asdict, dataclass
from typing import Any

from laionet_assets.stats.bootstrap import Estimate

YES, NO, UNDECIDED, NOT_MEASURED = "yes", "no", "undecided", "not_measured"

MIN_CLASSES = 10
MIN_MODELS = 5
"""Fewer classes, or models where a measure is one over models, decide nothing."""

NO_VALUE = "no class that has all that the measure needs"


@dataclass(frozen=True)
class Subject:
    """What a row of marts.claims is about, besides its claim and measure: the rest of its grain, and the data.

    `mended`: the defects of the published procedure that are mended in this figure; `data`: what the pictures are, such
    as "synthetic web".
    """

    recipe: str | None
    image_set: str | None
    model: str | None
    profile: str
    data: str
    mended: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measure:
    """What a claim is measured by. It holds beyond `boundary`: above it, or below it if `is_below`.

    `is_over_models`: the measure is one over models, of which too few decide nothing.
    """

    claim: str
    measure: str
    statement: str
    paper: str
    boundary: float
    is_below: bool = False
    is_over_models: bool = False


@dataclass(frozen=True)
class ClaimRow:
    """A row of marts.claims.

    `holds` is yes, no, undecided or not_measured. `here` is None only where it is not_measured; `missing` then says
    what lacks, and where too few classes or models decide nothing, how many there are.
    """

    claim: str
    measure: str
    recipe: str | None
    image_set: str | None
    model: str | None
    profile: str
    statement: str
    paper: str
    here: float | None
    ci_low: float | None
    ci_high: float | None
    holds: str
    missing: str | None
    mended: tuple[str, ...]
    data: str


def judge(
    measure: Measure,
    subject: Subject,
    estimate: Estimate | None,
    *,
    missing: str | None = None,
    models: int | None = None,
    min_classes: int = MIN_CLASSES,
    min_models: int = MIN_MODELS,
) -> ClaimRow:
    """The row of a claim from its estimate over classes, or of one that is not measured, if there is none.

    yes if the whole interval lies strictly beyond the boundary, no if none of it does, undecided if it spans the
    boundary, if there is no interval, or if fewer than `min_classes` classes, or `min_models` models of a measure over
    models, stand behind it. Raises ValueError for a measure over models without their number.
    """
    if estimate is None or estimate.value is None:
        return row(measure, subject, Estimate(None, None, None, 0), NOT_MEASURED, missing or NO_VALUE)
    if measure.is_over_models and models is None:
        raise ValueError(f"{measure.claim}, {measure.measure}: found no number of models; expected one")
    few = []
    if estimate.units < min_classes:
        few.append(f"{estimate.units} classes, {min_classes} wanted")
    if measure.is_over_models and models is not None and models < min_models:
        few.append(f"{models} models, {min_models} wanted: more predictors in laionet.yaml")
    if few:
        return row(measure, subject, estimate, UNDECIDED, "; ".join(few))
    return row(measure, subject, estimate, _side(measure, estimate), None)


def row(measure: Measure, subject: Subject, estimate: Estimate, holds: str, missing: str | None) -> ClaimRow:
    """The row of a claim whose verdict is known."""
    about: dict[str, Any] = asdict(subject)
    return ClaimRow(
        claim=measure.claim,
        measure=measure.measure,
        statement=measure.statement,
        paper=measure.paper,
        here=estimate.value,
        ci_low=estimate.low,
        ci_high=estimate.high,
        holds=holds,
        missing=missing,
        **about,
    )


def _side(measure: Measure, estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return UNDECIDED
    near, far = estimate.low - measure.boundary, estimate.high - measure.boundary
    if measure.is_below:
        near, far = -far, -near
    if near > 0:
        return YES
    return NO if far <= 0 else UNDECIDED
