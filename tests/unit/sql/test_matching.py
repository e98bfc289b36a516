"""core.caption_matches against its two references: one SELECT (caption_matches.sql) and plain Python (reference.py).

By hand, on real captions, and on made-up ones. Every lemma in every context: test_matching_contexts.py.
"""

import string
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from laionet_assets.taxonomy import Synset, load_synsets
from tests.unit.sql.models import PART, Database, database, queries
from tests.unit.sql.reference import ENTITIES, Match, Oracle, folded, kind_of

RELAXED = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PROFILES = ("paper", "corrected")
SELECT = (Path(__file__).parent / "caption_matches.sql").read_text(encoding="utf-8")
COLUMNS = "matching, source, part, sample_id, lemma, wnid, char_offset, char_length"

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


def mini_taxonomy(lemmas: Sequence[Sequence[str]]) -> list[Synset]:
    """Classes of the paper's list with these lemmas."""
    wnids = [f"n{position:08d}" for position in range(len(lemmas))]
    return [
        Synset(wnid, position, position, each[0].lower(), tuple(each), "made up", True, wnid)
        for position, (wnid, each) in enumerate(zip(wnids, lemmas, strict=True))
    ]


MINI = mini_taxonomy(MINI_LEMMAS)
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


def found_by_product(db: Database, captions: Sequence[str | None]) -> dict[str, list[set[Match]]]:
    """Matches of each caption by profile, as core.caption_matches has them."""
    db.put_captions(captions)
    db.make("core.caption_matches")
    return _by_profile(db, "core.caption_matches", len(captions))


def found_by_select(db: Database, captions: Sequence[str | None]) -> dict[str, list[set[Match]]]:
    """Matches of each caption by profile, as the reference in SQL finds them."""
    db.put_captions(captions)
    return _by_profile(db, f"({SELECT})", len(captions))


def _by_profile(db: Database, relation: str, captions: int) -> dict[str, list[set[Match]]]:
    found: dict[str, list[set[Match]]] = {matching: [set() for _ in range(captions)] for matching in PROFILES}
    for matching, source, part, sample_id, *match in db.rows(f"select {COLUMNS} from {relation}"):
        assert (source, part) == (PART.source, PART.part)
        assert Match(*match) not in found[matching][sample_id]
        found[matching][sample_id].add(Match(*match))
    return found


def assert_equals_oracle(db: Database, oracle: Oracle, captions: Sequence[str | None]) -> None:
    """Both profiles find what the oracle finds, at the same places, in every caption; the table's check agrees."""
    found = found_by_product(db, captions)
    assert db.rows(queries("core.caption_matches")["the_caption_reads_the_lemma_at_the_offset"]) == []
    for matching, matches in found.items():
        for caption, found_in_caption in zip(captions, matches, strict=True):
            assert found_in_caption == oracle.matches(matching, caption), (matching, caption)


