import hashlib
import os
from pathlib import Path

import pytest

from laionet_assets.images.fetch.blocklist import BlocklistError, listed_hash, read_blocklist


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


def test_a_list_is_read_with_comments_in_any_case(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text(f"# mine\n\n{'AB' * 32}  # a picture\n{'0c' * 16}\n")
    assert read_blocklist(path) == {"ab" * 32, "0c" * 16}


def test_wrong_lines_are_named_and_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text(f"{'ab' * 32}\nhttp://secret.example/x.jpg\nabc\n")
    with pytest.raises(BlocklistError, match=r"line 2, 3: no SHA-256") as error:
        read_blocklist(path)
    assert "secret" not in str(error.value)
    with pytest.raises(BlocklistError, match="expected a text file of hashes"):
        read_blocklist(tmp_path / "nothing.txt")


def test_what_is_added_to_a_list_counts_for_the_next_part(tmp_path: Path) -> None:
    path, more = tmp_path / "list.txt", tmp_path / "more.txt"
    path.write_text(f"{'ab' * 32}\n")
    assert read_blocklist(path) == read_blocklist(path) == {"ab" * 32}
    more.write_text(f"{'cd' * 32}\n")
    os.utime(more, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    os.replace(more, path)
    assert read_blocklist(path) == {"cd" * 32}
    path.write_text(f"{'ef' * 32}\n")
    assert read_blocklist(path) == {"ef" * 32}
