"""Taxonomies: the bundled ones, files of wnids, what is wrong with them, and the golden queries."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from laionet_assets.sqlmodels.loader import load_project
from laionet_assets.taxonomy import Synset, TaxonomyError, load_synsets
from laionet_assets.taxonomy.synsets import other_senses
from laionet_assets.warehouse.rows import as_documented

BIRD, MACHINE, HUSKY = "n02012849", "n03126707", "n02110185"


@pytest.fixture(scope="module")
def imagenet() -> dict[str, Synset]:
    return {synset.wnid: synset for synset in load_synsets("imagenet-1k")}


def _file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "wnids.txt"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_imagenet_1k_is_the_class_list_in_class_order(imagenet: dict[str, Synset]) -> None:
    assert len(imagenet) == 1000
    assert list(imagenet) == sorted(imagenet)
    assert [synset.class_index for synset in imagenet.values()] == list(range(1000))
    assert [synset.position for synset in imagenet.values()] == list(range(1000))


def test_a_synset_is_what_wordnet_says(imagenet: dict[str, Synset]) -> None:
    assert imagenet["n01440764"] == Synset(
        wnid="n01440764",
        position=0,
        class_index=0,
        name="tench",
        lemmas=("tench", "Tinca tinca"),
        definition="freshwater dace-like game fish of Europe and western Asia "
        "noted for ability to survive outside water",
        in_paper_list=True,
        paper_wnid="n01440764",
    )


def test_the_papers_list_lacks_the_crane_machine_and_has_another_wnid_for_the_husky(
    imagenet: dict[str, Synset],
) -> None:
    assert [synset.wnid for synset in imagenet.values() if not synset.in_paper_list] == [MACHINE]
    assert [synset.wnid for synset in imagenet.values() if synset.paper_wnid != synset.wnid] == [HUSKY, MACHINE]
    assert imagenet[HUSKY].paper_wnid == "n02112837"
    assert imagenet[MACHINE].paper_wnid is None


def test_imagenet_21k_knows_which_of_its_classes_are_imagenet_1k(imagenet: dict[str, Synset]) -> None:
    synsets = load_synsets("imagenet-21k")
    assert len(synsets) == 21_843
    assert [synset.wnid for synset in synsets] == sorted(synset.wnid for synset in synsets)
    indices = {synset.wnid: synset.class_index for synset in synsets if synset.class_index is not None}
    assert imagenet.keys() - indices.keys() == {"n04399382"}
    assert all(imagenet[wnid].class_index == index for wnid, index in indices.items())
    assert sum(synset.in_paper_list for synset in synsets) == 998
    assert all(synset.paper_wnid is None for synset in synsets if synset.class_index is None)


def test_a_file_keeps_its_order_and_may_hold_comments(tmp_path: Path) -> None:
    lines = [
        "\ufeff# two cranes",
        "",
        f"{MACHINE}\tthe machine",
        f"  {BIRD}  crane",
        f"{HUSKY}# dog",
        "  ",
        "n00004475 x",
    ]
    synsets = load_synsets(_file(tmp_path, "\n".join(lines)))
    assert [(s.wnid, s.position, s.class_index) for s in synsets] == [
        (MACHINE, 0, 517),
        (BIRD, 1, 134),
        (HUSKY, 2, 250),
        ("n00004475", 3, None),
    ]


def test_all_wrong_wnids_are_listed_at_once(tmp_path: Path) -> None:
    path = _file(tmp_path, f"n00000000\n{BIRD}\nn02112837\ntench\n{BIRD}\nn00000000\n")
    with pytest.raises(TaxonomyError) as error:
        load_synsets(path)
    message = str(error.value)
    assert "3 unknown: n00000000, n02112837 (in ImageNet: n02110185), tench" in message
    assert f"2 more than once: n00000000, {BIRD}" in message
    assert path in message


@pytest.mark.parametrize(("text", "found"), [("", "found no wnid"), ("# nothing\n\n", "found no wnid")])
def test_a_file_without_wnids_is_an_error(tmp_path: Path, text: str, found: str) -> None:
    with pytest.raises(TaxonomyError, match=found):
        load_synsets(_file(tmp_path, text))


def test_a_missing_or_binary_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(TaxonomyError, match=r"No such file.*imagenet-1k, imagenet-21k or a text file"):
        load_synsets(str(tmp_path / "none.txt"))
    with pytest.raises(TaxonomyError, match="Is a directory"):
        load_synsets(str(tmp_path))
    (tmp_path / "image.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(TaxonomyError, match="not UTF-8 text"):
        load_synsets(str(tmp_path / "image.jpg"))


def test_the_table_has_the_documented_columns(imagenet: dict[str, Synset]) -> None:
    table = as_documented(load_project().tables["raw.synsets"], map(asdict, imagenet.values()))
    assert table.num_rows == 1000
    assert table.slice(0, 1).to_pylist()[0]["lemmas"] == ["tench", "Tinca tinca"]


def test_neither_timm_nor_torch_is_imported() -> None:
    code = (
        "import sys; from laionet_assets.taxonomy import load_synsets; load_synsets('imagenet-1k'); "
        "print(sorted({'torch', 'timm', 'pyarrow'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.real_data
def test_names_and_definitions_give_the_published_query_of_every_class(
    real_data: Path, imagenet: dict[str, Synset]
) -> None:
    golden = json.loads((real_data / "golden/synset_queries.json").read_text())
    assert {wnid: f"{synset.name} which is {synset.definition}" for wnid, synset in imagenet.items()} == golden


@pytest.mark.real_data
def test_lemmas_are_those_of_the_papers_list(real_data: Path, imagenet: dict[str, Synset]) -> None:
    lines = (real_data / "golden/ilsvrc2012_synsets_999.txt").read_text().splitlines()[1:]
    published = dict(line.split(": ", 1) for line in lines)
    assert published == {s.paper_wnid: ", ".join(s.lemmas) for s in imagenet.values() if s.paper_wnid}


def test_classes_whose_names_have_another_sense() -> None:
    found = other_senses([synset.wnid for synset in load_synsets("imagenet-1k")])
    assert len(found) == 275
    assert found["n02012849"] == [
        ("n03126707", "crane which is lifts and moves heavy objects; lifting tackle is suspended from a pivoted boom "
         "that rotates around a vertical axis"),
    ]  # fmt: skip
    assert all(wnid not in {other for other, _ in others} for wnid, others in found.items())
    assert other_senses(["n00000000"]) == {}