BY_HAND_LEMMAS = (
    ("golden retriever",),
    ("drum",),
    ("kit fox",),
    ("English setter",),
    ("sea lion",),
    ("lion",),
    ("lion tamer",),
    ("old sea lion tamer",),
    ("three toed sloth",),
    ("jack-o'-lantern",),
    ("bow tie", "bow-tie"),
    ("crane",),
    ("rail", "crane fly"),
    ("fly", "crane fly"),
    ("recreational vehicle", "R.V."),
    ("goldfish",),
)
Places = dict[str, tuple[int, int]]
BY_HAND: list[tuple[str | None, Places, Places]] = [
    # caption, what paper finds in it, what corrected finds: lemma, characters before it, its characters
    ("", {}, {}),
    (None, {}, {}),
    ("golden retriever", {"golden retriever": (0, 16)}, {"golden retriever": (0, 16)}),
    ("Golden Retriever", {}, {"golden retriever": (0, 16)}),
    ("a golden-retriever!", {"golden retriever": (2, 16)}, {"golden retriever": (2, 16)}),
    ("golden  retriever", {}, {"golden retriever": (0, 17)}),
    ("golden, retriever", {}, {"golden retriever": (0, 17)}),
    ("  golden,\tretriever\n", {}, {"golden retriever": (2, 17)}),
    ("golden golden retriever", {"golden retriever": (7, 16)}, {"golden retriever": (7, 16)}),
    ("&quot;golden&nbsp;&amp;&#x27; retriever&QUOT;", {}, {"golden retriever": (6, 33)}),
    ("golden &copy; retriever", {}, {}),
    ("Oval_drum_small2", {"drum": (5, 4)}, {"drum": (5, 4)}),
    ("the drum\u2019s skin", {}, {"drum": (4, 4)}),
    ("drum's skin", {"drum": (0, 4)}, {"drum": (0, 4)}),
    ("drum\n", {}, {"drum": (0, 4)}),
    ("a\tdrum", {}, {"drum": (2, 4)}),
    ("drums", {}, {}),
    (
        "kit fox English setter",
        {"kit fox": (0, 7), "English setter": (8, 14)},
        {"kit fox": (0, 7), "English setter": (8, 14)},
    ),
    ("été: lion, sea lion", {"lion": (5, 4), "sea lion": (11, 8)}, {"lion": (5, 4), "sea lion": (11, 8)}),
    ("sea lion, sea lion and lion", {"sea lion": (0, 8), "lion": (4, 4)}, {"sea lion": (0, 8), "lion": (23, 4)}),
    (
        "sea lion tamer",
        {"sea lion": (0, 8), "lion": (4, 4), "lion tamer": (4, 10)},
        {"sea lion": (0, 8), "lion tamer": (4, 10)},
    ),
    (
        "old sea lion tamer",
        {"old sea lion tamer": (0, 18), "sea lion": (4, 8), "lion": (8, 4), "lion tamer": (8, 10)},
        {"old sea lion tamer": (0, 18)},
    ),
    ("lion lion", {"lion": (0, 4)}, {"lion": (0, 4)}),
    ("🦁 lion lion", {"lion": (2, 4)}, {"lion": (2, 4)}),
    ("three toed fox, three toed sloth", {"three toed sloth": (16, 16)}, {"three toed sloth": (16, 16)}),
    ("Jack&#8217;o&rsquo;Lantern", {}, {"jack-o'-lantern": (0, 26)}),
    ("jack o lamp, jack o lantern", {}, {"jack-o'-lantern": (13, 14)}),
    ("a jack-o'-lantern", {}, {"jack-o'-lantern": (2, 15)}),
    ("—bow—tie—", {}, {"bow tie": (1, 7), "bow-tie": (1, 7)}),
    ("bow-tie", {"bow tie": (0, 7)}, {"bow tie": (0, 7), "bow-tie": (0, 7)}),
    ("a crane fly", {"crane": (2, 5), "fly": (8, 3)}, {}),
    ("Crane, fly! crane", {"fly": (7, 3), "crane": (12, 5)}, {"crane": (12, 5)}),
    ("beside his R.V. in the desert", {}, {"R.V.": (11, 3)}),
    ("R/V Polarstern", {}, {"R.V.": (0, 3)}),
    ("an S.R.V.", {}, {"R.V.": (5, 3)}),
    ("RV", {}, {}),
    ("❤\ufe0fgoldfish in a bowl", {}, {"goldfish": (2, 8)}),
    ("❤goldfish in a bowl", {}, {"goldfish": (1, 8)}),
    ("1\ufe0f\u20e3goldfish", {}, {"goldfish": (3, 8)}),
    ("1\u20e3goldfish", {}, {"goldfish": (2, 8)}),
    ("\u2139\ufe0fgoldfish", {}, {"goldfish": (2, 8)}),
    ("👩\u200d🍳\u200dgoldfish", {}, {"goldfish": (4, 8)}),
    ("🏴\U000e0067\U000e0062\U000e007fgoldfish", {}, {"goldfish": (4, 8)}),
    ("❤\u0301goldfish", {}, {"goldfish": (2, 8)}),
    ("\u0301goldfish", {}, {"goldfish": (1, 8)}),
    ("goldfish\u0301", {}, {}),
    ("e\u0301goldfish", {}, {}),
    ("\ufeffgoldfish\ufeff bowl", {}, {"goldfish": (1, 8)}),
    ("gold\u00adfish\u00ad", {}, {"goldfish": (0, 9)}),
    ("g\u00ado\u00adl\u00add\u00adf\u00adi\u00ads\u00adhes", {}, {}),
    ("gold\u200bfish", {}, {}),
    ("\u200bgoldfish\u200b", {}, {"goldfish": (1, 8)}),
    ("\u200egoldfish\u200f", {}, {"goldfish": (1, 8)}),
    ("gold\u2060fish \u3164goldfish", {}, {"goldfish": (0, 9)}),
    ("\u3164goldfish", {}, {"goldfish": (1, 8)}),
    ("GOLDF\u0130SH K\u0131t K\u0130t fox", {}, {"goldfish": (0, 8), "kit fox": (13, 7)}),
    ("gold\ufb01sh", {}, {}),
    ("kit \u212a\u0131t \u212ait fox", {}, {"kit fox": (8, 7)}),
    ("日本goldfish", {}, {}),
    ("日本「goldfish」", {}, {"goldfish": (3, 8)}),
    ("goldfish²", {}, {}),
    ("\x00goldfish\x00", {}, {"goldfish": (1, 8)}),
    ("&nb\u017fp;goldfish&nb\u017fp;", {"goldfish": (6, 8)}, {"goldfish": (6, 8)}),
    ("&goldfish;", {"goldfish": (1, 8)}, {"goldfish": (1, 8)}),
]  # fmt: skip


