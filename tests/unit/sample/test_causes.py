"""What makes pictures alike in the synthetic web: one switch scales it, in order, and leaves the captions alone."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from laionet_assets.sample import sample_classes
from laionet_assets.sample.causes import looked_at
from laionet_assets.sample.curated import CuratedSet, write_curated_set
from laionet_assets.sample.rows import Row, part_rows
from laionet_assets.sample.web import write_sample_web

EFFECTS = (0.0, 0.3, 0.7, 1.0)
NUMBERS = range(40)


def rows(effect: float) -> list[Row]:
    return part_rows(seed=0, part=0, rows=1_500, effect=effect)


@pytest.fixture(scope="module")
def webs() -> dict[float, list[Row]]:
    return {effect: rows(effect) for effect in EFFECTS}


def test_the_effect_changes_pictures_and_nothing_else(webs: dict[float, list[Row]]) -> None:
    for effect in EFFECTS:
        assert [row.published for row in webs[effect]] == [row.published for row in webs[1.0]]
        assert [row.invention for row in webs[effect]] == [row.invention for row in webs[1.0]]
        assert [row.picture.seed for row in webs[effect]] == [row.picture.seed for row in webs[1.0]]


def test_pictures_that_a_smaller_effect_changed_stay_changed(webs: dict[float, list[Row]]) -> None:
    typical = [{i for i, row in enumerate(webs[e]) if row.picture.style == "typical"} for e in EFFECTS]
    assert all(larger < smaller for smaller, larger in pairwise(typical))
    assert typical[-1] == set()


def test_without_the_effect_every_word_of_a_class_shows_its_one_drawing(webs: dict[float, list[Row]]) -> None:
    for row in webs[0.0]:
        if row.invention.sense != "none" and row.picture.style != "dead":
            assert (row.picture.style, row.picture.depicted) == ("typical", row.invention.word)
    others = {row.invention.word for row in webs[0.0] if row.kind == "other_sense"}
    assert others and None not in others, "also where the word means something else"


def test_classes_are_as_diverse_as_the_truth_says() -> None:
    drawn = [row for part in range(4) for row in part_rows(seed=0, part=part, rows=5_000)]
    for one in sample_classes():
        styles = Counter(r.picture.style for r in drawn if r.picture.depicted == one.wnid and r.kind != "duplicate_row")
        # of pictures that show their class, 0.78 in 0.88 could be the web's
        expected = one.diversity * 0.78 / 0.88
        assert styles["web"] / (styles["web"] + styles["curated"]) == pytest.approx(expected, abs=0.13), one.name


def test_parts_list_the_same_pages() -> None:
    pages = [
        {(row.published["URL"], row.published["TEXT"]) for row in part_rows(seed=0, part=part, rows=3_000)}
        for part in (0, 1)
    ]
    shared = pages[0] & pages[1] - {(None, None)}
    assert 3 <= len(shared) <= 40


def test_sets_of_a_higher_selection_frequency_looked_more_at_the_pictures() -> None:
    assert [looked_at(f) for f in (0.5, 0.73, 0.85, 0.93, None)] == pytest.approx([0, 0.325, 0.625, 0.825, 1])
    chosen = []
    for frequency in (0.73, 0.85, 0.93, None):
        wanted = CuratedSet(selection_frequency=frequency)
        styles = Counter(wanted.style(one.wnid, number) for one in sample_classes() for number in NUMBERS)
        chosen.append(styles["curated"] / styles.total())
        assert styles.keys() <= {"curated", "web"}
    assert chosen == sorted(chosen) and chosen[0] < 0.6 and chosen[-1] == 1
    without = CuratedSet(selection_frequency=0.73, effect=0.0)
    assert {without.style(one.wnid, number) for one in sample_classes() for number in NUMBERS} == {"typical"}


def test_sets_of_other_causes_share_no_seed() -> None:
    sets = [CuratedSet(seed=s, selection_frequency=f) for s in (0, 1, 1_023) for f in (None, 0.73, 0.85, 0.93)]
    seeds = [wanted.picture_seed(number) for wanted in sets for number in (0, 9_998)]
    assert len(set(seeds)) == len(seeds) and min(seeds) >= 2**31


def test_causes_lie_beside_what_was_drawn(tmp_path: Path) -> None:
    write_sample_web(tmp_path / "web", parts=1, rows=100, effect=0.5)
    of_web = json.loads((tmp_path / "web" / "truth" / "causes.json").read_text())
    assert of_web["effect"] == 0.5
    assert of_web["classes"]["n06359193"] == {"name": "web site", "diversity": 1.0}
    assert of_web["classes"].keys() == {one.wnid for one in sample_classes()}
    wanted = CuratedSet(per_class=1, selection_frequency=0.73, effect=0.0)
    folder = write_curated_set(tmp_path / "set", wanted)
    of_set = json.loads((folder / "causes.json").read_text())
    assert (of_set["looked_at"], of_set["effect"], of_set["selection_frequency"]) == (pytest.approx(0.325), 0.0, 0.73)
    assert of_set["styles"] == {f"{one.wnid}/0000.jpg": "typical" for one in sample_classes()}
    assert len({path.read_bytes() for path in folder.glob("n*/*.jpg")}) == 24


def test_captions_of_a_set_are_in_the_form_of_imagenet_captions(tmp_path: Path) -> None:
    folder = write_curated_set(tmp_path, CuratedSet(per_class=2, effect=0.0))
    rows = json.loads((folder / "captions.json").read_text(encoding="utf-8"))
    names = [row["filename"] for row in rows]
    assert 30 <= len(set(names)) == len(names) < 48, "some pictures have none"
    lemmas = {one.wnid: one.lemmas for one in sample_classes()}
    for row in rows:
        assert row.keys() == {"filename", "wnid", "title", "tags", "description"}
        assert (folder / row["filename"]).is_file() and row["filename"].startswith(row["wnid"])
        assert any(lemma in row["title"] for lemma in lemmas[row["wnid"]]), row
    assert len({row["title"] for row in rows}) == len(rows)
