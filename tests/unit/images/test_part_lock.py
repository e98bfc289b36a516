"""One process writes a part at a time; what another host left is taken over when it is old."""

import os
import time

import pytest

from laionet_assets.images.part_folder import PartFolder
from laionet_assets.images.part_lock import FOREIGN_SECONDS
from laionet_assets.images.shards import PartBusyError
from laionet_assets.warehouse.lake import HOST
from tests.unit.images.parts import picture, writer


def test_a_part_has_one_writer_at_a_time(folder: PartFolder) -> None:
    with writer(folder), pytest.raises(PartBusyError, match="web/part-0"), writer(folder):
        pass
    with writer(folder):
        pass


def left_by(folder: PartFolder, host: str, *, seconds_ago: float) -> None:
    """What a writer on a host left when it was killed."""
    with writer(folder) as killed:
        killed.add(picture(1), "jpg")
        killed.record({"url_hash": "x"})
    (folder.staging / ".lock").write_text(host)
    for path in folder.staging.glob(".*"):
        os.utime(path, (time.time() - seconds_ago,) * 2)


def test_what_another_host_is_writing_is_left_alone(folder: PartFolder) -> None:
    """Locks of a shared folder may be those of one host alone."""
    left_by(folder, "another-host", seconds_ago=FOREIGN_SECONDS / 2)
    before = {path.name: path.read_bytes() for path in folder.staging.glob(".*")}
    with (
        pytest.raises(PartBusyError, match=r"the host another-host wrote them 300 seconds ago and is not done"),
        writer(folder),
    ):
        pass
    assert {path.name: path.read_bytes() for path in folder.staging.glob(".*")} == before


@pytest.mark.parametrize(("host", "seconds_ago"), [("another-host", FOREIGN_SECONDS + 60), (HOST, 0)])
def test_what_nobody_writes_any_more_is_taken_over(folder: PartFolder, host: str, seconds_ago: float) -> None:
    left_by(folder, host, seconds_ago=seconds_ago)
    with writer(folder) as heir:
        assert len(heir) == 1 and heir.recorded == [{"url_hash": "x"}]
        assert (folder.staging / ".lock").read_text() == HOST
        heir.commit()
    assert (folder.staging / ".lock").read_text() == ""
