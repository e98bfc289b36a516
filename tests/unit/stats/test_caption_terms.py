"""The terms of captions."""

import math
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laionet_assets.stats.caption_terms import caption_terms

WORDS = ["golden", "retriever", "Dog", "photo", "sale", "buy", "x", "CAFÉ", "42", "<b>"]
captions = st.lists(st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join), max_size=30)


def plain(one: list[str], other: list[str], min_captions: int, prior_terms: float) -> dict[str, tuple[int, int, float]]:
    """The formulas of Monroe et al., term by term."""
    counts = [Counter(w for text in side for w in set(re.findall(r"\w\w+", text.lower()))) for side in (one, other)]
    terms = [w for w in counts[0] | counts[1] if counts[0][w] + counts[1][w] >= min_captions]
    sizes = [sum(count[w] for w in terms) for count in counts]
    if len(terms) < 2 or not all(sizes):
        return {}
    found = {}
    for w in terms:
        prior = prior_terms * (counts[0][w] + counts[1][w]) / sum(sizes)
        odds = [(c[w] + prior) / (n + prior_terms - c[w] - prior) for c, n in zip(counts, sizes, strict=True)]
        variance = sum(1 / (count[w] + prior) for count in counts)
        found[w] = (counts[0][w], counts[1][w], (math.log(odds[0]) - math.log(odds[1])) / math.sqrt(variance))
    return found


@settings(deadline=None)
@given(captions, captions, st.integers(1, 3))
def test_against_the_formulas_term_by_term(one: list[str], other: list[str], min_captions: int) -> None:
    terms = plain(one, other, min_captions, 10.0)
    found = caption_terms(one, other, min_captions=min_captions, prior_terms=10.0)
    expected = {w: row for w, row in terms.items() if abs(row[2]) > 1e-9}
    for row in found:
        assert (row.captions, row.other_captions) == terms[row.term][:2]
        assert row.z == pytest.approx(terms[row.term][2], abs=1e-9) and row.z * row.log_odds > 0
    assert expected.keys() <= {row.term for row in found}


def test_marks_of_the_first_set_come_first_each_by_falling_z() -> None:
    one = ["golden retriever sitting"] * 300 + ["a photo"] * 200
    other = ["buy golden retriever poster"] * 300 + ["buy a photo"] * 200
    found = caption_terms(one, other)
    assert found[0].term == "sitting" and found[0].z > 1.96
    assert [row.term for row in found if row.z < -1.96] == ["buy", "poster"]
    signs = [row.z > 0 for row in found]
    assert signs == sorted(signs, reverse=True)
    assert len(caption_terms(one, other, top=1)) == 2


def test_repeating_a_word_in_a_caption_does_not_count() -> None:
    once = caption_terms(["buy now"] * 5 + ["dog"] * 9, ["dog now"] * 9)
    often = caption_terms(["buy buy buy now"] * 5 + ["dog"] * 9, ["dog now"] * 9)
    assert once == often


@pytest.mark.parametrize(
    ("one", "other"), [([], []), (["dog dog"] * 9, []), (["."] * 9, ["!"] * 9), (["dog"] * 9, ["dog"] * 9)]
)
def test_nothing_to_compare(one: list[str], other: list[str]) -> None:
    assert caption_terms(one, other) == []
