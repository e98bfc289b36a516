"""People judge a sample: from the sheet to the rate of wrong labels and the gap without them."""

import csv
import io
from pathlib import Path

import duckdb
import pytest
from PIL import Image

from laionet_assets.commands.judging import write_judges_sheet
from laionet_assets.errors import UserError
from laionet_assets.images.shards import content_hash
from laionet_assets.stats.noise import Stratum, wrong_rate
from tests.integration.world import CONFIG, PART, World

pytestmark = pytest.mark.integration

WNIDS = ("n00000001", "n00000002")
PICTURES = 60
"""Of a recipe, half of each class; similarity rises with their number."""
SETTINGS = CONFIG | {
    "image_sets": [{"name": "curated", "layout": "imagefolder", "path": "./parts"}],
    "recipes": [{"name": "web", "matching": "corrected", "encoder": "minilm", "text_threshold": 0.5}],
}


def wnid(i: int) -> str:
    return WNIDS[i % 2]


def is_wrong(i: int) -> bool:
    """Of the picture: so are half of those whose captions are least like their class."""
    return i < 24 and i % 4 < 2


def is_correct(i: int) -> bool:
    """Of the model on the web: never where the label is wrong."""
    return not is_wrong(i) and i % 3 > 0


def jpeg(i: int) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (40, 30), (4 * i, 90, 10)).save(data, "JPEG")
    return data.getvalue()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World(tmp_path_factory.mktemp("judging"), SETTINGS)
    files = [jpeg(i) for i in range(PICTURES)]
    made.add_to_store(files)
    made.make("raw.recipes", "raw.image_sets")
    made.publish("raw.predictors", [{"model": "m", "position": 0, "is_zero_shot": False}])
    made.publish("core.caption_senses", [], PART)
    classes = [
        {"wnid": each, "position": i, "name": f"<b>class {i}", "definition": "a thing"} for i, each in enumerate(WNIDS)
    ]
    made.publish("raw.synsets", classes)
    laionet, labels, correct = [], [], []
    for i in range(PICTURES):
        sample = {"source": PART.source, "part": PART.part, "sample_id": i, "wnid": wnid(i)}
        laionet.append(sample | {"recipe": "web", "similarity": 0.5 + i / 1000})
        picture = {"image_set": "web", "image_id": f"{PART.source}/{i}"}
        labels.append(picture | sample | {"sha256": content_hash(files[i]), "is_admitted": True})
        for name, is_right in (("web", is_correct(i)), ("curated", i % 6 > 0)):
            row = {"image_set": name, "image_id": f"{PART.source}/{i}", "wnid": wnid(i), "model": "m"}
            correct.append(row | {"top_1_is_correct": is_right, "top_5_is_correct": True})
    labels += [
        {"image_set": "curated", "image_id": f"{PART.source}/{i}", "wnid": wnid(i), "is_admitted": True}
        for i in range(PICTURES)
    ]
    made.publish("core.laionet", laionet)
    made.publish("core.image_labels", labels)
    made.publish("core.correctness", correct)
    weights = [{"weighting": "equal", "wnid": each, "weight": 1.0} for each in WNIDS]
    made.publish("core.class_weights", [row | {"image_set": s} for row in weights for s in ("web", "curated")])
    return made


def judged(world: World, folder: Path, pictures: int) -> list[int]:
    """Draw a sheet and judge it as a person would who sees everything; the pictures that are on it."""
    write_judges_sheet("web", folder, config=world.folder / "laionet.yaml", pictures=pictures, judge="anna")
    file = folder / "verdicts.csv"
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    for row in rows:
        row["verdict"] = "no" if is_wrong(int(row["sample_id"])) else "yes"
    rows[0]["verdict"] = "unsure"
    with file.open("w", newline="") as lines:
        out = csv.DictWriter(lines, rows[0].keys())
        out.writeheader()
        out.writerows(rows)
    return [int(row["sample_id"]) for row in rows]


