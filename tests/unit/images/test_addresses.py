"""Where an address is among files: every file that has it, whatever else there is; made once for files as they are."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from laionet_assets.images import addresses
from laionet_assets.images.addresses import AddressIndex
from laionet_assets.images.downloaded import Downloaded, open_folders
from laionet_assets.images.fetch.policy import FetchPolicy
from laionet_assets.images.sets.items import ImageSetError
from laionet_assets.warehouse.warehouse import memory_connection


def write(folder: Path, number: int, urls: Sequence[str | None]) -> Path:
    path = folder / f"{number:05}.parquet"
    table = {"key": [f"{number:05}{i:04}" for i in range(len(urls))], "url": urls, "jpg": [b"x"] * len(urls)}
    pq.write_table(pa.table({**table, "url": pa.array(urls, pa.string())}), path)
    return path


def index_of(folder: Path, files: list[Path]) -> AddressIndex:
    return AddressIndex.of(
        folder, files, lambda file: pq.read_table(file)["url"], place=folder / "kept", connect=memory_connection
    )


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(st.none() | st.text(max_size=2), max_size=6), min_size=1, max_size=5),
    st.sets(st.text(max_size=2), min_size=1),
)
def test_every_file_with_an_address_is_found(
    tmp_path_factory: pytest.TempPathFactory, shards: list[list[str | None]], asked: set[str]
) -> None:
    folder = tmp_path_factory.mktemp("folder")
    files = [write(folder, number, urls) for number, urls in enumerate(shards)]
    expected = {number for number, urls in enumerate(shards) if not asked.isdisjoint(urls)}
    assert index_of(folder, files).files_with(asked) == expected


def test_addresses_are_found_in_every_row_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "ROW_GROUP", 2_048)
    shards = [[f"http://{number}/{i % 9_000}" for i in range(10_000)] for number in range(3)]
    files = [write(tmp_path, number, [*urls, "http://both"]) for number, urls in enumerate(shards[:2])]
    files.append(write(tmp_path, 2, shards[2]))
    index = index_of(tmp_path, files)
    assert pq.ParquetFile(index.path).metadata.num_row_groups > 10
    for number, urls in enumerate(shards):
        assert all(index.files_with({url}) == {number} for url in urls[::999])
    assert index.files_with({"http://both", "http://none"}) == {0, 1} and index.files_with({"http://none"}) == set()
    assert index.files_with({*shards[0], *shards[2]}) == {0, 2}


def test_it_is_made_anew_when_a_file_changed_and_no_other_is_kept(tmp_path: Path) -> None:
    files = [write(tmp_path, 0, ["a"])]
    first = index_of(tmp_path, files)
    made = first.path.stat().st_mtime_ns
    assert index_of(tmp_path, files).path.stat().st_mtime_ns == made
    write(tmp_path, 0, ["b", "c"])
    second = index_of(tmp_path, files)
    assert (second.files_with({"a"}), second.files_with({"b"})) == (set(), {0})
    assert list((tmp_path / "kept").iterdir()) == [second.path] != [first.path]


def test_pictures_are_found_in_several_folders_and_only_their_files_are_opened(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        write(folder, 0, ["http://0"])
        write(folder, 1, [f"http://1/{folder.name}", "http://1"])

    def found(urls: set[str]) -> list[str]:
        downloaded = Downloaded.of_folders(
            open_folders(folders),
            FetchPolicy(contact="a@b.example"),
            place=tmp_path / "kept",
            connect=memory_connection,
        )
        return [each.url for each in downloaded.find(urls)]

    assert found({"http://1", "http://1/two"}) == ["http://1", "http://1/two", "http://1"]
    assert found({"http://nowhere"}) == []
    pq.write_table(pa.table({"key": ["2"], "jpg": [b"x"]}), folders[1] / "00002.parquet")
    with pytest.raises(ImageSetError, match=r"two/00002\.parquet: found columns key, jpg; expected also url"):
        found({"http://0"})
