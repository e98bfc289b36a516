"""How many threads multiply matrices: one for those of a class, where several wait longer than they compute."""

from contextlib import AbstractContextManager
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

SMALL_ROWS = 1_000


def matrix_threads(rows: int) -> AbstractContextManager[object]:
    """A context in which matrices are multiplied by one thread if they have at most SMALL_ROWS rows.

    Measured on two cores for matrices of 100 x 512: a product took 0.13 ms of one thread, and 1.0 cpu-ms of two.
    """
    return _controller().limit(limits=1 if rows <= SMALL_ROWS else None, user_api="blas")


@lru_cache(maxsize=1)
def _controller() -> "ThreadpoolController":
    import scipy.linalg  # noqa: F401  its matrix library is another than numpy's, and must be there to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
