"""Accuracy gaps between image sets."""

import random
from typing import Any

import pyarrow as pa
import pytest

from laionet_assets.stats.gaps import accuracy_gaps
from laionet_assets.stats.intervals import combine_recalls

RECALLS = pa.schema(
    [
        ("image_set", pa.string()),
        ("model", pa.string()),
        ("k", pa.int32()),
        ("wnid", pa.string()),
        ("recall", pa.float64()),
        ("se", pa.float64()),
    ]
)
WEIGHTS = pa.schema(
    [
        ("image_set", pa.string()),
        ("weighting", pa.string()),
        ("wnid", pa.string()),
        ("label_list", pa.string()),
        ("weight", pa.float64()),
    ]
)
GRAIN = ("image_set", "other_image_set", "model", "k", "weighting")
Key = tuple[Any, ...]


def recalls(rows: list[tuple[str, str, int, str, float, float]]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(RECALLS.names, row, strict=True)) for row in rows], schema=RECALLS)


def laion(lists: dict[str, tuple[str, dict[str, float]]]) -> pa.Table:
    rows = [
        {"image_set": image_set, "weighting": "laion", "wnid": wnid, "label_list": label_list, "weight": weight}
        for image_set, (label_list, weights) in lists.items()
        for wnid, weight in weights.items()
    ]
    return pa.Table.from_pylist([*rows, {**rows[0], "weighting": "equal", "weight": 1.0}] if rows else [], WEIGHTS)


def by_key(rows: list[dict[str, Any]]) -> dict[Key, dict[str, Any]]:
    found = {tuple(row[name] for name in GRAIN): row for row in rows}
    assert len(found) == len(rows)
    return found


SMALL = recalls(
    [
        ("val", "m", 1, "n1", 0.9, 0.1),
        ("val", "m", 1, "n2", 0.8, 0.1),
        ("val", "m", 1, "n3", 0.1, 0.2),
        ("web", "m", 1, "n1", 0.5, 0.3),
        ("web", "m", 1, "n2", 0.6, 0.2),
        ("web", "m", 1, "n9", 0.0, 0.2),
        ("web", "other", 1, "n1", 0.7, 0.2),
        ("far", "m", 5, "n1", 0.7, 0.2),
    ]
)
LISTS = laion({name: ("web", {"n1": 0.75, "n2": 0.25, "n9": 0.0}) for name in ("web", "val")})


def test_only_classes_of_both_count_and_only_pairs_that_share_some() -> None:
    found = by_key(accuracy_gaps(SMALL, LISTS))
    assert sorted(found) == [
        ("val", "web", "m", 1, "equal"),
        ("val", "web", "m", 1, "laion"),
        ("web", "val", "m", 1, "equal"),
        ("web", "val", "m", 1, "laion"),
    ]
    equal = found["web", "val", "m", 1, "equal"]
    assert equal["classes"] == 2 and equal["label_list"] is None
    assert equal["accuracy"] == pytest.approx(0.55)
    assert equal["other_accuracy"] == pytest.approx(0.85)
    assert equal["gap"] == pytest.approx(-0.3)
    assert equal["se"] == pytest.approx((0.1**2 + 0.1**2 + 0.3**2 + 0.2**2) ** 0.5 / 2)
    assert equal["ci_low"] == pytest.approx(equal["gap"] - 1.96 * equal["se"])
    assert equal["bootstrap_low"] == pytest.approx(-0.4) and equal["bootstrap_high"] == pytest.approx(-0.2)
    weighted = found["web", "val", "m", 1, "laion"]
    assert weighted["gap"] == pytest.approx(0.75 * -0.4 + 0.25 * -0.2)
    assert weighted["label_list"] == "web"