@pytest.fixture(scope="module")
def by_hand() -> Iterator[Database]:
    with database(mini_taxonomy(BY_HAND_LEMMAS)) as db:
        yield db


def _places(matches: set[Match]) -> Places:
    return {match.lemma: (match.char_offset, match.char_length) for match in matches}


def test_captions_by_hand(by_hand: Database) -> None:
    captions = [caption for caption, _, _ in BY_HAND]
    oracle = Oracle(mini_taxonomy(BY_HAND_LEMMAS))
    assert_equals_oracle(by_hand, oracle, captions)
    found = found_by_product(by_hand, captions)
    selected = found_by_select(by_hand, captions)
    for i, (caption, *expected) in enumerate(BY_HAND):
        for matching, places in zip(PROFILES, expected, strict=True):
            assert _places(oracle.matches(matching, caption)) == places, ("oracle", matching, caption)
            assert _places(selected[matching][i]) == places, ("select", matching, caption)
            assert _places(found[matching][i]) == places, ("product", matching, caption)


@pytest.mark.real_data
def test_real_captions(real_data: Path, imagenet: Database) -> None:
    rows = imagenet.rows("select TEXT from read_parquet(?)", [str(real_data / "captions/*.parquet")])
    captions = [row[0] for row in rows]
    assert len(captions) == 4971
    assert_equals_oracle(imagenet, IMAGENET_ORACLE, captions)
    assert found_by_product(imagenet, captions) == found_by_select(imagenet, captions)


SHOWING_NOTHING = ["\u00ad", "\u200b", "\u200c", "\u200d", "\u200e", "\u2060", "\ufe00", "\ufe0e", "\ufe0f", "\ufeff"]
SEPARATORS = st.one_of(
    st.sampled_from(
        [" ", " ", " ", " ", "  ", ", ", "-", "_", "'", "\u2019", "\t", "\n", "\r\n", "\u00a0", "\0", "", "❤", "1"]
    ),
    st.sampled_from(
        [*SHOWING_NOTHING, "\u034f", "\u3164", "\U000e0067", "\u0301", "\u20e3", "\u0903", "🦁\ufe0f", "1\ufe0f\u20e3"]
    ),
    st.sampled_from(sorted(ENTITIES)),
    st.sampled_from(
        ["&AMP;", "&#X27;", "&Quot;", "&amp", "&copy;", "&#0;", "&amp;quot;", "& ", ";", "&&#39;;", "&nb\u017fp;"]
    ),
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
    "R.V.",
]


def _near(lemma: str) -> st.SearchStrategy[str]:
    """A lemma, or almost."""
    words = lemma.split(" ")
    written = [lemma, lemma, lemma, lemma.upper(), lemma.title(), lemma + "s", lemma[:-1], words[0], words[-1]]
    parted = [parting.join(words) for parting in ("  ", "-", "\n", "&nbsp;", "\u200b")]
    hyphened = [
        f"{lemma[:i]}{mark}{lemma[i:]}" for i in (0, 1, 3, len(lemma)) for mark in ("\u00ad", "\ufeff", "\ufe0f")
    ]
    return st.sampled_from([*written, *parted, *hyphened, " ".join(reversed(words))])


def _interleaved(pieces: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    joined = st.lists(st.tuples(SEPARATORS | st.just(" "), pieces), max_size=7)
    return st.builds(lambda parts, end: "".join(a + b for a, b in parts)[1:] + end, joined, SEPARATORS | st.just(""))


PIECES = st.one_of(
    st.sampled_from(LEMMAS).flatmap(_near),
    st.sampled_from([*LONG, *NESTED]).flatmap(_near),
    st.sampled_from(
        ["the", "of", "dog", "İstanbul", "ΟΔΟΣ", "🦁", "e\u0301", "½", "१२", "ǅ", "", "s", "o", "ﬁ", "\u2139"]
    ),
    st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=4),
)
CAPTIONS = st.one_of(st.none(), _interleaved(PIECES), st.text(st.characters(exclude_categories=["Cs", "Cn"])))


