"""Sources on a real S3 server (moto) on loopback, through s3fs and DuckDB."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pytest

from laionet_assets.sources import (
    SourceError,
    assign_ordinals,
    discover,
    filesystem_of,
    fingerprint,
    inspect_part,
    pairs_view_sql,
    quarantine_sql,
)
from tests.unit.sources.files import laion400m_with, write_format, write_parquet

pytestmark = pytest.mark.integration
BUCKET = "sources-test"


@pytest.fixture(scope="module")
def storage_options() -> Iterator[dict[str, Any]]:
    """Options of s3fs for an S3 server that runs while these tests do."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield {"key": "test", "secret": "test", "client_kwargs": {"endpoint_url": f"http://{host}:{port}"}}
    server.stop()


@pytest.fixture
def bucket(storage_options: dict[str, Any]) -> Iterator[fsspec.AbstractFileSystem]:
    """An empty bucket."""
    filesystem = fsspec.filesystem("s3", **storage_options)
    filesystem.mkdir(BUCKET)
    yield filesystem
    filesystem.rm(BUCKET, recursive=True)
    filesystem.invalidate_cache()


def test_parts_of_a_bucket_are_found_fingerprinted_and_read(
    bucket: fsspec.AbstractFileSystem, storage_options: dict[str, Any], tmp_path: Path
) -> None:
    whole = write_format("laion400m", tmp_path).read_bytes()
    for part in (0, 3):
        bucket.pipe_file(f"{BUCKET}/laion 400m/part-{part:05d}.snappy.parquet", whole)
    bucket.pipe_file(f"{BUCKET}/laion 400m/_SUCCESS", b"")
    broken = write_parquet(tmp_path / "b.parquet", laion400m_with(TEXT=None, hash=None) | {"TEXT": ["a", None, "c"]})
    bucket.pipe_file(f"{BUCKET}/laion 400m/part-00007.parquet", broken.read_bytes())

    url = f"s3://{BUCKET}/laion 400m"
    files = discover("laion", "auto", url, storage_options=storage_options).files
    assert [file.part for file in files] == ["part-00000", "part-00003", "part-00007"]
    assert files == discover("laion", "auto", f"{url}/*.parquet", storage_options=storage_options).files
    assert files[0].path == f"{url}/part-00000.snappy.parquet" and files[0].size_bytes == len(whole)
    prints = [fingerprint(file, storage_options=storage_options) for file in files]
    assert prints[0] == prints[1] != prints[2] and all(each.startswith("etag:") for each in prints)

    with duckdb.connect(":memory:") as connection:
        connection.register_filesystem(filesystem_of(url, storage_options=storage_options)[0])
        ordinals, _ = assign_ordinals({}, [file.part for file in files])
        records = [
            inspect_part(connection, file, adapter="auto", ordinal=ordinals[file.part], fingerprint=each)
            for file, each in zip(files, prints, strict=True)
        ]
        select = pairs_view_sql(records)
        rows = connection.execute(
            f"select part, list(sample_id order by sample_id) from ({select}) group by 1 order by 1"
        )
        assert rows.fetchall() == [
            ("part-00000", [0, 1, 2]),
            ("part-00003", [300_000_000, 300_000_001, 300_000_002]),
            ("part-00007", [700_000_000, 700_000_002]),
        ]
        quarantined = connection.execute(f"select sample_id, reason from ({quarantine_sql(records[2])})").fetchall()
        assert quarantined == [(700_000_001, "caption_missing")]


def test_a_changed_object_is_seen_at_the_next_look(
    bucket: fsspec.AbstractFileSystem, storage_options: dict[str, Any], tmp_path: Path
) -> None:
    url = f"s3://{BUCKET}/cc"
    bucket.pipe_file(f"{BUCKET}/cc/cc3m.tsv", b"a cat\thttp://images.invalid/1\n")
    (before,) = discover("cc", "cc3m", url, storage_options=storage_options).files
    first = fingerprint(before, storage_options=storage_options)
    other = fsspec.filesystem("s3", skip_instance_cache=True, **storage_options)
    other.pipe_file(f"{BUCKET}/cc/cc3m.tsv", b"a dog\thttp://images.invalid/1\n")
    (after,) = discover("cc", "cc3m", url, storage_options=storage_options).files
    assert after.size_bytes == before.size_bytes and after.signature != before.signature
    assert fingerprint(after, storage_options=storage_options) != first


def test_nothing_there(bucket: fsspec.AbstractFileSystem, storage_options: dict[str, Any]) -> None:
    for url in (f"s3://{BUCKET}/nowhere", "s3://no-such-bucket/parts", f"s3://{BUCKET}/*.parquet"):
        with pytest.raises(
            SourceError, match=r"there is nothing there|no part found|bucket no-such-bucket is not there"
        ):
            discover("laion", "auto", url, storage_options=storage_options)
