"""core.caption_matches against the plain-Python oracle, on real captions and on made-up ones."""

import string
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from laionet_assets.taxonomy import Synset, load_synsets
from tests.unit.sql.models import Database, database, project
from tests.unit.sql.reference import ENTITIES, Match, Oracle, folded, is_word_character

RELAXED = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

MINI_LEMMAS = (
    ("a",),
    ("a b",),
    ("B", "a b c"),
    ("b c",),
    ("c a", "C-A", "b a b"),
    ("a a",),
    ("b",),
    ("c c a", "c b"),
    ("c b", "b-b", "b.b.b.b", "a c"),
    ("x", "a c", "x x"),
)
"""Over few words: lemmas that nest, chain, overlap themselves, differ in case, have punctuation; "a c" is nobody's."""


def _mini_synset(position: int, lemmas: tuple[str, ...]) -> Synset:
    wnid = f"n{position:08d}"
    return Synset(wnid, position, position, lemmas[0].lower(), lemmas, "made up", True, wnid)


MINI = [_mini_synset(position, lemmas) for position, lemmas in enumerate(MINI_LEMMAS)]
IMAGENET = load_synsets("imagenet-1k")
MINI_ORACLE, IMAGENET_ORACLE = Oracle(MINI), Oracle(IMAGENET)


@pytest.fixture(scope="module")
def imagenet() -> Iterator[Database]:
    with database(IMAGENET) as db:
        yield db


@pytest.fixture(scope="module")
def mini() -> Iterator[Database]:
    with database(MINI) as db:
        yield db


def found_by_sql(db: Database, captions: Sequence[str | None]) -> dict[str, list[set[Match]]]:
    """Matches of each caption by profile, as the SQL model finds them."""
    db.put_captions(captions)
    db.make("core.caption_matches")
    found: dict[str, list[set[Match]]] = {matching: [set() for _ in captions] for matching in ("paper", "corrected")}
    columns = "matching, source, part, sample_id, lemma, wnid, char_offset, char_length"
    for row in db.rows(f"select {columns} from core.caption_matches"):
        matching, source, part, sample_id, *match = row
        assert (source, part) == ("web", "part-0")
        assert Match(*match) not in found[matching][sample_id]
        found[matching][sample_id].add(Match(*match))
    return found


def assert_equals_oracle(db: Database, oracle: Oracle, captions: Sequence[str | None]) -> None:
    """Both profiles find what the oracle finds, at the same places, in every caption."""
    found = found_by_sql(db, captions)
    for matching, matches in found.items():
        for caption, found_in_caption in zip(captions, matches, strict=True):
            assert found_in_caption == oracle.matches(matching, caption), (matching, caption)


@pytest.mark.real_data
def test_real_captions(real_data: Path, imagenet: Database) -> None:
    rows = imagenet.rows("select TEXT from read_parquet(?)", [str(real_data / "captions/*.parquet")])
    captions = [row[0] for row in rows]
    assert len(captions) == 4971
    assert_equals_oracle(imagenet, IMAGENET_ORACLE, captions)


SEPARATORS = st.one_of(
    st.sampled_from(
        [" ", " ", " ", " ", "  ", ", ", "-", "_", "'", "\u2019", "\t", "\n", "\r\n", "\u00a0", "\u200b", "\0", ""]
    ),
    st.sampled_from(sorted(ENTITIES)),
    st.sampled_from(["&AMP;", "&#X27;", "&Quot;", "&amp", "&copy;", "&#0;", "&amp;quot;", "& ", ";", "&&#39;;"]),
    st.text(st.sampled_from(string.punctuation + " "), min_size=1, max_size=4),
    st.characters(exclude_categories=["Cs", "Cn"]),
)
LEMMAS = sorted({lemma for synset in IMAGENET for lemma in synset.lemmas})
LONG = [lemma for lemma in LEMMAS if lemma.count(" ") > 1]
NESTED = [
    "sea lion",
    "lion",
    "bath towel",
    "bath",
    "Siberian husky",
    "husky",
    "crane",
    "missile",
    "Cardigan",
    "cardigan",
]


def _near(lemma: str) -> st.SearchStrategy[str]:
    """A lemma, or almost."""
    words = lemma.split(" ")
    written = [lemma, lemma, lemma, lemma.upper(), lemma.title(), lemma + "s", lemma[:-1], words[0], words[-1]]
    parted = [parting.join(words) for parting in ("  ", "-", "\n", "&nbsp;")]
    return st.sampled_from([*written, *parted, " ".join(reversed(words))])


