"""The "rows that should not exist" of image sets and predictions: none on good tables, some once a table is spoilt."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.sql.models import Database, queries
from tests.unit.sql.spoiling import SpoiltChecks

SHA = {name: name * 64 for name in "abc"}
GOOD: Mapping[str, list[dict[str, Any]]] = {
    "raw.recipes": [{"recipe": "unseen", "predicts_pictures": False}, {"recipe": "r", "predicts_pictures": True}],
    "raw.image_sets": [
        {"image_set": "unseen", "position": 3, "kind": "recipe", "profile": "paper", "weighted_by": "unseen"},
        {"image_set": "r", "position": 0, "kind": "recipe", "profile": "paper", "weighted_by": "r"},
        {"image_set": "v", "position": 1, "kind": "local", "layout": "imagefolder", "profile": "corrected",
         "weighted_by": "r"},
        {"image_set": "p", "position": 2, "kind": "published", "weighted_by": "p", "zero_shot_missing": "wrong"},
    ],
    "core.images": [
        {"source": "s", "part": "a", "sample_id": 1, "status": "success", "sha256": SHA["a"], "mode": "RGB",
         "width": 99, "height": 99},
        {"source": "s", "part": "a", "sample_id": 2, "status": "failed", "error_class": "http_404"},
        {"source": "s", "part": "a", "sample_id": 3, "status": "success", "sha256": "d" * 64, "mode": "RGB",
         "width": 99, "height": 99},
    ],
    "core.image_requests": [
        {"source": "s", "part": "a", "sample_id": sample, "recipes": ["unseen" if sample == 3 else "r"],
         "is_neighbour": False}
        for sample in (1, 2, 3)
    ],
    "core.laionet": [
        {"recipe": "r", "source": "s", "part": "a", "sample_id": sample, "wnid": "n00000001"} for sample in (1, 2)
    ] + [{"recipe": "unseen", "source": "s", "part": "a", "sample_id": 3, "wnid": "n00000001"}],
    "core.set_images": [
        {"image_set": "v", "image_id": name, "wnid": "n00000001", "sha256": SHA[name], "mode": "RGB", "width": 99,
         "height": 99, "profile": "corrected", "is_admitted": name == "b", "conversions": [],
         "rejected_because": None if name == "b" else "decode", "error": None if name == "b" else "cut off"}
        for name in "bc"
    ] + [
        {"image_set": "v", "image_id": f"b{i}", "wnid": "n00000001", "sha256": SHA["b"], "mode": "RGB", "width": 99,
         "height": 99, "profile": "corrected", "is_admitted": True, "conversions": []}
        for i in range(9)
    ],
    "core.image_predictions": [
        {"source": "s", "part": "a", "sha256": SHA["a"], "profile": "both", "model": "m", "rank": rank,
         "wnid": f"n0000000{rank}", "score": 1 / rank, "model_identity": "m"}
        for rank in (1, 2)
    ],
    "core.set_predictions": [
        {"image_set": "v", "image_id": image, "profile": "both", "model": "m", "rank": rank,
         "wnid": f"n0000000{rank}", "score": 1 / rank}
        for rank in (1, 2)
        for image in ("b", *(f"b{i}" for i in range(9)))
    ] + [{"image_set": "v", "image_id": "c", "profile": "both", "model": "m", "rank": 1, "error": "cut off"}],
}  # fmt: skip
SPOILT = {
    ("raw.image_sets", "columns_go_with_the_kind"): "update raw.image_sets set profile = null where kind = 'local'",
    (
        "raw.image_sets",
        "weights_come_from_recipes_or_published_results",
    ): "update raw.image_sets set weighted_by = 'v' where kind = 'local'",
    (
        "raw.real_labels",
        "nothing_or_the_labels_of_every_class",
    ): "insert into raw.real_labels values (1, 'n00000001')",
    (
        "core.set_images",
        "who_stays_out_has_a_reason_and_nobody_else",
    ): "update core.set_images set rejected_because = null where image_id = 'c'",
    (
        "core.set_images",
        "paper_takes_rgb_as_it_is",
    ): "update core.set_images set profile = 'paper', conversions = ['exif_orientation'] where image_id = 'b'",
    (
        "core.set_images",
        "the_same_content_is_judged_the_same",
    ): "update core.set_images set width = 98 where image_id = 'b1'",
    (
        "core.set_images",
        "nine_in_ten_take_part",
    ): "update core.set_images set is_admitted = false where image_id = 'b1'",
    ("core.set_images", "pictures_have_a_class"): "update core.set_images set wnid = null where image_id = 'b'",
    (
        "core.image_predictions",
        "a_class_and_a_score_or_an_error",
    ): "update core.image_predictions set error = 'cut off' where rank = 2",
    (
        "core.image_predictions",
        "ranks_have_no_gap_and_scores_fall",
    ): "update core.image_predictions set rank = 3 where rank = 2",
    (
        "core.image_predictions",
        "every_picture_has_its_rows",
    ): "delete from core.image_predictions where sha256 like 'a%'; insert into core.image_predictions by name "
    "select 's' as source, 'a' as part, 'x' as sha256, 'm' as model, 1 as rank",
    (
        "core.image_predictions",
        "every_picture_can_be_read",
    ): "update core.image_predictions set error = 'cut off' where rank = 1",
    (
        "core.set_predictions",
        "a_class_and_a_score_or_an_error",
    ): "update core.set_predictions set error = null where image_id = 'c'",
    (
        "core.set_predictions",
        "ranks_have_no_gap_and_scores_fall",
    ): "update core.set_predictions set score = 2 where rank = 2",
    ("core.set_predictions", "every_picture_has_its_rows"): "delete from core.set_predictions where image_id = 'c'",
    (
        "core.set_predictions",
        "every_admitted_picture_is_predicted",
    ): "update core.set_images set is_admitted = true where image_id = 'c'",
    ("core.image_labels", "every_set_is_known"): "update core.image_labels set image_set = 'p'",
    ("core.image_labels", "laionet_is_there_whole"): "delete from core.image_labels where image_id = 's/2'",
    (
        "core.image_labels",
        "what_takes_part_has_a_content",
    ): "update core.image_labels set sha256 = null where image_id = 's/1'",
    (
        "core.image_labels",
        "what_a_recipe_has_was_asked_for",
    ): "update core.image_labels set rejected_because = 'not_asked_for' where image_id = 's/2'",
    ("core.predictions", "every_set_is_known"): "update core.predictions set image_set = 'x' where image_set = 'v'",
    ("core.predictions", "ranks_have_no_gap_and_scores_fall"): "delete from core.predictions where rank = 1",
    (
        "core.predictions",
        "only_pictures_that_take_part",
    ): "update core.image_labels set is_admitted = false where image_id = 's/1'",
    ("core.predictions", "no_picture_is_missing"): "delete from core.predictions where image_id = 'b'",
}


def good_tables() -> Iterator[Database]:
    """Tables on which no check finds anything."""
    made = Database()
    for table, rows in GOOD.items():
        made.put(table, rows)
    made.make("core.image_labels")
    made.make("core.predictions")
    yield made
    made.connection.close()


good = pytest.fixture(good_tables, scope="module")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 3)), min_size=1, max_size=6), min_size=1))
def test_ranks_count_from_one_and_scores_fall(good: Database, lists: list[list[tuple[int, int]]]) -> None:
    """Of every picture by itself: a list of ranks, of which some repeat, with their scores."""
    rows = [
        {"image_set": "r", "image_id": str(image), "model": "m", "rank": rank, "score": score}
        for image, ranked in enumerate(lists)
        for rank, score in ranked
    ]
    expected = set()
    for image, ranked in enumerate(lists):
        ranks, scores = zip(*sorted(ranked), strict=True)
        is_right = ranks == tuple(range(1, len(ranks) + 1)) and len(ranks) <= 5
        if not is_right or list(scores) != sorted(scores, reverse=True):
            expected.add(str(image))
    good.connection.execute("begin")
    try:
        good.fill("core.predictions", rows)
        found = good.rows(queries("core.predictions")["ranks_have_no_gap_and_scores_fall"])
    finally:
        good.connection.execute("rollback")
    assert {image_id for _, image_id, *_ in found} == expected


class TestChecks(SpoiltChecks):
    spoilt = SPOILT
    may_be_empty = ("raw.real_labels",)
