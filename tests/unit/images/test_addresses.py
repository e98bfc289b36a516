"""Where an address is among files: every file that has it, whatever else there is; made once for files as they are."""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
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
    return AddressIndex(folder, files, lambda file: pq.read_table(file)["url"], folder / "kept", memory_connection)


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
    assert index.files_with({"http://none"}) == set()
    assert pq.ParquetFile(index.path).metadata.num_row_groups > 10
    for number, urls in enumerate(shards):
        assert all(index.files_with({url}) == {number} for url in urls[::999])
    assert index.files_with({"http://both", "http://none"}) == {0, 1} and index.files_with({"http://none"}) == set()
    assert index.files_with({*shards[0], *shards[2]}) == {0, 2}


def test_it_is_made_anew_when_a_file_changed_and_one_before_is_kept(tmp_path: Path) -> None:
    files, paths = [tmp_path / "00000.parquet"], []
    for number, url in enumerate("abc"):
        write(tmp_path, 0, [url] * (number + 1))
        index = index_of(tmp_path, files)
        assert index.files_with({url}) == {0} and index.files_with({"d"}) == set()
        paths.append(index.path)
        made = index.path.stat().st_ino
        assert index_of(tmp_path, files).files_with({url}) == {0} and index.path.stat().st_ino == made
    assert set((tmp_path / "kept").iterdir()) == set(paths[1:]) and len(set(paths)) == 3


def test_of_many_parts_that_look_addresses_up_one_reads_the_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of LAION-400M has 41,000 files, and 41,000 parts look addresses up in it."""
    folder, footers = tmp_path / "web", []
    folder.mkdir()
    for number in range(20):
        write(folder, number, [f"http://{number}"])
    bounds = addresses._bounds_of.__wrapped__
    monkeypatch.setattr(addresses, "_bounds_of", lru_cache(lambda *key: footers.append(key) or bounds(*key)))

    def find(url: str) -> list[str]:
        policy = FetchPolicy(contact="a@b.example")
        place = tmp_path / "kept"
        downloaded = Downloaded.of_folders(open_folders([folder]), policy, place=place, connect=memory_connection)
        return [each.url for each in downloaded.find({url})]

    assert [find(f"http://{number}") for number in range(10)] == [[f"http://{number}"] for number in range(10)]
    assert len(footers) == 1
    write(folder, 0, ["http://0", "http://more"])
    write(folder, 20, ["http://20"])
    assert (find("http://20"), find("http://more")) == (["http://20"], ["http://more"]) and len(footers) == 2


def test_what_nobody_used_for_a_month_goes(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    for name, days in {"other-old.parquet": 31, ".left-by-a-kill": 31, "other-new.parquet": 29}.items():
        (kept / name).touch()
        then = time.time() - days * 86_400
        os.utime(kept / name, (then, then))
    index = index_of(tmp_path, [write(tmp_path, 0, ["a"])])
    assert index.files_with({"a"}) == {0}
    assert {each.name for each in kept.iterdir()} == {"other-new.parquet", index.path.name}


@pytest.mark.parametrize("damage", ["cut off", "empty", "gone"])
def test_a_damaged_index_is_made_again(tmp_path: Path, damage: str) -> None:
    index = index_of(tmp_path, [write(tmp_path, 0, ["a"])])
    assert index.files_with({"a"}) == {0}
    content = index.path.read_bytes()
    index.path.unlink()
    if damage != "gone":
        index.path.write_bytes(content[: len(content) // 2] if damage == "cut off" else b"")
    assert index.files_with({"a"}) == {0} and index.path.read_bytes() == content


def test_several_may_make_it_at_once(tmp_path: Path) -> None:
    files = [write(tmp_path, number, [f"http://{number}/{i}" for i in range(2_000)]) for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: index_of(tmp_path, files).files_with({"http://3/7"}), range(8)):
            assert found == {3}
    assert len(list((tmp_path / "kept").iterdir())) == 1


def test_a_file_that_is_gone_is_said_by_who_reads_it(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    write(folder, 0, ["a"])
    (opened,) = open_folders([folder])
    (folder / "00000.parquet").unlink()
    with pytest.raises(ImageSetError, match=r"00000\.parquet cannot be read"):
        AddressIndex(folder, opened.parquets, opened.addresses, tmp_path / "kept", memory_connection).files_with({"a"})
    assert list((tmp_path / "kept").iterdir()) == []


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
