"""The synthetic web as the project ships it, drawn once for all tests of the room."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from laionet_assets.sample.web import PARTS, truth_path, write_sample_web


class Part(NamedTuple):
    """Rows of a part and the truth of each, as read back from the files."""

    rows: list[dict[str, Any]]
    truth: list[dict[str, Any]]


@pytest.fixture(scope="session")
def web_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic-web")
    write_sample_web(folder)
    return folder


@pytest.fixture(scope="session")
def parts(web_folder: Path) -> list[Part]:
    import pyarrow.parquet as pq

    return [
        Part(
            pq.read_table(web_folder / f"part-{number:05d}.snappy.parquet").to_pylist(),
            pq.read_table(truth_path(web_folder, number)).to_pylist(),
        )
        for number in range(PARTS)
    ]