@RELAXED
@given(captions=st.lists(CAPTIONS, min_size=1, max_size=60))
@example(
    captions=["", None, " ", "drum", " drum", "drum ", "-drum-", "\x00drum", "&quot;drum&quot;", "&", "&;", "&#39"]
)
@example(captions=["sea lion sea lion lion", "kit fox English setter", "İ drum", "ΔRUM drum", "a" * 3000 + " drum"])
@example(captions=["bow-tie", "bow tie", "bow  tie", "Hen of the Woods", "hen-of-the-woods", "jack-o&#8217;-lantern"])
@example(captions=["sea", "lion", "a sea", "", "lion tamer", None, "steel", "drum"])
def test_composed_captions(imagenet: Database, captions: list[str | None]) -> None:
    assert_equals_oracle(imagenet, IMAGENET_ORACLE, captions)


@settings(RELAXED, max_examples=10)
@given(captions=st.lists(CAPTIONS, min_size=1, max_size=60))
def test_composed_captions_as_the_select_finds_them(imagenet: Database, captions: list[str | None]) -> None:
    assert found_by_product(imagenet, captions) == found_by_select(imagenet, captions)


@RELAXED
@given(
    captions=st.lists(
        _interleaved(st.sampled_from(["a", "b", "c", "A", "B", "a b", "b c", "x"])), min_size=1, max_size=40
    )
)
@example(captions=["a a a", "a b c", "a b a b a", "c c a b", "b.b.b.b.b", "b b b b", "c b b", "C-A b a b", "a b c a a"])
def test_lemmas_that_nest_chain_and_overlap(mini: Database, captions: list[str]) -> None:
    assert_equals_oracle(mini, MINI_ORACLE, captions)
    assert found_by_product(mini, captions) == found_by_select(mini, captions)


def test_every_entity_of_the_rule_is_white_space_in_any_case(imagenet: Database) -> None:
    entities = [written for entity in sorted(ENTITIES) for written in (entity, entity.upper(), entity.title())]
    captions = [f"{entity}kit{entity}{entity}fox{entity}" for entity in [*entities, "&copy;", "&#65;", "&quot"]]
    assert_equals_oracle(imagenet, IMAGENET_ORACLE, captions)
    found = found_by_product(imagenet, captions)["corrected"]
    assert [i for i, matches in enumerate(found) if not matches] == list(range(len(entities), len(captions)))


def test_every_character_folds_as_in_the_oracle(imagenet: Database) -> None:
    """Alone, behind a letter and between two: what the matcher asks of the macro, and all there is to know of one."""
    characters = [
        chr(point) for point in range(sys.maxunicode + 1) if unicodedata.category(chr(point)) not in ("Cn", "Cs")
    ]
    asked = """
        select fold_words(c), fold_words('a' || c), fold_words('a' || c || 'a')
        from (select unnest($1::varchar[]) as c)
    """

    def expected(character: str) -> tuple[list[str], list[str], list[str]]:
        lower = folded(character)
        return {
            "letter": ([lower], [f"a{lower}"], [f"a{lower}a"]),
            "mark": ([], [f"a{lower}"], [f"a{lower}a"]),
            "ignored": ([], ["a"], ["aa"]),
            "separator": ([], ["a"], ["a", "a"]),
        }[kind_of(character)]

    rows = imagenet.rows(asked, [characters])
    different = [c for c, row in zip(characters, rows, strict=True) if row != expected(c)]
    assert different == []


def test_long_captions_of_lemmas_alone(imagenet: Database) -> None:
    captions = ["sea lion, " * 3000, "steel drum " * 2500, "lion " * 6000, "x " * 16_000 + "lion"]
    found = found_by_product(imagenet, captions)
    assert found["paper"][3] == {Match("lion", "n02129165", 32_000, 4)}
    assert found["corrected"][0] == {Match("sea lion", "n02077923", 0, 8)}
    assert {match.lemma for match in found["corrected"][1]} == {"steel drum"}


def test_the_result_does_not_depend_on_threads_or_order(imagenet: Database) -> None:
    captions = ["steel drum and sea lion", None, "Bath  towel", "lion, lion", "a jack-o'-lantern"] * 5000
    forward = found_by_product(imagenet, captions)
    imagenet.connection.execute("set threads = 2; set preserve_insertion_order = false")
    backward = found_by_product(imagenet, captions[::-1])
    imagenet.connection.execute("set threads = 1; set preserve_insertion_order = true")
    assert forward == {matching: matches[::-1] for matching, matches in backward.items()}
