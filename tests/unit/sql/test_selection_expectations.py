"""The "rows that should not exist" of what is selected: none on good tables, some once a table is spoilt."""

from collections.abc import Iterator

import pytest

from tests.unit.sql.models import Database
from tests.unit.sql.spoiling import SpoiltChecks

RECIPES = """
    select * from (values
        ('paper', 'paper', 0.5, 'drop', ['UNLIKELY'], null, true, null, 'keep'),
        ('corrected', 'corrected', 0.4, 'keep', ['UNLIKELY', 'UNKNOWN'], 1, false, null, 'drop'),
        ('near', 'paper', 0.5, 'drop', ['UNLIKELY'], null, false, 0.3, 'keep')
    ) t (
        recipe, matching, text_threshold, multi_label, nsfw_tags, top_k, drop_text_in_image, image_threshold,
        duplicates
    )
"""
# sample 1 names two classes; 2 is removed by its address, 3 has its class written in it, 4 is unsafe, 5 is not tagged,
# 8 repeats 6
CANDIDATES = """
    select
        *,
        's' as source,
        'a' as part,
        'u' || least(sample_id, 14 - sample_id) as url,
        'c' || least(sample_id, 14 - sample_id) as caption
    from (values
        (1, 'n00000001', 2, 'UNLIKELY', null),
        (1, 'n00000002', 2, 'UNLIKELY', null),
        (2, 'n00000001', 1, 'UNLIKELY', null),
        (3, 'n00000001', 1, 'UNLIKELY', 0.45),
        (4, 'n00000001', 1, 'UNLIKELY', 0.46),
        (5, 'n00000001', 1, null, null),
        (6, 'n00000001', 1, 'UNLIKELY', null),
        (7, 'n00000002', 1, 'UNLIKELY', null),
        (8, 'n00000001', 1, 'UNLIKELY', null)
    ) t (sample_id, wnid, classes, nsfw, punsafe), (values ('paper'), ('corrected')) m (matching)
"""
GOOD = [
    "insert into raw.recipes by name select *, 'e' as encoder, 0.45 as max_punsafe, 'i' as image_encoder, "
    f"'head' as image_kind from ({RECIPES})",
    "insert into raw.synsets by name select unnest(['n00000001', 'n00000002', 'n00000003']) as wnid",
    "insert into raw.parts by name select 's' as source, 'a' as part, 0 as ordinal, 40 as rows, 38 as pairs, "
    "2 as quarantined, 'f' as fingerprint, [{reason: 'size_out_of_bounds', samples: 2}] as breaches",
    f"insert into core.candidates by name {CANDIDATES}",
    "insert into raw.pairs by name select distinct source, part, sample_id, caption, url from core.candidates",
    "insert into raw.quarantine by name select 's' as source, 'a' as part, unnest([38, 39]) as sample_id, "
    "'size_out_of_bounds' as reason, '0 x 9' as value",
    "insert into core.caption_similarity by name select distinct 'e' as encoder, source, part, sample_id, wnid, "
    "case sample_id when 7 then 0.1 else 1 - least(sample_id, 14 - sample_id) / 20 end as similarity "
    "from core.candidates",
    "insert into core.query_embeddings by name select 'e' as encoder",
    "insert into core.names_in_images by name select distinct source, part, sample_id, wnid, sample_id = 3 as "
    "has_name_paper, sample_id = 3 as has_name_corrected from core.candidates",
    "insert into core.sample_query_similarity by name select distinct 'i' as encoder, 'head' as kind, source, part, "
    "sample_id, wnid, 'both' as profile, sample_id / 10 as similarity from core.candidates",
    "insert into core.removals by name select 'url_hash' as kind, sha256('u2') as value, 'a wish' as reason",
    "insert into core.removals by name select 'sample' as kind, 's/99' as value, 'a wish' as reason",
]
MADE = (
    "core.selection",
    "core.removed_samples",
    "core.selection_seen",
    "core.selection_counts",
    "core.similarity_counts",
    "core.duplicate_samples",
    "core.laionet",
    "marts.class_frequency",
    "marts.duplicates",
    "marts.funnel",
    "marts.threshold_sweep",
)
SPOILT = {
    (
        "core.caption_similarity",
        "every_candidate_has_a_similarity",
    ): "delete from core.caption_similarity where sample_id = 7",
    ("core.caption_similarity", "similarities_differ"): (
        "insert into core.caption_similarity by name select 'f' as encoder, 's' as source, 'a' as part, "
        "unnest(range(101)) as sample_id, 0.5 as similarity"
    ),
    ("raw.parts", "pairs_and_quarantined_are_all_rows"): "update raw.parts set rows = 41",
    ("raw.parts", "at_most_one_row_in_twenty_is_quarantined"): "update raw.parts set rows = 39",
    ("raw.parts", "some_rows_are_pairs"): "update raw.parts set pairs = 0",
    ("raw.pairs", "pairs_are_within_bounds"): "update raw.pairs set width = 0",
    (
        "core.selection",
        "every_recipe_judges_every_candidate_of_its_profile",
    ): "update core.selection set sample_id = 98 where sample_id = 7",
    (
        "core.selection",
        "the_threshold_decides_what_nothing_before_does",
    ): "update core.selection set reason = null where reason = 'below_threshold'",
    (
        "core.selection",
        "what_is_selected_is_safe_and_of_one_class",
    ): "update core.selection set reason = null where reason = 'punsafe'",
    ("core.removed_samples", "it_is_what_removals_name"): "update core.removed_samples set sample_id = 3",
    (
        "core.selection_seen",
        "seen_is_what_is_selected",
    ): "update core.selection_seen set sample_id = 98 where sample_id = 6",
    (
        "core.selection_seen",
        "what_was_removed_is_dropped_and_nothing_else_as_removed",
    ): "update core.selection_seen set reason = null where reason = 'removed'",
    (
        "core.selection_seen",
        "no_address_or_caption_of_what_was_removed",
    ): "update core.selection_seen set caption = 'c' where reason = 'removed'",
    (
        "core.selection_seen",
        "a_name_in_the_image_drops_where_the_recipe_says_so",
    ): "update core.selection_seen set reason = null where reason = 'name_in_image'",
    (
        "core.selection_seen",
        "the_image_threshold_decides_what_nothing_before_does",
    ): "update core.selection_seen set reason = null where reason = 'below_image_threshold'",
    (
        "core.selection_counts",
        "rows_in_are_rows_out_and_dropped",
    ): "update core.selection_counts set rows = rows + 1 where wnid = 'n00000001'",
    (
        "core.selection_counts",
        "every_sample_is_counted_once",
    ): "update core.selection_counts set rows = rows + 1 where wnid = '*'",
    (
        "core.similarity_counts",
        "safe_rows_are_among_the_rows",
    ): "update core.similarity_counts set safe_rows = rows + 1",
    ("core.similarity_counts", "every_single_label_candidate_is_counted"): (
        "delete from core.similarity_counts where wnid = 'n00000002' and matching = 'paper'"
    ),
    ("core.duplicate_samples", "the_first_is_kept"): "update core.duplicate_samples set kept_sample_id = 9",
    (
        "core.duplicate_samples",
        "a_duplicate_says_what_the_kept_sample_says",
    ): "update core.duplicate_samples set sample_id = 7",
    ("core.duplicate_samples", "all_but_one_of_each_are_duplicates"): "delete from core.duplicate_samples",
    ("marts.duplicates", "one_of_each_is_no_duplicate"): "update marts.duplicates set duplicates = rows",
    ("marts.duplicates", "every_duplicate_is_counted"): "delete from marts.duplicates where wnid = 'n00000001'",
    ("core.laionet", "no_duplicate_where_the_recipe_drops_them"): (
        "insert into core.laionet by name select * replace (99 as sample_id) from core.laionet"
    ),
    (
        "core.laionet",
        "similarity_is_above_the_threshold",
    ): "update core.laionet set similarity = 0.5 where recipe = 'paper'",
    (
        "core.laionet",
        "no_more_than_top_k_a_class",
    ): "insert into core.laionet by name select * replace ('corrected' as recipe) from core.laionet",
    (
        "core.laionet",
        "no_name_in_image_where_the_recipe_drops_it",
    ): "update core.laionet set has_name_in_image = true where recipe = 'paper'",
    (
        "core.laionet",
        "pictures_are_above_the_image_threshold",
    ): "update core.laionet set image_similarity = 0.3 where recipe = 'near'",
    ("core.laionet", "every_class_has_its_rows_up_to_top_k"): "delete from core.laionet where rank = 1",
    ("core.laionet", "every_recipe_finds_something"): "delete from core.laionet where recipe = 'paper'",
    (
        "marts.class_frequency",
        "frequencies_sum_to_one",
    ): "update marts.class_frequency set relative_frequency = 0.1",
    (
        "marts.funnel",
        "rows_in_equal_rows_out_plus_dropped",
    ): "update marts.funnel set dropped_by_reason = map {'removed': 1} where stage = 'safe'",
    ("marts.funnel", "no_count_is_negative"): "update marts.funnel set rows_dropped = -1",
    (
        "marts.funnel",
        "every_stage_begins_where_the_last_ended",
    ): "update marts.funnel set rows_in = rows_in + 1 where stage = 'similar'",
    ("marts.funnel", "the_web_goes_in_whole"): "update raw.parts set rows = 13",
    ("marts.funnel", "laionet_comes_out_whole"): "delete from core.laionet where rank = 1",
    (
        "marts.threshold_sweep",
        "counts_never_rise_with_the_threshold",
    ): "update marts.threshold_sweep set rows = 99 where threshold = 1",
    (
        "marts.threshold_sweep",
        "safe_rows_are_among_the_rows",
    ): "update marts.threshold_sweep set safe_rows = rows + 1",
}


def good_tables() -> Iterator[Database]:
    """Tables on which no check finds anything."""
    made = Database()
    for statement in GOOD:
        made.connection.execute(statement)
    for table in MADE:
        made.make(table)
    yield made
    made.connection.close()


def test_the_good_tables_have_rows_of_every_reason(good: Database) -> None:
    reasons = good.rows("select distinct reason from core.selection_counts order by 1")
    assert reasons == [
        ("below_image_threshold",),
        ("below_threshold",),
        ("name_in_image",),
        ("none",),
        ("nsfw_unknown",),
        ("punsafe",),
        ("removed",),
        ("several_classes",),
    ]


good = pytest.fixture(good_tables, scope="module")


class TestChecks(SpoiltChecks):
    spoilt = SPOILT
