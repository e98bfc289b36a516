"""What the settings say about fetching: who is asked, and what makes results stale."""

import shutil
from pathlib import Path

import pytest

from laionet_assets.assets.fetching import SAMPLE_CONTACT, Fetching
from laionet_assets.errors import UserError
from laionet_assets.settings import Settings, SettingsError, load_settings
from tests.unit.images.sets.test_webdataset import write_img2dataset

CONFIG = """
sources:
  - {{name: own, path: "sample://web"}}
  - {{name: web, adapter: laion400m, path: ./parts}}
text_encoders: [{{name: e, model: "sentence-transformers:all-MiniLM-L6-v2"}}]
recipes: [{{name: r, encoder: e, text_threshold: 0.5}}]
images: {images}
"""
ENABLED = "enabled: true, contact: 'mailto:me@example.org'"


def settings(folder: Path, images: str = "{}") -> Settings:
    (folder / "laionet.yaml").write_text(CONFIG.format(images=images))
    return load_settings(folder / "laionet.yaml")


def fetching(folder: Path, fetch: str = "") -> Fetching:
    return Fetching(settings(folder, f"{{fetch: {{{fetch}}}}}"))


def test_only_the_synthetic_web_is_fetched_without_being_asked_for(tmp_path: Path) -> None:
    assert fetching(tmp_path).applies_to("own") and not fetching(tmp_path).applies_to("web")
    assert fetching(tmp_path, ENABLED).applies_to("web")
    assert not fetching(tmp_path, ENABLED).applies_to("taken out")


def test_settings_that_cannot_stand_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"images\.fetch: fetch policy: contact is 'me'; expected an e-mail"):
        fetching(tmp_path, "enabled: true, contact: me")
    with pytest.raises(SettingsError, match=r"allowed_private has 'lan'"):
        fetching(tmp_path, "allowed_private: [lan]")


def test_the_synthetic_web_is_asked_fast_and_by_nobody(tmp_path: Path) -> None:
    made = fetching(tmp_path, f"{ENABLED}, per_host: 1, min_interval: 5, max_bytes: 1MB")
    own, web = made._policy(is_sample=True), made._policy(is_sample=False)
    assert (own.contact, own.min_interval, web.contact, web.min_interval) == (
        SAMPLE_CONTACT, 0, "mailto:me@example.org", 5
    )  # fmt: skip
    assert own.max_bytes == web.max_bytes == 1_000_000 and own.per_host > web.per_host == 1


def test_results_are_stale_when_what_decides_them_changes(tmp_path: Path) -> None:
    urls = tmp_path / "urls.txt"
    urls.write_text("ab" * 32 + "\n")
    said = [
        fetching(tmp_path, text).outside("web")
        for text in (
            "", ENABLED, f"{ENABLED}, uncleared: true", f"{ENABLED}, max_bytes: 1MB", f"{ENABLED}, robots: false",
            f"{ENABLED}, blocked_urls: urls.txt", f"{ENABLED}, blocked_contents: urls.txt",
        )
    ]  # fmt: skip
    assert len(set(said)) == len(said)
    urls.write_text("# nothing\n" + "AB" * 32 + "\n")
    assert fetching(tmp_path, f"{ENABLED}, blocked_urls: urls.txt").outside("web") == said[5]
    urls.write_text("cd" * 32 + "\n")
    assert fetching(tmp_path, f"{ENABLED}, blocked_urls: urls.txt").outside("web") not in said


def test_what_is_downloaded_is_followed_by_its_files(tmp_path: Path) -> None:
    before = fetching(tmp_path)
    assert not before.takes_over("web")
    write_img2dataset(tmp_path / "mine")
    made = Fetching(settings(tmp_path, "{downloaded: [mine]}"))
    assert made.takes_over("web") and made.takes_over("own") and not made.takes_over("taken out")
    first = made.outside("web"), made.outside("own")
    assert not {before.outside("web"), before.outside("own")} & set(first)
    assert (made.outside("web"), made.outside("own")) == first
    shutil.copy(tmp_path / "mine" / "00001.tar", tmp_path / "mine" / "00002.tar")
    with pytest.raises(UserError, match=r"images\.downloaded\[0\].*00002\.tar"):
        made.outside("web")
    shutil.copy(tmp_path / "mine" / "00001.parquet", tmp_path / "mine" / "00002.parquet")
    assert made.outside("web") != first[0] and made.outside("own") != first[1]


def test_a_missing_folder_of_downloads_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"images\.downloaded\[1\]: .*/theirs does not exist"):
        (tmp_path / "mine").mkdir()
        settings(tmp_path, "{downloaded: [mine, theirs]}")


def test_manners_and_clearance_of_others_leave_results_as_they_are(tmp_path: Path) -> None:
    one = fetching(tmp_path, ENABLED)
    other = fetching(tmp_path, "enabled: true, contact: 'mailto:you@example.org', concurrency: 3, per_host: 1")
    assert one.outside("web") == other.outside("web")
    assert fetching(tmp_path).outside("own") == one.outside("own")
    assert one.outside("own") != one.outside("web")


def test_a_list_that_clears_is_followed_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "relaion").mkdir()
    made = fetching(tmp_path, f"{ENABLED}, cleared_by: relaion")
    with pytest.raises(UserError, match=r"images\.fetch\.cleared_by"):
        made.outside("web")
    (tmp_path / "relaion" / "part-0.parquet").write_bytes(b"1")
    first = made.outside("web")
    (tmp_path / "relaion" / "part-1.parquet").write_bytes(b"2")
    assert made.outside("web") != first
