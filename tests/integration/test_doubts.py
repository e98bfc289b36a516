"""Is it only noise, and can one tell the sets apart: made-up pictures and predictions, beside a few lines of numpy."""

import hashlib

import numpy as np
import pytest

from tests.integration.test_alikeness import CLASSES
from tests.integration.world import CONFIG, PART, World

pytestmark = pytest.mark.integration

IMAGES = 20
SETTINGS = CONFIG | {
    "image_sets": [
        {"name": "curated", "layout": "imagefolder", "path": "./parts"},
        {"name": "fresh", "layout": "imagefolder", "path": "./parts", "selection_frequency": 0.7},
    ],
    "recipes": [{"name": "web", "matching": "corrected", "encoder": "minilm", "text_threshold": 0.5}],
}
MODELS = ("one", "two")


def is_right(image_set: str, i: int, model: str) -> bool:
    """The web's first four pictures are nobody's; of the others `two` has fewer right. Those of sets are right."""
    return image_set != "web" or (i >= 4 and i % (5 if model == "one" else 3) > 0)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World(tmp_path_factory.mktemp("doubts"), SETTINGS)
    rng = np.random.default_rng(0)
    labels, correct, predictions, compared, embedded = ([] for _ in range(5))
    for c, wnid in enumerate(CLASSES):
        for image_set, shift in (("web", 0.6), ("curated", 0.0), ("fresh", 0.1)):
            for i in range(IMAGES):
                mark = f"{wnid}/{i}/{'both' if i == 7 and image_set != 'fresh' else image_set}"
                picture = {"image_set": image_set, "image_id": f"{image_set}/{wnid}/{i}", "wnid": wnid}
                sha256 = hashlib.sha256(mark.encode()).hexdigest()
                labels.append(picture | {"sha256": sha256, "is_admitted": True, "source": "web", "sample_id": i})
                for model in MODELS:
                    right = is_right(image_set, i, model)
                    correct.append(picture | {"model": model, "top_1_is_correct": right, "top_5_is_correct": right})
                    first = CLASSES[1] if (image_set, c, model) == ("curated", 0, "two") and i < 5 else wnid
                    key = {name: picture[name] for name in ("image_set", "image_id")}
                    predictions.append(key | {"model": model, "rank": 1, "wnid": first, "score": 0.9})
                vector = rng.normal(size=32) + 3 * np.eye(32)[c] + shift * np.eye(32)[31]
                vector /= np.linalg.norm(vector)
                row = {"image_set": image_set, "image_id": picture["image_id"], "encoder": "e", "sha256": sha256}
                read = {"readout": "mean_pool", "dimensions": 32, "embedding": vector.tolist()}
                embedded.append(row | read | {"profile": "both", "model_identity": "m"})
                row |= {"profile": "corrected", "look": "both", "model_identity": "m"}
                compared.append(row | {"wnid": wnid, "copies": 1})
    made.make("raw.recipes", "raw.image_sets")
    made.publish("raw.predictors", [{"model": m, "position": i, "is_zero_shot": False} for i, m in enumerate(MODELS)])
    made.publish("core.image_embeddings", [], PART)
    made.publish("core.caption_senses", [], PART)
    weights = [{"weighting": "equal", "wnid": wnid, "weight": 1.0} for wnid in CLASSES]
    made.publish("core.class_weights", [row | {"image_set": s} for row in weights for s in ("web", "curated", "fresh")])
    for name, rows in (
        ("core.image_labels", labels), ("core.correctness", correct), ("core.predictions", predictions),
        ("core.compared_images", compared), ("core.set_embeddings", embedded),
    ):  # fmt: skip
        made.publish(name, rows)
    made.make("core.judgements", "core.label_doubts", "core.confusable_classes", "marts.gaps_without_noise")
    made.make("marts.probe", "marts.nearest_images", "marts.equally_near")
    return made


def test_a_gap_without_what_nobody_sees_is_that_of_the_other_pictures(world: World) -> None:
    columns = "model, left_out, accuracy, other_accuracy, gap, ci_low, ci_high"
    query = f"select {columns} from marts_gaps_without_noise where image_set = 'curated'"
    for without, least in (("nothing", 0), ("disagreement", 4), ("label_errors", 4)):
        found = {row[0]: row[1:] for row in world.rows(f"{query} and without = '{without}'")}
        assert found.keys() == {*MODELS, "*"}
        nobody = [i for i in range(least, IMAGES) if not any(is_right("web", i, model) for model in MODELS)]
        kept = [i for i in range(IMAGES) if i >= least and (without == "nothing" or i not in nobody)]
        expected = {model: np.mean([is_right("web", i, model) for i in kept]) for model in MODELS}
        expected["*"] = np.mean(list(expected.values()))
        for model, (left_out, accuracy, other, gap, low, high) in found.items():
            assert left_out == pytest.approx(1 - len(kept) / IMAGES)
            assert (accuracy, other) == pytest.approx((expected[model], 1.0))
            assert gap == pytest.approx(expected[model] - 1) and low <= gap + 1e-12 and gap - 1e-12 <= high


