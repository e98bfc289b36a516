"""Chunks of unfinished work: named by what they depend on, whole or not there."""

from pathlib import Path
from typing import BinaryIO

import pytest

from laionet_assets.warehouse.checkpoint import chunk_name, remove_checkpoint
from laionet_assets.warehouse.lake import write_whole


def test_a_name_depends_on_model_items_and_their_order() -> None:
    names = [chunk_name(*given) for given in [("m", "ab"), ("m", "ba"), ("n", "ab"), ("m", ["ab"]), ("m", ["a", "bc"])]]
    assert len(set(names)) == len(names)
    assert chunk_name("m", ["a", "bc"]) != chunk_name("m", ["ab", "c"])
    assert chunk_name("m", iter("ab")) == names[0]


def test_a_chunk_that_dies_while_it_is_written_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "chunks" / "one.bin"

    def dying(handle: BinaryIO) -> None:
        handle.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(file, dying)
    assert not file.exists()
    write_whole(file, lambda handle: handle.write(b"whole"))
    assert file.read_bytes() == b"whole"
    remove_checkpoint(file.parent)
    assert not file.parent.exists()
    remove_checkpoint(file.parent)
