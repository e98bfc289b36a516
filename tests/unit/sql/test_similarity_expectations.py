"""The "rows that should not exist" of image embeddings, similarities and claims: none on good tables, some once a table
is spoilt.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.unit.sql.models import Database
from tests.unit.sql.spoiling import SpoiltChecks

SHA = {name: name * 64 for name in "abc"}
SETS = ("v", "w")
WNID = "n00000001"
VECTOR = {"readout": "mean_pool", "dimensions": 2, "embedding": [0.6, 0.8], "model_identity": "m"}
CLASS = {
    "encoder": "e", "wnid": WNID, "images": 5, "pairs": 10, "mean_similarity": 0.5, "se": 0.05, "ci_low": 0.4,
    "ci_high": 0.6, "pairs_se": 0.01, "pairs_ci_low": 0.48, "pairs_ci_high": 0.52, "mean_distinct": 0.5, "n_exact": 0,
    "n_near": 1, "vendi": 3.0, "drawn_pairs": 10, "drawn_mean": 0.5, "histogram": [0, 4, 6, 0],
}  # fmt: skip
SHARES = ("mean_lower", "lower", "higher", "lower_minus_higher", "lower_bh", "higher_bh", "lower_minus_higher_bh")
CLAIMS = ("C1", "C2", "C3a", "C3b", "C4", "C5", "C6", "C7", "C8", "C9", "N1", "N2", "N3", "N4", "N5")
GOOD: Mapping[str, list[dict[str, Any]]] = {
    "raw.image_sets": [
        {"image_set": "r", "position": 0, "kind": "recipe", "profile": "paper"},
        *({"image_set": name, "position": i, "kind": "local"} for i, name in enumerate(SETS, 1)),
    ],
    "raw.recipes": [
        {"recipe": "r", "position": 0, "matching": "paper", "image_encoder": "e", "image_kind": "head",
         "is_pool": False},
        {"recipe": "w", "position": 1, "matching": "corrected", "text_threshold": 0.5, "is_pool": True,
         "choosing_encoders": ["e"], "choosing_predictors": ["e"]},
    ],
    "core.images": [
        {"source": "s", "part": "a", "sample_id": i, "status": "success", "sha256": SHA[name]}
        for i, name in enumerate("ab")
    ],
    "core.image_embeddings": [
        {"source": "s", "part": "a", "sha256": SHA["a"], "profile": "both", "encoder": "e"} | VECTOR,
        {"source": "s", "part": "a", "sha256": SHA["b"], "profile": "both", "encoder": "e"} | VECTOR,
    ],
    "core.set_images": [
        {"image_set": "v", "image_id": "1", "wnid": WNID, "sha256": SHA["c"], "is_admitted": True,
         "profile": "corrected"},
        {"image_set": "v", "image_id": "2", "is_admitted": False, "profile": "corrected"},
    ],
    "core.set_embeddings": [
        {"image_set": "v", "image_id": "1", "encoder": "e", "sha256": SHA["c"], "profile": "both"} | VECTOR,
        {"image_set": "v", "image_id": "2", "encoder": "e", "profile": "both", "error": "cut off",
         "model_identity": "m"},
    ],
    "core.image_labels": [
        {"image_set": name, "image_id": str(i), "wnid": WNID, "sha256": SHA["a"], "is_admitted": True}
        for name in SETS for i in range(5)
    ],
    "core.selection": [
        {"recipe": "r", "source": "s", "part": "a", "sample_id": i, "wnid": WNID} for i in range(2)
    ],
    "core.sample_query_similarity": [
        {"encoder": "e", "kind": "head", "source": "s", "part": "a", "sample_id": i, "wnid": WNID, "profile": "both",
         "similarity": 0.2} for i in range(2)
    ],
    "core.set_query_similarity": [
        {"encoder": "e", "kind": "head", "image_set": "v", "image_id": "1", "wnid": WNID, "similarity": 0.2}
    ],
    "core.compared_images": [
        {"profile": profile, "image_set": name, "encoder": "e", "wnid": WNID, "image_id": str(i), "sha256": SHA["a"],
         "copies": 1}
        for profile in ("paper", "corrected") for name in SETS for i in range(5)
    ],
    "core.class_similarity": [
        {"profile": profile, "image_set": name} | CLASS for profile in ("paper", "corrected") for name in SETS
    ],
    "marts.similarity_comparison": [
        {"profile": "paper", "image_set": one, "other_image_set": other, "encoder": "e", "wnid": WNID,
         "difference": sign * 0.1, "se": 0.01, "ci_low": sign * 0.1 - 0.02, "ci_high": sign * 0.1 + 0.02, "p": 0.001,
         "is_lower": sign < 0, "is_higher": sign > 0, "is_lower_bh": sign < 0, "is_higher_bh": sign > 0}
        for one, other, sign in (("v", "w", 1), ("w", "v", -1))
    ],
    "marts.similarity_shares": [
        {"profile": "paper", "image_set": "w", "other_image_set": "v", "encoder": "e", "classes": 1, "tested": 1,
         "pooled_mean": 0.4, "other_pooled_mean": 0.5, "pooled_difference": -0.1}
        | {name: float(name.removesuffix("_bh") != "higher") for name in SHARES}
    ],
    "marts.cross_set_similarity": [
        {"image_set": "v", "other_image_set": "w", "encoder": "e", "wnid": WNID, "images": 5, "other_images": 5,
         "mean_similarity": 0.3, "ci_low": 0.2, "ci_high": 0.4}
    ],
    "marts.class_profile": [
        {"image_set": "v", "other_image_set": "w", "encoder": "e", "model": "m", "wnid": WNID, "recall": 0.5,
         "similarity_difference": 0.1}
    ],
    "marts.class_correlations": [
        {"image_set": "v", "other_image_set": "w", "encoder": "e", "model": "m", "x": "mean_similarity", "y": "recall",
         "classes": 3, "spearman": 0.5, "kendall": 0.3}
    ],
    "core.pool": [
        {"recipe": "w", "source": "s", "part": "a", "sample_id": i, "wnid": WNID, "sha256": SHA["a"],
         "similarity": 0.9 - i / 100, "image_similarity": (i * 7 % 20) / 20} for i in range(20)
    ],
    "core.laionet": [
        {"recipe": "w", "source": "s", "part": "a", "sample_id": i, "wnid": WNID} for i in range(20)
    ],
    "core.arm_similarity": [
        {"recipe": "w", "arm": arm, **CLASS, "encoder": "f", "images": images, "pairs": images * (images - 1) // 2,
         "histogram": [images * (images - 1) // 2]}
        for arm, images in (("text", 10), ("image", 10), ("random", 10), ("A", 4), ("B", 4), ("C", 4), ("D", 4))
    ],
    "marts.counterfactual": [
        {"recipe": "w", "arm": "text", "other_arm": "image", "measure": measure, "model": "f", "classes": 1,
         "mean": 0.4, "other_mean": 0.5, "difference": -0.1} for measure in ("similarity", "recall")
    ],
    "marts.frontier_similarity": [
        {"recipe": "w", "point": one, "other": other, "other_kind": "point", "encoder": "f", "classes": 1,
         "pooled_mean": 0.5 + sign / 20, "other_pooled_mean": 0.5 - sign / 20, "pooled_difference": sign / 10,
         "mean_lower": 0.5}
        for one, other, sign in (("D", "A", 1), ("A", "D", -1))
    ],
    "raw.predictors": [{"model": "clip", "is_zero_shot": True}, {"model": "m", "is_zero_shot": False}],
    "core.correctness": [
        {"image_set": name, "image_id": str(i), "wnid": WNID, "model": model, "top_1_is_correct": i > 0,
         "top_5_is_correct": i > 0}
        for name in SETS for i in range(5) for model in ("clip", "m")
    ],
    "core.caption_senses": [
        {"encoder": "t", "source": "s", "part": "a", "sample_id": 1, "wnid": WNID, "is_nearer": True}
    ],
    "core.judgements": [
        {"recipe": "r", "source": "s", "sample_id": 1, "wnid": WNID, "judge": "one", "verdict": "no"}
    ],
    "marts.label_errors": [
        {"recipe": "r", "judge": "*", "pictures": 5, "judged": 4, "wrong": 1, "unsure": 1, "error_rate": 0.2,
         "ci_low": 0.1, "ci_high": 0.4, "coverage": 1.0}
    ],
    "core.confusable_classes": [
        {"image_set": "v", "wnid": wnid, "confused_with": WNID} for wnid in (WNID, "n00000002")
    ],
    "marts.gaps_without_noise": [
        {"recipe": "r", "image_set": "v", "model": "m", "without": without, "left_out": left_out, "classes": 1,
         "accuracy": 0.5, "other_accuracy": 0.7, "gap": -0.2}
        for without, left_out in (("nothing", 0.0), ("label_errors", 0.1))
    ],
    "marts.model_rankings": [
        {"image_set": "r", "other_image_set": "v", "k": 1, "models": 5, "classes": 1, "kendall": 0.8}
    ],
    "marts.model_robustness": [
        {"image_set": "r", "other_image_set": "v", "k": 1, "model": f"m{i}", "is_baseline": True, "accuracy": 0.5,
         "other_accuracy": 0.7, "effective_robustness": residual, "relative_improvement": 0.1, "slope": 1,
         "intercept": 0, "baselines": 5} for i, residual in enumerate((-0.2, -0.1, 0.0, 0.1, 0.2))
    ],
    "marts.image_query_shares": [
        {"image_set": one, "other_image_set": other, "encoder": "e", "kind": "head", "classes": 1, "tested": 1,
         "difference": sign * 0.1, "higher": 0.4, "lower": 0.3}
        for one, other, sign in (("r", "v", 1), ("v", "r", -1))
    ],
    "marts.probe": [
        {"image_set": "r", "other_image_set": "v", "encoder": "e", "wnid": wnid, "images": 40, "classes": 1, "auc": 0.7,
         "ci_low": 0.6, "ci_high": 0.8} for wnid in (WNID, "*")
    ],
    "marts.nearest_images": [
        {"image_set": "r", "other_image_set": "v", "encoder": "e", "wnid": WNID, "images": 3, "other_images": 5,
         "mean_nearest": 0.7, "median_nearest": 0.7, "shared_exact": 1, "shared_near": 1}
    ],
    "marts.equally_near": [
        {"recipe": "r", "image_set": "v", "reference": "u", "encoder": "e", "measure": "similarity", "model": "e",
         "images": 9, "other_images": 5, "images_kept": 4, "classes": 3, "difference": 0.2, "ci_low": 0.1,
         "ci_high": 0.3, "classes_kept": 2, "difference_kept": 0.1, "ci_low_kept": 0.0, "ci_high_kept": 0.2}
    ],
    "marts.caption_terms": [
        {"recipe": "w", "arm": "text", "other": "image", "other_kind": "arm", "term": "stock", "captions": 4,
         "other_captions": 9, "log_odds": -0.5, "z": -2.2}
    ],
    "marts.claims": [
        {"claim": claim, "measure": "m", "recipe": "*", "image_set": "*", "model": "*", "profile": "paper",
         "here": 0.5, "ci_low": 0.4, "ci_high": 0.6, "holds": "yes", "data": "d"}
        for claim in CLAIMS
    ],
}  # fmt: skip
EMBEDDINGS = {
    "a_vector_or_an_error": "update {table} set dimensions = 3 where error is null",
    "vectors_have_length_one": "update {table} set embedding = [0.6, 0.7] where error is null",
    "one_model_readout_and_dimension_an_encoder": "insert into {table} by name select * replace ('n' as model_identity,"
    " 'x' as sha256) from {table} limit 1",
}
SPOILT = {
    **{
        (table, name): query.format(table=table)
        for table in ("core.image_embeddings", "core.set_embeddings")
        for name, query in EMBEDDINGS.items()
    },
    (
        "core.image_embeddings",
        "every_picture_has_its_rows",
    ): "delete from core.image_embeddings where sha256 like 'a%'",
    (
        "core.image_embeddings",
        "every_picture_can_be_read",
    ): "update core.image_embeddings set error = 'cut off' where sha256 like 'a%'",
    ("core.set_embeddings", "every_picture_has_its_rows"): "delete from core.set_embeddings where image_id = '2'",
    (
        "core.set_embeddings",
        "every_admitted_picture_is_embedded",
    ): "update core.set_images set is_admitted = true where image_id = '2'",
    (
        "core.compared_images",
        "at_most_a_hundred_of_a_class_of_a_recipe_under_paper",
    ): "insert into core.compared_images by name select 'paper' as profile, 'r' as image_set, 'e' as encoder, "
    "'n1' as wnid, unnest(range(101))::varchar as image_id, 's' as source",
    (
        "core.compared_images",
        "pictures_count_once_but_for_nearest_captions_under_paper",
    ): "update core.compared_images set copies = 2 where image_set = 'v' and profile = 'paper'",
    (
        "core.compared_images",
        "every_picture_that_takes_part_counts",
    ): "delete from core.compared_images where image_set = 'v' and image_id = '1'",
    (
        "core.sample_query_similarity",
        "every_picture_is_compared",
    ): "delete from core.sample_query_similarity where sample_id = 1",
    (
        "core.sample_query_similarity",
        "every_recipe_has_the_kind_that_it_asks_for",
    ): "update core.sample_query_similarity set kind = 'query'",
    (
        "core.set_query_similarity",
        "classes_are_those_of_the_set",
    ): "update core.set_query_similarity set wnid = 'n00000002'",
    (
        "core.image_query_similarity",
        "only_pictures_that_take_part",
    ): "update core.image_query_similarity set image_id = '7'",
    (
        "core.class_similarity",
        "pairs_are_those_of_the_images",
    ): "update core.class_similarity set images = 6 where image_set = 'v'",
    (
        "core.class_similarity",
        "intervals_hold_the_mean",
    ): "update core.class_similarity set pairs_ci_high = 0.49 where image_set = 'v'",
    (
        "core.class_similarity",
        "duplicates_leave_a_picture",
    ): "update core.class_similarity set n_exact = 4 where image_set = 'v'",
    (
        "core.class_similarity",
        "the_histogram_has_every_pair",
    ): "update core.class_similarity set histogram = [1, 2] where image_set = 'v'",
    (
        "core.class_similarity",
        "every_class_with_vectors_is_there",
    ): "delete from core.class_similarity where image_set = 'v'",
    ("core.pool", "it_is_what_the_recipe_chose"): "delete from core.laionet where sample_id = 3",
    ("core.pool", "every_pool_has_pictures"): "delete from core.pool",
    (
        "core.frontier",
        "no_point_has_more_than_the_reference",
    ): "update core.frontier set image_threshold = null where point = 'B'",
    ("core.frontier", "more_text_less_image"): "update core.frontier set image_threshold = 0 where point = 'D'",
    (
        "core.arms",
        "text_image_and_random_choose_equally_many",
    ): "delete from core.arms where arm = 'image' "
    "and sample_id = (select max(sample_id) from core.arms where arm = 'image')",
    ("core.arms", "points_are_those_of_the_frontier"): "delete from core.arms where arm = 'C'",
    ("marts.frontier", "every_point_is_there"): "delete from marts.frontier where point = 'C'",
    **{
        ("core.arm_similarity", name): query
        for name, query in {
            "pairs_are_those_of_the_images": "update core.arm_similarity set images = 6 where arm = 'A'",
            "intervals_hold_the_mean": "update core.arm_similarity set pairs_ci_high = 0.49",
            "duplicates_leave_a_picture": "update core.arm_similarity set n_exact = 12",
            "the_histogram_has_every_pair": "update core.arm_similarity set histogram = [1, 2]",
            "who_chose_does_not_measure": "update core.arm_similarity set encoder = 'e'",
            "every_picture_of_an_arm_is_measured": "delete from core.arm_similarity where arm = 'A'",
        }.items()
    },
    (
        "marts.counterfactual",
        "the_difference_is_that_of_the_means",
    ): "update marts.counterfactual set mean = 0.5 where measure = 'recall'",
    (
        "marts.counterfactual",
        "who_chose_does_not_measure",
    ): "update marts.counterfactual set model = 'e' where measure = 'recall'",
    (
        "marts.frontier_similarity",
        "the_difference_is_that_of_the_means",
    ): "update marts.frontier_similarity set pooled_mean = 0 where point = 'D'",
    (
        "marts.frontier_similarity",
        "points_stand_beside_each_other_both_ways",
    ): "delete from marts.frontier_similarity where point = 'D'",
    ("marts.model_rankings", "two_different_sets_one_way"): "update marts.model_rankings set other_image_set = 'r'",
    ("marts.model_robustness", "five_baselines_make_a_line"): "update marts.model_robustness set baselines = 4",
    (
        "marts.model_robustness",
        "residuals_of_the_baselines_cancel",
    ): "update marts.model_robustness set effective_robustness = 0.1",
    (
        "marts.image_query_similarity",
        "figures_are_in_order",
    ): "update marts.image_query_similarity set mean_similarity = 0.9",
    ("marts.image_query_shares", "shares_are_of_one_whole"): "update marts.image_query_shares set higher = 0.8",
    (
        "marts.image_query_shares",
        "every_pair_stands_both_ways",
    ): "delete from marts.image_query_shares where image_set = 'v'",
    ("marts.probe", "intervals_hold_the_area"): "update marts.probe set auc = 0.9",
    ("marts.probe", "a_recipe_and_a_local_set"): "update marts.probe set other_image_set = 'r'",
    (
        "marts.nearest_images",
        "no_more_is_shared_than_there_is",
    ): "update marts.nearest_images set shared_exact = 3",
    (
        "marts.equally_near",
        "differences_lie_in_their_intervals",
    ): "update marts.equally_near set difference_kept = 0.4",
    ("marts.equally_near", "no_more_stays_than_there_was"): "update marts.equally_near set images_kept = 6",
    ("marts.caption_terms", "z_has_the_sign_of_the_log_odds"): "update marts.caption_terms set z = 2",
    ("marts.caption_terms", "words_are_in_enough_captions"): "update marts.caption_terms set other_captions = 0",
    (
        "core.caption_senses",
        "only_captions_that_are_kept",
    ): "update core.caption_senses set wnid = 'n00000002'",
    (
        "core.confusable_classes",
        "no_class_is_confused_with_itself_alone",
    ): "delete from core.confusable_classes where wnid = 'n00000002'",
    (
        "core.label_doubts",
        "every_picture_that_takes_part_is_there",
    ): "delete from core.label_doubts where image_set = 'v' and image_id = '1'",
    (
        "core.label_doubts",
        "what_a_judge_got_right_is_not_disagreed",
    ): "update core.label_doubts set is_disagreed = true",
    (
        "marts.label_errors",
        "the_rate_lies_in_its_interval",
    ): "update marts.label_errors set error_rate = 0.5",
    (
        "marts.label_errors",
        "no_more_is_judged_than_there_is",
    ): "update marts.label_errors set pictures = 4",
    (
        "marts.gaps_without_noise",
        "the_gap_is_that_of_the_accuracies",
    ): "update marts.gaps_without_noise set gap = 0.2",
    (
        "marts.gaps_without_noise",
        "nothing_left_out_is_nothing",
    ): "update marts.gaps_without_noise set classes = 2 where without = 'label_errors'",
    (
        "marts.intra_class_similarity",
        "intervals_hold_the_mean",
    ): "update marts.intra_class_similarity set ci_low = 0.55",
    (
        "marts.intra_class_similarity_paper",
        "intervals_hold_the_mean",
    ): "update marts.intra_class_similarity_paper set ci_high = 0.45",
    ("marts.similarity_histogram", "shares_add_up"): "update marts.similarity_histogram set share = 0.1 where bin = 2",
    (
        "marts.similarity_comparison",
        "verdicts_go_with_the_interval",
    ): "update marts.similarity_comparison set is_lower = true where image_set = 'v'",
    (
        "marts.similarity_comparison",
        "every_pair_stands_both_ways",
    ): "update marts.similarity_comparison set difference = 0.2 where image_set = 'v'",
    ("marts.similarity_shares", "shares_fit_each_other"): "update marts.similarity_shares set higher = 0.5",
    (
        "marts.similarity_shares",
        "the_pooled_difference_is_that_of_the_means",
    ): "update marts.similarity_shares set pooled_difference = 0",
    (
        "marts.cross_set_similarity",
        "intervals_hold_the_mean",
    ): "update marts.cross_set_similarity set ci_low = 0.35",
    (
        "marts.cross_set_similarity",
        "two_different_sets",
    ): "update marts.cross_set_similarity set other_image_set = 'v'",
    ("marts.similarity_curves", "ranks_have_no_gap"): "update marts.similarity_curves set class_rank = 2",
    (
        "marts.class_profile",
        "no_set_is_compared_with_itself",
    ): "update marts.class_profile set other_image_set = 'v'",
    (
        "marts.class_correlations",
        "both_coefficients_have_one_sign",
    ): "update marts.class_correlations set kendall = -0.3",
    ("marts.claims", "measured_or_told_what_lacks"): "update marts.claims set here = null where claim = 'C4'",
    ("marts.claims", "intervals_hold_the_figure"): "update marts.claims set here = 0.9 where claim = 'C4'",
    ("marts.claims", "every_claim_is_there"): "delete from marts.claims where claim = 'C4'",
}
MADE = (
    "core.image_query_similarity", "marts.image_query_similarity", "core.frontier", "core.arms", "marts.frontier",
    "core.label_doubts",
    "marts.intra_class_similarity", "marts.intra_class_similarity_paper", "marts.similarity_histogram",
    "marts.similarity_curves",
)  # fmt: skip


def good_tables() -> Iterator[Database]:
    """Tables on which no check finds anything."""
    made = Database()
    for table, rows in GOOD.items():
        made.put(table, rows)
    for table in MADE:
        made.make(table)
    yield made
    made.connection.close()


good = pytest.fixture(good_tables, scope="module")


class TestChecks(SpoiltChecks):
    spoilt = SPOILT
