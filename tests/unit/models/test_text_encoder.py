"""The batching rule; models themselves run in tests/integration."""

from hypothesis import given
from hypothesis import strategies as st

from laionet_assets.models.text_encoder import length_sorted_batches


@given(st.lists(st.integers(0, 100), max_size=200), st.integers(1, 512))
def test_batches_hold_every_text_once_and_keep_the_bound(lengths: list[int], max_tokens: int) -> None:
    batches = list(length_sorted_batches(lengths, max_tokens=max_tokens))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= max_tokens


@given(st.lists(st.integers(0, 100), max_size=200))
def test_batches_go_from_long_to_short_and_keep_the_order_of_equals(lengths: list[int]) -> None:
    order = [i for batch in length_sorted_batches(lengths, max_tokens=256) for i in batch]
    assert order == sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))


def test_batches_are_full() -> None:
    assert [len(batch) for batch in length_sorted_batches([4] * 10, max_tokens=16)] == [4, 4, 2]
    assert [len(batch) for batch in length_sorted_batches([99, 2, 2], max_tokens=16)] == [1, 2]
