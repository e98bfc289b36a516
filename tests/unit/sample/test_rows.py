"""The rows and their truth: every trap is there, and matchers that see only the text agree with the truth.

The two matchers here are plain readings of the rules (docs/method.md, 2 and 3) over all of ImageNet's lemmas.
"""

import re
import string
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from laionet_assets.sample.classes import sample_classes
from laionet_assets.sample.rows import part_rows

from .conftest import Part

PUNCTUATION_TO_SPACE = str.maketrans(string.punctuation, " " * len(string.punctuation))


@pytest.fixture(scope="module")
def imagenet() -> list[tuple[str, list[str]]]:
    import timm

    info = Path(timm.__file__).parent / "data" / "_info"
    lines = (line.split("\t") for line in (info / "imagenet_synset_to_lemma.txt").read_text().splitlines())
    lemmas = dict(lines)
    return [(wnid, lemmas[wnid].split(", ")) for wnid in (info / "imagenet_synsets.txt").read_text().split()]


def fold(text: str) -> str:
    text = re.sub("&(?:quot|amp|apos|nbsp|#39|#160);", " ", text)
    return " " + " ".join(re.sub(r"[\W_]+", " ", text.lower()).split()) + " "


def test_plain_reading_of_the_papers_rule_agrees(parts: list[Part], imagenet: list[tuple[str, list[str]]]) -> None:
    listed = [(lemma, wnid) for wnid, lemmas in imagenet if wnid != "n03126707" for lemma in lemmas]
    counts = Counter(lemma for lemma, _ in listed)
    padded = [(f" {lemma} ", wnid) for lemma, wnid in listed if counts[lemma] == 1]
    assert len(padded) == 1825

    def match(text: str) -> list[str]:
        caption = f" {text.translate(PUNCTUATION_TO_SPACE)} "
        return sorted({wnid for lemma, wnid in padded if lemma in caption})

    assert disagreements(parts, match, "expected_paper") == []


def test_plain_reading_of_the_corrected_rule_agrees(parts: list[Part], imagenet: list[tuple[str, list[str]]]) -> None:
    claims: dict[str, list[tuple[bool, int, str]]] = defaultdict(list)
    for wnid, lemmas in imagenet:
        for position, lemma in enumerate(lemmas):
            claims[fold(lemma)].append((position == 0, len(lemmas), wnid))
    owners = {lemma: owner(claim) for lemma, claim in claims.items()}

    def match(text: str) -> list[str]:
        caption = fold(text)
        spans = [
            (found.start() + 1, found.start() + len(lemma) - 1, wnid)
            for lemma, wnid in owners.items()
            if lemma in caption
            for found in re.finditer(f"(?={re.escape(lemma)})", caption)
        ]
        return sorted(
            {
                wnid
                for start, end, wnid in spans
                if wnid and not any(a <= start and end <= b and (a, b) != (start, end) for a, b, _ in spans)
            }
        )

    assert disagreements(parts, match, "expected_corrected") == []


def owner(claims: list[tuple[bool, int, str]]) -> str | None:
    """The class that a lemma names; of several that it names, the one without another lemma; otherwise none."""
    if len({wnid for *_, wnid in claims}) == 1:
        return claims[0][2]
    named = [claim for claim in claims if claim[0]]
    if len(named) > 1:
        named = [claim for claim in named if claim[1] == 1]
    return named[0][2] if len(named) == 1 else None


def disagreements(parts: list[Part], match: object, column: str) -> list[tuple[str, list[str], list[str]]]:
    answers: dict[str, list[str]] = {}
    found = []
    for part in parts:
        for row, truth in zip(part.rows, part.truth, strict=True):
            text = row["TEXT"] or ""
            answers.setdefault(text, match(text) if text else [])
            if answers[text] != truth[column]:
                found.append((text[:200], answers[text], truth[column]))
    return found


def test_traps_in_the_columns(parts: list[Part]) -> None:
    for part in parts:
        rows = part.rows
        for column in ("TEXT", "URL", "NSFW", "WIDTH", "similarity", "LICENSE"):
            assert 3 <= sum(row[column] is None for row in rows) <= 100, column
        assert any(row["similarity"] == 6016 for row in rows)
        assert any(row["WIDTH"] == 0 for row in rows)
        assert any(row["TEXT"] == "" for row in rows)
        assert max(len(row["TEXT"] or "") for row in rows) >= 60_000
        assert 300 < sum(".gone.sample.invalid/" in (row["URL"] or "") for row in rows) < 700
        assert all(row["URL"] is None or row["URL"].startswith("http://") for row in rows)
        tags = Counter(row["NSFW"] for row in rows)
        assert 0.91 < tags["UNLIKELY"] / len(rows) < 0.95
        assert 0.035 < tags["UNSURE"] / len(rows) < 0.065
        assert 0.004 < tags["NSFW"] / len(rows) < 0.02


