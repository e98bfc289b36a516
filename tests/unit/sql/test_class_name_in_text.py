"""The class-name rule: cases by hand, in Python and in the SQL macros that the warehouse runs, and their agreement."""

from collections.abc import Iterator, Sequence

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from laionet_assets.sqlmodels.binding import create_macros
from laionet_assets.sqlmodels.loader import load_project
from tests.unit.sql.class_name_in_text import class_name_in_text, fold

HUSKY = ("Siberian husky",)
RETRIEVER = ("flat-coated retriever",)
WEB_SITE = ("web site", "website", "internet site", "site")
CASES = [
    (None, HUSKY, False, False),
    ("", HUSKY, False, False),
    ("SIBERIAN HUSKY for sale", HUSKY, True, True),
    ("the siberian-husky!", HUSKY, True, True),
    ("siberian  husky", HUSKY, False, True),
    ("siberian\nhusky", HUSKY, False, True),
    ("siberianhusky", HUSKY, False, True),
    ("siberian huskys", HUSKY, False, False),
    ("husky", HUSKY, False, False),
    ("visit our Website", WEB_SITE, False, True),
    ("web site", WEB_SITE, True, True),
    ("websites", WEB_SITE, False, False),
    ("Flat Coated Retriever", RETRIEVER, True, True),
    ("flat—coated retriever", RETRIEVER, False, True),
    ("tub", ("tub", "vat"), True, True),
    ("stubborn", ("tub", "vat"), False, False),
    ("VAT 19%", ("tub", "vat"), False, True),
    ("&quot;harp&quot;", ("harp",), True, True),
    ("golden&nbsp;harp", ("golden harp",), False, True),
    ("quot", ("quot",), True, True),
    ("&quot;", ("quot",), True, False),
]
SQL = """
    with given as (select $text::varchar as text, $lemmas::varchar[] as lemmas)
    select says_name(text, lemmas[1]), says_any(spaced_words(text), spellings(lemmas)) from given
"""


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        create_macros(connection, list(load_project().macros.values()))
        yield connection


def in_sql(connection: duckdb.DuckDBPyConnection, text: str | None, lemmas: Sequence[str]) -> tuple[bool | None, ...]:
    """What both macros say, as core.names_in_images calls them."""
    (row,) = connection.execute(SQL, {"text": text, "lemmas": list(lemmas)}).fetchall()
    return row


@pytest.mark.parametrize(("text", "lemmas", "paper", "corrected"), CASES)
def test_cases(
    connection: duckdb.DuckDBPyConnection, text: str | None, lemmas: tuple[str, ...], paper: bool, corrected: bool
) -> None:
    assert class_name_in_text(text, lemmas, profile="paper") is paper
    assert class_name_in_text(text, lemmas, profile="corrected") is corrected
    expected = (None, None) if text is None else (paper, corrected)
    assert in_sql(connection, text, lemmas) == expected


def test_a_lemma_without_words_names_nothing(connection: duckdb.DuckDBPyConnection) -> None:
    assert not class_name_in_text("? ! -", ["?", "-"], profile="corrected")
    assert in_sql(connection, "? ! -", ["?", "-"])[1] is False


ENTITIES = ("&amp;", "&quot;", "&#39;", "&NBSP;", "&#x2019;", "&#0039;", "&lsaquo;", "&#8219;")
SHOWING_NOTHING = "\u00ad\u200b\u200d\u2060\ufe00\ufe0f\ufeff\u3164\U000e0067"
ALPHABET = st.sampled_from(
    [*"abAB eE\u0131İßÉΣ0٣\t\n-'\u2019&;—日\u0301\u20e3\u00a0", *SHOWING_NOTHING, *ENTITIES, "&nb\u017fp;"]
)
TEXTS = st.lists(ALPHABET, max_size=24).map("".join)
RELAXED = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@RELAXED
@given(text=TEXTS)
def test_fold_is_the_words_of_the_macro(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    assert connection.execute("select spaced_words($text)", {"text": text}).fetchall() == [(f" {fold(text)} ",)]


@RELAXED
@given(text=TEXTS, lemmas=st.lists(TEXTS, min_size=1, max_size=3))
def test_both_rules_agree_with_sql(connection: duckdb.DuckDBPyConnection, text: str, lemmas: list[str]) -> None:
    paper, corrected = in_sql(connection, text, lemmas)
    assert class_name_in_text(text, lemmas, profile="corrected") == corrected
    if text and text.isascii() and lemmas[0].isascii():
        assert class_name_in_text(text, lemmas, profile="paper") == paper
