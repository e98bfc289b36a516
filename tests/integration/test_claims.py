"""marts.claims from made-up tables: what is judged, what lacks, and what `laionet report` shows."""

from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.integration.test_alikeness import CLASSES
from tests.integration.world import CONFIG, PART, World

pytestmark = pytest.mark.integration

MODELS = [f"m{i}" for i in range(5)]
OF_DOUBTS = ("core.image_labels", "core.label_doubts", "core.confusable_classes", "marts.probe")
V2 = {"a": 0.73, "b": 0.85, "c": 0.93}


def world(
    folder: Path,
    *,
    similarity: dict[str, float],
    recall: dict[str, float],
    arms: list[dict[str, Any]] | None = None,
    recipes: tuple[dict[str, Any], ...] = (),
) -> World:
    """Recipe `paper` and three image sets whose classes have these means, give or take a little; other recipes, and
    rows of core.arm_similarity.
    """
    rng = np.random.default_rng(0)
    sets = [{"name": n, "layout": "imagefolder", "path": "./parts", "selection_frequency": f} for n, f in V2.items()]
    (folder / "captions.csv").write_text("filename,caption\n")
    sets[2]["captions"] = "./captions.csv"
    encoders = [{"name": name, "model": f"timm:tf_efficientnet_lite{i}"} for i, name in enumerate(("chooser", "e"))]
    given = {"image_sets": sets, "image_encoders": encoders, "recipes": [*CONFIG["recipes"], *recipes]}
    given |= {"neighbours": {"name": "near"}}
    made = World(folder, CONFIG | given)
    made.make("raw.recipes", "raw.image_sets", "raw.neighbours")
    alike, recalls, weights, profiles = [], [], [], []
    similarity |= {"near": similarity["paper"]}
    recall |= {"near": recall["paper"]}
    for name in ("paper", *V2, "near"):
        for i, wnid in enumerate(CLASSES):
            mean = similarity[name] + 0.01 * rng.normal()
            row = {"image_set": name, "encoder": "e", "wnid": wnid, "images": 20, "pairs": 190, "mean_similarity": mean}
            bounds = {"se": 0.01, "pairs_se": 0.002, "drawn_pairs": 100, "drawn_mean": mean}
            bounds |= {"mean_distinct": mean - 0.3 * (name == "near"), "se_distinct": 0.01, "n_exact": 1, "n_near": 2}
            alike += [row | bounds | {"profile": profile} for profile in ("paper", "corrected")]
            weights += [
                {"image_set": name, "weighting": "equal", "wnid": wnid, "weight": 1},
                {"image_set": name, "weighting": "laion", "wnid": wnid, "weight": (12 - i) / 78},
            ]
            for j, model in enumerate(MODELS):
                value = recall[name] + 0.02 * i + 0.03 * j
                recalls.append({"image_set": name, "model": model, "k": 1, "wnid": wnid, "n": 20, "recall": value})
    for other in V2:
        means = {(r["image_set"], r["wnid"]): r["mean_similarity"] for r in alike if r["profile"] == "corrected"}
        ordered = sorted(CLASSES, key=lambda wnid: means["paper", wnid] - means[other, wnid])
        profiles += [
            {"image_set": "paper", "other_image_set": other, "encoder": "e", "model": "m0", "wnid": wnid, "images": 20,
             "recall": 0.05 * rank, "mean_similarity": means["paper", wnid],
             "similarity_difference": means["paper", wnid] - means[other, wnid]}
            for rank, wnid in enumerate(ordered)
        ]  # fmt: skip
    made.publish("raw.parts", [{"source": "web", "part": "part-0", "adapter": "laion400m", "pairs": 100}], PART)
    models = [{"model": m, "position": i, "is_zero_shot": m == "clip"} for i, m in enumerate((*MODELS, "clip"))]
    made.publish("raw.predictors", models)
    labels = []
    correct = []
    for name in ("paper", *V2):
        for i, wnid in enumerate(CLASSES):
            for j in range(20):
                picture = {"image_set": name, "image_id": f"{name}/{wnid}/{j}", "wnid": wnid}
                labels.append(picture | {"is_admitted": True})
                is_right = j < 20 * (recall[name] + 0.02 * i)
                correct += [picture | {"model": m, "top_1_is_correct": is_right} for m in (*MODELS, "clip")]
            labels.append({"image_set": name, "image_id": f"{name}/{wnid}/lost", "wnid": wnid, "is_admitted": False})
            value = recall[name] + 0.02 * i
            recalls.append({"image_set": name, "model": "clip", "k": 1, "wnid": wnid, "n": 20, "recall": value})
    made.publish("core.image_labels", labels)
    made.publish("core.correctness", correct)
    made.publish("core.label_doubts", [
        {name: row[name] for name in ("image_set", "image_id", "wnid")}
        | {"is_disagreed": row["model"] == "clip" and not row["top_1_is_correct"]}
        for row in correct if row["model"] == "clip"
    ])  # fmt: skip
    made.publish("core.confusable_classes", [])
    made.publish("marts.probe", [
        {"image_set": "paper", "other_image_set": name, "encoder": "e", "wnid": wnid, "images": 40, "classes": 12,
         "auc": 0.8, "ci_low": 0.7, "ci_high": 0.9} for name in V2 for wnid in ("*", CLASSES[0])
    ])  # fmt: skip
    for name in ("core.laionet", "core.arms"):
        made.publish(name, [])
    made.publish("core.arm_similarity", arms or [])
    made.publish("core.text_ranks", ranks(-1 if similarity["paper"] < 0.5 else 1))
    for name, rows in (("core.class_similarity", alike), ("marts.class_recall", recalls)):
        made.publish(name, rows)
    made.publish("core.class_weights", weights)
    made.publish("marts.class_profile", profiles)
    made.make("marts.claims")
    return made


