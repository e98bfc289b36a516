"""What is removed: a file of removals, an address, pictures to remove."""

import textwrap
from pathlib import Path

from laionet_assets.images.store import ImageStore
from laionet_assets.warehouse.table import PartKey

URL = "https://example.org/a picture of somebody.jpg"


def put(store: ImageStore, part: PartKey, *contents: bytes) -> None:
    with store.writer(part) as writer:
        for data in contents:
            writer.add(data, "jpg")
        writer.commit()
    store.refresh()


def listed(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "removals.csv"
    path.write_text(textwrap.dedent(text).lstrip(), encoding="utf-8")
    return path
