"""From result files, labels and predictions to accuracies and gaps, made and audited as a run makes them."""

import json
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laionet_assets.assets import results
from laionet_assets.assets.versions import Versions
from laionet_assets.published_results.label_lists import LabelListError
from laionet_assets.settings import SettingsError
from laionet_assets.stats import combine_recalls, wilson_interval, wilson_se
from tests.integration.results import INPUTS, MARTS, PROJECT, PUBLISHED, Workbench, values

pytestmark = pytest.mark.integration

TENCH, SHARK, HEN, HUSKY, PAPER_HUSKY = "n01440764", "n01484850", "n01514859", "n02110185", "n02112837"
FILES = ("laionet.parquet", "labels.pkl", "val.parquet", "keys.json")


def write_files(folder: Path) -> None:
    """A published LAIONet with its label list, and published results of a validation set with a list of classes."""
    labels = {TENCH: [7, 8, 9], SHARK: [10], HEN: [], PAPER_HUSKY: [11]}
    laionet = {
        "wnid_is_in_recognized_text": [False, False, True, False, None],
        "top_1_is_correct_vit": [True, False, True, False, True],
        "top_1_is_correct_clip": [True, True, True, False, None],
        "__index_level_0__": [7, 8, 9, 10, 11],
    }
    val = {
        "wnid": [TENCH, TENCH, SHARK, HEN, HUSKY],
        "top_1_is_correct_vit": [True, True, None, False, False],
        "top_1_is_correct_clip": [True, False, False, True, None],
        "__index_level_0__": [f"{number}.JPEG" for number in range(5)],
    }
    for name, columns in (("laionet", laionet), ("val", val)):
        table = pa.table(columns).replace_schema_metadata({"pandas": '{"index_columns": ["__index_level_0__"]}'})
        pq.write_table(table, folder / f"{name}.parquet")
    (folder / "labels.pkl").write_bytes(pickle.dumps(labels))
    (folder / "keys.json").write_text(json.dumps([TENCH, SHARK, PAPER_HUSKY]))


def keys(folder: Path) -> dict[str, Any]:
    """Settings: the published files, a local set with a list, a copy of ImageNet's validation set, two predictors."""
    laionet, labels, val, classes = (str(folder / name) for name in FILES)
    images = str(folder)
    return {
        "published_results": [
            {"name": "val", "path": val, "classes": classes, "weighted_by": "laionet"},
            {"name": "laionet", "path": laionet, "labels": labels, "weighted_by": "laionet"},
        ],
        "image_sets": [
            {"name": "photos", "layout": "imagefolder", "path": images, "classes": classes},
            {"name": "ilsvrc", "layout": "ilsvrc2012-val", "path": images},
        ],
        "predictors": [
            {"name": "vit", "model": "timm:tf_efficientnet_lite0"},
            {"name": "clip", "model": "open_clip:ViT-B-32-quickgelu/openai"},
        ],
    }