def test_traps_in_the_captions(parts: list[Part]) -> None:
    traps = {
        "tab": "\t",
        "newline": "\n",
        "carriage return": "\r",
        "double space": "  ",
        "entity": "&quot;",
        "no-break entity": "&nbsp;",
        "curly quote": "\u2019",
        "em dash": "\u2014",
        "no-break space": "\u00a0",
        "accent": "é",
        "cyrillic": "плат",
        "chinese": "新款",
        "arabic": "صورة",
        "emoji": "🎁",
        "underscore": "_",
        "address": "http://",
    }
    texts = [row["TEXT"] for part in parts for row in part.rows if row["TEXT"]]
    missing = [name for name, mark in traps.items() if sum(mark in text for text in texts) < 10]
    assert missing == []
    assert sum(text.isupper() for text in texts) > 100


def test_duplicates(parts: list[Part]) -> None:
    for part in parts:
        whole = Counter(tuple(row.values()) for row in part.rows)
        captions = Counter(row["TEXT"] for row in part.rows if row["TEXT"])
        kinds = Counter(truth["kind"] for truth in part.truth)
        pages = {
            tuple(row.values())
            for row, truth in zip(part.rows, part.truth, strict=True)
            if truth["kind"] == "syndicated"
        }
        repeated = kinds["syndicated"] - len(pages)
        assert sum(count - 1 for count in whole.values()) == kinds["duplicate_row"] + repeated >= 30
        assert sum(count - 1 for count in captions.values()) >= kinds["duplicate_row"] + kinds["duplicate_caption"] - 10
        assert kinds["duplicate_caption"] >= 80


def test_truth_joins_one_to_one(parts: list[Part]) -> None:
    for number, part in enumerate(parts):
        assert len(part.rows) == len(part.truth) == 5000
        assert [truth["row"] for truth in part.truth] == list(range(5000))
        assert all(truth["sample_id"] == truth["row"] + number * 100_000_000 for truth in part.truth)


def test_truth_of_the_pictures(parts: list[Part]) -> None:
    wnids = {one.wnid for one in sample_classes()}
    for part in parts:
        for row, truth in zip(part.rows, part.truth, strict=True):
            style, depicted = truth["style"], truth["depicted"]
            assert (style == "dead") == (".gone." in row["URL"]) if row["URL"] else True
            assert depicted is None or depicted in wnids
            if style in ("curated", "web", "text"):
                assert depicted and truth["sense"] == "true"
            if style in ("dead", "noise", "other_sense"):
                assert depicted is None
    styles = Counter(truth["style"] for part in parts for truth in part.truth)
    assert set(styles) == {"curated", "web", "text", "wrong", "other_sense", "noise", "dead"}
    assert min(styles.values()) > 100


def test_links_lead_to_one_picture_each(parts: list[Part]) -> None:
    pictures: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for part in parts:
        for row, truth in zip(part.rows, part.truth, strict=True):
            if row["URL"]:
                pictures[row["URL"]].add((truth["style"], truth["picture_seed"]))
    assert len(pictures) > 19_000 and all(len(shown) == 1 for shown in pictures.values())


def test_long_tail_and_share_of_noise(parts: list[Part]) -> None:
    truths = [truth for part in parts for truth in part.truth]
    counts = Counter(wnid for truth in truths for wnid in truth["mentioned"])
    assert set(counts) == {one.wnid for one in sample_classes()}
    assert counts.most_common(1)[0][0] == "n06359193"
    assert counts["n06359193"] > 6 * min(counts.values()) and min(counts.values()) > 50
    nothing = sum(not truth["expected_corrected"] and not truth["depicted"] for truth in truths)
    assert 0.5 < nothing / len(truths) < 0.65


def test_single_label_matches_of_the_two_profiles(parts: list[Part]) -> None:
    """The sample shows what the corrected profile mends: classes that the paper's rule cannot reach at all."""
    drawn = {one.wnid for one in sample_classes()}
    reached = {
        column: {truth[column][0] for part in parts for truth in part.truth if len(truth[column]) == 1} & drawn
        for column in ("expected_paper", "expected_corrected")
    }
    assert reached["expected_corrected"] == drawn
    names = {one.name for one in sample_classes() if one.wnid not in reached["expected_paper"]}
    assert names == {
        "jack-o'-lantern",
        "ping-pong ball",
        "gong",
        "harp",
        "window screen",
        "measuring cup",
        "fountain pen",
    }


def test_rows_depend_on_seed_and_part_alone() -> None:
    def texts(seed: int, part: int) -> list[str | None]:
        return [row.published["TEXT"] for row in part_rows(seed=seed, part=part, rows=100)]

    assert texts(0, 1) == texts(0, 1)
    assert texts(0, 1) != texts(0, 2) and texts(0, 1) != texts(1, 1)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 100 rows, got 99"):
        part_rows(seed=0, part=0, rows=99)
