"""Fixtures shared by all tests."""

import os
import shutil
from pathlib import Path

import psutil
import pytest

FIRST = ("test_pipeline.py", "test_ui.py", "test_killed.py", "test_images_stage.py", "test_pipeline_s3.py")
"""The files that take longest: begun last, one of them would go on alone."""

IN_MEMORY_ABOVE = 12 * 2**30
"""Bytes that have to be free; the tests use less than one GiB."""


def pytest_configure() -> None:
    """Temporary folders in memory where there is plenty of it: tests flush thousands of small files to disk."""
    memory = Path("/dev/shm")
    if memory.is_dir() and min(shutil.disk_usage(memory).free, psutil.virtual_memory().available) > IN_MEMORY_ABOVE:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, everything else in its order."""
    places = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: places.get(item.path.name, len(FIRST)))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real captions, images and golden tables; the test is skipped where LAIONET_REAL_DATA is not set."""
    folder = os.environ.get("LAIONET_REAL_DATA")
    if not folder:
        pytest.skip("LAIONET_REAL_DATA is not set")
    path = Path(folder).resolve()
    if not path.is_dir():
        pytest.fail(f"LAIONET_REAL_DATA names {path}, which is not a folder")
    return path
