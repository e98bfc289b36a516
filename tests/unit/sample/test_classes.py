"""The sample's own table of classes against timm's WordNet files."""

from collections import Counter
from pathlib import Path

import pytest

from laionet_assets.sample.classes import SHARED, lemma_owners, sample_classes, web


@pytest.fixture(scope="module")
def lemmas_by_wnid() -> dict[str, list[str]]:
    import timm

    info = Path(timm.__file__).parent / "data" / "_info"
    wnids = set((info / "imagenet_synsets.txt").read_text().split())
    lines = (line.split("\t") for line in (info / "imagenet_synset_to_lemma.txt").read_text().splitlines())
    return {wnid: lemmas.split(", ") for wnid, lemmas in lines if wnid in wnids}


def test_lemmas_are_wordnets(lemmas_by_wnid: dict[str, list[str]]) -> None:
    assert len(sample_classes()) == 24
    assert {one.wnid: list(one.lemmas) for one in sample_classes()} == {
        one.wnid: lemmas_by_wnid[one.wnid] for one in sample_classes()
    }
    assert all(set(one.use) <= set(one.lemmas) for one in sample_classes())


def test_bystanders_belong_to_other_classes(lemmas_by_wnid: dict[str, list[str]]) -> None:
    assert all(lemma in lemmas_by_wnid[wnid] for lemma, wnid in web().bystanders.items())
    assert not set(web().bystanders.values()) & {one.wnid for one in sample_classes()}


def test_shared_lemmas_are_exactly_those_of_several_classes(lemmas_by_wnid: dict[str, list[str]]) -> None:
    counts = Counter(lemma for lemmas in lemmas_by_wnid.values() for lemma in lemmas)
    assert {lemma for lemma in lemma_owners() if counts[lemma] > 1} == SHARED


def test_long_tail_and_the_classes_that_the_paper_cannot_reach() -> None:
    shares = [one.share for one in sample_classes()]
    assert shares == sorted(shares, reverse=True) and shares[0] == 10 * shares[-1]
    names = {one.name for one in sample_classes()}
    assert {"jack-o'-lantern", "ping-pong ball", "gong"} <= names, "only lemmas with punctuation, or shared ones"
    assert {"window screen", "measuring cup", "fountain pen"} <= names, "shadowed"
    assert "harp" in names, "no lemma of its own"


def test_every_class_has_captions_of_every_kind() -> None:
    for one in sample_classes():
        assert all("[*]" in template for template in (*one.near, *one.far)), one.wnid
        assert all("[" in template and "[*]" not in template for template in one.senses), one.wnid
        assert len(one.near) >= 5 and len(one.far) >= 5 and one.senses and one.foreign and one.misspelt, one.wnid
