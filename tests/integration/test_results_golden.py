"""The published correctness of 30 models on ImageNet's validation set, from the file to accuracies: the published
numbers to the last digits, and every recall against the published procedure in pandas.
"""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from laionet_assets.stats import combine_recalls, wilson_interval, wilson_se
from tests.integration.results import INPUTS, MARTS, PUBLISHED, Workbench, values

pytestmark = [pytest.mark.integration, pytest.mark.real_data]

CLIP, VIT = "clip-vit-base-patch32", "vit-base-patch16-224"
GOLDEN = {
    VIT: (0.804245965119522, 0.0016771983464303189),
    CLIP: (0.5623950870010236, 0.0018907362553712056),
}
FILE = "golden/ilsvrc2012_val_correctness.parquet"
KEYS = "golden/laionet_keys.json"


@pytest.fixture(scope="module")
def bench(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    common = {"path": str(real_data / FILE), "classes": str(real_data / KEYS)}
    made = Workbench(
        tmp_path_factory.mktemp("golden"),
        {
            "published_results": [
                {"name": "val-published", **common, "zero_shot_missing": "wrong"},
                {"name": "val", **common, "zero_shot_missing": "missing"},
            ]
        },
    )
    for name in INPUTS:
        made.put(name)
    sets = [
        (name, "published", "r", missing, True) for name, missing in (("val-published", "wrong"), ("val", "missing"))
    ]
    made.put("raw.image_sets", values("image_set, kind, weighted_by, zero_shot_missing, has_class_list", sets))
    made.put("raw.synsets", "select 'n02110185' as wnid, 'n02112837' as paper_wnid")
    made.make(*PUBLISHED, *MARTS)
    return made


@pytest.mark.parametrize("model", GOLDEN)
def test_accuracies_are_the_published_ones_to_the_last_digits(bench: Workbench, model: str) -> None:
    found = bench.rows(
        "select classes, accuracy, se from marts.accuracy "
        f"where image_set = 'val-published' and k = 1 and weighting = 'equal' and model = '{model}'"
    )
    accuracy, se = GOLDEN[model]
    assert found == [(977, pytest.approx(accuracy, abs=1e-12), pytest.approx(se, abs=1e-12))]


def test_clip_with_missing_as_missing(bench: Workbench) -> None:
    found = bench.rows("select k, images, predicted, missing, accuracy from marts.zero_shot where image_set = 'val'")
    assert [(*row[:4], round(row[4], 4)) for row in sorted(found)] == [
        (1, 49_900, 49_002, 898, 0.5703),
        (5, 49_900, 49_002, 898, 0.8455),
    ]
    error = bench.rows(
        "select v.k from marts.zero_shot v join marts.zero_shot p using (model, k) "
        "where v.image_set = 'val' and p.image_set = 'val-published' "
        "and v.accuracy_if_missing_is_wrong = p.accuracy and p.missing = 0 and v.accuracy > p.accuracy + 0.009 "
        "order by k"
    )
    assert error == [(1,), (5,)]


def test_every_other_model_is_the_same_either_way_and_clip_is_better_as_missing(bench: Workbench) -> None:
    gaps = bench.rows(
        "select model, k, classes, gap from marts.accuracy_gap "
        "where image_set = 'val' and other_image_set = 'val-published' and weighting = 'equal'"
    )
    assert len(gaps) == 60 and {row[2] for row in gaps} == {977}
    assert {row[3] for row in gaps if row[0] != CLIP} == {0.0}
    assert all(0.007 < row[3] < 0.02 for row in gaps if row[0] == CLIP)


def test_every_recall_and_accuracy_is_the_published_procedures(bench: Workbench, real_data: Path) -> None:
    frame = pd.read_parquet(real_data / FILE)
    keys = set(pd.read_json(real_data / KEYS)["clip_keys"])
    recalls = {
        (row[0], row[1], row[2]): row[3:]
        for row in bench.rows(
            "select model, k, wnid, n, correct, recall, ci_low, ci_high, se from marts.class_recall "
            "where image_set = 'val-published'"
        )
    }
    accuracies = {
        (row[0], row[1]): row[2:]
        for row in bench.rows(
            "select model, k, classes, images, accuracy, se from marts.accuracy "
            "where image_set = 'val-published' and weighting = 'equal'"
        )
    }
    wanted = published_recalls(frame)
    assert len(wanted) == 30 * 2 * 1000 - 2 * 2  # two classes that CLIP's list of queries lacks
    assert recalls.keys() == wanted.keys()
    for key, (n, correct) in wanted.items():
        low, high = wilson_interval(correct, n)
        assert recalls[key][:2] == (n, correct)
        assert recalls[key][2:] == pytest.approx((correct / n, low, high, wilson_se(correct, n)), abs=1e-12)
    assert len(accuracies) == 60
    for (model, k), found in accuracies.items():
        here = {
            wnid: counts for (m, other, wnid), counts in wanted.items() if (m, other) == (model, k) and wnid in keys
        }
        accuracy, se = combine_recalls(
            [correct / n for n, correct in here.values()], [wilson_se(correct, n) for n, correct in here.values()]
        )
        assert found[:2] == (len(here), sum(n for n, _ in here.values()))
        assert found[2:] == pytest.approx((accuracy, se), abs=1e-12)


def published_recalls(frame: pd.DataFrame) -> dict[tuple[str, int, str], tuple[int, int]]:
    """Images with a value, and right ones, of each model, k and class: class by class (docs/method.md, 10)."""
    found: dict[tuple[str, int, str], tuple[int, int]] = {}
    columns: list[Any] = [column for column in frame.columns if column.startswith("top_")]
    for wnid, rows in frame.groupby("wnid"):
        for column in columns:
            k, model = column.removeprefix("top_").split("_is_correct_")
            known = [value for value in rows[column] if value is not None and not pd.isna(value)]
            if known:
                found[model, int(k), str(wnid)] = (len(known), sum(map(bool, known)))
    return found