def test_against_the_definition_on_random_recalls() -> None:
    dice = random.Random(5)
    wnids = [f"n{i}" for i in range(30)]
    rows = [
        (image_set, model, k, wnid, dice.random(), dice.uniform(0.01, 0.3))
        for image_set in "abc"
        for model in ("m1", "m2")
        for k in (1, 5)
        for wnid in dice.sample(wnids, 25)
    ]
    weights = {wnid: dice.choice([0.0, dice.random()]) for wnid in wnids}
    found = by_key(accuracy_gaps(recalls(rows), laion({name: ("b", weights) for name in "abc"}), resamples=200))
    assert len(found) == 3 * 2 * 2 * 2 * 2
    table = {row[:4]: row[4:] for row in rows}
    for (one, other, model, k, weighting), row in found.items():
        weight = weights if weighting == "laion" else dict.fromkeys(wnids, 1.0)
        shared = [w for w in wnids if weight.get(w) and (one, model, k, w) in table and (other, model, k, w) in table]
        sides = [
            combine_recalls(
                [table[name, model, k, w][0] for w in shared],
                [table[name, model, k, w][1] for w in shared],
                [weight[w] for w in shared],
            )
            for name in (one, other)
        ]
        assert row["classes"] == len(shared)
        assert row["gap"] == pytest.approx(sides[0][0] - sides[1][0], abs=1e-12)
        assert row["se"] == pytest.approx((sides[0][1] ** 2 + sides[1][1] ** 2) ** 0.5, rel=1e-12)
        assert row["bootstrap_low"] < row["gap"] < row["bootstrap_high"]


def test_laion_weights_are_those_of_the_side_that_owns_a_list() -> None:
    lists = laion(
        {
            "r": ("r", {"n1": 1.0}),
            "s": ("s", {"n2": 1.0}),
            "photos": ("s", {"n2": 1.0}),
            "more": ("s", {"n2": 1.0}),
        }
    )
    rows = [(name, "m", 1, wnid, 0.5, 0.1) for name in ("r", "s", "photos", "more") for wnid in ("n1", "n2")]
    found = by_key(accuracy_gaps(recalls(rows), lists))
    used = {key[:2]: row["label_list"] for key, row in found.items() if key[-1] == "laion"}
    assert used["r", "s"] == "r" and used["s", "r"] == "s"
    assert used["photos", "r"] == "r" and used["r", "photos"] == "r"
    assert used["photos", "more"] == "s" and used["more", "photos"] == "s"


def test_a_single_class_has_no_bootstrap_interval() -> None:
    rows = [("a", "m", 1, "n1", 0.5, 0.1), ("b", "m", 1, "n1", 0.25, 0.1)]
    found = by_key(accuracy_gaps(recalls(rows), laion({})))
    row = found["a", "b", "m", 1, "equal"]
    assert row["gap"] == pytest.approx(0.25) and row["classes"] == 1
    assert row["bootstrap_se"] is None and row["bootstrap_low"] is None and row["bootstrap_high"] is None


def test_the_order_of_the_rows_does_not_matter() -> None:
    shuffled = SMALL.take(random.Random(3).sample(range(SMALL.num_rows), SMALL.num_rows))
    assert accuracy_gaps(shuffled, LISTS.slice(0, 6)) == accuracy_gaps(SMALL, LISTS)


def test_models_with_other_classes_do_not_disturb_each_other() -> None:
    rows = [
        *[(name, "whole", 1, f"n{i}", i / 10, 0.1) for name in ("a", "b") for i in range(8)],
        *[("a", "half", 1, f"n{i}", 0.5, 0.1) for i in range(4)],
        *[("b", "half", 1, f"n{i}", 0.25, 0.1) for i in range(2, 8)],
    ]
    found = by_key(accuracy_gaps(recalls(rows), laion({})))
    assert found["a", "b", "half", 1, "equal"]["classes"] == 2
    assert found["a", "b", "whole", 1, "equal"]["classes"] == 8


@pytest.mark.parametrize("rows", [[], [("alone", "m", 1, "n1", 0.5, 0.1)]])
def test_nothing_to_compare(rows: list[Any]) -> None:
    assert accuracy_gaps(recalls(rows), laion({})) == []
