import hashlib

from laionet_assets.images.fetch.blocklist import listed_hash


def test_sha256_and_md5_are_both_looked_up() -> None:
    text = "http://h.org/ü"
    sha256, md5 = hashlib.sha256(text.encode()).hexdigest(), hashlib.md5(text.encode()).hexdigest()
    assert listed_hash(text, {sha256}) == sha256
    assert listed_hash(text.encode(), {md5}) == md5
    assert listed_hash(text, {sha256, md5}) == sha256
    assert listed_hash(text + "x", {sha256, md5}) is None
    assert listed_hash(text, frozenset()) is None


def test_any_text_can_be_looked_up() -> None:
    assert listed_hash("\ud800", {"0" * 64}) is None
