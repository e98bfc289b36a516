"""Pictures compared with their classes, a pool, its arms and what they do, from stored vectors to the marts, beside a
few lines of numpy.
"""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_ind

from laionet_assets.models.spec import IMAGE_ENCODER, parse_model
from laionet_assets.predictors import ImageNetClasses
from laionet_assets.predictors.class_vectors import head_vectors
from laionet_assets.sample.classes import sample_classes
from laionet_assets.taxonomy import load_synsets
from tests.integration.test_alikeness import plain
from tests.integration.world import CONFIG, PART, World

pytestmark = pytest.mark.integration

CLASSES = sorted(one.wnid for one in sample_classes())[:12]
IMAGES, DIMENSIONS = 24, 1280
ENCODERS = ("chooser", "other")
POOL = {
    "name": "wide",
    "matching": "corrected",
    "encoder": "minilm",
    "text_threshold": 0.1,
    "image_similarity": {"encoder": "chooser", "kind": "head"},
}
SETTINGS = CONFIG | {
    "recipes": [*CONFIG["recipes"], POOL, {**POOL, "name": "near", "image_threshold": 0.5}],
    "image_encoders": [
        {"name": name, "model": f"timm:tf_efficientnet_lite{i}", "device": "cpu"} for i, name in enumerate(ENCODERS)
    ],
    "predictors": [
        {"name": name, "model": f"timm:tf_efficientnet_lite{i}", "device": "cpu"} for i, name in enumerate(ENCODERS)
    ],
    "image_sets": [{"name": "curated", "layout": "imagefolder", "path": "./parts"}],
    "prototypes": "curated",
}


def heads() -> dict[str, np.ndarray]:
    """The head's rows of CLASSES, of unit length, by encoder."""
    classes = ImageNetClasses.of_rows((synset.wnid, synset.lemmas) for synset in load_synsets("imagenet-1k"))
    found = {}
    for i, name in enumerate(ENCODERS):
        spec = parse_model(IMAGE_ENCODER, f"timm:tf_efficientnet_lite{i}", name=name, device="cpu")
        vectors = head_vectors(spec, classes)
        rows = vectors.vectors[[vectors.rows[wnid] for wnid in CLASSES]].astype(np.float64)
        found[name] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return found


def fill(world: World) -> None:
    """A part of `IMAGES` samples a class whose pictures lie nearer to the class the larger their number, and whose
    captions know nothing of it; a curated set of three pictures a class, of which the first is a sample's.
    """
    rng, rows = np.random.default_rng(0), heads()
    selection, candidates, images, embeddings, set_images, set_embeddings, correct = ([] for _ in range(7))
    for c, wnid in enumerate(CLASSES):
        for i in range(IMAGES + 3):
            is_web, number = i < IMAGES, c * IMAGES + i
            sha256 = hashlib.sha256(f"{wnid}/{i if is_web else i - IMAGES if i == IMAGES else i}".encode()).hexdigest()
            key = {"sha256": sha256, "profile": "both", "model_identity": "m", "readout": "mean_pool"}
            for name in ENCODERS:
                noise = rng.normal(size=DIMENSIONS) / np.sqrt(DIMENSIONS)
                vector = rows[name][c] + noise * (3 if is_web else 1) * (1 - (i % IMAGES) / IMAGES + 0.05)
                vector /= np.linalg.norm(vector)
                row = key | {"encoder": name, "dimensions": DIMENSIONS, "embedding": vector.tolist()}
                if is_web:
                    embeddings.append(row | {"source": "web", "part": "part-0"})
                else:
                    set_embeddings.append(row | {"image_set": "curated", "image_id": f"{wnid}/{i}"})
            if is_web:
                sample = {"source": "web", "part": "part-0", "sample_id": number}
                similarity = 0.2 + float(rng.uniform(0, 0.7))
                selection += [
                    sample | {"recipe": recipe, "wnid": wnid, "similarity": similarity} for recipe in ("wide", "near")
                ]
                caption = f"{'a stock photo' if i > IMAGES // 2 else 'a drawing'} of it"
                candidates.append(sample | {"matching": "corrected", "wnid": wnid, "caption": caption})
                size = {"mode": "RGB", "width": 50, "height": 50}
                images.append(sample | {"status": "success", "sha256": sha256, **size})
                correct += [
                    {"image_set": "wide", "image_id": f"web/{number}", "wnid": wnid, "model": model,
                     "top_1_is_correct": i % 4 > 0 or i > 20} for model in ENCODERS
                ]  # fmt: skip
            else:
                row = {"image_set": "curated", "image_id": f"{wnid}/{i}", "wnid": wnid, "sha256": sha256}
                set_images.append(row | {"is_admitted": True, "profile": "corrected"})
    world.make("raw.synsets", "raw.recipes", "raw.image_sets", "staging.queries")
    for name, table in (("core.selection", selection), ("core.candidates", candidates), ("core.images", images)):
        world.publish(name, table, PART)
    world.publish("core.image_embeddings", embeddings, PART)
    for name in ("core.removed_samples", "core.names_in_images"):
        world.publish(name, [], PART)
    world.publish("core.set_images", set_images)
    captions = [{"image_set": "curated", "name": row["image_id"], "wnid": row["wnid"]} for row in set_images]
    world.publish("core.set_captions", [row | {"caption": "from a catalogue", "times": 1} for row in captions])
    world.publish("core.set_embeddings", set_embeddings)
    world.publish("core.neighbours", [])
    world.publish("core.correctness", correct)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World(tmp_path_factory.mktemp("pools"), SETTINGS)
    fill(made)
    made.make("core.sample_query_similarity", "core.selection_seen", part=PART)
    made.make("core.set_query_similarity", "core.duplicate_samples", "core.laionet")
    made.make("core.image_labels", "core.image_query_similarity")
    made.make("core.pool", "core.frontier", "core.arms", "core.compared_images", "core.class_similarity")
    made.make("core.arm_similarity", "marts.counterfactual", "marts.frontier", "marts.frontier_similarity")
    made.make("marts.caption_terms", "marts.image_query_similarity", "marts.image_query_shares")
    return made


