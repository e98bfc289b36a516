"""Batches that do not fit into memory: a function that holds so many items, as a card does."""

import logging
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from laionet_assets.models.fitting import Fitting


class Card:
    """Squares of numbers, at most `holds` at a time."""

    def __init__(self, holds: int, error: type[Exception] = torch.OutOfMemoryError, says: str = "CUDA out of memory"):
        self.holds, self.error, self.says = holds, error, says
        self.batches: list[int] = []

    def __call__(self, batch: Sequence[int]) -> np.ndarray:
        self.batches.append(len(batch))
        if len(batch) > self.holds:
            raise self.error(self.says)
        return np.array([[number * number] for number in batch], dtype=np.float32)


def test_a_batch_that_fits_is_computed_at_once_and_nothing_is_said() -> None:
    card, fitting = Card(8), Fitting("toy")
    assert fitting.compute(card, range(8)).ravel().tolist() == [i * i for i in range(8)]
    assert card.batches == [8]
    assert (fitting.most, fitting.said()) == (None, "")


def test_one_that_does_not_is_computed_in_halves_and_said(caplog: pytest.LogCaptureFixture) -> None:
    card, fitting = Card(3), Fitting("predictor toy, pictures")
    with caplog.at_level(logging.WARNING):
        found = fitting.compute(card, range(13))
    assert found.ravel().tolist() == [i * i for i in range(13)]
    assert fitting.said() == "predictor toy, pictures: out of memory, so that batches were halved, to 3 at most"
    assert fitting.said() in caplog.text


@pytest.mark.parametrize(
    "says",
    [
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    ],
)
def test_so_is_one_that_leaves_the_libraries_nothing(says: str) -> None:
    fitting = Fitting("toy")
    found = fitting.compute(Card(4, RuntimeError, says), range(8))
    assert found.ravel().tolist() == [i * i for i in range(8)]
    assert fitting.most == 4


def test_later_batches_are_no_larger() -> None:
    card, fitting = Card(4), Fitting("toy")
    fitting.compute(card, range(8))
    card.batches.clear()
    assert len(fitting.compute(card, range(16))) == 16
    assert max(card.batches) <= 4


def test_the_size_is_what_counts() -> None:
    card, fitting = Card(4), Fitting("toy")
    fitting.compute(card, range(8), size_of=lambda batch: 100 * len(batch))
    assert fitting.most == 400
    card.batches.clear()
    fitting.compute(card, range(4), size_of=lambda batch: 200 * len(batch))
    assert card.batches == [2, 2]


def test_a_single_item_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        Fitting("toy").compute(Card(0), range(4))


def test_other_errors_pass() -> None:
    def broken(batch: Sequence[int]) -> np.ndarray:
        raise RuntimeError("CUDA error: device-side assert")

    with pytest.raises(RuntimeError, match="device-side assert"):
        Fitting("toy").compute(broken, range(4))
