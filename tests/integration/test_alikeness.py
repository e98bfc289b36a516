"""How alike the pictures of a class are, from stored vectors to the marts, beside a few lines of numpy."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.integration.world import CONFIG, World

pytestmark = pytest.mark.integration

CLASSES = [f"n{i:08d}" for i in range(12)]
SETS = {"one": 0.3, "two": 0.9, "three": 0.6}
"""Image sets and how far their pictures lie apart."""
CONFIG = CONFIG | {
    "image_sets": [
        {"name": name, "layout": "imagefolder", "path": "./parts", "selection_frequency": 0.7 + i / 10}
        for i, name in enumerate(SETS)
    ]
}


def vectors(rng: np.random.Generator, spread: float, images: int) -> np.ndarray:
    centre = rng.normal(size=16)
    found = centre / np.linalg.norm(centre) + spread * rng.normal(size=(images, 16)) / 4
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float16)


def fill(world: World, *, without: tuple[str, ...] = ()) -> dict[tuple[str, str], np.ndarray]:
    """Publish three sets of twelve classes, of which the first picture of class 0 of `one` is there twice."""
    rng = np.random.default_rng(3)
    found, compared, embedded = {}, [], []
    for name, spread in SETS.items():
        for i, wnid in enumerate(CLASSES):
            of_class = vectors(rng, spread, 5 + i)
            if name == "one" and i == 0:
                of_class[1] = of_class[0]
            found[name, wnid] = of_class
            for j, vector in enumerate(of_class):
                image_id = f"{wnid}/{j}"
                mark = f"{name}{wnid}{0 if (name, i, j) == ('one', 0, 1) else j}"
                sha256 = hashlib.sha256(mark.encode()).hexdigest()
                row = {"image_set": name, "image_id": image_id, "encoder": "e", "sha256": sha256}
                embedding = {"readout": "mean_pool", "dimensions": 16, "embedding": vector.astype(float).tolist()}
                embedded.append(row | embedding | {"profile": "both", "model_identity": "m"})
                if f"{name}/{image_id}" in without:
                    continue
                compared += [
                    row | {"profile": p, "wnid": wnid, "look": "both", "model_identity": "m", "copies": 1}
                    for p in ("paper", "corrected")
                ]
    world.publish("core.set_embeddings", embedded)
    world.publish("core.compared_images", compared)
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    from tests.integration.world import PART

    made = World(tmp_path_factory.mktemp("alike"), CONFIG)
    made.publish("core.image_embeddings", [], PART)
    made.vectors = fill(made)  # type: ignore[attr-defined]
    made.make("core.class_similarity", "marts.intra_class_similarity", "marts.intra_class_similarity_paper")
    made.make("marts.similarity_histogram", "raw.image_sets", "marts.similarity_comparison")
    made.make("marts.similarity_shares", "marts.similarity_curves", "marts.cross_set_similarity")
    return made


def plain(of_class: np.ndarray) -> tuple[float, float, float, np.ndarray]:
    """Mean over pairs and jackknife interval, pair by pair and image by image; the cosines of the pairs."""
    unit = of_class.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    n, gram = len(unit), unit @ unit.T
    pairs = gram[np.tril_indices(n, -1)]
    left = np.array([np.delete(np.delete(gram, i, 0), i, 1)[np.tril_indices(n - 1, -1)].mean() for i in range(n)])
    se = np.sqrt((n - 1) / n * ((left - left.mean()) ** 2).sum())
    half = stats.t.ppf(0.975, n - 1) * se
    return pairs.mean(), pairs.mean() - half, pairs.mean() + half, pairs


def test_means_and_intervals_are_those_of_numpy(world: World) -> None:
    rows = world.rows("select * from marts_intra_class_similarity")
    assert len(rows) == len(SETS) * len(CLASSES)
    for image_set, encoder, wnid, images, count, mean, low, high, pairs_low, pairs_high, *_ in rows:
        expected, expected_low, expected_high, pairs = plain(world.vectors[image_set, wnid])
        assert (encoder, images, count) == ("e", len(world.vectors[image_set, wnid]), len(pairs))
        assert (mean, low, high) == pytest.approx((expected, expected_low, expected_high), abs=1e-12)
        half = 1.96 * pairs.std() / np.sqrt(len(pairs) - 1)
        assert (pairs_low, pairs_high) == pytest.approx((expected - half, expected + half), abs=1e-12)


def test_a_picture_that_is_there_twice_is_counted_and_left_out(world: World) -> None:
    query = "select images, n_exact, n_near, mean_similarity, mean_distinct from marts_intra_class_similarity "
    ((images, n_exact, n_near, mean, distinct),) = world.rows(
        f"{query} where image_set = 'one' and wnid = '{CLASSES[0]}'"
    )
    assert (images, n_exact, n_near) == (5, 1, 0)
    assert distinct == pytest.approx(plain(np.delete(world.vectors["one", CLASSES[0]], 1, 0))[0], abs=1e-12)
    assert distinct < mean


def test_histograms_have_every_pair(world: World) -> None:
    for image_set in SETS:
        pairs = np.concatenate([plain(world.vectors[image_set, wnid])[3] for wnid in CLASSES])
        found = world.rows(
            "select bin, pairs, share from marts_similarity_histogram "
            f"where image_set = '{image_set}' and profile = 'corrected' order by bin"
        )
        counts, _ = np.histogram(pairs, bins=200, range=(-1, 1))
        expected = [(i + 1, count, count / len(pairs)) for i, count in enumerate(counts.tolist()) if count]
        assert [row[:2] for row in found] == [row[:2] for row in expected]
        assert [row[2] for row in found] == pytest.approx([row[2] for row in expected])


def test_comparisons_and_shares_are_those_of_the_classes(world: World) -> None:
    means = {key: plain(value) for key, value in world.vectors.items()}
    rows = world.rows(
        "select wnid, difference, is_lower, is_higher from marts_similarity_comparison "
        "where profile = 'corrected' and image_set = 'two' and other_image_set = 'one' order by wnid"
    )
    assert [row[0] for row in rows] == CLASSES
    for wnid, difference, is_lower, is_higher in rows:
        assert difference == pytest.approx(means["two", wnid][0] - means["one", wnid][0], abs=1e-12)
        assert is_lower and not is_higher, "wider spread, less alike"
    ((classes, tested, lower, higher, both, frequency),) = world.rows(
        "select classes, tested, lower, higher, lower_minus_higher, other_selection_frequency "
        "from marts_similarity_shares where profile = 'corrected' and image_set = 'two' and other_image_set = 'one'"
    )
    assert (classes, tested, lower, higher, both, frequency) == (12, 12, 1.0, 0.0, 1.0, pytest.approx(0.7))
    pairs = {tuple(row) for row in world.rows("select image_set, other_image_set from marts_similarity_shares")}
    assert pairs == {(a, b) for a in SETS for b in SETS if a != b}


def test_similarity_between_sets_is_that_of_every_pair(world: World) -> None:
    rows = world.rows("select * from marts_cross_set_similarity")
    assert len(rows) == 3 * len(CLASSES)
    for one, other, _, wnid, images, other_images, mean, low, high in rows:
        sides = [world.vectors[name, wnid].astype(np.float64) for name in (one, other)]
        first, second = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in sides)
        assert (images, other_images) == (len(first), len(second))
        assert mean == pytest.approx((first @ second.T).mean(), abs=1e-12)
        assert low < mean < high


def test_paper_wants_seven_pairs(world: World) -> None:
    assert world.rows("select min(pairs) from marts_intra_class_similarity_paper") == [(10,)]


def test_only_classes_that_changed_are_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from laionet_assets.assets import alikeness
    from tests.integration.world import PART

    made = World(tmp_path, CONFIG)
    made.publish("core.image_embeddings", [], PART)
    fill(made)
    made.make("core.class_similarity")
    before = made.rows("select * from core_class_similarity order by all")
    read: list[str] = []
    class_images = alikeness._class_images

    def counted(wnid: str, images: Any) -> Any:
        read.append(wnid)
        return class_images(wnid, images)

    monkeypatch.setattr(alikeness, "_class_images", counted)
    fill(made, without=(f"two/{CLASSES[3]}/0",))
    made.make("core.class_similarity")
    assert read == [CLASSES[3]] * 2, "one class, under both profiles"
    after = made.rows("select * from core_class_similarity order by all")
    changed = [(b, a) for b, a in zip(before, after, strict=True) if b != a]
    assert len(changed) == 2 and {row[4] for _, row in changed} == {7}


@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_photographs_of_a_class_are_more_alike_than_those_of_two(real_data: Path, tmp_path: Path) -> None:
    """750 photographs, five a class, and the three bundled models; one photograph is there twice."""
    import shutil

    from PIL import Image

    from laionet_assets.encoders.images import load_image_encoder
    from laionet_assets.models.spec import IMAGE_ENCODER, parse_model
    from tests.integration.world import PART

    shutil.copytree(real_data / "images", tmp_path / "photographs")
    folders = sorted((tmp_path / "photographs").iterdir())
    planted = folders[0]
    shutil.copy(min(planted.glob("*.jpg")), planted / "zzz.jpg")
    models = [f"timm:tf_efficientnet_lite{size}" for size in (0, 1, 2)]
    made = World(
        tmp_path / "w",
        CONFIG
        | {
            "image_encoders": [{"name": f"lite{i}", "model": model, "device": "cpu"} for i, model in enumerate(models)],
            "image_sets": [{"name": "photographs", "layout": "imagefolder", "path": str(tmp_path / "photographs")}],
        },
    )
    made.make("raw.synsets", "raw.recipes", "raw.image_sets")
    for name in ("core.images", "core.selection_seen", "core.image_embeddings"):
        made.publish(name, [], PART)
    for name in ("core.laionet", "core.neighbours", "core.removals"):
        made.publish(name, [])
    made.make("core.set_files", "core.set_images", "core.set_embeddings", "core.image_labels", "core.compared_images")
    made.make("core.class_similarity", "marts.intra_class_similarity")

    stored = made.rows(
        "select encoder, wnid, image_id, embedding from core_set_embeddings "
        "join core_set_images using (image_set, image_id) order by all"
    )
    for i, model in enumerate(models):
        rows = [row for row in stored if row[0] == f"lite{i}"]
        vectors = np.array([row[3] for row in rows], dtype=np.float64)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        wnids = np.array([row[1] for row in rows])
        found = {
            wnid: values
            for wnid, *values in made.rows(
                "select wnid, images, mean_similarity, ci_low, ci_high, n_exact, n_near "
                f"from marts_intra_class_similarity where encoder = 'lite{i}'"
            )
        }
        assert len(found) == len(folders) and len(rows) == 751
        for wnid, (images, mean, low, high, n_exact, _) in found.items():
            expected, expected_low, expected_high, _ = plain(vectors[wnids == wnid])
            assert images == (wnids == wnid).sum()
            assert (mean, low, high) == pytest.approx((expected, expected_low, expected_high), abs=1e-12)
            assert n_exact == (wnid == planted.name)
        gram = vectors @ vectors.T
        is_same = wnids[:, None] == wnids[None, :]
        within = np.mean([values[1] for values in found.values()])
        between = gram[~is_same].mean()
        print(f"lite{i}: within {within:.3f}, between {between:.3f}")
        assert within > between + 0.15

        encoder = load_image_encoder(parse_model(IMAGE_ENCODER, model, name="e", device="cpu"))
        files = [tmp_path / "photographs" / row[2] for row in rows]
        batches = (files[start : start + 32] for start in range(0, len(files), 32))
        single = np.concatenate([encoder.encode([Image.open(file) for file in batch]) for batch in batches])
        assert single.dtype == np.float32
        for wnid, (_, *interval, _, _) in found.items():
            assert interval == pytest.approx(plain(single[wnids == wnid])[:3], abs=5e-4)