def stored(world: World, query: str) -> dict[tuple[str, ...], np.ndarray]:
    """Vectors as they are stored, of unit length, by the columns before them."""
    found = {tuple(key): np.array(vector, dtype=np.float64) for *key, vector in world.rows(query)}
    return {key: vector / np.linalg.norm(vector) for key, vector in found.items()}


def test_a_picture_is_compared_with_the_row_of_its_class_and_with_other_pictures(world: World) -> None:
    web = stored(world, "select encoder, sha256, embedding from core_image_embeddings")
    curated = stored(world, "select encoder, image_id, embedding from core_set_embeddings")
    contents = dict(world.rows("select image_id, sha256 from core_set_images"))
    rows = heads()
    found = world.rows("select * from core_sample_query_similarity join core_images using (source, part, sample_id)")
    assert len(found) == len(CLASSES) * IMAGES * len(ENCODERS) * 2, "two kinds; no text tower, no query"
    columns = "encoder, kind, wnid, sha256, similarity"
    query = f"select {columns} from core_sample_query_similarity join core_images using (source, part, sample_id)"
    for encoder, kind, wnid, sha256, similarity in world.rows(query):
        vector, c = web[encoder, sha256], CLASSES.index(wnid)
        if kind == "head":
            expected = vector @ rows[encoder][c]
        else:
            others = [f"{wnid}/{i}" for i in range(IMAGES, IMAGES + 3)]
            mean = sum(curated[encoder, each] for each in others)
            copies = sum(contents[each] == sha256 for each in others)
            left = mean - copies * vector
            expected = vector @ left / np.linalg.norm(left)
        assert similarity == pytest.approx(expected, abs=1e-6)
    for encoder, kind, image_id, wnid, similarity in world.rows(
        "select encoder, kind, image_id, wnid, similarity from core_set_query_similarity"
    ):
        vector, c = curated[encoder, image_id], CLASSES.index(wnid)
        others = [f"{wnid}/{i}" for i in range(IMAGES, IMAGES + 3) if f"{wnid}/{i}" != image_id]
        left = rows[encoder][c] if kind == "head" else sum(curated[encoder, each] for each in others)
        assert similarity == pytest.approx(vector @ left / np.linalg.norm(left), abs=1e-6)


def test_an_image_threshold_drops_what_is_not_above_it(world: World) -> None:
    ((kept, least),) = world.rows("select count(*), min(image_similarity) from core_laionet where recipe = 'near'")
    query = "select count(*) from core_selection_seen where recipe = 'near' and reason = 'below_image_threshold'"
    ((dropped,),) = world.rows(query)
    assert kept + dropped == len(CLASSES) * IMAGES and least > 0.5 and kept > 20 and dropped > 20
    assert world.rows("select count(*) from core_laionet where recipe = 'wide'") == [(len(CLASSES) * IMAGES,)]


