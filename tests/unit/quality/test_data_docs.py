import re
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import pytest

from laionet_assets.quality.data_docs import KEPT_RUNS, DocsTarget, Tally, publish
from laionet_assets.quality.expectations import QualityError

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def write(
    root: Path,
    *,
    table: str = "core.candidates",
    partition: str | None = None,
    minute: int = 0,
    tally: Tally = Tally(5, 0, 0),  # noqa: B008
    rules: str = "rules",
) -> Path:
    return publish(
        DocsTarget(root, table, partition),
        suite=table,
        tally=tally,
        run_at=START + timedelta(minutes=minute),
        page=f"page {table} {partition} {minute}",
        suite_page=lambda: rules,
        suite_digest=rules,
    )


def hrefs(page: Path) -> list[str]:
    return re.findall(r'href="([^"]+)"', page.read_text())


def test_a_page_is_published_and_linked_from_both_indexes(tmp_path: Path) -> None:
    page = write(tmp_path, partition="sample/part-00001")
    assert page.read_text() == "page core.candidates sample/part-00001 0"
    site = tmp_path / "core.candidates"
    assert page in [(site / href).resolve() for href in hrefs(site / "index.html")]
    assert "sample/part-00001" in (site / "index.html").read_text()
    assert hrefs(tmp_path / "index.html") == ["core.candidates/index.html"]
    for index in (tmp_path / "index.html", site / "index.html"):
        assert all((index.parent / href).exists() for href in hrefs(index))


def test_the_page_lies_where_great_expectations_links_lead_home(tmp_path: Path) -> None:
    page = write(tmp_path, partition="a/b")
    assert (page.parent / "../../../../../index.html").resolve() == tmp_path / "core.candidates" / "index.html"
    assert (page.parent / "../../../../../expectations/core/candidates.html").exists()


def test_old_runs_of_a_partition_are_forgotten_and_no_others(tmp_path: Path) -> None:
    first = write(tmp_path, partition="a/1")
    pages = [write(tmp_path, partition="a/2", minute=minute) for minute in range(KEPT_RUNS + 2)]
    assert first.exists()
    assert [page.exists() for page in pages] == [False, False] + [True] * KEPT_RUNS
    links = hrefs(tmp_path / "core.candidates" / "index.html")
    assert sum("results.html" in href for href in links) == KEPT_RUNS + 1


def test_files_that_are_none_of_ours_stop_nothing(tmp_path: Path) -> None:
    """A file manager leaves some in every folder that it shows."""
    write(tmp_path, partition="a/1")
    folders = [tmp_path, *(path for path in tmp_path.rglob("*") if path.is_dir())]
    for folder in folders:
        (folder / ".DS_Store").write_bytes(b"\0")
    write(tmp_path, partition="a/1", minute=1)
    write(tmp_path, partition="a/2")
    index = tmp_path / "core.candidates" / "index.html"
    assert sum("results.html" in href for href in hrefs(index)) == 3 and "DS_Store" not in index.read_text()
    assert all((folder / ".DS_Store").is_file() for folder in folders)


def test_the_status_is_that_of_the_latest_run_of_each_partition(tmp_path: Path) -> None:
    write(tmp_path, partition="a/1", tally=Tally(3, 0, 2))
    assert ">failed<" in (tmp_path / "index.html").read_text()
    write(tmp_path, partition="a/2", minute=1, tally=Tally(4, 1, 0))
    assert ">failed</span>" in (tmp_path / "index.html").read_text()
    write(tmp_path, partition="a/1", minute=2, tally=Tally(5, 0, 0))
    text = (tmp_path / "index.html").read_text()
    assert '<span class="warnings">warnings</span>' in text and "failed</span>" not in text
    assert "<td>9</td><td>1</td><td>0</td><td>2</td>" in text  # passed, warnings, failed, parts


def test_partitions_that_look_alike_stay_apart(tmp_path: Path) -> None:
    names = ["a/b", "a-b", "a~2Fb", "a%2Fb", "~table", "ü b"]
    pages = {write(tmp_path, partition=name) for name in names} | {write(tmp_path)}
    assert len(pages) == len(names) + 1 and all(page.exists() for page in pages)
    text = (tmp_path / "core.candidates" / "index.html").read_text()
    assert all(f"<td>{name}</td>" in text for name in names)


def test_the_rules_page_is_rendered_only_when_the_rules_change(tmp_path: Path) -> None:
    write(tmp_path, rules="first")
    rules = tmp_path / "core.candidates" / "expectations" / "core" / "candidates.html"
    before = rules.stat().st_mtime_ns
    write(tmp_path, rules="first", minute=1)
    assert rules.stat().st_mtime_ns == before
    write(tmp_path, rules="second", minute=2)
    assert rules.read_text().startswith("second")


def test_a_folder_that_cannot_be_written_is_the_users_error(tmp_path: Path) -> None:
    (tmp_path / "docs").write_text("a file, not a folder")
    with pytest.raises(QualityError, match=r"Data Docs cannot be written to .*docs"):
        write(tmp_path / "docs")


def _write_some(root: Path, process: int, start: float) -> list[Path]:
    time.sleep(max(0.0, start - time.time()))
    return [write(root, partition=f"p/{process % 2}", minute=minute, tally=Tally(1, 0, 0)) for minute in range(40)]


def test_processes_may_publish_into_one_site_and_one_partition_at_once(tmp_path: Path) -> None:
    start = time.time() + 1
    with ProcessPoolExecutor(4, mp_context=get_context("forkserver")) as pool:
        done = pool.map(_write_some, [tmp_path] * 4, range(4), [start] * 4)
        pages = [page for some in done for page in some]
    site = tmp_path / "core.candidates"
    kept = {page for page in pages if page.exists()}
    assert len(kept) == 2 * KEPT_RUNS
    linked = {(site / href).resolve() for href in hrefs(site / "index.html") if href.endswith("results.html")}
    assert linked == kept
    assert "<td>2</td><td>0</td><td>0</td><td>2</td>" in (tmp_path / "index.html").read_text()
    assert not list(tmp_path.rglob(".*.staged")) and not list(tmp_path.rglob(".staged-*"))
