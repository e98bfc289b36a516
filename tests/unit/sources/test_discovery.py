"""Discovery: which files are parts, how they are called, and what tells that one has changed."""

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from laionet_assets.errors import UserError
from laionet_assets.sources import NoPartsError, SourceError, discover, fingerprint, part_name, resolve_path
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
    files = discover("web", "laion400m", path.format(folder=tmp_path)).files
    assert [(file.source, file.part) for file in files] == [("web", "part-00000"), ("web", "part-00001")]
    assert [file.path for file in files] == [
        str(tmp_path / "part-00000.parquet"),
        str(tmp_path / "part-00001.snappy.parquet"),
    ]
    assert [file.size_bytes for file in files] == [len("part-00000.parquet"), len("part-00001.snappy.parquet")]


def test_two_stars_go_into_folders_but_not_into_hidden_ones(tmp_path: Path) -> None:
    touch(tmp_path, "b/part-00000.parquet", "a/c/part-00001.parquet", "_temporary/0/part-00002.parquet")
    touch(tmp_path, ".cache/part-00003.parquet")
    assert [file.part for file in discover("web", "auto", f"{tmp_path}/**/*.parquet").files] == [
        "part-00000",
        "part-00001",
    ]


def test_folders_above_the_source_may_be_hidden(tmp_path: Path) -> None:
    touch(tmp_path / ".hidden" / "_private", "part-00000.parquet")
    for path in (".hidden/_private", ".hidden/_private/*.parquet", ".hidden/_private/part-00000.parquet"):
        assert [file.part for file in discover("web", "auto", str(tmp_path / path)).files] == ["part-00000"]


def test_a_folder_with_characters_of_globs_in_its_name(tmp_path: Path) -> None:
    touch(tmp_path / "it's [a] *folder*?", "part-00000.parquet")
    touch(tmp_path / "it's a bfolderbb", "part-00009.parquet")
    (file,) = discover("web", "auto", str(tmp_path / "it's [a] *folder*?")).files
    assert file.part == "part-00000"


def test_only_files_of_the_adapters_formats_are_looked_at(tmp_path: Path) -> None:
    touch(tmp_path, "00000.parquet", "00000.tar", "00000_stats.json", "cc3m.tsv", "laion.csv")
    assert [file.part for file in discover("web", "img2dataset", str(tmp_path)).files] == ["00000"]
    assert [file.part for file in discover("web", "cc3m", str(tmp_path)).files] == ["cc3m"]
    assert [file.part for file in discover("web", "auto", str(tmp_path)).files] == ["00000", "cc3m", "laion"]


def test_a_relative_path_and_a_home_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "part-00000.parquet")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in ("*.parquet", ".", "part-00000.parquet", "~/part-*.parquet", f"file://{tmp_path}"):
        assert [file.path for file in discover("web", "auto", path).files] == [str(tmp_path / "part-00000.parquet")]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("{folder}/nowhere", "nowhere: there is nothing there, expected a file, a folder or a glob; correct the path"),
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


def test_two_files_with_the_name_of_one_part_are_refused_alone(tmp_path: Path) -> None:
    touch(tmp_path, "a/part-00000.parquet", "b/part-00000.snappy.parquet", "b/part-00001.parquet")
    found = discover("web", "auto", f"{tmp_path}/**/*.parquet")
    assert [file.part for file in found.files] == ["part-00001"] and found.refused.keys() == {"part-00000"}
    assert (
        f"several files are the same part: {tmp_path}/a/part-00000.parquet, {tmp_path}/b/part-00000.snappy.parquet"
        in found.refused["part-00000"]
    )


def test_hive_folders_right_above_a_file_are_part_of_its_name(tmp_path: Path) -> None:
    touch(tmp_path, "lang=en/part-0.parquet", "lang=de/year=2024/part-0.parquet", "a=b/c/part-1.parquet")
    expected = ["lang=de/year=2024/part-0", "lang=en/part-0", "part-1"]
    assert [file.part for file in discover("web", "auto", f"{tmp_path}/**/*.parquet").files] == expected
    folders = [f"{tmp_path}/lang=en", f"{tmp_path}/lang=de/year=2024", f"{tmp_path}/a=b/c"]
    assert [file.part for file in discover("web", "auto", folders).files] == expected


@pytest.mark.parametrize(
    "path",
    ["{folder}/{{a,b}}/*.parquet", "{folder}/{{a/part-0,b/part-1}}.parquet", "{folder}/?/part-{{0..1}}.parquet"],
)
def test_braces_are_written_out(path: str, tmp_path: Path) -> None:
    touch(tmp_path, "a/part-0.parquet", "b/part-1.parquet", "c/part-2.parquet")
    assert [file.part for file in discover("web", "auto", path.format(folder=tmp_path)).files] == ["part-0", "part-1"]


def test_braces_in_the_name_of_a_file_are_its_own(tmp_path: Path) -> None:
    touch(tmp_path, "{a,b}/part-{0..1}.parquet")
    for path in ("{a,b}", "{a,b}/part-{0..1}.parquet"):
        assert [file.part for file in discover("web", "auto", str(tmp_path / path)).files] == ["part-{0..1}"]


