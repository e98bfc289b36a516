"""The "rows that should not exist" of captions of image sets and of nearest captions: none on good tables, some once a
table is spoilt.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

import pytest

from tests.unit.sql.models import Database
from tests.unit.sql.spoiling import SpoiltChecks

WNID, OTHER = "n00000001", "n00000002"
KEY = 7_000_413_967_451_013_937
"""md5_number_lower('a')."""
VECTOR = {"model": "m", "embedding": [0.6, 0.8]}
RANK = {
    "encoder": "e", "image_set": "v", "name": "1", "wnid": WNID, "similarity": 0.5, "nearer": 1, "classes": 2,
    "share_nearer": 0.5, "nearest_wnids": [OTHER, WNID], "nearest_similarities": [0.6, 0.5],
}  # fmt: skip
FOUND = {
    "encoder": "e", "source": "s", "part": "a", "caption_id": KEY, "sample_id": 7, "similarity": 0.9, "url": "u7",
    "nsfw": "UNLIKELY", "probes": 1, "candidates": 50, "recall": 0.99, "measured_on": 10,
}  # fmt: skip
SWEPT = {
    "image_set": "n", "other_image_set": "v", "encoder": "i", "captions": 1, "classes": 1, "images": 1, "compared": 1,
    "tested": 1, "lower": 1.0, "higher": 0.0, "lower_minus_higher": 1.0,
}  # fmt: skip
GOOD: Mapping[str, list[dict[str, Any]]] = {
    "core.set_images": [
        {"image_set": "v", "image_id": "1", "wnid": WNID},
        {"image_set": "v", "image_id": "2", "wnid": WNID, "rejected_because": "removed"},
    ],
    "core.query_embeddings": [{"encoder": "e", "wnid": WNID} | VECTOR],
    "core.set_captions": [
        {"image_set": "v", "name": "1", "image_id": "1", "wnid": WNID, "caption_id": KEY, "caption": "a", "times": 1},
        {"image_set": "v", "name": "2", "image_id": "2", "wnid": WNID, "times": 1},
    ],
    "core.set_caption_embeddings": [{"encoder": "e", "caption_id": KEY} | VECTOR],
    "core.text_ranks": [{"profile": profile} | RANK for profile in ("paper", "corrected")],
    "marts.text_rank": [
        {"profile": profile, "encoder": "e", "image_set": "v", "bin": 0, "low": 0, "high": 1, "texts": 1, "share": 0.5,
         "band_low": 0.4, "band_high": 0.6}
        for profile in ("paper", "corrected")
    ],
    "raw.neighbours": [
        {"image_set": "n", "captions_of": "v", "encoder": "e", "over": "all", "threshold": 0.7, "fetch_above": 0.5,
         "nsfw_tags": ["UNLIKELY"], "max_punsafe": 0.5}
    ],
    "core.removals": [{"kind": "sample", "value": "s/99"}, {"kind": "url_hash", "value": sha256(b"u98").hexdigest()}],
    "raw.parts": [{"source": "s", "part": "a"}],
    "core.candidates": [{"source": "s", "part": "a", "sample_id": 7, "wnid": WNID, "caption_id": KEY}],
    "core.caption_embeddings": [{"encoder": "e", "source": "s", "part": "a", "caption_id": KEY} | VECTOR],
    "core.searched_captions": [
        {"source": "s", "part": "a", "sample_id": 7, "caption_id": KEY, "caption": "a", "url": "u7"},
        {"source": "s", "part": "a", "sample_id": 8, "caption_id": KEY, "caption": "a", "url": "u8"},
        {"source": "s", "part": "a", "sample_id": 98, "caption_id": KEY, "caption": "a", "url": "u98"},
        {"source": "s", "part": "a", "sample_id": 99, "caption_id": KEY, "caption": "a", "url": "u99"},
    ],
    "core.caption_index": [
        {"encoder": "e", "source": "s", "part": "a", "piece": 0, "model": "m", "captions": 1, "cells": 1,
         "caption_ids": [KEY], "sample_ids": [7], "index": b"x"}
    ],
    "core.caption_neighbours": [FOUND],
    "core.neighbour_requests": [{"source": "s", "part": "a", "sample_id": 7, "url": "u7", "similarity": 0.9}],
    "core.neighbours": [
        {"image_set": "n", "name": "1", "wnid": WNID, "caption_id": KEY, "source": "s", "part": "a", "sample_id": 7,
         "similarity": 0.9}
    ],
    "core.swept_images": [
        {"image_set": "n", "encoder": "i", "wnid": WNID, "name": "1", "source": "s", "sample_id": 7, "similarity": 0.9,
         "sha256": "x"}
    ],
    "marts.neighbour_sweep": [
        {"profile": profile, "threshold": threshold} | SWEPT
        for profile in ("paper", "corrected") for threshold in (0.5, 0.6)
    ],
}  # fmt: skip
SPOILT = {
    ("core.set_captions", "a_text_has_its_key"): "update core.set_captions set caption = 'b' where name = '1'",
    (
        "core.set_captions",
        "no_caption_of_what_was_removed",
    ): "update core.set_captions set caption = 'b' where name = '2'",
    ("core.set_captions", "captions_have_a_class"): "update core.set_captions set wnid = null where name = '1'",
    (
        "core.set_captions",
        "the_set_and_its_captions_agree_on_the_class",
    ): f"update core.set_captions set wnid = '{OTHER}' where name = '1'",
    (
        "core.set_caption_embeddings",
        "vectors_have_length_one",
    ): "update core.set_caption_embeddings set embedding = [0.6, 0.7]",
    (
        "core.set_caption_embeddings",
        "one_model_and_dimension_an_encoder",
    ): "insert into core.set_caption_embeddings by name select 'e' as encoder, 'n' as model, [1] as embedding",
    (
        "core.set_caption_embeddings",
        "every_caption_is_embedded",
    ): "insert into core.set_captions by name select 'v' as image_set, '3' as name, 7 as caption_id",
    ("core.text_ranks", "own_similarity_and_rank_go_together"): "update core.text_ranks set nearer = null",
    (
        "core.text_ranks",
        "the_true_class_is_among_the_nearest_where_few_are_nearer",
    ): "update core.text_ranks set nearer = 0",
    ("core.text_ranks", "every_caption_has_its_ranks"): "delete from core.text_ranks where profile = 'paper'",
    ("marts.text_rank", "bands_hold_the_share"): "update marts.text_rank set share = 0.7",
    ("marts.text_rank", "every_ranked_caption_is_in_a_bin"): "update marts.text_rank set texts = 2",
    (
        "raw.neighbours",
        "at_most_one_search",
    ): "insert into raw.neighbours by name select 'o' as image_set, 0.9 as threshold, 0.5 as fetch_above",
    ("raw.neighbours", "what_is_kept_is_asked_for"): "update raw.neighbours set threshold = 0.4",
    ("core.caption_embeddings", "vectors_have_length_one"): "update core.caption_embeddings set embedding = [0.6, 0.7]",
    (
        "core.caption_embeddings",
        "one_model_and_dimension_an_encoder",
    ): "insert into core.caption_embeddings by name select * replace ('n' as model, 8 as caption_id) "
    "from core.caption_embeddings",
    ("core.caption_embeddings", "every_candidate_caption_is_embedded"): "delete from core.caption_embeddings",
    (
        "core.searched_captions",
        "a_caption_has_its_key",
    ): "update core.searched_captions set caption = 'b' where sample_id = 8",
    (
        "core.searched_captions",
        "something_is_searched_where_a_search_is_wanted",
    ): "delete from core.searched_captions",
    (
        "core.caption_index",
        "a_piece_has_as_many_captions_as_it_says",
    ): "update core.caption_index set sample_ids = [7, 7], captions = 2",
    ("core.caption_index", "every_searched_caption_is_in_the_index"): "delete from core.caption_index",
    (
        "core.caption_index",
        "nothing_that_was_removed_is_in_the_index",
    ): "update core.caption_index set sample_ids = [98]",
    (
        "core.caption_neighbours",
        "recall_is_at_least_nine_tenths",
    ): "update core.caption_neighbours set recall = 0.89",
    (
        "core.caption_neighbours",
        "recall_is_at_least_what_is_aimed_at",
    ): "update core.caption_neighbours set recall = 0.95",
    ("core.caption_neighbours", "every_caption_has_its_nearest"): "delete from core.caption_neighbours",
    (
        "core.caption_neighbours",
        "what_is_found_is_in_the_index",
    ): "update core.caption_neighbours set sample_id = 8",
    (
        "core.neighbour_requests",
        "requests_are_near_enough",
    ): "update core.neighbour_requests set similarity = 0.5",
    (
        "core.neighbours",
        "no_caption_found_is_nearer",
    ): "update core.neighbours set similarity = 0.8",
    ("core.neighbours", "every_caption_has_a_nearest_one"): "delete from core.neighbours",
    ("core.swept_images", "pictures_are_near_enough"): "update core.swept_images set similarity = 0.5",
    (
        "marts.neighbour_sweep",
        "fewer_as_the_threshold_rises",
    ): "update marts.neighbour_sweep set images = 2 where threshold = 0.6",
    ("marts.neighbour_sweep", "shares_fit_each_other"): "update marts.neighbour_sweep set higher = 0.2",
}


def good_tables() -> Iterator[Database]:
    """Tables on which no check finds anything."""
    made = Database()
    for table, rows in GOOD.items():
        made.put(table, rows)
    yield made
    made.connection.close()


good = pytest.fixture(good_tables, scope="module")


class TestChecks(SpoiltChecks):
    spoilt = SPOILT