def ranks(sign: int) -> list[dict[str, Any]]:
    """Captions of image set `c`, 20 a class, of which fewer (or, with sign 1, more) false classes are nearer the more
    they are like their own.
    """
    return [
        {"profile": profile, "encoder": "t", "image_set": "c", "name": f"{wnid}/{i}", "wnid": wnid,
         "similarity": i / 20, "nearer": 0, "classes": 12, "share_nearer": 0.5 + sign * i / 50}
        for profile in ("paper", "corrected") for wnid in CLASSES for i in range(20)
    ]  # fmt: skip


def verdicts(made: World, **where: str) -> dict[tuple[str, ...], Any]:
    condition = " and ".join(f"{name} = '{value}'" for name, value in where.items()) or "true"
    rows = made.rows(f"select claim, image_set, profile, holds, here from marts_claims where {condition}")
    return {tuple(row[:3]): row[3:] for row in rows}


@pytest.fixture(scope="module")
def effect(tmp_path_factory: pytest.TempPathFactory) -> World:
    similarity = {"paper": 0.40, "a": 0.38, "b": 0.44, "c": 0.60}
    recall = {"paper": 0.3, "a": 0.45, "b": 0.4, "c": 0.5}
    return world(tmp_path_factory.mktemp("claims"), similarity=similarity, recall=recall)


def test_what_the_tables_show_is_judged(effect: World) -> None:
    found = verdicts(effect, recipe="paper")
    assert found["C4", "c", "corrected"] == ("yes", 1.0)
    assert found["C4", "c", "paper"][0] == "yes"
    assert found["C4", "a", "paper"][0] == "no"
    holds, here = found["C3a", "c", "paper"]
    assert holds == "yes" and here == pytest.approx(-0.2)
    assert found["C3b", "*", "paper"][0] == "yes", "frequent classes have lower recalls here"
    assert found["C5", "c", "corrected"] == ("yes", pytest.approx(1.0))
    assert found["N3", "c", "paper"][0] == "yes"
    assert found["N5", "c", "paper"] == ("yes", pytest.approx(0.8))
    assert found["N4", "c", "paper"] == ("no", pytest.approx(1 - 0.61, abs=0.05)), "without what is wrong all is right"
    assert found["C6", "*", "corrected"][1] > 0


def test_nearest_captions_are_judged_on_distinct_pictures(effect: World) -> None:
    rows = effect.rows(
        "select profile, recipe, image_set, model, holds, here from marts_claims where claim = 'C9' order by profile"
    )
    assert [row[:4] for row in rows] == [("corrected", "near", "c", "e"), ("paper", "near", "c", "e")]
    assert [row[4:] for row in rows] == [("yes", 1.0), ("yes", 1.0)]
    assert effect.rows("select distinct image_set from marts_claims where claim = 'C4' and image_set = 'near'") == []


def test_captions_are_judged(effect: World) -> None:
    rows = effect.rows("select profile, image_set, model, holds, here, statement from marts_claims where claim = 'C8'")
    assert [row[:4] for row in sorted(rows)] == [("corrected", "c", "t", "yes"), ("paper", "c", "t", "yes")]
    least, most = np.mean([0, 1, 2, 3]), np.mean([16, 17, 18, 19])
    assert all(row[4] == pytest.approx((most - least) / 50) for row in rows)
    assert all("cdf(0.05) = 0.000 here" in row[5] for row in rows)