def _interleaved(pieces: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    joined = st.lists(st.tuples(SEPARATORS | st.just(" "), pieces), max_size=7)
    return st.builds(lambda parts, end: "".join(a + b for a, b in parts)[1:] + end, joined, SEPARATORS | st.just(""))


PIECES = st.one_of(
    st.sampled_from(LEMMAS).flatmap(_near),
    st.sampled_from([*LONG, *NESTED]).flatmap(_near),
    st.sampled_from(["the", "of", "dog", "İstanbul", "ΟΔΟΣ", "🦁", "e\u0301", "½", "१२", "ǅ", "", "s", "o"]),
    st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=4),
)
CAPTIONS = st.one_of(st.none(), _interleaved(PIECES), st.text(st.characters(exclude_categories=["Cs", "Cn"])))


@RELAXED
@given(captions=st.lists(CAPTIONS, min_size=1, max_size=25))
@example(
    captions=["", None, " ", "drum", " drum", "drum ", "-drum-", "\x00drum", "&quot;drum&quot;", "&", "&;", "&#39"]
)
@example(captions=["sea lion sea lion lion", "kit fox English setter", "İ drum", "ΔRUM drum", "a" * 3000 + " drum"])
@example(captions=["bow-tie", "bow tie", "bow  tie", "Hen of the Woods", "hen-of-the-woods", "jack-o&#8217;-lantern"])
def test_composed_captions(imagenet: Database, captions: list[str | None]) -> None:
    assert_equals_oracle(imagenet, IMAGENET_ORACLE, captions)


@RELAXED
@given(
    captions=st.lists(
        _interleaved(st.sampled_from(["a", "b", "c", "A", "B", "a b", "b c", "x"])), min_size=1, max_size=40
    )
)
@example(captions=["a a a", "a b c", "a b a b a", "c c a b", "b.b.b.b.b", "b b b b", "c b b", "C-A b a b", "a b c a a"])
def test_lemmas_that_nest_chain_and_overlap(mini: Database, captions: list[str]) -> None:
    assert_equals_oracle(mini, MINI_ORACLE, captions)


def test_every_entity_of_the_rule_is_white_space_in_any_case(imagenet: Database) -> None:
    entities = [written for entity in sorted(ENTITIES) for written in (entity, entity.upper(), entity.title())]
    captions = [f"{entity}kit{entity}{entity}fox{entity}" for entity in [*entities, "&copy;", "&#65;", "&quot"]]
    assert_equals_oracle(imagenet, IMAGENET_ORACLE, captions)
    found = found_by_sql(imagenet, captions)["corrected"]
    assert [i for i, matches in enumerate(found) if not matches] == list(range(len(entities), len(captions)))


def test_every_character_folds_as_in_the_oracle(imagenet: Database) -> None:
    characters = [
        chr(point) for point in range(sys.maxunicode + 1) if unicodedata.category(chr(point)) not in ("Cn", "Cs")
    ]
    rows = imagenet.rows("select fold_words(character) from (select unnest($1::varchar[]) as character)", [characters])
    different = [
        character
        for character, (words,) in zip(characters, rows, strict=True)
        if words != ([folded(character)] if is_word_character(character) else [])
    ]
    assert different == []


def test_long_captions_of_lemmas_alone(imagenet: Database) -> None:
    captions = ["sea lion, " * 3000, "steel drum " * 2500, "lion " * 6000, "x " * 16_000 + "lion"]
    found = found_by_sql(imagenet, captions)
    assert found["paper"][3] == {Match("lion", "n02129165", 32_000, 4)}
    assert found["corrected"][0] == {Match("sea lion", "n02077923", 0, 8)}
    assert {match.lemma for match in found["corrected"][1]} == {"steel drum"}


@pytest.mark.parametrize("matching", ["paper", "corrected"])
def test_who_wants_one_profile_alone_reads_no_caption_for_the_other(imagenet: Database, matching: str) -> None:
    imagenet.put_captions(["a drum"] * 10)
    select = project().models["core.caption_matches"].select
    both, one = (
        imagenet.rows(f"explain select * from ({select}) where {wanted}")[0][1].count("raw.pairs")
        for wanted in ("true", f"matching = '{matching}'")
    )
    assert (both, one) == (4, 2)


def test_the_result_does_not_depend_on_threads_or_order(imagenet: Database) -> None:
    captions = ["steel drum and sea lion", None, "Bath  towel", "lion, lion", "a jack-o'-lantern"] * 50
    forward = found_by_sql(imagenet, captions)
    imagenet.connection.execute("set threads = 2; set preserve_insertion_order = false")
    backward = found_by_sql(imagenet, captions[::-1])
    imagenet.connection.execute("set threads = 1; set preserve_insertion_order = true")
    assert forward == {matching: matches[::-1] for matching, matches in backward.items()}
