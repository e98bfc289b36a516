"""The "rows that should not exist" of taxonomy and matching: none on good tables, some once a table is spoilt."""

from collections.abc import Iterator

import pytest

from laionet_assets.taxonomy import load_synsets
from tests.unit.sql.models import Database, database, queries
from tests.unit.sql.spoiling import SpoiltChecks

CAPTIONS = [
    "a golden-retriever, Sea  Lion",
    "sea lion",
    "steel drum and a jack-o'-lantern",
    "lion",
    "Cardigan",
    "a crane",
    "Missile",
    "kit fox English setter",
    None,
]
SPOILT = {
    ("raw.synsets", "every_class_has_lemmas"): "update raw.synsets set lemmas = [] where position = 3",
    ("raw.synsets", "paper_wnid_iff_in_paper_list"): "update raw.synsets set paper_wnid = null where position = 3",
    ("staging.lemmas", "the_same_words_stand_for_one_class"): "update staging.lemmas set is_unique = true",
    ("staging.lemmas", "every_lemma_is_there_in_both_profiles"): "delete from staging.lemmas where lemma = 'harp'",
    (
        "staging.lemmas",
        "only_the_cranes_are_out_of_reach_when_corrected",
    ): "update staging.lemmas set is_matchable = false where lemma = 'harp'",
    ("staging.lemmas", "shadows_are_the_papers"): "update staging.lemmas set shadowed_by = ['lion']",
    (
        "staging.queries",
        "every_class_has_every_template",
    ): "delete from staging.queries where query = 'a photo of harp'",
    ("staging.queries", "the_papers_queries_differ"): "update staging.queries set query = 'crane'",
    (
        "core.caption_matches",
        "matches_are_of_matchable_lemmas",
    ): "update core.caption_matches set lemma = 'crane', wnid = 'n03126707' where lemma = 'lion'",
    (
        "core.caption_matches",
        "the_caption_reads_the_lemma_at_the_offset",
    ): "update core.caption_matches set char_offset = char_offset + 1 where lemma = 'lion'",
    (
        "core.candidates",
        "classes_counts_the_rows_of_the_sample",
    ): "update core.candidates set classes = 3 where matching = 'paper' and sample_id = 3",
    ("core.candidates", "every_match_is_of_a_candidate"): "delete from core.candidates where sample_id = 3",
    (
        "core.candidates",
        "classes_are_of_the_taxonomy",
    ): "update core.candidates set wnid = 'n02112837' where sample_id = 3",
    (
        "core.matching_counts",
        "rows_are_those_of_the_candidates",
    ): "delete from core.matching_counts where rows_gained > 0",
    ("core.matching_counts", "reasons_add_up"): "update core.matching_counts set gained_case = gained_case + 1",
    (
        "marts.matching_gain",
        "paper_minus_lost_plus_gained_is_corrected",
    ): "update marts.matching_gain set rows_kept = rows_kept + 1",
    (
        "marts.matching_gain",
        "rows_are_those_of_the_parts",
    ): "update marts.matching_gain set rows_kept = 7 where name = 'lion'",
    ("marts.matching_gain", "out_of_reach_is_never_found"): "update marts.matching_gain set is_reachable_paper = false",
}


def good_tables() -> Iterator[Database]:
    """Tables on which no check finds anything."""
    with database(load_synsets("imagenet-1k")) as db:
        db.put_captions(CAPTIONS)
        for table in (
            "staging.queries",
            "core.caption_matches",
            "core.candidates",
            "core.matching_counts",
            "marts.matching_gain",
        ):
            db.make(table)
        yield db


good = pytest.fixture(good_tables, scope="module")


class TestChecks(SpoiltChecks):
    spoilt = SPOILT


@pytest.mark.parametrize(
    ("matching", "spoil"),
    [
        ("paper", "update core.caption_matches set char_offset = char_offset + 1"),
        ("paper", "update core.caption_matches set char_length = char_length - 1"),
        ("paper", "update raw.pairs set caption = caption || 's'"),
        ("paper", "update raw.pairs set caption = upper(caption)"),
        ("paper", "delete from raw.pairs"),
        ("corrected", "update core.caption_matches set char_offset = char_offset + 1"),
        ("corrected", "update core.caption_matches set char_length = char_length - 1"),
        ("corrected", "update raw.pairs set caption = caption || 's'"),
        (
            "corrected",
            "update raw.pairs set caption = 'sea' || caption; update core.caption_matches set char_offset = 3",
        ),
        ("corrected", "delete from raw.pairs"),
    ],
)
def test_every_way_in_which_a_caption_does_not_read_the_lemma(good: Database, matching: str, spoil: str) -> None:
    """The sample whose caption is the lemma "lion" alone."""
    rule = queries("core.caption_matches")["the_caption_reads_the_lemma_at_the_offset"]
    good.connection.execute("begin")
    good.connection.execute(spoil)
    found = {(row[0], row[4]) for row in good.rows(f"from ({rule}) where sample_id = 3")}
    good.connection.execute("rollback")
    assert (matching, "lion") in found