def test_of_several_paths_one_may_be_empty(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    touch(tmp_path, "a/part-0.parquet")
    paths = [str(tmp_path / "a"), str(tmp_path / "a" / "*.parquet"), str(tmp_path / "empty")]
    found = discover("web", "auto", paths)
    assert [file.part for file in found.files] == ["part-0"]
    (note,) = found.notes
    assert "no part found; looked for files ending in .parquet, .tsv, .tsv.gz" in note and paths[2] in note
    with pytest.raises(SourceError, match=f"{tmp_path}/nowhere: there is nothing there"):
        discover("web", "auto", [*paths, str(tmp_path / "nowhere")])


@pytest.mark.parametrize("path", ["link", "link/*", "folders/*/*.parquet", "folders/**/*.parquet", "folders/inside"])
def test_links_to_folders_are_followed(path: str, tmp_path: Path) -> None:
    touch(tmp_path, "real/part-0.parquet")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "folders").mkdir()
    (tmp_path / "folders" / "inside").symlink_to("../real")
    (tmp_path / "folders" / "loop").symlink_to("../folders")
    assert [file.part for file in discover("web", "auto", str(tmp_path / path)).files] == ["part-0"]


def test_a_folder_with_the_ending_of_a_file_is_none(tmp_path: Path) -> None:
    touch(tmp_path, "data.parquet/part-0.parquet", "part-1.parquet")
    (tmp_path / "link.parquet").symlink_to("data.parquet")
    assert [file.part for file in discover("web", "auto", str(tmp_path)).files] == ["part-1"]


def test_a_link_to_nothing_is_refused_alone(tmp_path: Path) -> None:
    touch(tmp_path, "part-0.parquet")
    (tmp_path / "part-1.parquet").symlink_to("nowhere.parquet")
    for path in (tmp_path, tmp_path / "*.parquet"):
        found = discover("web", "auto", str(path))
        assert [file.part for file in found.files] == ["part-0"]
        assert f"{tmp_path}/part-1.parquet is a link to nothing" in found.refused["part-1"]


@pytest.mark.parametrize("name", ["a...b", "a\nb", "a\x1bb", "b" * 241])
def test_a_name_that_no_partition_can_have_is_refused_alone(name: str, tmp_path: Path) -> None:
    touch(tmp_path, "part-0.parquet", f"{name}.parquet")
    found = discover("web", "auto", str(tmp_path))
    assert [file.part for file in found.files] == ["part-0"] and "rename" in found.refused[name]


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("folder", NoPartsError),
        ("folder/*.parquet", NoPartsError),
        ("folder/cc12m.tsv", NoPartsError),
        ("nowhere", SourceError),
        ("nowhere/*.parquet", SourceError),
        ("nowhere/cc12m.tsv", SourceError),
    ],
)
def test_a_place_without_parts_is_told_from_one_that_is_not_there(
    path: str, error: type[SourceError], tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(SourceError, match="source web: ") as failure:
        discover("web", "auto", str(tmp_path / path))
    assert type(failure.value) is error


def test_a_bucket_without_credentials_or_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(variable, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    nowhere = {"endpoint_url": "http://127.0.0.1:9", "config_kwargs": {"retries": {"max_attempts": 0}}}
    for options, said in (({}, "credentials"), ({"key": "k", "secret": "s3cr3t"}, "127.0.0.1:9")):
        for path in ("s3://bucket/folder", "s3://bucket/*.parquet"):
            with pytest.raises(SourceError, match=f"source web: {re.escape(path)}: cannot be looked at") as failure:
                discover("web", "auto", path, storage_options={**nowhere, **options})
            assert said in str(failure.value) and "storage_options" in str(failure.value)
            assert "s3cr3t" not in str(failure.value)


def test_an_unknown_adapter_and_an_unknown_filesystem(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="found adapter 'laion'"):
        discover("web", "laion", str(tmp_path))
    with pytest.raises(UserError, match="nosuch://bucket: this kind of path cannot be read"):
        discover("web", "auto", "nosuch://bucket")


def test_the_signature_changes_with_size_and_time(tmp_path: Path) -> None:
    touch(tmp_path, "part-00000.parquet")
    path = tmp_path / "part-00000.parquet"
    os.utime(path, ns=(0, 1_000_000_001))
    (first,) = discover("web", "auto", str(path)).files
    assert first.signature == f"{path.stat().st_size}-1000000001"
    os.utime(path, ns=(0, 1_000_000_002))
    (later,) = discover("web", "auto", str(path)).files
    assert later.signature != first.signature and fingerprint(later) == fingerprint(first)


def test_the_fingerprint_is_of_all_bytes(tmp_path: Path) -> None:
    path = tmp_path / "part-00000.parquet"
    content = bytes(range(256)) * 70_000
    path.write_bytes(content)
    (file,) = discover("web", "auto", str(path)).files
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
    files = discover("web", "auto", path).files
    assert [file.path for file in files] == [
        "memory:///sources-test/a b/part-00000.parquet",
        "memory:///sources-test/a b/part-00001.parquet",
    ]
    assert fingerprint(files[0]) == "blake2b:" + hashlib.blake2b(b"part-00000.parquet", digest_size=32).hexdigest()
    memory.pipe_file("/sources-test/a b/part-00000.parquet", b"part-00000.PARQUET")
    again = discover("web", "auto", path).files
    assert again[0].signature != files[0].signature and again[1] == files[1]


def test_storage_options_reach_the_filesystem() -> None:
    filesystem, inside = filesystem_of("s3://bucket/key", storage_options={"key": "k", "secret": "s"})
    assert (filesystem.key, filesystem.secret, inside) == ("k", "s", "bucket/key")


def test_urls_of_the_projects_own_are_resolved_and_others_left_alone(tmp_path: Path) -> None:
    resolvers = {"sample": lambda name: tmp_path / name}
    assert resolve_path("sample://web", resolvers=resolvers) == str(tmp_path / "web")
    assert resolve_path("s3://bucket/a", resolvers=resolvers) == "s3://bucket/a"
    assert resolve_path("./a/*.parquet", resolvers=resolvers) == "./a/*.parquet"