@pytest.mark.slow
def test_the_opposite_flips_the_verdicts(tmp_path: Path) -> None:
    similarity = {"paper": 0.80, "a": 0.38, "b": 0.44, "c": 0.60}
    recall = {"paper": 0.6, "a": 0.45, "b": 0.4, "c": 0.3}
    made = world(tmp_path, similarity=similarity, recall=recall)
    found = verdicts(made, recipe="paper")
    assert found["C4", "c", "corrected"] == ("no", -1.0)
    assert found["C3a", "c", "paper"][0] == "no"
    assert found["C6", "*", "corrected"] == ("no", 0.0)
    ((holds,),) = made.rows("select distinct holds from marts_claims where claim = 'C8'")
    assert holds == "no"
    found = dict(made.rows("select profile, holds from marts_claims where claim = 'C9'"))
    assert found == {"corrected": "yes", "paper": "no"}, "without the duplicates 0.5 is left of 0.8"


def test_what_cannot_be_judged_says_what_lacks(effect: World) -> None:
    rows = effect.rows("select claim, here, missing from marts_claims where holds = 'not_measured'")
    assert {claim for claim, *_ in rows} >= {"C1", "C7", "N1", "N2"}
    assert all(here is None and missing for _, here, missing in rows)
    assert effect.rows("select distinct data from marts_claims") == [("web",)]


def test_the_report_shows_the_claims(effect: World) -> None:
    from rich.console import Console

    from laionet_assets.commands.summary import findings

    console = Console(width=220, record=True, file=StringIO())
    for table in findings(effect.pipeline.warehouse, [step.model for step in effect.pipeline.steps]):
        console.print(table)
    text = console.export_text()
    assert "claims" in text and "C4" in text and "not_measured" in text


def test_a_set_that_is_alone_has_rows_that_say_so(tmp_path: Path) -> None:
    made = World(tmp_path, CONFIG)
    made.make("raw.recipes", "raw.image_sets")
    made.publish("raw.parts", [{"source": "web", "part": "part-0", "adapter": "coyo"}], PART)
    for name in ("raw.predictors", "core.laionet", "core.class_similarity", "core.class_weights", "core.arms"):
        made.publish(name, [])
    for name in ("core.arm_similarity", "core.correctness", "core.text_ranks", *OF_DOUBTS):
        made.publish(name, [])
    for name in ("marts.class_recall", "marts.class_profile"):
        made.publish(name, [])
    made.make("raw.neighbours")
    made.make("marts.claims")
    assert made.rows("select distinct holds from marts_claims") == [("not_measured",)]
    assert {row[0] for row in made.rows("select distinct missing from marts_claims where claim = 'C4'")} == {
        "an image set beside LAIONet (image_sets in laionet.yaml)"
    }


@pytest.mark.slow
def test_a_pool_judges_what_choosing_by_pictures_does(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    means = {"text": 0.4, "image": 0.6, "random": 0.4, "A": 0.5, "D": 0.65}
    row = {"recipe": "wide", "encoder": "e", "images": 10, "pairs": 45, "se": 0.01, "drawn_pairs": 45}
    arms = []
    for arm, mean in means.items():
        for wnid in CLASSES:
            here = mean + 0.01 * rng.normal()
            arms.append({**row, "arm": arm, "wnid": wnid, "mean_similarity": here, "drawn_mean": here})
    pool = {"name": "wide", "encoder": "minilm", "text_threshold": 0.4, "image_similarity": {"encoder": "chooser"}}
    level = {name: 0.6 for name in ("paper", *V2)}
    made = world(tmp_path, similarity=level, recall=dict.fromkeys(level, 0.5), arms=arms, recipes=(pool,))
    rows = made.rows("select claim, image_set, model, holds, here from marts_claims where recipe = 'wide' order by all")
    assert {(claim, image_set): holds for claim, image_set, _, holds, _ in rows} == {
        ("C7", "*"): "yes", ("C7", "a"): "yes", ("C7", "b"): "yes", ("C7", "c"): "yes", ("N1", "*"): "yes",
        ("N2", "*"): "not_measured",
    }  # fmt: skip
    found = {(claim, image_set): here for claim, image_set, _, _, here in rows}
    assert found["C7", "*"] == pytest.approx(0.15, abs=0.02)
    assert found["N1", "*"] == pytest.approx(-0.2, abs=0.02)
    assert {model for *_, model, holds, _ in rows if holds == "yes"} == {"e"}, "the chooser measures nothing"


def test_what_clip_has_no_prediction_for_is_left_out_or_wrong(effect: World) -> None:
    rows = effect.rows(
        "select measure, image_set, holds, here from marts_claims where claim = 'C2' and recipe = 'paper' order by all"
    )
    found = {(measure.rpartition(", ")[2], image_set): here for measure, image_set, _, here in rows}
    assert found["missing left out", "c"] == pytest.approx(-0.2)
    assert found["missing as wrong", "c"] == pytest.approx(-0.2 * 20 / 21, abs=0.01), "a picture in 21 is lost"
    assert {holds for *_, holds, _ in rows} == {"no"}
