"""Token ids: of open_clip, transformers and sentence-transformers in Rust, against the libraries' own tokenizers."""

import logging
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from laionet_assets.models.clip_tokens import clip_rows
from laionet_assets.models.spec import TEXT_ENCODER, parse_model
from laionet_assets.models.tokens import PROBES, Tokenizer, Tokens, ahead, proven, truncating
from laionet_assets.models.weights import model_folder

CONTEXT = 77
WORDS = ("dog's", "DON'T", "3,141", "caf\u00e9", "<start_of_text>", "&amp;", "\u0130", "\u017ft", "\u00e2\u20ac\u2122")
ANY_TEXT = st.one_of(
    st.text(max_size=120),
    st.text(st.characters(max_codepoint=127), max_size=120),
    st.lists(st.sampled_from(WORDS) | st.text(max_size=5), max_size=12).map(" ".join),
    st.text("ab. '\u00e9", max_size=200),
)


@pytest.fixture(scope="module")
def simple() -> Any:
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer(context_length=CONTEXT)


@pytest.fixture(scope="module")
def in_rust(simple: Any) -> Any:
    """Built once: its two vocabularies take a fifth of a second."""
    rows = clip_rows(simple, CONTEXT)
    assert rows is not None
    return rows


@pytest.fixture(scope="module")
def bert() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(
        model_folder(parse_model(TEXT_ENCODER, "sentence-transformers:all-MiniLM-L6-v2", name="minilm"))
    )


