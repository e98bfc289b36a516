"""The class-name rule: cases by hand, and agreement with the SQL that the warehouse runs."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from laionet_assets.ocr.in_text import class_name_in_text, fold

HUSKY = ("Siberian husky",)
RETRIEVER = ("flat-coated retriever",)
WEB_SITE = ("web site", "website", "internet site", "site")


@pytest.mark.parametrize(
    ("text", "lemmas", "paper", "corrected"),
    [
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
    ],
)
def test_cases(text: str | None, lemmas: tuple[str, ...], paper: bool, corrected: bool) -> None:
    assert class_name_in_text(text, lemmas, rule="paper") is paper
    assert class_name_in_text(text, lemmas, rule="corrected") is corrected


def test_a_lemma_without_words_names_nothing() -> None:
    assert not class_name_in_text("? ! -", ["?", "-"], rule="corrected")


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute((Path(__file__).parents[3] / "sql/macros/matching.sql").read_text())
        yield connection


ENTITIES = ("&amp;", "&quot;", "&#39;", "&NBSP;", "&#x2019;", "&#0039;", "&lsaquo;", "&#8219;")
ALPHABET = st.sampled_from([*"abAB eE\u0131İßÉΣ0٣\t\n-'\u2019&;—日\u0301\u00a0", *ENTITIES])
TEXTS = st.lists(ALPHABET, max_size=24).map("".join)
RELAXED = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
FOLDED = "array_to_string(fold_words({}), ' ')"


@RELAXED
@given(text=TEXTS)
def test_fold_is_the_words_of_the_macro(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    ((folded,),) = connection.execute(f"select {FOLDED.format('$text')}", {"text": text}).fetchall()
    assert fold(text) == folded


@RELAXED
@given(text=TEXTS, lemma=TEXTS)
def test_both_rules_agree_with_sql(connection: duckdb.DuckDBPyConnection, text: str, lemma: str) -> None:
    query = f"""
        with folded as (
            select {FOLDED.format("$text")} as words, {FOLDED.format("$lemma")} as lemma
        )
        select
            contains(
                ' ' || punctuation_to_spaces(lower($text)) || ' ', ' ' || punctuation_to_spaces(lower($lemma)) || ' '
            ),
            lemma <> '' and (
                contains(' ' || words || ' ', ' ' || lemma || ' ')
                or contains(' ' || words || ' ', ' ' || replace(lemma, ' ', '') || ' ')
            )
        from folded
    """
    ((paper, corrected),) = connection.execute(query, {"text": text, "lemma": lemma}).fetchall()
    assert class_name_in_text(text, [lemma], rule="corrected") == corrected
    if text and text.isascii() and lemma.isascii():
        assert class_name_in_text(text, [lemma], rule="paper") == paper
