"""Finished chunks of a long piece of work, kept on this machine until the table is published.

Belongs here: how a chunk is named by what it depends on, is there whole or not at all, and goes. Does not belong here:
what is in a chunk, and where the folder of a table lies (`assets.steps.Work.checkpoint`).
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from laionet_assets.warehouse.lake import replace


def chunk_name(model: str, items: Iterable[str]) -> str:
    """Name of the chunk that a model makes of these items, in this order."""
    digest = hashlib.sha256(model.encode())
    for item in items:
        encoded = item.encode()
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return digest.hexdigest()[:32]


def save_chunk(file: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write a chunk so that it is there whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(f".{os.getpid()}.partial")
    with partial.open("wb") as handle:
        write(handle)
    replace(partial, file)


def remove_checkpoint(folder: Path) -> None:
    """Remove all chunks; nothing happens if there are none."""
    if folder.is_dir():
        shutil.rmtree(folder)
