"""The pure parts of the benchmark of fetching: what it draws, reads, counts and cannot do without."""

import io
import socket
import tarfile
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from laionet_assets.images.fetch.outcomes import FetchOutcome, Status
from tests.bench.fetching import (
    HEIGHT,
    WIDTH,
    drawn_jpeg,
    journal_row,
    missing_parts,
    picture_names,
    read_answer,
    stored_pictures,
)


def test_a_drawn_picture_is_a_jpeg_of_about_25_kb_and_its_seed_decides_it() -> None:
    data = drawn_jpeg(7)
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (WIDTH, HEIGHT))
    assert data == drawn_jpeg(7) != drawn_jpeg(8)
    assert 23_000 < sum(len(drawn_jpeg(seed)) for seed in range(10)) / 10 < 27_000


def test_pictures_have_names_of_their_own_in_folders_of_a_thousand() -> None:
    names = picture_names(2_001)
    assert (names[0], names[1_000], names[-1]) == ("0/000000.jpg", "1/001000.jpg", "2/002000.jpg")
    assert len(set(names)) == 2_001


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    img2dataset = tmp_path / "img2dataset"
    assert [reason.split()[0] for reason in missing_parts(None, img2dataset)] == ["nginx", "no"]
    img2dataset.touch()
    assert missing_parts(Path("/usr/sbin/nginx"), img2dataset) == []


def test_pictures_in_shards_are_counted_without_what_lies_beside_them(tmp_path: Path) -> None:
    for shard, sizes in (("00000.tar", (3, 5)), ("00001.tar", (7,))):
        with tarfile.open(tmp_path / shard, "w") as archive:
            for number, size in enumerate(sizes):
                for name, length in ((f"{number}.jpg", size), (f"{number}.json", 100)):
                    member = tarfile.TarInfo(name)
                    member.size = length
                    archive.addfile(member, io.BytesIO(bytes(length)))
    assert stored_pictures(tmp_path) == (3, 15)


def test_an_outcome_becomes_a_line_that_survives_json() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    names = FetchOutcome.__slots__
    outcome = FetchOutcome(**{**dict.fromkeys(names), "id": 4, "status": Status.SUCCESS, "started_at": at})
    row = journal_row(outcome)
    assert list(row) == list(names)
    assert (row["id"], row["status"], row["started_at"], row["next_attempt_at"]) == (
        4,
        "success",
        "2026-01-02T00:00:00+00:00",
        None,
    )


def answers(*pieces: bytes) -> socket.socket:
    """A connection on which these bytes come, piece by piece, and then its end."""
    ours, theirs = socket.socketpair()

    def send() -> None:
        for piece in pieces:
            theirs.sendall(piece)
        theirs.close()

    threading.Thread(target=send).start()
    return ours


def test_the_floors_reader_counts_the_body_wherever_the_answer_is_cut() -> None:
    head = b"HTTP/1.1 200 OK\r\nServer: x\r\ncontent-length: 300000\r\n\r\n"
    whole = head + bytes(300_000)
    for cut in (1, len(head) - 2, len(head), len(head) + 10):
        with answers(whole[:cut], whole[cut:]) as connection:
            assert read_answer(connection, bytearray(2**16)) == 300_000


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "404"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "with a length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "in the middle"),
        (b"HTTP/1.1 200 OK\r\n", "in the middle"),
        (b"x" * 2**17, "too long"),
    ],
)
def test_the_floors_reader_takes_no_other_answer(answer: bytes, message: str) -> None:
    with answers(answer) as connection, pytest.raises(RuntimeError, match=message):
        read_answer(connection, bytearray(2**16))
