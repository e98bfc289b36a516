"""A person's day in the Dagster UI: materialize all, see it green; drop a new part in and see just its work done.

The real `laionet ui` (web server, code location, daemon) driven in headless Chromium.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from laionet_assets.sample import write_sample_part
from tests.integration.graph import BY_PART, keys

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
CONFIG = """
sources: [{name: web, adapter: laion400m, path: "sample://web?parts=1&rows=400"}]
text_encoders: [{name: minilm, model: "sentence-transformers:all-MiniLM-L6-v2"}]
predictors: [{name: efficientnet-lite0, model: "timm:tf_efficientnet_lite0"}]
image_sets: [{name: curated, layout: imagefolder, path: "sample://curated?per_class=1"}]
recipes:
  - {name: paper, matching: paper, encoder: minilm, text_threshold: 0.5}
  - {name: corrected, matching: corrected, encoder: minilm, text_threshold: 0.5}
refresh: {interval_seconds: 5}
"""
PART_ROWS = 400
PER_PART = keys(BY_PART)


@dataclass(frozen=True)
class Ui:
    """A running UI."""

    url: str
    folder: Path

    def ask(self, query: str) -> Any:
        """Data of a GraphQL query."""
        request = urllib.request.Request(
            f"{self.url}/graphql", json.dumps({"query": query}).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)["data"]

    def runs(self) -> list[dict[str, Any]]:
        """Runs, the newest first: status, part, assets."""
        answer = self.ask(
            "{runsOrError(limit: 100) {... on Runs {results {runId status tags {key value} assetSelection {path}}}}}"
        )
        return [
            {
                "id": run["runId"],
                "status": run["status"],
                "part": next((tag["value"] for tag in run["tags"] if tag["key"] == "dagster/partition"), None),
                "assets": {"/".join(key["path"]) for key in run["assetSelection"] or []},
            }
            for run in answer["runsOrError"]["results"]
        ]

    def orders(self) -> list[Any]:
        """Runs and backfills that were asked for."""
        answer = self.ask("{partitionBackfillsOrError {... on PartitionBackfills {results {id}}}}")
        return [*self.runs(), *answer["partitionBackfillsOrError"]["results"]]

    def sensor_is_on(self, name: str) -> bool:
        """Whether a sensor was switched on."""
        answer = self.ask(
            "{repositoriesOrError {... on RepositoryConnection {nodes {sensors {name sensorState {status}}}}}}"
        )
        sensors = [sensor for node in answer["repositoriesOrError"]["nodes"] for sensor in node["sensors"]]
        return next(sensor["sensorState"]["status"] for sensor in sensors if sensor["name"] == name) == "RUNNING"

    def count(self, query: str) -> int:
        """One number from the catalog that everyone may read."""
        connection = duckdb.connect(str(self.folder / "warehouse" / "laionet.duckdb"), read_only=True)
        try:
            row = connection.execute(query).fetchone()
        finally:
            connection.close()
        assert row is not None
        return int(row[0])


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """`laionet ui` on a warehouse of one small part."""
    folder = tmp_path_factory.mktemp("ui")
    (folder / "laionet.yaml").write_text(CONFIG)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {key: value for key, value in os.environ.items() if key not in ("DAGSTER_HOME", "LAIONET_CONFIG")}
    with (folder / "ui.log").open("w") as log:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("laionet")), "ui", "--port", str(port)],
            cwd=folder, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True,
        )  # fmt: skip
        try:
            opened = Ui(f"http://127.0.0.1:{port}", folder)
            wait_for(lambda: is_up(opened), seconds=180, what="the UI to answer", folder=folder)
            yield opened
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def add_part(folder: Path, number: int) -> None:
    """Drop a part into the folder of the synthetic web, as somebody who copies a file there."""
    (first,) = (folder / "warehouse").rglob("part-00000.snappy.parquet")
    write_sample_part(first.parent, number, rows=PART_ROWS)


def is_up(ui: Ui) -> bool:
    try:
        answer = ui.ask("{repositoriesOrError {... on RepositoryConnection {nodes {name}}}}")
    except OSError:
        return False
    return bool(answer["repositoriesOrError"].get("nodes"))


def look_away(ui: Ui, page: Any, *, once: Callable[[], object]) -> None:
    """Leave the UI once it has taken the last order: a graph that is watched costs as much as the runs."""
    wait_for(lambda: bool(once()), seconds=120, what="the UI to take an order", folder=ui.folder)
    page.goto("about:blank")


def wait_for(condition: Callable[[], bool], *, seconds: float, what: str, folder: Path) -> None:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            log = (folder / "ui.log").read_text()[-3000:]
            pytest.fail(f"waited {seconds:.0f} s for {what}\n{log}")
        time.sleep(1)


@pytest.fixture(scope="module")
def page(ui: Ui) -> Iterator[Any]:
    """A page of headless Chromium."""
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--headless", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        opened = browser.new_page(viewport={"width": 1700, "height": 1000})
        opened.set_default_timeout(60_000)
        yield opened
        browser.close()


def test_materialize_all_then_everything_is_green(ui: Ui, page: Any) -> None:
    page.goto(f"{ui.url}/asset-groups")
    page.get_by_text("1_sources").first.wait_for()
    page.get_by_role("button", name="Materialize all").click()
    page.get_by_role("button", name="All", exact=True).click()
    page.get_by_role("button", name=re.compile("^Launch (run|1 run|backfill)")).click()
    look_away(ui, page, once=ui.orders)

    def is_over() -> bool:
        statuses = {run["status"] for run in ui.runs()}
        is_there = (ui.folder / "warehouse/marts/accuracy_gap/data.parquet").exists()
        return "FAILURE" in statuses or (statuses == {"SUCCESS"} and is_there)

    wait_for(is_over, seconds=600, what="everything to be materialized", folder=ui.folder)
    assert {run["status"] for run in ui.runs()} == {"SUCCESS"}
    assert ui.count("select count(distinct recipe) from core.laionet") == 2
    assert ui.count("select count(*) from core.images where status = 'success'") > 5
    assert ui.count("select count(distinct image_set) from marts.accuracy") == 3

    page.goto(f"{ui.url}/assets/core/laionet?view=checks")
    page.get_by_text("similarity_is_above_the_threshold").first.wait_for(state="attached")
    page.goto(f"{ui.url}/assets/core/laionet")
    page.get_by_text("LAIONet itself").first.wait_for()
    page.get_by_text("Row count").first.wait_for()
    page.get_by_text("Cosine of caption and class query").first.wait_for()
    page.goto(f"{ui.url}/asset-groups")
    page.get_by_text("8_marts").first.wait_for()
    page.wait_for_timeout(3000)
    page.screenshot(path=str(screenshots(ui) / "graph.png"))
    assert (screenshots(ui) / "graph.png").stat().st_size > 20_000


def test_every_check_passed(ui: Ui) -> None:
    answer = ui.ask(
        "{assetNodes {assetKey {path} assetChecksOrError {... on AssetChecks "
        "{checks {name executionForLatestMaterialization {status}}}}}}"
    )
    statuses = {
        (".".join(node["assetKey"]["path"]), check["name"]): check["executionForLatestMaterialization"]
        for node in answer["assetNodes"]
        for check in node["assetChecksOrError"].get("checks", [])
    }
    assert len(statuses) > 200
    not_passed = {key: found for key, found in statuses.items() if not found or found["status"] != "SUCCEEDED"}
    assert not_passed == {}


def status_of(ui: Ui, asset: str) -> str:
    """What the last materialization of an asset says of itself."""
    answer = ui.ask(
        f"{{assetNodeOrError(assetKey: {{path: {json.dumps(asset.split('/'))}}}) {{... on AssetNode "
        "{assetMaterializations(limit: 1) {metadataEntries {label ... on TextMetadataEntry {text}}}}}}"
    )
    (materialization,) = answer["assetNodeOrError"]["assetMaterializations"]
    (status,) = [entry["text"] for entry in materialization["metadataEntries"] if entry["label"] == "status"]
    return str(status)


def test_what_is_up_to_date_returns_at_once_unless_it_is_forced(ui: Ui, page: Any) -> None:
    def materialize(**click: Any) -> None:
        before = {run["id"] for run in ui.runs()}
        page.goto(f"{ui.url}/assets/marts/accuracy_gap")
        button = page.locator("button", has_text="Materialize")
        button.first.click(**click)
        if click:  # the launchpad
            page.get_by_text("Scaffold missing config").first.wait_for()
            page.locator(".CodeMirror").first.click()
            page.keyboard.press("ControlOrMeta+A")
            page.keyboard.type("ops: {marts__accuracy_gap: {config: {force: true}}}")
            button.last.click()
        look_away(ui, page, once=lambda: {run["id"] for run in ui.runs()} - before)

        def is_over() -> bool:
            new = [run for run in ui.runs() if run["id"] not in before]
            return bool(new) and {run["status"] for run in new} <= {"SUCCESS", "FAILURE"}

        wait_for(is_over, seconds=180, what="a table to be materialized", folder=ui.folder)

    assert status_of(ui, "marts/accuracy_gap") == "made"
    materialize()
    assert status_of(ui, "marts/accuracy_gap") == "up to date"
    materialize(modifiers=["Shift"])
    assert status_of(ui, "marts/accuracy_gap") == "made"
    test_every_check_passed(ui)


def test_a_new_part_is_seen_and_costs_its_own_work_and_the_marts(ui: Ui, page: Any) -> None:
    before = {run["id"] for run in ui.runs()}
    captions = ui.count("select sum(rows) from raw.parts")
    parts = ui.count("select count(distinct (source, part)) from core.laionet")
    page.goto(f"{ui.url}/automation")
    link = page.locator('a[href$="/sensors/parts"]')
    row = page.locator('div[class*="ListItem_listItem__"]', has=link)
    row.locator('label[class*="formatSwitch"]').click()
    look_away(ui, page, once=lambda: ui.sensor_is_on("parts"))
    add_part(ui.folder, 1)

    def laionet_has_it() -> bool:
        return (
            ui.count("select count(distinct (source, part)) from core.laionet") == parts + 1
            and ui.count(
                "select sum(rows_in) // count(distinct recipe) from marts.funnel "
                "where wnid = '*' and stage = 'admitted'"
            )
            == captions + PART_ROWS
        )

    wait_for(laionet_has_it, seconds=420, what="the new part to reach LAIONet", folder=ui.folder)
    new = [run for run in ui.runs() if run["id"] not in before]
    assert {run["part"] for run in new if run["assets"] & PER_PART} == {"web/part-00001"}
    (part_run,) = [run for run in new if run["part"]]
    assert part_run["assets"] == PER_PART

    def claims_have_it() -> bool:
        runs = [run for run in ui.runs() if run["id"] not in before and "marts/claims" in run["assets"]]
        return any(run["status"] == "SUCCESS" for run in runs)

    wait_for(claims_have_it, seconds=300, what="the new part to reach the claims", folder=ui.folder)
    assert status_of(ui, "marts/claims") == "made"
    page.goto(f"{ui.url}/assets/core/caption_matches?view=partitions")
    page.get_by_text("web/part-00001").first.wait_for(state="attached")
    page.screenshot(path=str(screenshots(ui) / "new-part.png"))


def screenshots(ui: Ui) -> Path:
    """Where screenshots are kept: LAIONET_SCREENSHOTS, or the test's folder."""
    folder = Path(os.environ.get("LAIONET_SCREENSHOTS") or ui.folder / "screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
