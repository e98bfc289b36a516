"""staging.lemmas and staging.queries against what the paper published."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from laionet_assets.taxonomy import load_synsets
from tests.unit.sql.models import Database, database
from tests.unit.sql.reference import corrected_owners, fold, paper_lemmas

NO_UNIQUE_LEMMA = {"missile", "harp", "partridge", "maillot"}
PUNCTUATED = {
    "flat-coated retriever",
    "go-kart",
    "four-poster",
    "pay-phone",
    "gong",
    "hand-held computer",
    "potter's wheel",
    "jack-o'-lantern",
    "ping-pong ball",
    "soft-coated wheaten terrier",
    "black-and-tan coonhound",
    "shih-tzu",
    "german short-haired pointer",
    "curly-coated retriever",
    "wire-haired fox terrier",
}
SHADOWED = {
    "sea lion",
    "tiger cat",
    "border collie",
    "steel drum",
    "bee eater",
    "anemone fish",
    "oxygen mask",
    "radio telescope",
    "tiger beetle",
    "espresso maker",
    "waffle iron",
    "totem pole",
    "cliff dwelling",
    "plate rack",
    "bell pepper",
    "head cabbage",
    "acorn squash",
    "ski mask",
    "bath towel",
    "window screen",
    "rain barrel",
    "cassette player",
    "bell cote",
    "fountain pen",
    "measuring cup",
    "maillot",
    "siberian husky",
}
CRANES = {"n02012849", "n03126707"}


@pytest.fixture(scope="module")
def imagenet() -> Iterator[Database]:
    with database(load_synsets("imagenet-1k")) as db:
        yield db


def _names(db: Database, matching: str, condition: str) -> list[str]:
    """Names of classes, by the paper's wnid or the taxonomy's, none of whose lemmas satisfies the condition."""
    rows = db.rows(
        f"""
        select name
        from staging.lemmas as l
        join raw.synsets as s on l.wnid = case matching when 'paper' then s.paper_wnid else s.wnid end
        where matching = ?
        group by s.wnid, name
        having not bool_or({condition})
        """,
        [matching],
    )
    return [row[0] for row in rows]


@pytest.mark.real_data
def test_the_lemma_map_is_the_published_one_in_its_order(real_data: Path, tmp_path: Path) -> None:
    lines = (real_data / "golden/ilsvrc2012_synsets_999.txt").read_text().splitlines()[1:]
    published = [line.split(": ")[0] for line in lines]
    path = tmp_path / "paper.txt"
    path.write_text("\n".join("n02110185" if wnid == "n02112837" else wnid for wnid in published))
    with database(load_synsets(str(path))) as db:
        rows = db.rows(
            "select lemma, wnid from staging.lemmas where matching = 'paper' and is_unique "
            "order by synset_position, lemma_position"
        )
    assert rows == list(json.loads((real_data / "golden/lemma_to_wnid.json").read_text()).items())
    assert (len(rows), len({wnid for _, wnid in rows})) == (1825, 995)


@pytest.mark.real_data
def test_the_queries_are_the_published_ones(real_data: Path, imagenet: Database) -> None:
    imagenet.make("staging.queries")
    rows = imagenet.rows("select wnid, query from staging.queries where template = 'name_def'")
    assert dict(rows) == json.loads((real_data / "golden/synset_queries.json").read_text())
    assert len(rows) == 1000


def test_the_lemma_counts_are_the_published_ones(imagenet: Database) -> None:
    lemmas = "from staging.lemmas where matching = 'paper'"
    counts = imagenet.rows(
        f"select count(*), count(distinct lemma), count(*) filter (is_unique), count(*) filter (is_matchable), "
        f"count(*) filter (is_unique and not is_matchable), count(*) filter (len(shadowed_by) > 0) {lemmas}"
    )[0]
    assert counts == (1859, 1842, 1825, 1761, 64, 86)
    classes = imagenet.rows(
        f"select count(distinct wnid), count(distinct wnid) filter (is_unique), "
        f"count(distinct wnid) filter (is_matchable), "
        f"count(distinct wnid) filter (is_matchable and shadowed_by = []) {lemmas}"
    )[0]
    assert classes == (999, 995, 980, 953)


def test_shadows_are_named(imagenet: Database) -> None:
    shadows = dict(imagenet.rows("select lemma, shadowed_by from staging.lemmas where len(shadowed_by) > 0"))
    assert shadows["mountain lion"] == ["lion"]
    assert shadows["sea lion"] == ["lion"]
    assert shadows["Siberian husky"] == ["husky"]


def test_46_classes_are_out_of_reach_under_paper(imagenet: Database) -> None:
    no_lemma = _names(imagenet, "paper", "is_unique")
    not_matchable = _names(imagenet, "paper", "is_matchable")
    out_of_reach = _names(imagenet, "paper", "is_matchable and shadowed_by = []")
    assert sorted(no_lemma) == sorted(NO_UNIQUE_LEMMA)
    assert sorted(not_matchable) == sorted([*NO_UNIQUE_LEMMA, *PUNCTUATED])
    assert sorted(out_of_reach) == sorted([*NO_UNIQUE_LEMMA, *PUNCTUATED, *SHADOWED])
    assert len(out_of_reach) == 4 + 15 + 27


def test_only_the_two_cranes_are_out_of_reach_under_corrected(imagenet: Database) -> None:
    rows = imagenet.rows(
        "select wnid from staging.lemmas where matching = 'corrected' group by wnid having not bool_or(is_matchable)"
    )
    assert {row[0] for row in rows} == CRANES
    assert imagenet.rows("select distinct shadowed_by from staging.lemmas where matching = 'corrected'") == [([],)]


@pytest.mark.parametrize("taxonomy", ["imagenet-1k", "imagenet-21k"])
def test_lemmas_equal_the_oracle(taxonomy: str) -> None:
    synsets = load_synsets(taxonomy)
    owners = corrected_owners(synsets)
    with database(synsets) as db:
        select = "select lemma, wnid from staging.lemmas where is_unique and matching = "
        assert dict(db.rows(f"{select} 'paper'")) == paper_lemmas(synsets)
        found = db.rows("select wnid, lemma, words, is_unique from staging.lemmas where matching = 'corrected'")
    assert len(found) == sum(len(synset.lemmas) for synset in synsets)
    assert all(tuple(words) == fold(lemma) for _, lemma, words, _ in found)
    assert all(is_unique == (owners[fold(lemma)] == wnid) for wnid, lemma, _, is_unique in found)