def test_confusable_classes_are_left_out_of_both_sides(world: World) -> None:
    query = "select wnid, confused_with from core_confusable_classes where image_set = 'curated' order by all"
    assert world.rows(query) == [
        (CLASSES[0], CLASSES[0]), (CLASSES[1], CLASSES[0]),
    ]  # fmt: skip
    classes = dict(
        world.rows(
            "select without, min(classes) from marts_gaps_without_noise where image_set = 'curated' group by all"
        )
    )
    assert (classes["nothing"], classes["confusable"], classes["all_doubts"]) == (12, 10, 10)


def test_a_probe_sees_what_sets_the_sets_apart(world: World) -> None:
    rows = world.rows(
        "select wnid, images, classes, auc, ci_low, ci_high from marts_probe where other_image_set = 'curated'"
    )
    ((images, classes, auc, low, high),) = [row[1:] for row in rows if row[0] == "*"]
    assert (images, classes) == (2 * 10 * len(CLASSES), len(CLASSES)) and 0.5 < low < auc < high
    of_classes = [row for row in rows if row[0] != "*"]
    assert {row[1] for row in of_classes} == {2 * IMAGES} and len(of_classes) == len(CLASSES)
    assert all(low < auc < high for *_, auc, low, high in of_classes)


def test_nearest_pictures_are_those_of_numpy_and_shared_ones_are_counted(world: World) -> None:
    vectors = {key: np.array(v) for key, v in world.rows("select image_id, embedding from core_set_embeddings")}
    unit = {key: vector / np.linalg.norm(vector) for key, vector in vectors.items()}
    columns = "wnid, images, other_images, mean_nearest, median_nearest, shared_exact, shared_near"
    rows = world.rows(f"select {columns} from marts_nearest_images where other_image_set = 'curated'")
    assert len(rows) == len(CLASSES)
    for wnid, images, other_images, mean, median, exact, near in rows:
        sides = [np.array([unit[f"{name}/{wnid}/{i}"] for i in range(IMAGES)]) for name in ("web", "curated")]
        nearest = (sides[0] @ sides[1].T).max(axis=1)
        assert (images, other_images, exact, near) == (IMAGES, IMAGES, 1, (np.delete(nearest, 7) >= 0.98).sum())
        assert (mean, median) == pytest.approx((nearest.mean(), np.median(nearest)), abs=1e-5)


def test_two_sets_are_thinned_to_be_equally_near_to_a_third(world: World) -> None:
    rows = world.rows(
        "select model, images, other_images, images_kept, classes, difference, difference_kept "
        "from marts_equally_near where recipe = 'web' and image_set = 'fresh' and reference = 'curated'"
    )
    found = {model: numbers for model, *numbers in rows}
    assert found.keys() == {"e", *MODELS}
    vectors = {key: np.array(v) for key, v in world.rows("select image_id, embedding from core_set_embeddings")}
    unit = {key: vector / np.linalg.norm(vector) for key, vector in vectors.items()}
    sides = {
        name: [np.array([unit[f"{name}/{wnid}/{i}"] for i in range(IMAGES)]) for wnid in CLASSES]
        for name in ("web", "fresh", "curated")
    }
    near = {
        name: np.concatenate(
            [(one @ other.T).max(axis=1) for one, other in zip(sides[name], sides["curated"], strict=True)]
        )
        for name in ("web", "fresh")
    }
    cuts = np.quantile(np.concatenate([*near.values()]), np.arange(1, 20) / 20)
    slices = [np.bincount(np.searchsorted(cuts, near[name], side="right"), minlength=20) for name in near]
    images = IMAGES * len(CLASSES)
    assert {tuple(numbers[:3]) for numbers in found.values()} == {(images, images, np.minimum(*slices).sum())}
    means = {
        name: [(each @ each.T)[np.tril_indices(IMAGES, -1)].mean() for each in sides[name]] for name in ("web", "fresh")
    }
    _, _, _, classes, difference, kept = found["e"]
    assert classes == len(CLASSES)
    assert difference == pytest.approx(np.mean(means["web"]) - np.mean(means["fresh"]), abs=1e-6)
    assert kept != difference
    for model in MODELS:
        right = np.mean([is_right("web", i, model) for i in range(IMAGES)])
        assert found[model][4] == pytest.approx(right - 1)
