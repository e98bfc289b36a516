"""The words that tell the captions of two sets apart: log-odds with an informative Dirichlet prior.

A term counts once a caption, so that a caption cannot outvote others by repeating itself. The prior is what both sets
together say, shrunk to a fixed number of terms: a rare word needs more evidence than a common one. Source: Monroe,
Colaresi and Quinn (2008), "Fightin' Words"; docs/method.md, 22. Captions come from the web: whoever shows a term
escapes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

PRIOR_TERMS = 1_000.0
"""How many terms the prior weighs as."""


@dataclass(frozen=True)
class CaptionTerm:
    """A term, in how many captions of each set it is, its log-odds in the first set minus the second, and their z.

    A positive z is a term of the first set; |z| > 1.96 is more than chance for one term looked at alone.
    """

    term: str
    captions: int
    other_captions: int
    log_odds: float
    z: float


def caption_terms(
    captions: Sequence[str],
    other_captions: Sequence[str],
    *,
    top: int = 50,
    min_captions: int = 5,
    prior_terms: float = PRIOR_TERMS,
) -> list[CaptionTerm]:
    """The `top` terms that mark the first set, then the `top` that mark the second, each by falling |z|.

    Terms are words of two letters or digits and more, in lower case, that are in at least `min_captions` captions of
    both sets together. Terms of equal z are in alphabetical order. Empty where either set has no such term, or both
    have but one.
    """
    import numpy as np
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(binary=True, min_df=1)
    try:
        found = counter.fit_transform([*captions, *other_captions])
    except ValueError:  # scikit-learn's "empty vocabulary"
        return []
    here = np.asarray(found[: len(captions)].sum(axis=0), dtype=np.int64).ravel()
    there = np.asarray(found[len(captions) :].sum(axis=0), dtype=np.int64).ravel()
    is_common = here + there >= min_captions
    terms = counter.get_feature_names_out()[is_common]
    y, other = here[is_common].astype(float), there[is_common].astype(float)
    if len(terms) < 2 or not y.sum() or not other.sum():
        return []
    prior = prior_terms * (y + other) / (y + other).sum()
    log_odds = np.log((y + prior) / (y.sum() + prior.sum() - y - prior)) - np.log(
        (other + prior) / (other.sum() + prior.sum() - other - prior)
    )
    z = log_odds / np.sqrt(1 / (y + prior) + 1 / (other + prior))
    rows = [
        CaptionTerm(str(terms[i]), int(y[i]), int(other[i]), float(log_odds[i]), float(z[i])) for i in range(len(terms))
    ]
    marks_first = sorted((row for row in rows if row.z > 0), key=lambda row: (-row.z, row.term))
    marks_second = sorted((row for row in rows if row.z < 0), key=lambda row: (row.z, row.term))
    return [*marks_first[:top], *marks_second[:top]]
