"""Batches as large as the memory of a device holds.

Here: what happens to a batch that is too large: it is computed in halves, later ones are no larger, and both are said.
Not here: how large batches are made to begin with (`text_encoder`, `forward`).
"""

import logging
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray


class Batch(Protocol):
    """What has items, and parts that are batches too."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> Any: ...


B = TypeVar("B", bound=Batch)

_NO_MEMORY = "_STATUS_ALLOC_FAILED"
"""What cuBLAS and cuDNN say where torch, which keeps what it let go, has left them nothing."""

_log = logging.getLogger(__name__)


class Fitting:
    """What a model's batches have turned out to need; `what` is the model, for the log. For one thread at a time."""

    def __init__(self, what: str) -> None:
        self._what = what
        self.most: int | None = None
        """The largest size that is tried, once one did not fit."""

    def compute(
        self,
        function: Callable[[B], NDArray[np.float32]],
        batch: B,
        *,
        size_of: Callable[[B], int] = len,
    ) -> NDArray[np.float32]:
        """A row for each of a batch, by `function` of all of it, or of its parts where memory does not hold that.

        Raises what `function` raises, that memory is short too where a single item is too large.
        """
        import torch

        size = size_of(batch)
        if len(batch) > 1 and self.most is not None and size > self.most:
            return self._halves(function, batch, size_of)
        try:
            return function(batch)
        except RuntimeError as error:
            if len(batch) < 2 or not (isinstance(error, torch.OutOfMemoryError) or _NO_MEMORY in str(error)):
                raise
        self.most = max(size // 2, 1)
        _log.warning("%s", self.said())
        torch.cuda.empty_cache()  # nothing where no card was used; what the error held is free by now
        return self._halves(function, batch, size_of)

    def said(self) -> str:
        """What happened, for people; empty if everything fitted."""
        if self.most is None:
            return ""
        return f"{self._what}: out of memory, so that batches were halved, to {self.most:,} at most"

    def _halves(
        self,
        function: Callable[[B], NDArray[np.float32]],
        batch: B,
        size_of: Callable[[B], int],
    ) -> NDArray[np.float32]:
        middle = len(batch) // 2
        return np.concatenate(
            [self.compute(function, part, size_of=size_of) for part in (batch[:middle], batch[middle:])]
        )