def put_inputs(bench: Workbench) -> None:
    for name in INPUTS:
        bench.put(name)
    bench.put(
        "raw.image_sets",
        values(
            "image_set, kind, layout, weighted_by, zero_shot_missing, has_class_list",
            [
                ("r", "recipe", None, "r", None, False),
                ("photos", "local", "imagefolder", "laionet", None, True),
                ("ilsvrc", "local", "ilsvrc2012-val", "r", None, False),
                ("val", "published", None, "laionet", "missing", True),
                ("laionet", "published", None, "laionet", "missing", False),
            ],
        ),
    )
    bench.put("raw.synsets", values("wnid, paper_wnid", [(TENCH, TENCH), (SHARK, SHARK), (HUSKY, PAPER_HUSKY)]))
    bench.put("raw.real_labels", values("image_number, wnid", [(1, TENCH), (1, SHARK), (3, HEN)]))
    number = "ILSVRC2012_val_{:08d}.JPEG"
    images = [("photos", "a", TENCH), ("photos", "b", SHARK), ("photos", "c", HEN), ("photos", "d", TENCH)]
    images += [("ilsvrc", number.format(i), wnid) for i, wnid in ((1, TENCH), (2, TENCH), (3, SHARK))]
    bench.put(
        "core.image_labels", f"select *, true as is_admitted from ({values('image_set, image_id, wnid', images)})"
    )
    predictions = [
        *(("photos", image, "vit", 1, wnid) for image, wnid in (("a", TENCH), ("b", TENCH), ("c", HEN), ("d", HEN))),
        ("photos", "b", "vit", 2, SHARK),
        *(("photos", image, "clip", 1, TENCH) for image in "ad"),
        *(("ilsvrc", number.format(i), "vit", 1, wnid) for i, wnid in ((1, SHARK), (2, TENCH), (3, SHARK))),
        ("ilsvrc", number.format(3), "vit", 2, HEN),
    ]
    bench.put("core.predictions", values("image_set, image_id, model, rank, wnid", predictions))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    folder = tmp_path_factory.mktemp("results")
    write_files(folder)
    made = Workbench(folder / "project", keys(folder))
    put_inputs(made)
    outcomes = made.make(*PUBLISHED, *MARTS)
    warned = {outcome.expectation.name for each in outcomes.values() for outcome in each.outcomes if not outcome.passed}
    assert warned == {"image_sets_have_laion_weights"}  # of r and ilsvrc: the recipe has no candidates
    return made


def test_published_files_become_rows_as_they_are(bench: Workbench) -> None:
    rows = bench.rows(
        "select image_set, image_id, wnid, is_zero_shot, has_name_in_text, top_1_is_correct "
        "from raw.published_correctness where model = 'clip'"
    )
    shown = {row[:2]: row[2:] for row in rows}
    assert shown["laionet", "9"] == (TENCH, True, True, True)
    assert shown["laionet", "11"] == (PAPER_HUSKY, True, None, None)
    assert shown["val", "2.JPEG"] == (SHARK, True, None, False)
    assert len(rows) == 10
    assert bench.rows("from raw.published_labels order by all") == [
        ("laionet", TENCH, 3),
        ("laionet", SHARK, 1),
        ("laionet", HEN, 0),
        ("laionet", PAPER_HUSKY, 1),
    ]
    listed = [(name, wnid) for name in ("photos", "val") for wnid in (TENCH, SHARK, PAPER_HUSKY)]
    assert bench.rows("from raw.class_lists order by all") == listed
    assert bench.rows("select model, provider, is_zero_shot from raw.predictors order by position") == [
        ("vit", "timm", False),
        ("clip", "open_clip", True),
    ]


def test_accuracies_of_the_classes_that_count(bench: Workbench) -> None:
    found = {
        row[:3]: row[3:]
        for row in bench.rows(
            "select image_set, model, weighting, classes, images, accuracy, label_list from marts.accuracy where k = 1"
        )
    }
    # tench 1 of 2 (in-text row left out), shark 0 of 1, husky 1 of 1; weights 3, 1, 1 of 5: the list counts every row
    assert found["laionet", "vit", "equal"] == (3, 4, pytest.approx(0.5), None)
    assert found["laionet", "vit", "laion"] == (3, 4, pytest.approx((3 * 0.5 + 0 + 1) / 5), "laionet")
    # hen is not in the list, the list's husky is not ImageNet's, shark has no value
    assert found["val", "vit", "equal"] == (1, 2, pytest.approx(1.0), None)
    # shark: false of a zero-shot model where vit has no value is unknown
    assert found["val", "clip", "equal"] == (1, 2, pytest.approx(0.5), None)
    assert found["photos", "vit", "equal"] == (2, 3, pytest.approx(0.25), None)
    assert found["photos", "vit", "laion"] == (2, 3, pytest.approx((3 * 0.5 + 0) / 4), "laionet")
    assert ("ilsvrc", "vit", "laion") not in found