def own_rows(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """The rows of open_clip's tensor without their padding."""
    found = tokenizer(list(texts)).tolist()
    return [row[: len(row) - row[::-1].index(tokenizer.eot_token_id)] for row in found]


class TestClip:
    @settings(max_examples=400, deadline=None)
    @given(ANY_TEXT)
    @example("\x0b\x1c\x1f\x7f bell \x07")
    @example("\x1b[31mred\x1b[0m and \ufeff mark")
    @example("a<end_of_text>b <END_OF_TEXT> c!<start_of_text>")
    @example("&lt;end_of_text&gt; &#x1F600; &nbsp;&amp;amp;")
    @example("'S 'T 'Re \u017f '\u017f \u0132 \ufb03 \u1e9e")
    @example("\U0002ebf0\U0001e5d0\u1c89 of new scripts")
    def test_any_text_has_the_ids_of_open_clip(self, simple: Any, in_rust: Any, text: str) -> None:
        assert in_rust([text]) == own_rows(simple, [text])

    def test_the_probes_and_all_of_them_together(self, simple: Any, in_rust: Any) -> None:
        assert in_rust(PROBES) == own_rows(simple, PROBES)
        assert in_rust([]) == []

    @pytest.mark.parametrize("clean", ["whitespace", "canonicalize"])
    def test_other_ways_to_clean(self, clean: str) -> None:
        from open_clip.tokenizer import SimpleTokenizer

        tokenizer = SimpleTokenizer(clean=clean, context_length=CONTEXT)
        rows = clip_rows(tokenizer, CONTEXT)
        assert rows is not None
        assert rows(PROBES) == own_rows(tokenizer, PROBES)

    def test_what_drops_tokens_at_random_is_left_to_open_clip(self) -> None:
        from open_clip.tokenizer import SimpleTokenizer

        assert clip_rows(SimpleTokenizer(reduction_mask="random"), CONTEXT) is None

    @pytest.mark.real_data
    def test_real_captions(self, simple: Any, in_rust: Any, real_data: Any) -> None:
        import pyarrow.parquet as pq

        files = sorted((real_data / "captions").glob("*.parquet"))
        captions = [text for text in pq.read_table(files[0])["TEXT"].to_pylist() if text]
        assert in_rust(captions) == own_rows(simple, captions)


class TestTransformers:
    @pytest.fixture(scope="class")
    def cut(self, bert: Any) -> Tokenizer:
        return truncating(bert, 16, what="bert")

    @settings(max_examples=200, deadline=None)
    @given(ANY_TEXT)
    def test_any_text_has_the_ids_of_the_librarys_own_call(self, bert: Any, cut: Tokenizer, text: str) -> None:
        own = bert([text], truncation=True, max_length=16, padding=False)["input_ids"]
        assert cut.rows([text]) == own

    def test_calls_of_the_original_do_not_change_it(self, bert: Any) -> None:
        tokenizer = truncating(bert, 16, what="bert")
        assert tokenizer.is_shared
        expected = tokenizer.rows(PROBES)
        bert(["a", "much longer text"], padding="max_length", max_length=5, truncation=True)
        assert tokenizer.rows(PROBES) == expected
        assert max(map(len, expected)) == 16


class TestProof:
    def test_other_ids_are_refused_and_told(self, caplog: pytest.LogCaptureFixture) -> None:
        own = lambda texts: [[1, len(text), 2] for text in texts]  # noqa: E731
        wrong = lambda texts: [[1, len(text.strip()), 2] for text in texts]  # noqa: E731
        with caplog.at_level(logging.WARNING):
            tokenizer = proven(wrong, own, what="toy")
        assert tokenizer.rows is own and not tokenizer.is_shared
        assert "toy: tokenized by its own library, slowly" in caplog.text
        assert proven(own, own, what="toy").is_shared

    def test_a_failure_is_told_too(self, caplog: pytest.LogCaptureFixture) -> None:
        def failing(texts: Sequence[str]) -> list[list[int]]:
            raise RuntimeError("no such merge")

        own = lambda texts: [[1] for _ in texts]  # noqa: E731
        assert not proven(failing, own, what="toy").is_shared
        assert "no such merge" in caplog.text


class TestTokens:
    @given(st.lists(st.lists(st.integers(0, 50_000), min_size=1, max_size=9), min_size=1, max_size=20), st.data())
    def test_padded_rows_are_those_of_the_lists(self, rows: list[list[int]], data: st.DataObject) -> None:
        chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1))
        ids, mask = Tokens.of(rows).padded(np.array(chosen), pad_id=7)
        longest = max(len(rows[i]) for i in chosen)
        assert ids.tolist() == [rows[i] + [7] * (longest - len(rows[i])) for i in chosen]
        assert mask.tolist() == [[1] * len(rows[i]) + [0] * (longest - len(rows[i])) for i in chosen]
        assert ids.dtype == mask.dtype == np.int64

    @pytest.mark.parametrize("is_shared", [True, False])
    def test_threads_do_not_matter(self, is_shared: bool) -> None:
        seen: set[int] = set()

        def rows(texts: Sequence[str]) -> list[list[int]]:
            seen.add(threading.get_ident())
            return [[len(text), int(text)] for text in texts]

        texts = [str(i) for i in range(5_000)]
        tokens = Tokenizer(rows, is_shared).tokens(texts, threads=4)
        alone = Tokenizer(rows, is_shared).tokens(texts)
        np.testing.assert_array_equal(tokens.ids, alone.ids)
        np.testing.assert_array_equal(tokens.lengths, alone.lengths)
        assert tokens.ids[:4].tolist() == [1, 0, 1, 1]
        assert is_shared or seen == {threading.get_ident()}

    def test_no_texts(self) -> None:
        tokens = Tokenizer(lambda texts: [[1] for _ in texts], is_shared=True).tokens([])
        assert tokens.ids.shape == tokens.lengths.shape == (0,)


class TestAhead:
    def test_one_item_is_made_while_the_one_before_is_used(self) -> None:
        made: list[int] = []
        second = threading.Event()

        def source() -> Iterator[int]:
            for i in range(5):
                made.append(i)
                if i == 1:
                    second.set()
                yield i

        items = ahead(source())
        assert next(items) == 0
        assert second.wait(10)
        assert made == [0, 1]
        assert list(items) == [1, 2, 3, 4]

    def test_a_failure_comes_where_its_item_would(self) -> None:
        items = ahead(1 // (1 - i) for i in range(3))
        assert next(items) == 1
        with pytest.raises(ZeroDivisionError):
            next(items)