def test_arms_are_as_alike_as_their_pictures(world: World) -> None:
    web = stored(world, "select encoder, sha256, embedding from core_image_embeddings where encoder = 'other'")
    arms: dict[tuple[str, str], list[str]] = {}
    for arm, wnid, sha256 in world.rows("select arm, wnid, sha256 from core_arms order by all"):
        arms.setdefault((arm, wnid), []).append(sha256)
    found = world.rows("select encoder, arm, wnid, images, mean_similarity, ci_low, ci_high from core_arm_similarity")
    assert {encoder for encoder, *_ in found} == {"other"}, "who chose does not measure"
    assert {(arm, wnid) for _, arm, wnid, *_ in found} == arms.keys()
    means = {}
    for _, arm, wnid, images, *figures in found:
        vectors = np.array([web["other", sha256] for sha256 in arms[arm, wnid]])
        assert images == len(vectors)
        if images > 2:
            assert figures == pytest.approx(plain(vectors)[:3], abs=1e-9)
            means[arm, wnid] = figures[0]
    ((mean, other, difference, low, high, classes),) = world.rows(
        "select mean, other_mean, difference, ci_low, ci_high, classes from marts_counterfactual "
        "where arm = 'text' and other_arm = 'image' and measure = 'similarity'"
    )
    sides = [np.array([means[arm, wnid] for wnid in CLASSES]) for arm in ("text", "image")]
    assert (mean, other) == pytest.approx([side.mean() for side in sides]) and classes == len(CLASSES)
    assert difference == pytest.approx((sides[0] - sides[1]).mean()) and low < difference < high < 0


def test_recall_is_of_predictors_that_did_not_choose(world: World) -> None:
    rows = world.rows("select model, arm, other_arm, mean from marts_counterfactual where measure = 'recall'")
    assert {model for model, *_ in rows} == {"other"}
    (mean,) = {mean for _, arm, other, mean in rows if (arm, other) == ("image", "random")}
    query = """
        select avg(recall) from (
            select wnid, avg(top_1_is_correct::int) as recall
            from core_arms as a join core_correctness as c using (wnid)
            where arm = 'image' and model = 'other' and c.image_id = a.source || '/' || a.sample_id group by wnid
        )
    """
    assert mean == pytest.approx(world.rows(query)[0][0])


def test_points_get_more_alike_the_more_the_picture_decides(world: World) -> None:
    points = world.rows("select point, images, reference_images from marts_frontier where point is not null")
    assert {images for _, images, _ in points} == {len(CLASSES) * IMAGES * 22 // 100}
    rows = world.rows(
        "select point, other, pooled_mean, other_pooled_mean, pooled_difference, pooled_difference_low "
        "from marts_frontier_similarity where other_kind = 'point'"
    )
    ((mean, other, difference, low),) = [row[2:] for row in rows if row[:2] == ("D", "A")]
    assert difference == pytest.approx(mean - other) and 0 < low < difference
    assert {other for _, other in world.rows("select other_kind, other from marts_frontier_similarity")} == {
        "A", "B", "C", "D", "curated",
    }  # fmt: skip


def test_words_tell_what_pictures_favour(world: World) -> None:
    query = "select term, z from marts_caption_terms where arm = 'text' and other = 'image'"
    found = dict(world.rows(query))
    assert found["stock"] < -1.96 and found["drawing"] > 1.96


def test_words_tell_a_recipe_from_a_set_with_captions(world: World) -> None:
    query = "select recipe, term, captions, other_captions, z from marts_caption_terms where other_kind = 'image_set'"
    rows = world.rows(f"{query} and arm = '*' and other = 'curated'")
    assert {row[0] for row in rows} == {"near"}
    found = {term: numbers for _, term, *numbers in rows}
    in_recipe, in_set, z = found["catalogue"]
    assert (in_recipe, in_set) == (0, 3 * len(CLASSES)) and z < -1.96
    assert found["it"][0] == 3 * len(CLASSES)


def test_shares_of_classes_that_are_nearer_are_those_of_welch(world: World) -> None:
    values: dict[tuple[str, str], list[float]] = {}
    for image_set, wnid, similarity in world.rows(
        "select image_set, wnid, similarity from core_image_query_similarity where encoder = 'other' and kind = 'head'"
    ):
        values.setdefault((image_set, wnid), []).append(similarity)
    tests = [ttest_ind(values["curated", w], values["wide", w], equal_var=False) for w in CLASSES]
    ((higher, lower, difference, classes),) = world.rows(
        "select higher, lower, difference, classes from marts_image_query_shares where encoder = 'other' "
        "and kind = 'head' and image_set = 'curated' and other_image_set = 'wide'"
    )
    assert higher == pytest.approx(np.mean([test.pvalue < 0.05 and test.statistic > 0 for test in tests]))
    assert lower == pytest.approx(np.mean([test.pvalue < 0.05 and test.statistic < 0 for test in tests]))
    means = [np.mean(values["curated", w]) - np.mean(values["wide", w]) for w in CLASSES]
    assert difference == pytest.approx(np.mean(means)) and classes == len(CLASSES) and higher > 0.5


def test_a_recipe_that_needs_what_its_encoder_cannot_give_is_told(tmp_path: Path) -> None:
    from laionet_assets.models.spec import ModelError

    recipe = {**POOL, "image_similarity": {"encoder": "chooser", "kind": "query"}}
    made = World(tmp_path, SETTINGS | {"recipes": [recipe]})
    fill(made)
    with pytest.raises(ModelError, match="no text tower to compare pictures with"):
        made.make("core.sample_query_similarity", part=PART)
