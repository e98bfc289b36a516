"""The "rows that should not exist" of the image tables: none on good tables, some once a table is spoilt."""

from collections.abc import Iterator

import pytest

from tests.unit.sql.models import Database
from tests.unit.sql.spoiling import SpoiltChecks

HASH = {name: f"sha256('{name}')" for name in ("u1", "u2", "u3", "u4", "picture")}
GOOD = [
    "insert into raw.recipes by name select 'r' as recipe, true as drop_text_in_image",
    "insert into core.removals by name select 'sample' as kind, 's/4' as value, 'a wish' as reason",
    f"insert into core.removals by name select 'url_hash' as kind, {HASH['u4']} as value, 'a wish' as reason",
    f"insert into core.removals by name select 'sha256' as kind, {HASH['u3']} as value, 'a wish' as reason",
    "insert into core.removed_samples select 's', 'p', 4",
    "insert into core.candidates by name select 's' as source, 'p' as part, i as sample_id, 'n1' as wnid "
    "from range(1, 5) t(i)",
    "insert into core.selection by name select 'r' as recipe, 's' as source, 'p' as part, i as sample_id, 'n1' as wnid "
    "from range(1, 5) t(i)",
    "insert into core.image_requests by name select 's' as source, 'p' as part, i as sample_id, ['r'] as recipes, "
    "i = 4 as is_removed, false as is_neighbour, case when i < 4 then 'u' || i end as url from range(1, 5) t(i)",
    "insert into core.images by name select 's' as source, 'p' as part, i as sample_id, 'u' || i as url, "
    "sha256('u' || i) as url_hash, 'failed' as status, 'http_404' as error_class, 1 as attempts from range(2, 4) t(i)",
    f"insert into core.images by name select 's' as source, 'p' as part, 1 as sample_id, 'u1' as url, {HASH['u1']} as "
    f"url_hash, 'success' as status, {HASH['picture']} as sha256, md5('picture') as md5, 9 as size_bytes, 3 as width, "
    "4 as height, 'RGB' as mode, 1 as attempts, false as is_uncleared",
    "insert into core.images by name select 's' as source, 'p' as part, 4 as sample_id, 'removed' as status, "
    "'removed' as error_class, 0 as attempts",
    f"insert into core.image_text by name select 's' as source, 'p' as part, {HASH['picture']} as sha256, 'one' as "
    "recognizer, 'words' as text, 1 as boxes, 0.9 as confidence",
    "insert into core.names_in_images by name select 's' as source, 'p' as part, i as sample_id, 'n1' as wnid, "
    "if(i = 1, false, null) as has_name_paper, has_name_paper as has_name_corrected from range(1, 4) t(i)",
]
SPOILT = {
    ("core.image_requests", "somebody_asks_for_every_request"): "update core.image_requests set recipes = ['gone']",
    (
        "core.image_requests",
        "what_was_removed_says_so_and_has_no_address",
    ): "update core.image_requests set url = 'u4' where is_removed",
    (
        "core.image_requests",
        "what_is_asked_for_is_selected",
    ): "update core.selection set reason = 'below_threshold' where sample_id = 2",
    ("core.image_requests", "some_picture_is_asked_for"): "update core.image_requests set recipes = []",
    (
        "core.image_text",
        "text_or_the_reason_why_not",
    ): "update core.image_text set error = 'cut off'",
    ("core.image_text", "every_picture_asked_for_is_there"): "delete from core.image_text",
    ("core.image_text", "pictures_are_those_of_the_part"): "delete from core.images where status = 'success'",
    (
        "core.image_text",
        "one_recognizer",
    ): "insert into core.image_text by name select * replace ('x' as sha256, 'two' as recognizer) from core.image_text",
    (
        "core.image_text",
        "most_pictures_can_be_read",
    ): "update core.image_text set text = null, error = 'cut off'",
    (
        "core.names_in_images",
        "both_rules_or_none",
    ): "update core.names_in_images set has_name_paper = null where sample_id = 1",
    (
        "core.names_in_images",
        "every_class_of_an_image_is_there",
    ): "delete from core.names_in_images where sample_id = 2",
    (
        "core.names_in_images",
        "decided_where_a_text_was_read",
    ): "update core.names_in_images set has_name_paper = false where sample_id = 2",
    (
        "core.removals",
        "values_are_hashes_or_keys",
    ): "update core.removals set value = 'http://a' where kind <> 'sample'",
    ("core.images", "every_request_has_one_row"): "delete from core.images where sample_id = 2",
    ("core.images", "a_success_is_a_whole_picture"): "update core.images set mode = null where status = 'success'",
    (
        "core.images",
        "no_address_of_what_is_blocked_or_removed",
    ): "update core.images set final_url_host = 'a.example' where status = 'removed'",
    ("core.images", "what_was_removed_is_removed"): "update core.images set status = 'failed' where sample_id = 4",
    (
        "core.images",
        "one_address_has_one_outcome",
    ): f"update core.images set url_hash = {HASH['u1']} where sample_id = 2",
    (
        "core.images",
        "the_store_had_room",
    ): "update core.images set status = 'not_fetched', error_class = 'store_full' where sample_id = 2",
    ("core.images", "original_laion_rows_are_cleared"): "update core.images set is_uncleared = true",
    ("marts.image_outcomes", "shares_sum_to_one"): "update marts.image_outcomes set share = share / 2",
    ("marts.image_outcomes", "every_image_is_counted"): "update marts.image_outcomes set images = images + 1",
    ("marts.image_outcomes", "some_images_were_fetched"): "delete from marts.image_outcomes where status = 'success'",
    (
        "marts.removal_leftovers",
        "nothing_removed_is_left",
    ): "insert into marts.removal_leftovers select 'core.images', 'sample', 's/4', 1",
    (
        "marts.unmatched_removals",
        "every_line_names_something",
    ): "insert into marts.unmatched_removals select 3, 'sample', 's/9', 'a wish'",
    ("marts.removal_leftovers", "it_was_removed"): "insert into marts.removal_leftovers select 'x', 'sample', 's/9', 1",
}


def good_tables() -> Iterator[Database]:
    """Tables on which no check finds anything."""
    made = Database()
    for statement in GOOD:
        made.connection.execute(statement)
    made.make("marts.image_outcomes")
    yield made
    made.connection.close()


good = pytest.fixture(good_tables, scope="module")


class TestChecks(SpoiltChecks):
    spoilt = SPOILT
    may_be_empty = ("marts.removal_leftovers", "marts.unmatched_removals")
