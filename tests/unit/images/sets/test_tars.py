"""The headers of a tar, against the standard library."""

import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laionet_assets.images.sets.tars import UnusualTarError, is_header, padded, walk_tar

FILES = st.lists(
    st.tuples(
        st.text("abcdefghij./-_ 0", min_size=1, max_size=40).filter(lambda n: n.strip("/ .")), st.binary(max_size=1500)
    ),
    max_size=8,
)


def write(
    path: Path, files: list[tuple[str, bytes]], tar_format: int = tarfile.USTAR_FORMAT
) -> list[tuple[str, bytes]]:
    with tarfile.open(path, "w", format=tar_format) as tar:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return files


def walk(path: Path) -> list[tuple[str, bytes]]:
    data = path.read_bytes()
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return [(m.name, data[m.byte_offset :][: m.size_bytes]) for m in walk_tar(descriptor)[0]]
    finally:
        os.close(descriptor)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tars")


@given(files=FILES)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_members_are_those_that_tarfile_reads(folder: Path, files: list[tuple[str, bytes]]) -> None:
    path = folder / "t.tar"
    write(path, files)
    with tarfile.open(path) as tar:
        expected = [(m.name, tar.extractfile(m).read()) for m in tar if m.isreg()]
    assert walk(path) == [(name, data) for name, data in walk_names(files)]
    assert [data for _, data in walk(path)] == [data for _, data in expected]


def walk_names(files: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Names as the header holds them: tarfile takes leading slashes away only on reading."""
    return [(tarfile.TarInfo(name).name, data) for name, data in files]


@given(files=FILES.filter(bool), cut=st.integers(0, 20_000))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_tar_that_ends_early_gives_what_comes_before(folder: Path, files: list[tuple[str, bytes]], cut: int) -> None:
    path = folder / "cut.tar"
    write(path, files)
    whole = walk(path)
    cut %= path.stat().st_size
    os.truncate(path, cut)
    ends, at = [], 0
    for _, data in files:
        at += 512 + padded(len(data))
        ends.append(at)
    assert walk(path) == whole[: sum(end <= cut for end in ends)]


def test_long_names_are_told_apart(tmp_path: Path) -> None:
    prefixed = write(tmp_path / "ustar.tar", [("folder/" * 15 + "file.jpg", b"x")])
    assert walk(tmp_path / "ustar.tar") == prefixed
    for tar_format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        write(tmp_path / "long.tar", [("x" * 150 + ".jpg", b"x")], tar_format)
        with pytest.raises(UnusualTarError):
            walk(tmp_path / "long.tar")


def test_folders_and_garbage_are_no_members(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        tar.addfile(tarfile.TarInfo("folder/empty.jpg"))
    assert walk(tmp_path / "t.tar") == [("folder/empty.jpg", b"")]
    (tmp_path / "garbage").write_bytes(os.urandom(5000))
    assert walk(tmp_path / "garbage") == []
    assert not is_header(bytes(512)) and not is_header(b"short")
