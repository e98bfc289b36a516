"""Threads of matrix products."""

from threadpoolctl import threadpool_info

from laionet_assets.stats.threads import SMALL_ROWS, matrix_threads


def blas_threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_small_matrices_take_one_thread_and_large_ones_what_there_was() -> None:
    before = blas_threads()
    with matrix_threads(SMALL_ROWS):
        assert blas_threads() == {1}
    with matrix_threads(SMALL_ROWS + 1):
        assert blas_threads() == before
    assert blas_threads() == before