def test_gaps_are_over_the_classes_that_count_on_both_sides(bench: Workbench) -> None:
    found = bench.rows(
        "select classes, accuracy, other_accuracy, gap, se, bootstrap_low from marts.accuracy_gap "
        "where image_set = 'photos' and other_image_set = 'ilsvrc' and model = 'vit' and k = 1 and weighting = 'equal'"
    )
    here, se = combine_recalls([0.5, 0.0], [wilson_se(1, 2), wilson_se(0, 1)])
    there, other_se = combine_recalls([0.5, 1.0], [wilson_se(1, 2), wilson_se(1, 1)])
    (row,) = found
    assert row[:5] == (2, here, there, here - there, pytest.approx((se**2 + other_se**2) ** 0.5))
    assert row[5] is not None
    hens = bench.rows("select count(*) from marts.class_recall where wnid = 'n01514859' and image_set = 'photos'")
    assert hens[0][0] > 0
    pairs = bench.rows("select distinct classes from marts.accuracy_gap where image_set in ('photos', 'val')")
    assert max(pairs) == (2,)


def test_zero_shot_says_what_is_missing(bench: Workbench) -> None:
    found = bench.rows("select * from marts.zero_shot where k = 1 order by all")
    assert [row[:6] for row in found] == [
        ("laionet", "clip", 1, 3, 3, 0),
        ("photos", "clip", 1, 4, 2, 2),
        ("val", "clip", 1, 4, 3, 1),
    ]
    assert [row[6:] for row in found] == [
        pytest.approx((2 / 3, 2 / 3)),
        pytest.approx((1.0, 0.5)),
        pytest.approx((2 / 3, 0.5)),
    ]


def test_real_accuracy_takes_any_real_label_and_leaves_out_images_without(bench: Workbench) -> None:
    found = bench.rows("select k, images, correct, ci_low, ci_high from marts.real_accuracy order by k")
    assert [row[:3] for row in found] == [(1, 2, 1), (2, 2, 2), (3, 2, 2), (4, 2, 2), (5, 2, 2)]
    assert found[0][3:] == pytest.approx(wilson_interval(1, 2), abs=1e-12)


def test_made_again_the_same_input_gives_the_same_bytes(bench: Workbench) -> None:
    def files() -> dict[str, bytes]:
        paths = {name: Path(bench.warehouse.lake.path(PROJECT.tables[name])) for name in (*PUBLISHED, *MARTS)}
        return {name: path.read_bytes() for name, path in paths.items()}

    before = files()
    bench.make(*PUBLISHED, *MARTS)
    assert files() == before


def test_a_file_with_other_content_makes_its_tables_stale_and_no_others(tmp_path: Path) -> None:
    write_files(tmp_path)
    bench = Workbench(tmp_path / "project", keys(tmp_path))
    put_inputs(bench)

    def versions() -> dict[str, str]:
        known = Versions(bench.warehouse)
        return {name: known.next_of(bench.steps[name], None) for name in (*PUBLISHED, "marts.accuracy_gap")}

    def changed(name: str, content: bytes) -> set[str]:
        before = versions()
        (tmp_path / name).write_bytes(content)
        after = versions()
        return {table for table in before if before[table] != after[table]}

    assert changed("keys.json", json.dumps([TENCH]).encode()) == {"raw.class_lists"}
    assert changed("labels.pkl", pickle.dumps({TENCH: [7]})) == {"raw.published_labels", "raw.published_correctness"}
    assert changed("val.parquet", (tmp_path / "laionet.parquet").read_bytes()) == {"raw.published_correctness"}
    assert changed("keys.json", json.dumps([TENCH]).encode()) == set()
    with pytest.raises(LabelListError, match=r"keys\.json: No such file"):
        (tmp_path / "keys.json").unlink()
        bench.make("raw.class_lists")
    assert not bench.warehouse.is_published("raw.class_lists")


def test_without_anything_configured_all_tables_are_there_and_empty(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    for name in INPUTS:
        bench.put(name)
    made = bench.make(*PUBLISHED, *MARTS)
    assert {name: each.rows for name, each in made.items()} == dict.fromkeys(made, 0)


def test_a_result_file_by_url_is_refused_by_its_key(tmp_path: Path) -> None:
    bench = Workbench(tmp_path, {"published_results": [{"name": "val", "path": "s3://bucket/val.parquet"}]})
    with pytest.raises(SettingsError, match=r"published_results\[0\]\.path: found the URL s3://bucket/val\.parquet"):
        results.steps(bench.settings, PROJECT)
