"""Data Docs of real validations: pages that show what failed, run nothing, and stay small."""

import re
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from laionet_assets.quality.asset_checks import describe_failures
from laionet_assets.quality.data_docs import DocsTarget
from laionet_assets.quality.expectations import grain_expectations, parse_expectations
from laionet_assets.quality.validate import Outcome, validate
from tests.integration.audited import opened, query, write_files

pytestmark = pytest.mark.integration

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    write_files(tmp_path)
    with opened(tmp_path) as connection:
        yield connection


def document(connection: duckdb.DuckDBPyConnection, root: Path, partition: str | None = None) -> tuple[Outcome, ...]:
    expectations = parse_expectations(
        [
            {"type": "expect_column_values_to_match_regex", "kwargs": {"column": "caption", "regex": "^caption"}},
            {"type": "expect_column_values_to_be_between", "kwargs": {"column": "hash", "minimum": 1}},
            query("all_are_candidates", "select * from {batch} anti join core.candidates using (sample_id)", "warning"),
            query("no_script", "select sample_id, caption from {batch} where caption like '<%'"),
            query("broken", "select nothing_like_it from {batch}"),
        ],
        columns=["caption", "hash", "sample_id"],
        where="sql/core/t.yml",
    ) + grain_expectations(["sample_id"])
    target = DocsTarget(root, "core.t", partition)
    return validate(connection, "audit.staged", expectations, suite="core.t", docs=target)


def test_the_page_shows_the_table_the_rules_and_the_failed_rows(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    outcomes = document(connection, tmp_path / "docs", "sample/part-00000")
    (page,) = {outcome.page for outcome in outcomes}
    text = page.read_text()
    for part in (
        "core.t / audit.staged / sample/part-00000",
        "no_script (critical)",
        "all_are_candidates (warning)",
        '<div class="show-scrollbars">42</div>',
        "values must match this regular expression: ",
        "&lt;script&gt;alert(7)&lt;/script&gt;",
        "extra fields not permitted",
        "nothing_like_it",
    ):
        assert part in text
    assert "<script>alert(7)" not in text
    site = tmp_path / "docs" / "core.t"
    home, suite = (page.parent / "../../../../../index.html"), site / "expectations" / "core" / "t.html"
    assert home.resolve() == (site / "index.html").resolve()
    assert "no_script" in suite.read_text() and 'href="../../../../../expectations/core/t.html"' in text
    assert "sample/part-00000" in home.read_text() and "core.t" in (tmp_path / "docs" / "index.html").read_text()
    assert "<td>2</td><td>1</td><td>4</td>" in home.read_text()


def test_nothing_of_a_caption_or_a_part_name_runs_in_a_browser(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    tag = '<img src="http://evil.example/x.png" onerror="document.title=1"><script>document.title=2</script>$x ${y}'
    rules = parse_expectations(
        [
            {"type": "expect_column_values_to_match_regex", "kwargs": {"column": "caption", "regex": "^fine"}},
            {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "caption", "value_set": ["fine"]}},
            query("rows", "select caption from {batch}"),
        ],
        columns=["caption"],
        where="sql/core/t.yml",
    )
    with duckdb.connect() as connection:
        connection.execute("create schema audit")
        connection.execute(
            "create table audit.staged as select unnest([?, '![x](http://evil.example/y)']) as caption", [tag]
        )
        target = DocsTarget(tmp_path / "docs", "core.t", f"web/{tag}")
        outcomes = validate(connection, "audit.staged", rules, suite="core.t", docs=target)
    (run,) = {outcome.page for outcome in outcomes}
    assert run is not None and "evil.example" in run.read_text()
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--headless"])
        page = browser.new_page()
        page.route("http*://**", lambda route: route.abort())
        page.on("request", lambda request: asked.append(request.url))
        for path in (run, tmp_path / "docs" / "core.t" / "index.html", tmp_path / "docs" / "index.html"):
            page.goto(path.as_uri(), wait_until="load")
            assert page.title() not in ("1", "2")
            assert page.locator("img[src*=evil]").count() == 0
        browser.close()
    assert len(asked) >= 3 and not [url for url in asked if "evil" in url.replace(run.as_uri(), "")]


def test_two_processes_may_validate_into_one_site(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    code = f"""
        import sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from tests.integration.audited import opened
        from tests.integration.test_data_docs import document
        connection = opened(Path({str(tmp_path)!r}))
        for part in range(4):
            document(connection, Path({str(tmp_path / "docs")!r}), f"other/part-{{part}}")
    """
    other = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stderr=subprocess.PIPE, text=True)
    part = 0
    while other.poll() is None or part < 4:
        document(connection, tmp_path / "docs", f"mine/part-{part % 4}")
        part += 1
        time.sleep(0.2)  # leave the processor to the other process
    assert other.returncode == 0, other.stderr.read() if other.stderr else ""
    site = tmp_path / "docs" / "core.t"
    index = (site / "index.html").read_text()
    assert all(f"{whose}/part-{part}" in index for whose in ("mine", "other") for part in range(4))
    links = re.findall(r'href="(validations[^"]+)"', index)
    assert links and all("</html>" in (site / link).read_text() for link in links)
    assert "<td>16</td><td>8</td><td>32</td><td>8</td>" in (tmp_path / "docs" / "index.html").read_text()


def test_a_page_with_vectors_and_long_captions_stays_small(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    connection.execute(
        "create view audit.wide as select range as n, repeat('word ', 12000) as caption, "
        "list_transform(range(2000), lambda x: x::float) as vector from range(50)"
    )
    rules = parse_expectations(
        [
            query("none", "select * from {batch}"),
            {"type": "expect_column_values_to_be_null", "kwargs": {"column": "vector"}},
            {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "caption", "value_set": ["a"]}},
        ],
        columns=["vector", "caption"],
        where="t.yml",
    )
    outcomes = validate(connection, "audit.wide", rules, suite="t", docs=DocsTarget(tmp_path / "docs", "t"))
    assert [outcome.unexpected for outcome in outcomes] == [50, 50, 50]
    assert outcomes[0].page is not None and outcomes[0].page.stat().st_size < 150_000
    assert "… 1,950 more" in outcomes[0].page.read_text()
    assert len(describe_failures(outcomes, table="t")) < 15_000
