"""The two matchers and both at once; the rules themselves are tested against their references in tests/unit/sql."""

import pyarrow as pa
import pytest

from laionet_assets.matching import Alphabet, CorrectedMatcher, FoldWords, Matcher, Occurrences, PaperMatcher

READINGS = [["sea", "lion"], ["lion"], ["kit", "fox"], ["sea"]]
CAPTIONS = ["a sea-lion", "KIT FOX", "", "the sea", "lion", "été: lion, lion", "sea  lion"]


def listed(found: Occurrences) -> list[tuple[int, ...]]:
    """Row, reading, offset, length, sorted."""
    return sorted(
        zip(found.rows.tolist(), found.readings.tolist(), found.offsets.tolist(), found.lengths.tolist(), strict=True)
    )


def corrected(fold: FoldWords) -> CorrectedMatcher:
    return CorrectedMatcher(READINGS, Alphabet(set("sealionkitfox"), fold))


def test_paper_finds_overlapping_lemmas_and_none_across_captions() -> None:
    found = PaperMatcher(["sea lion", "lion", "sea", "kit fox"]).find(pa.array(CAPTIONS))
    assert listed(found) == [
        (0, 0, 2, 8), (0, 1, 6, 4), (0, 2, 2, 3), (3, 2, 4, 3), (4, 1, 0, 4), (5, 1, 5, 4), (6, 1, 5, 4), (6, 2, 0, 3),
    ]  # fmt: skip


def test_corrected_keeps_the_longest_and_finds_none_across_captions(fold: FoldWords) -> None:
    assert listed(corrected(fold).find(pa.array(CAPTIONS))) == [
        (0, 0, 2, 8), (1, 2, 0, 7), (3, 3, 4, 3), (4, 1, 0, 4), (5, 1, 5, 4), (6, 0, 0, 9),
    ]  # fmt: skip


@pytest.mark.parametrize("captions", [[], [""], ["", ""], ["nothing here"]])
def test_nothing_found_is_four_empty_arrays(fold: FoldWords, captions: list[str]) -> None:
    array = pa.array(captions, pa.string())
    assert listed(PaperMatcher(["lion"]).find(array)) == []
    assert listed(corrected(fold).find(array)) == []
    assert listed(CorrectedMatcher([], Alphabet((), fold)).find(array)) == []


def test_both_at_once_find_what_each_finds_alone(fold: FoldWords) -> None:
    """Also in captions where an html entity, or what was blanked instead of it, hides a lemma from `corrected`."""
    lemmas, captions = ["sea lion", "lion", "sea"], [*CAPTIONS, "&lion;", "sea&lion;lion"]
    blanked = pa.array([None] * len(CAPTIONS) + ["      ", "sea      lion"], pa.string())
    array = pa.array(captions)
    matcher = Matcher(lemmas, READINGS, Alphabet(set("sealionkitfox"), fold))
    paper, longest = matcher.find(array, blanked)
    assert listed(paper) == listed(PaperMatcher(lemmas).find(array))
    assert {row for row, *_ in listed(paper)} >= {7, 8}
    assert listed(longest) == listed(corrected(fold).find(pa.array([*CAPTIONS, "      ", "sea      lion"])))


@pytest.mark.parametrize("lemma", ["tiger", "7", "sea fox"])
def test_a_lemma_that_is_no_reading_is_an_error(fold: FoldWords, lemma: str) -> None:
    with pytest.raises(ValueError, match="expected those of every lemma"):
        Matcher(["lion", lemma], READINGS, Alphabet(set("sealionkitfox"), fold))
