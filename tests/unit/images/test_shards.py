"""The bytes of a shard."""

import io
import json
import tarfile

from laionet_assets.images.shards import content_hash, pack


def test_pack_is_two_members_of_a_tar_and_the_same_every_time() -> None:
    packed = pack(content_hash(b"abc"), "jpg", b"abc", {"wnid": "n1", "name": "Zürich"})
    with tarfile.open(fileobj=io.BytesIO(packed + bytes(1024))) as tar:
        names = tar.getnames()
        described = json.loads(tar.extractfile(names[1]).read())
        assert tar.extractfile(names[0]).read() == b"abc"
    assert names == [f"{content_hash(b'abc')}.jpg", f"{content_hash(b'abc')}.json"]
    assert described == {"sha256": content_hash(b"abc"), "wnid": "n1", "name": "Zürich"}
    assert packed == pack(content_hash(b"abc"), "jpg", b"abc", {"name": "Zürich", "wnid": "n1"})
