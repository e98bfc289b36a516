"""Whether rankings of models survive, and what is left of accuracies beside a line, as scipy has them."""

import numpy as np
import pytest
from scipy.special import logit
from scipy.stats import kendalltau, linregress

from tests.integration.test_alikeness import CLASSES
from tests.integration.world import CONFIG, World

pytestmark = pytest.mark.integration

MODELS = [f"m{i}" for i in range(7)]
SETS = ("paper", "v", "w")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    image_sets = [{"name": name, "layout": "imagefolder", "path": "./parts"} for name in ("v", "w")]
    made = World(tmp_path_factory.mktemp("rankings"), CONFIG | {"image_sets": image_sets})
    rng = np.random.default_rng(0)
    made.make("raw.recipes", "raw.image_sets")
    models = [
        {"model": m, "position": i, "is_zero_shot": m == "clip", "is_baseline": m not in ("clip", "m6")}
        for i, m in enumerate((*MODELS, "clip"))
    ]
    made.publish("raw.predictors", models)
    made.publish("raw.published_correctness", [])
    weights = [{"image_set": s, "weighting": "equal", "wnid": w, "weight": 1.0} for s in SETS for w in CLASSES]
    made.publish("core.class_weights", weights)
    recalls = [
        {"image_set": s, "model": m["model"], "k": k, "wnid": w, "n": 20, "se": 0.05,
         "recall": float(np.round(np.clip(0.5 + 0.03 * i * (s != "w") + 0.05 * rng.normal(), 0, 1), 3))}
        for s in SETS for i, m in enumerate(models) for k in (1, 5) for w in CLASSES
    ]  # fmt: skip
    made.publish("marts.class_recall", recalls)
    made.make("marts.accuracy_gap", "marts.model_rankings", "marts.model_robustness")
    return made


def accuracies(world: World, k: int) -> dict[str, dict[str, float]]:
    rows = world.rows(f"select image_set, model, avg(recall) from marts_class_recall where k = {k} group by all")
    found: dict[str, dict[str, float]] = {}
    for image_set, model, accuracy in rows:
        found.setdefault(image_set, {})[model] = accuracy
    return found


def test_rankings_are_kendalls(world: World) -> None:
    rows = world.rows("select * from marts_model_rankings")
    assert len(rows) == 3 * 2, "the other recipe has no recalls"
    for one, other, k, models, classes, tau, low, high in rows:
        found = accuracies(world, k)
        values = [[found[name][model] for model in MODELS] for name in (one, other)]
        assert (models, classes) == (len(MODELS), len(CLASSES))
        assert tau == pytest.approx(kendalltau(*values).statistic) and low <= tau <= high


def test_residuals_are_those_of_a_line_through_the_baselines(world: World) -> None:
    columns = (
        "model, is_baseline, accuracy, other_accuracy, effective_robustness, relative_improvement, slope, baselines"
    )
    rows = world.rows(
        f"select {columns} from marts_model_robustness where image_set = 'paper' and other_image_set = 'v' and k = 1"
    )
    found = accuracies(world, 1)
    x, y = ({model: logit(found[name][model]) for model in found[name]} for name in ("v", "paper"))
    line = linregress([x[m] for m in MODELS[:6]], [y[m] for m in MODELS[:6]])
    weakest = min(found["paper"].values())
    assert {row[0] for row in rows} == {*MODELS, "clip"}
    for model, is_baseline, accuracy, other, residual, improvement, slope, baselines in rows:
        assert is_baseline == (model in MODELS[:6]) and baselines == 6
        assert (accuracy, other) == pytest.approx((found["paper"][model], found["v"][model]))
        assert slope == pytest.approx(line.slope)
        assert residual == pytest.approx(y[model] - line.intercept - line.slope * x[model])
        assert improvement == pytest.approx((accuracy - weakest) / weakest)
