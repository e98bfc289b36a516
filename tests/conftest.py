"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest


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
