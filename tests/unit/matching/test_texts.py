"""Captions as one text, and batches of a bounded size."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laionet_assets.matching import regrouped
from laionet_assets.matching.texts import Text

RELAXED = settings(deadline=None, derandomize=True)
CAPTIONS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), max_size=12)


@RELAXED
@given(captions=CAPTIONS)
def test_a_text_knows_each_characters_row_and_number(captions: list[str]) -> None:
    text = Text.of(pa.array(captions, pa.string()))
    assert text.data.decode() == "".join(f" {caption}" for caption in captions) + " "
    place, number = 0, 0
    for row, caption in enumerate(captions):
        assert text.starts[row] == place
        for character in f" {caption}":
            assert text.rows_at([place]) == [row]
            assert text.characters_before(place) == number
            place, number = place + len(character.encode()), number + 1


def test_a_text_of_a_slice_is_of_its_captions_alone() -> None:
    assert Text.of(pa.array(["a", "é", "", "b"]).slice(1, 2)).data == " é  ".encode()
    assert Text.of(pa.array([], pa.string())).data == b" "


@RELAXED
@given(
    batches=st.lists(st.lists(st.text("aé", max_size=9), max_size=6), max_size=5),
    limit=st.integers(min_value=1, max_value=20),
)
def test_regrouped_batches_have_the_same_rows_and_no_more_bytes_than_allowed(
    batches: list[list[str]], limit: int
) -> None:
    given_batches = [
        pa.record_batch({"row": pa.array(range(len(each))), "text": pa.array(each, pa.string())}) for each in batches
    ]
    found = list(regrouped(given_batches, "text", limit=limit))
    assert [row for batch in found for row in batch.to_pylist()] == [
        row for batch in given_batches for row in batch.to_pylist()
    ]
    sizes = [[len(text.encode()) for text in batch["text"].to_pylist()] for batch in found]
    assert all(sum(size) <= limit or len(size) == 1 for size in sizes)


@pytest.mark.parametrize("rows", [1, 1000])
def test_small_batches_become_one(rows: int) -> None:
    batches = [pa.record_batch({"text": ["a lion"]})] * rows
    assert [batch.num_rows for batch in regrouped(batches, "text")] == [rows]