def test_verdicts_on_a_sheet_become_rates_and_gaps(world: World, tmp_path: Path) -> None:
    world.config = SETTINGS
    world.make("core.judgements", "marts.label_errors", "core.label_doubts")
    assert world.rows("select * from marts_label_errors") == []
    on_sheet = judged(world, tmp_path / "sheet", 40)
    assert len(set(on_sheet)) == 40 and sorted(on_sheet) != on_sheet
    assert [sum(i // 12 == fifth for i in on_sheet) for fifth in range(5)] == [8] * 5
    page = (tmp_path / "sheet" / "sheet.html").read_text()
    assert page.count("<img ") == 40 and "&lt;b&gt;class 0" in page and "<b>class" not in page
    smaller = set(judged(world, tmp_path / "smaller", 20))
    assert smaller < set(on_sheet)

    world.config = SETTINGS | {"judgements": [str(tmp_path / "sheet" / "verdicts.csv")]}
    world.publish("core.confusable_classes", [])
    world.make("core.judgements", "marts.label_errors", "core.label_doubts", "marts.gaps_without_noise")
    decided = on_sheet[1:]
    strata = [[i for i in decided if i // 12 == fifth] for fifth in range(5)]
    expected = wrong_rate([Stratum(12, sum(not is_wrong(i) for i in s), sum(map(is_wrong, s))) for s in strata])
    rows = world.rows(
        "select judge, pictures, judged, wrong, unsure, error_rate, ci_low, ci_high from marts_label_errors"
    )
    assert [row[0] for row in rows] == ["*", "anna"] and rows[0][1:] == rows[1][1:]
    assert rows[0][1:5] == (PICTURES, 39, sum(map(is_wrong, decided)), 1)
    assert rows[0][5:] == pytest.approx((expected.rate, expected.low, expected.high))
    assert 0 < expected.rate < 0.5

    gaps = {
        without: values
        for without, *values in world.rows(
            "select without, left_out, accuracy, other_accuracy, gap from marts_gaps_without_noise where model = 'm'"
        )
    }
    curated = sum(i % 6 > 0 for i in range(PICTURES)) / PICTURES
    for without, kept in (
        ("nothing", [*range(PICTURES)]),
        ("unjudged", decided),
        ("judged_wrong", [i for i in decided if not is_wrong(i)]),
    ):
        of_class = [[is_correct(i) for i in kept if wnid(i) == each] for each in WNIDS]
        accuracy = sum(sum(each) / len(each) for each in of_class) / 2
        found = gaps[without]
        assert found == pytest.approx([1 - len(kept) / PICTURES, accuracy, curated, accuracy - curated])
    assert gaps["judged_wrong"][3] > gaps["unjudged"][3]


def test_a_judge_has_one_verdict_of_a_picture(world: World, tmp_path: Path) -> None:
    world.config = SETTINGS
    world.make("core.judgements")
    judged(world, tmp_path, 10)
    twice = tmp_path / "twice.csv"
    twice.write_text((tmp_path / "verdicts.csv").read_text())
    world.config = SETTINGS | {"judgements": [str(tmp_path / "verdicts.csv"), str(twice)]}
    with pytest.raises(UserError, match=r"twice.csv, line 2: found a second verdict .* after .*verdicts.csv, line 2"):
        world.make("core.judgements")


def test_pictures_that_are_gone_are_counted_and_not_on_the_sheet(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = world.folder / "laionet.yaml"
    with pytest.raises(UserError, match="found 'none', expected one of recipes: web"):
        write_judges_sheet("none", tmp_path, config=config)
    from laionet_assets.images.store import ImageStore

    ImageStore(str(world.folder / "warehouse" / "images")).discard([content_hash(jpeg(i)) for i in range(12)])
    assert write_judges_sheet("web", tmp_path, config=config, pictures=PICTURES) == PICTURES - 12
    assert "12 more were drawn" in capsys.readouterr().out
    assert duckdb.sql(f"select count(*) from read_csv('{tmp_path}/verdicts.csv')").fetchall() == [(PICTURES - 12,)]
