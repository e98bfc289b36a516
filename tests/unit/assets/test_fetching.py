"""What the settings say about fetching: who is asked, and what makes results stale."""

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laionet_assets.assets import fetching as module
from laionet_assets.assets.fetching import SAMPLE_CONTACT, Fetching
from laionet_assets.assets.publishing import work_on
from laionet_assets.assets.steps import Step
from laionet_assets.errors import UserError
from laionet_assets.settings import Settings, SettingsError, load_settings
from laionet_assets.sqlmodels.loader import load_project
from laionet_assets.warehouse.lake import Lake, Staged
from laionet_assets.warehouse.rows import write_table
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Stamp, Warehouse, memory_connection
from tests.unit.images.sets.test_webdataset import write_img2dataset

PROJECT = load_project()
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


def test_a_list_that_clears_is_asked_once_for_parts_made_together_and_again_when_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list of Re-LAION has two billion addresses: read for each of 40,000 parts, it would be read for years."""
    made, table = fetching(tmp_path, f"{ENABLED}, cleared_by: relaion"), PROJECT.tables["core.image_requests"]
    warehouse = Warehouse(Lake(str(tmp_path / "lake")), PROJECT.tables, memory_connection, tmp_path / "docs")
    parts = [PartKey("web", f"part-{number}") for number in range(6)]

    def publish(part: PartKey, *urls: str) -> None:
        rows = [
            {"source": part.source, "part": part.part, "sample_id": number, "url": url, "recipes": ["r"]}
            | {"is_neighbour": False, "is_removed": False}
            for number, url in enumerate(urls)
        ]
        with warehouse.lake.stage(table, part) as staged:
            write_table(staged.path, table, rows, stamps=Stamp.of(repr(urls)).metadata)
            warehouse.lake.publish(staged)

    def listed(*urls: str) -> None:
        (tmp_path / "relaion").mkdir(exist_ok=True)
        pq.write_table(pa.table({"URL": pa.array(urls, pa.string())}), tmp_path / "relaion" / "part-0.parquet")

    asked: list[int] = []
    look = module._listed
    monkeypatch.setattr(
        module, "_listed", lambda connection, urls, path: asked.append(1) or look(connection, urls, path)
    )

    def cleared(part: PartKey, together: list[PartKey]) -> frozenset[str]:
        with warehouse.connect() as connection:
            work = work_on(
                warehouse,
                connection,
                Step(model=PROJECT.models["core.images"], write=None),
                part,
                Staged(tmp_path / "staged", ""),
                Stamp.of("v"),
                {},
                print,
                together=together,
            )
            return made._cleared(work, part, str(tmp_path / "relaion"))

    for number, part in enumerate(parts):
        publish(part, f"http://{number}", "http://all", "http://none")
    listed(*(f"http://{number}" for number in range(0, 6, 2)), "http://all")
    expected = [{"http://all"} | ({f"http://{number}"} if number % 2 == 0 else set()) for number in range(6)]
    assert [cleared(part, parts) for part in parts] == expected and len(asked) == 1
    listed("http://0", "http://1")
    assert [cleared(part, parts) for part in parts[:2]] == [{"http://0"}, {"http://1"}] and len(asked) == 2
    publish(parts[2], "http://1", "http://new")
    listed("http://0", "http://1", "http://new")
    assert cleared(parts[2], []) == {"http://1", "http://new"} and len(asked) == 3, "made alone"
    assert cleared(parts[1], []) == {"http://1"} and len(asked) == 4
    publish(parts[1], "http://1", "http://other")
    assert cleared(parts[1], []) == {"http://1"} and len(asked) == 5, "it asks for another address now"
