"""Rows of marts.intra_class_similarity."""

import numpy as np
import pyarrow as pa
import pytest

from laionet_assets.stats.comparison import compare, pooled_means, shares
from laionet_assets.stats.intra_class import ClassImages, class_means, drawn_means, summarise_classes
from laionet_assets.stats.similarity import ClassVectors


def vectors(images: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(images, 16)) + rng.normal(size=16)).astype(np.float32)


def summary(images: ClassImages, **settings: int) -> tuple[dict, np.ndarray]:
    (found,) = summarise_classes([images], **settings)
    return found.row, found.histogram


def test_a_class_in_one_row() -> None:
    table = vectors(8)
    row, histogram = summary(ClassImages("n1", [f"web/{i}" for i in range(8)], table))
    whole = ClassVectors(table)
    assert (row["wnid"], row["images"], row["pairs"], histogram.sum()) == ("n1", 8, 28, 28)
    right, published = whole.jackknife(), whole.independent_pairs()
    assert (row["mean_similarity"], row["se"], row["ci_low"], row["ci_high"]) == (
        right.mean, right.se, right.low, right.high,
    )  # fmt: skip
    assert (row["pairs_se"], row["pairs_ci_low"]) == (published.se, published.low)
    assert row["mean_distinct"] == row["mean_similarity"] and row["n_exact"] == row["n_near"] == 0
    assert row["vendi"] == pytest.approx(whole.vendi())
    assert row["drawn_pairs"] == 28 and row["drawn_mean"] == pytest.approx(whole.drawn_pairs("n1").mean())


def test_duplicates_are_counted_and_left_out_beside_kept() -> None:
    table = vectors(6)
    again = np.concatenate([table, table[:2]])
    ids = ["3", "4", "5", "6", "7", "8", "1", "9"]
    row, _ = summary(ClassImages("n1", ids, again, sha256=["a", *"bcdef", "a", None]))
    assert (row["n_exact"], row["n_near"]) == (1, 1)
    assert row["mean_distinct"] == pytest.approx(ClassVectors(table).mean(), abs=1e-12)
    assert row["mean_similarity"] == pytest.approx(ClassVectors(again).mean(), abs=1e-12)
    assert row["mean_similarity"] > row["mean_distinct"]
    assert row["se_distinct"] == pytest.approx(ClassVectors(table).jackknife().se, abs=1e-12)
    row, _ = summary(ClassImages("n1", ids, vectors(8), hashes=[0, 1, *range(100, 106 * 2**20, 21 * 2**20)][:8]))
    assert row["n_near"] >= 1


def test_classes_of_few_images_have_what_can_be_had() -> None:
    row, histogram = summary(ClassImages("n1", [], np.empty((0, 16))))
    assert row["images"] == row["pairs"] == row["drawn_pairs"] == 0 and histogram.sum() == 0
    assert all(row[name] is None for name in ("mean_similarity", "ci_low", "mean_distinct", "vendi", "drawn_mean"))
    row, _ = summary(ClassImages("n1", [1], vectors(1)))
    assert row["mean_similarity"] is None and row["vendi"] == pytest.approx(1)
    row, _ = summary(ClassImages("n1", [1, 2], vectors(2)))
    assert row["mean_similarity"] is not None and row["ci_low"] is row["pairs_ci_low"] is None
    row, _ = summary(ClassImages("n1", [1, 2, 3], np.ones((3, 16))))
    assert row["mean_distinct"] is None and row["n_near"] == 2


def test_what_needs_the_whole_matrix_is_made_of_a_sample() -> None:
    table = vectors(40)
    row, histogram = summary(ClassImages("n1", list(range(40)), table), max_images=10)
    assert histogram.sum() == 45 and row["vendi"] <= 10
    assert row["mean_similarity"] == pytest.approx(ClassVectors(table).mean(), abs=1e-12)
    order = np.random.default_rng(0).permutation(40)
    again, same = summary(ClassImages("n1", order.tolist(), table[order]), max_images=10)
    assert (same == histogram).all() and again["vendi"] == pytest.approx(row["vendi"])


def rows(seed: int, *, repeated: int = 0) -> pa.Table:
    """Classes of 1 to 8 images, the first of each so many times more."""
    classes = []
    for images in range(1, 9):
        table = vectors(images, seed * 100 + images)
        table = np.concatenate([table, np.repeat(table[:1], repeated, axis=0)])
        classes.append(ClassImages(f"n{images}", list(range(len(table))), table))
    return pa.Table.from_pylist([found.row for found in summarise_classes(classes)])


def test_rows_become_what_is_compared_by_profile() -> None:
    table = rows(1)
    corrected, paper = class_means(table, "corrected"), class_means(table, "paper")
    assert corrected.wnids.tolist() == paper.wnids.tolist() == [f"n{i}" for i in range(2, 9)]
    assert corrected.degrees.tolist() == [1, 2, 3, 4, 5, 6, 7] and paper.degrees is None
    assert np.isnan(corrected.se).tolist() == [True] + [False] * 6, "two images have no jackknife"
    assert np.isnan(paper.se).tolist() == [True] * 3 + [False] * 4, "fewer than 7 pairs"
    assert (paper.mean == corrected.mean).all()
    repeated = class_means(rows(1, repeated=2), "corrected", is_distinct=True)
    assert repeated.mean == pytest.approx(corrected.mean, abs=1e-9)
    assert repeated.degrees.tolist() == corrected.degrees.tolist()
    assert repeated.se == pytest.approx(corrected.se, abs=1e-9, nan_ok=True)
    for profile, is_distinct in (("other", False), ("paper", True)):
        with pytest.raises(ValueError, match="found profile"):
            class_means(table, profile, is_distinct=is_distinct)


def test_rows_go_all_the_way_to_shares_and_pooled_means() -> None:
    one, other = rows(1), rows(2)
    found = shares(compare(class_means(one, "corrected"), class_means(other, "corrected")))
    assert (found.classes, found.tested) == (7, 6)
    assert shares(compare(class_means(one, "paper"), class_means(other, "paper"))).tested == 4
    pooled = pooled_means({"one": drawn_means(one), "other": drawn_means(other)})
    weights = [min(n * (n - 1) // 2, 100) for n in range(2, 9)]
    expected = np.average([row["drawn_mean"] for row in one.to_pylist()[1:]], weights=weights)
    assert pooled["one"].value == pytest.approx(expected) and pooled["one"].units == 7
