"""Discovery: which files are parts, how they are called, and what tells that one has changed."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from laionet_assets.sources import SourceError, discover, fingerprint, part_name, resolve_path
from laionet_assets.sources.discovery import filesystem_of
from tests.unit.sources.files import write_text


def touch(folder: Path, *names: str) -> None:
    for name in names:
        write_text(folder / name, name)


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    filesystem.rm("/sources-test", recursive=True)


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("/data/part-00000.snappy.parquet", "part-00000"),
        ("s3://b/part-00000-5b54c5d5-bbcf-c000.snappy.parquet", "part-00000-5b54c5d5-bbcf-c000"),
        ("part-00000-c000.gz.parquet", "part-00000-c000"),
        ("cc12m.tsv.gz", "cc12m"),
        ("Train_GCC-training.tsv", "Train_GCC-training"),
        ("laion.v2.parquet", "laion.v2"),
        ("00042.parquet", "00042"),
    ],
)
def test_a_part_is_called_like_its_file_without_format_endings(path: str, part: str) -> None:
    assert part_name(path) == part


@pytest.mark.parametrize("path", ["{folder}", "{folder}/", "{folder}/*", "{folder}/*.parquet", "{folder}/part-0000?.*"])
def test_parts_are_sorted_and_strangers_passed_over(path: str, tmp_path: Path) -> None:
    touch(tmp_path, "part-00001.snappy.parquet", "part-00000.parquet", "_SUCCESS", "_part-00009.parquet")
    touch(tmp_path, ".part-00000.parquet.crc", ".part-00008.parquet", "part-00001.parquet.crc", "00000.tar", "a.json")
    touch(tmp_path, "deeper/part-00005.parquet")
    files = discover("web", "laion400m", path.format(folder=tmp_path))
    assert [(file.source, file.part) for file in files] == [("web", "part-00000"), ("web", "part-00001")]
    assert [file.path for file in files] == [
        str(tmp_path / "part-00000.parquet"),
        str(tmp_path / "part-00001.snappy.parquet"),
    ]
    assert [file.size_bytes for file in files] == [len("part-00000.parquet"), len("part-00001.snappy.parquet")]


def test_two_stars_go_into_folders_but_not_into_hidden_ones(tmp_path: Path) -> None:
    touch(tmp_path, "b/part-00000.parquet", "a/c/part-00001.parquet", "_temporary/0/part-00002.parquet")
    touch(tmp_path, ".cache/part-00003.parquet")
    assert [file.part for file in discover("web", "auto", f"{tmp_path}/**/*.parquet")] == ["part-00000", "part-00001"]


def test_folders_above_the_source_may_be_hidden(tmp_path: Path) -> None:
    touch(tmp_path / ".hidden" / "_private", "part-00000.parquet")
    for path in (".hidden/_private", ".hidden/_private/*.parquet", ".hidden/_private/part-00000.parquet"):
        assert [file.part for file in discover("web", "auto", str(tmp_path / path))] == ["part-00000"]


def test_a_folder_with_characters_of_globs_in_its_name(tmp_path: Path) -> None:
    touch(tmp_path / "it's [a] *folder*?", "part-00000.parquet")
    touch(tmp_path / "it's a bfolderbb", "part-00009.parquet")
    (file,) = discover("web", "auto", str(tmp_path / "it's [a] *folder*?"))
    assert file.part == "part-00000"


def test_only_files_of_the_adapters_formats_are_looked_at(tmp_path: Path) -> None:
    touch(tmp_path, "00000.parquet", "00000.tar", "00000_stats.json", "cc3m.tsv", "laion.csv")
    assert [file.part for file in discover("web", "img2dataset", str(tmp_path))] == ["00000"]
    assert [file.part for file in discover("web", "cc3m", str(tmp_path))] == ["cc3m"]
    assert [file.part for file in discover("web", "auto", str(tmp_path))] == ["00000", "cc3m", "laion"]


def test_a_relative_path_and_a_home_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "part-00000.parquet")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in ("*.parquet", ".", "part-00000.parquet", "~/part-*.parquet", f"file://{tmp_path}"):
        assert [file.path for file in discover("web", "auto", path)] == [str(tmp_path / "part-00000.parquet")]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("{folder}/nowhere", "nowhere: there is nothing there; expected a file, a folder or a glob"),
        (
            "{folder}/empty",
            r"found no files at all; files in folders inside it need a glob such as .*/\*\*/\*\.parquet",
        ),
        ("{folder}/*.tsv", "source web: no part found; looked for files ending in .parquet"),
        ("{folder}/strangers", "found only 00000.tar, a.json, b.json, c.json, d.json and 1 more"),
        ("{folder}/strangers/00000.tar", "found only 00000.tar"),
    ],
)
def test_nothing_found_says_what_was_looked_for_and_where(path: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "empty" / "deeper").mkdir(parents=True)
    touch(tmp_path / "strangers", "00000.tar", "a.json", "b.json", "c.json", "d.json", "e.json")
    with pytest.raises(SourceError, match=said) as failure:
        discover("web", "laion400m", path.format(folder=tmp_path))
    assert str(tmp_path) in str(failure.value)


def test_two_files_with_the_name_of_one_part_are_an_error_that_names_both(tmp_path: Path) -> None:
    touch(tmp_path, "a/part-00000.parquet", "b/part-00000.snappy.parquet", "b/part-00001.parquet")
    with pytest.raises(SourceError, match="several files are the same part") as failure:
        discover("web", "auto", f"{tmp_path}/**/*.parquet")
    assert f"part-00000: {tmp_path}/a/part-00000.parquet, {tmp_path}/b/part-00000.snappy.parquet" in str(failure.value)
    assert "part-00001" not in str(failure.value)


def test_an_unknown_adapter_and_an_unknown_filesystem(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="found adapter 'laion'"):
        discover("web", "laion", str(tmp_path))
    with pytest.raises(SourceError, match="nosuch://bucket: this kind of path cannot be read"):
        discover("web", "auto", "nosuch://bucket")


def test_the_signature_changes_with_size_and_time(tmp_path: Path) -> None:
    touch(tmp_path, "part-00000.parquet")
    path = tmp_path / "part-00000.parquet"
    os.utime(path, ns=(0, 1_000_000_001))
    (first,) = discover("web", "auto", str(path))
    assert first.signature == f"{path.stat().st_size}-1000000001"
    os.utime(path, ns=(0, 1_000_000_002))
    (later,) = discover("web", "auto", str(path))
    assert later.signature != first.signature and fingerprint(later) == fingerprint(first)


def test_the_fingerprint_is_of_all_bytes(tmp_path: Path) -> None:
    path = tmp_path / "part-00000.parquet"
    content = bytes(range(256)) * 70_000
    path.write_bytes(content)
    (file,) = discover("web", "auto", str(path))
    assert fingerprint(file) == "blake2b:" + hashlib.blake2b(content, digest_size=32).hexdigest()
    path.write_bytes(content[:-1] + b"x")
    assert fingerprint(file) != "blake2b:" + hashlib.blake2b(content, digest_size=32).hexdigest()
    path.unlink()
    with pytest.raises(FileNotFoundError):
        fingerprint(file)


@pytest.mark.parametrize("path", ["memory://sources-test/a b", "memory://sources-test/a b/*.parquet"])
def test_an_fsspec_filesystem(path: str, memory: fsspec.AbstractFileSystem) -> None:
    for name in ("part-00001.parquet", "part-00000.parquet", "_SUCCESS"):
        memory.pipe_file(f"/sources-test/a b/{name}", name.encode())
    files = discover("web", "auto", path)
    assert [file.path for file in files] == [
        "memory:///sources-test/a b/part-00000.parquet",
        "memory:///sources-test/a b/part-00001.parquet",
    ]
    assert fingerprint(files[0]) == "blake2b:" + hashlib.blake2b(b"part-00000.parquet", digest_size=32).hexdigest()
    memory.pipe_file("/sources-test/a b/part-00000.parquet", b"part-00000.PARQUET")
    again = discover("web", "auto", path)
    assert again[0].signature != files[0].signature and again[1] == files[1]


def test_storage_options_reach_the_filesystem() -> None:
    filesystem, inside = filesystem_of("s3://bucket/key", storage_options={"key": "k", "secret": "s"})
    assert (filesystem.key, filesystem.secret, inside) == ("k", "s", "bucket/key")


def test_urls_of_the_projects_own_are_resolved_and_others_left_alone(tmp_path: Path) -> None:
    resolvers = {"sample": lambda name: tmp_path / name}
    assert resolve_path("sample://web", resolvers=resolvers) == str(tmp_path / "web")
    assert resolve_path("s3://bucket/a", resolvers=resolvers) == "s3://bucket/a"
    assert resolve_path("./a/*.parquet", resolvers=resolvers) == "./a/*.parquet"
