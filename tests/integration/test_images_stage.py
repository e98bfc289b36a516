"""Stage images over the synthetic web and its real HTTP server on loopback: every outcome, what is fetched again and
what never, what is downloaded already, kills, removals, quota, clearance.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from laionet_assets.assets.images import open_store
from laionet_assets.assets.parts import sync_parts
from laionet_assets.assets.pipeline import Pipeline, build_pipeline
from laionet_assets.assets.planning import Task, stale_tasks
from laionet_assets.assets.publishing import Published, make
from laionet_assets.assets.steps import Step
from laionet_assets.errors import UserError
from laionet_assets.images.leftovers import leftovers
from laionet_assets.images.store import ImageStore
from laionet_assets.images.tombstones import read_tombstones, url_hash
from laionet_assets.sample.server import SampleWebServer
from laionet_assets.settings import load_settings
from laionet_assets.sqlmodels.loader import load_project
from laionet_assets.warehouse.table import PartKey
from tests.integration.conftest import Project, make_due
from tests.integration.graph import BY_PART, downstream, upstream
from tests.unit.images.sets.test_webdataset import write_tar

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
PROJECT = load_project()
PARTS = [PartKey("web", "part-00000"), PartKey("web", "part-00001")]
WEB = "sample://web?parts=2&rows=400"
CONFIG = """
warehouse: {warehouse}
sources: [{{name: web, adapter: laion400m, path: "WEB"}}]
text_encoders: [{{name: minilm, model: "sentence-transformers:all-MiniLM-L6-v2"}}]
recipes:
  - {{name: paper, matching: paper, encoder: minilm, text_threshold: 0.5}}
  - {{name: corrected, matching: corrected, encoder: minilm, text_threshold: 0.3}}
images: {{}}
"""
STAGE = (
    "raw.recipes", "core.removals", "core.selection", "core.removed_samples", "core.image_requests", "core.images",
)  # fmt: skip
UPSTREAM = sorted(upstream(*STAGE) & BY_PART - {*STAGE})
READERS = sorted(upstream("core.laionet", "core.names_in_images") & downstream("core.images") - {"core.images"})
"""Tables made from images that need no model."""
MARTS = ("marts.image_outcomes", "marts.removal_leftovers")
WITH_MARTS = (*STAGE, *READERS, *MARTS)
TIMES = ("started_at", "seconds", "next_attempt_at")


@dataclass
class Stage:
    """A warehouse of two small parts, in which the tables of the stage are made without Dagster around them."""

    project: Project
    log: list[str] = field(default_factory=list)
    published: dict[Task, Published] = field(default_factory=dict)

    @property
    def pipeline(self) -> Pipeline:
        return build_pipeline(load_settings(self.project.config), project=PROJECT)

    @property
    def steps(self) -> dict[str, Step]:
        """Steps by name, in order. Leftovers are looked for without predictions, which are not made here."""
        steps = {step.name: step for step in self.pipeline.steps}
        last = steps["marts.removal_leftovers"]
        reads = replace(last.model.reads, tables=last.model.dependencies & {*STAGE, *READERS})
        return {**steps, last.name: replace(last, model=replace(last.model, reads=reads))}

    @property
    def store(self) -> ImageStore:
        pipeline = self.pipeline
        return open_store(pipeline.settings, pipeline.warehouse)

    @property
    def web(self) -> Path:
        """The folder of the synthetic web."""
        return self.project.warehouse / "sample" / "2-parts-400-rows" / "synthetic-web"

    def make(self, names: Sequence[str] = STAGE, *, parts: Sequence[PartKey] = PARTS) -> list[Task]:
        """Make what is stale; returns it. `log` is what was said on the way."""
        warehouse, steps = self.pipeline.warehouse, self.steps
        tasks = stale_tasks(warehouse, list(steps.values()), parts, names=names)
        self.log.clear()
        self.published = {task: make(warehouse, steps[task.name], task.part, log=self.log.append) for task in tasks}
        return tasks

    def set_images(self, text: str) -> None:
        """Replace the last line of laionet.yaml: the key `images`."""
        lines = self.project.config.read_text().splitlines()
        self.project.config.write_text("\n".join([*lines[:-1], f"images: {text}"]) + "\n")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query over the published tables of the stage."""
        warehouse = self.pipeline.warehouse
        with warehouse.connect() as connection:
            warehouse.bind(connection, [name for name in WITH_MARTS if warehouse.is_published(name)])
            return connection.execute(query).fetchall()

    def images(self) -> dict[int, dict[str, Any]]:
        """Rows of core.images by sample."""
        warehouse = self.pipeline.warehouse
        with warehouse.connect() as connection:
            table = connection.sql(warehouse.select("core.images")).to_arrow_table()
        return {row["sample_id"]: row for row in table.to_pylist()}

    def counts(self) -> dict[str, int]:
        """Samples by status."""
        return dict(self.rows("select status, count(*) from core.images group by all"))

    def fetched(self) -> int:
        """Addresses that the last `make` asked for, by what it said."""
        said = [line.split(" addresses: ")[1].split(" to fetch")[0] for line in self.log if " addresses: " in line]
        return sum(int(number) for number in said)


@pytest.fixture(scope="session")
def prepared(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with everything that the stage reads."""
    stage = Stage(Project(folder=tmp_path_factory.mktemp("images"), parts=Path()))
    stage.project.configure(CONFIG.replace("WEB", WEB))
    for schema in ("raw", "staging", "core"):
        shutil.copytree(base / schema, stage.project.warehouse / schema)
    sync_parts(stage.pipeline.settings, stage.pipeline.warehouse)
    stage.make(UPSTREAM)
    return stage.project.warehouse


@pytest.fixture(scope="session")
def fetched(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after the stage was made."""
    stage = stage_on(prepared, tmp_path_factory.mktemp("fetched"))
    stage.make(WITH_MARTS)
    return stage.project.warehouse


def stage_on(warehouse: Path, folder: Path) -> Stage:
    """A stage on a copy of a warehouse."""
    stage = Stage(Project(folder=folder / "project", parts=Path()))
    stage.project.configure(CONFIG.replace("WEB", WEB))
    shutil.copytree(warehouse, stage.project.warehouse)
    return stage


@pytest.fixture
def stage(fetched: Path, tmp_path: Path) -> Stage:
    """A stage that was made."""
    return stage_on(fetched, tmp_path)


@pytest.fixture
def fresh(prepared: Path, fetched: Path, tmp_path: Path) -> Stage:
    """A stage that was not made yet; the pictures of the web are drawn already."""
    stage = stage_on(prepared, tmp_path / "fresh")
    shutil.copytree(fetched / "sample" / "pictures", stage.project.warehouse / "sample" / "pictures")
    return stage


@pytest.mark.slow
def test_every_sample_asked_for_ends_as_the_web_says(stage: Stage) -> None:
    urls = dict(stage.rows("select sample_id, url from core.image_requests"))
    images = stage.images()
    assert images.keys() == urls.keys()
    server = SampleWebServer(stage.web)
    expected = {key: server.expected_outcome(url) if url is not None else "bad_url" for key, url in urls.items()}
    assert {key: row["error_class"] or "success" for key, row in images.items()} == expected
    assert {"success", "http_404", "opted_out", "not_an_image", "decode", "http_5xx"} <= set(expected.values())
    for key, row in images.items():
        assert row["url"] == urls[key]
        assert (row["status"] == "success") == (row["sha256"] is not None)


def test_the_pictures_are_in_the_store_once_and_no_address_is(stage: Stage) -> None:
    store = stage.store
    contents = {row["sha256"] for row in stage.images().values() if row["sha256"]}
    assert len(store) == len(contents)
    assert store.missing(contents) == []
    files = [path for path in (stage.project.warehouse / "images").rglob("*") if path.is_file()]
    assert files and not any(b"sample.invalid" in path.read_bytes() for path in files)
    assert not any("sample.invalid" in line for line in stage.log)


def test_made_again_nothing_is_asked(stage: Stage) -> None:
    before = stage.project.files()
    assert stage.make(WITH_MARTS) == []
    make(stage.pipeline.warehouse, stage.steps["core.images"], PARTS[0], log=stage.log.append)
    assert stage.fetched() == 0
    assert stage.project.files() == before


def test_two_runs_give_the_same_rows_but_for_times(stage: Stage, fresh: Stage) -> None:
    fresh.make()
    assert fresh.fetched() > 50

    def without_times(images: dict[int, dict[str, Any]]) -> list[dict[str, Any]]:
        return [{name: value for name, value in row.items() if name not in TIMES} for row in images.values()]

    assert without_times(fresh.images()) == without_times(stage.images())
    versions = [each.pipeline.warehouse.stamps("core.images")[PARTS[0]].version for each in (stage, fresh)]
    assert versions[0] == versions[1]


def test_a_lower_threshold_fetches_only_what_is_new(fresh: Stage) -> None:
    fresh.project.edit("text_threshold: 0.3", "text_threshold: 0.6")
    fresh.project.edit("text_threshold: 0.5", "text_threshold: 0.6")
    fresh.make()
    before, first = fresh.images(), fresh.fetched()
    fresh.project.edit("encoder: minilm, text_threshold: 0.6}\nimages", "encoder: minilm, text_threshold: 0.4}\nimages")
    made = fresh.make()
    assert Task("core.images", PARTS[0]) in made
    after = fresh.images()
    assert before.keys() < after.keys()
    known = {row["url_hash"] for row in before.values()}
    assert fresh.fetched() == len({row["url_hash"] for row in after.values()} - known - {None}) > 0 < first
    assert {key: after[key] for key in before} == before


def test_a_failure_is_tried_again_when_it_is_due_and_readers_follow_if_it_changed(stage: Stage) -> None:
    """The answers of the web do not change, so that the second attempt ends as the first."""
    failed = {key: row for key, row in stage.images().items() if row["next_attempt_at"] is not None}
    assert failed, "the web has failures that may pass"
    (part,) = {PartKey(row["source"], row["part"]) for row in list(failed.values())[:1]}
    make_due(stage.pipeline.warehouse, part)
    due = {key for key, row in failed.items() if row["part"] == part.part}
    made = stage.make((*STAGE, *MARTS))
    assert made == [Task("core.images", part), *(Task(name, None) for name in MARTS)]
    images = stage.images()
    assert stage.fetched() == len({images[key]["url_hash"] for key in due})
    for key in due:
        assert images[key]["attempts"] > failed[key]["attempts"]
        assert images[key]["error_class"] == failed[key]["error_class"]
        assert images[key]["next_attempt_at"] > failed[key]["next_attempt_at"]
    assert stage.make(WITH_MARTS) == []


def test_a_lost_picture_is_fetched_again(stage: Stage) -> None:
    row = next(row for row in stage.images().values() if row["status"] == "success" and row["part"] == "part-00000")
    twins = {
        each["url_hash"]
        for each in stage.images().values()
        if each["sha256"] == row["sha256"] and each["part"] == row["part"]
    }
    stage.store.discard({row["sha256"]})
    stage.log.clear()
    make(stage.pipeline.warehouse, stage.steps["core.images"], PARTS[0], log=stage.log.append)
    assert stage.fetched() == len(twins)
    assert stage.store.contains(row["sha256"])


@pytest.mark.slow
def test_a_killed_fetch_goes_on_where_it_stood(prepared: Path, fetched: Path, tmp_path: Path) -> None:
    """With Dagster around it, as a user runs it; the pictures are drawn while they are fetched, so that there is time
    to kill.
    """
    stage = stage_on(prepared, tmp_path)
    stage.make([name for name in STAGE if name != "core.images"])
    journal = stage.project.warehouse / "images" / PARTS[0].folder / ".journal.jsonl"
    command = [sys.executable, "-c", "from laionet_assets.cli import app; app()", "run", "--config"]
    arguments = [str(stage.project.config), "--select", 'key:"core/images"', "--parts", "part-00000"]
    environment = {key: value for key, value in os.environ.items() if key not in ("DAGSTER_HOME", "LAIONET_CONFIG")}
    with (tmp_path / "killed.log").open("w") as log:
        process = subprocess.Popen(
            [*command, *arguments], cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            while process.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < 8):
                time.sleep(0.002)
            assert process.poll() is None, (tmp_path / "killed.log").read_text()
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    recorded = [json.loads(line) for line in journal.read_bytes().split(b"\n")[:-1]]
    assert len(recorded) >= 8
    assert not stage.pipeline.warehouse.is_published("core.images")
    done = subprocess.run(
        [*command, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    images = {row["url_hash"]: row for row in stage.images().values()}
    for row in recorded:
        assert images[row["url_hash"]]["started_at"].isoformat() == row["started_at"], "asked once"
    assert journal.read_bytes() == b""
    whole = stage_on(fetched, tmp_path / "whole").images()
    assert {key: row["sha256"] for key, row in stage.images().items()} == {
        key: row["sha256"] for key, row in whole.items() if row["part"] == "part-00000"
    }


def test_removals_cascade_and_nothing_brings_it_back(stage: Stage, tmp_path: Path) -> None:
    images = stage.images()
    pictures = [row for row in images.values() if row["status"] == "success"]
    by_url, by_sample, by_content = pictures[0], pictures[len(pictures) // 2], pictures[-1]
    dead = next(row for row in images.values() if row["error_class"] == "http_404")
    listed = tmp_path / "removals.csv"
    listed.write_text(
        "kind,value,reason\n"
        f"url,{by_url['url']},request of the person shown\n"
        f"sample,web/{by_sample['sample_id']},wrong label\n"
        f"sha256,{by_content['sha256']},copyright\n"
        f"url,{dead['url']},request of the owner\n"
    )
    gone = {by_url["sha256"], by_sample["sha256"], by_content["sha256"]}
    samples = {key for key, row in images.items() if row["sha256"] in gone or row["url"] == dead["url"]}
    stage.set_images(f"{{removals: {listed}}}")
    made = stage.make(WITH_MARTS)
    assert Task("core.removals", None) in made and Task("core.images", PARTS[1]) in made
    assert stage.fetched() == 0
    after = stage.images()
    assert {key for key, row in after.items() if row["status"] == "removed"} == samples
    assert all(after[key]["url"] is after[key]["sha256"] is after[key]["final_url_host"] is None for key in samples)
    assert {key: row for key, row in after.items() if key not in samples} == {
        key: row for key, row in images.items() if key not in samples
    }
    assert after[by_sample["sample_id"]]["detail"] == "wrong label"
    assert stage.store.missing(gone) == sorted(gone, key=list(gone).index)
    assert stage.rows("select * from marts.removal_leftovers") == []
    assert leftovers(stage.store) == []
    assert stage.rows("select count(*) from core.image_requests where is_removed and url is null") == [(len(samples),)]
    chosen = {key for (key,) in stage.rows("select sample_id from core.laionet")}
    named = {key for (key,) in stage.rows("select sample_id from core.names_in_images")}
    assert chosen and named and not samples & (chosen | named)
    urls = {images[key]["url"] for key in samples}
    for table in ("images", "image_requests", "selection_seen"):
        for path in (stage.project.warehouse / "core" / table).rglob("*.parquet"):
            with duckdb.connect() as connection:
                assert not urls & {url for (url,) in connection.sql(f"select url from '{path}'").fetchall()}
    assert stage.make(WITH_MARTS) == []

    shutil.rmtree(stage.project.warehouse / "core" / "images")
    stage.make(WITH_MARTS)
    again = stage.images()
    assert {key for key, row in again.items() if row["status"] == "removed"} == samples
    assert stage.fetched() > 0 and stage.store.missing(gone) and leftovers(stage.store) == []


def test_removed_bytes_behind_another_address_are_met_and_removed_with_it(
    fresh: Stage, fetched: Path, tmp_path: Path
) -> None:
    """Removed by content before anything was fetched: the fetch meets it, does not keep it, and removes the sample."""
    images = stage_on(fetched, tmp_path / "other").images()
    row = next(row for row in images.values() if row["status"] == "success")
    twins = {key for key, other in images.items() if other["sha256"] == row["sha256"]}
    listed = tmp_path / "removals.csv"
    listed.write_text(f"kind,value,reason\nsha256,{row['sha256']},copyright\n")
    fresh.set_images(f"{{removals: {listed}}}")
    fresh.make(WITH_MARTS)
    assert {key for key, each in fresh.images().items() if each["status"] == "removed"} == twins
    assert not fresh.store.contains(row["sha256"])
    tombstones = {(each.kind, each.value) for each in read_tombstones(fresh.store.lake)}
    assert {("sample", f"web/{key}") for key in twins} <= tombstones
    fresh.make(WITH_MARTS)
    assert fresh.fetched() == 0
    assert fresh.rows("select * from marts.removal_leftovers") == []
    assert fresh.rows("select count(*) from core.image_requests where is_removed") == [(len(twins),)]
    assert fresh.make(WITH_MARTS) == []


@pytest.mark.slow
def test_one_run_does_with_what_it_meets(fresh: Stage, fetched: Path, tmp_path: Path) -> None:
    """`laionet run`: removed bytes that a fetch meets are removed everywhere before anyone looks for leftovers."""
    images = stage_on(fetched, tmp_path / "other").images()
    row = next(row for row in images.values() if row["status"] == "success")
    listed = tmp_path / "removals.csv"
    listed.write_text(f"kind,value,reason\nsha256,{row['sha256']},copyright\n")
    fresh.set_images(f"{{removals: {listed}}}")
    select = " or ".join(f'key:"{name.replace(".", "/")}"' for name in (*STAGE, "marts.image_outcomes"))
    assert fresh.project.run(select=select) == 0, fresh.project.printed[-1]
    lines = [line.strip().partition("  (")[0] for line in fresh.project.printed[-1].splitlines()]
    assert lines.count("core.removals") == 2 and lines.count("marts.image_outcomes") == 1
    assert lines.index("marts.image_outcomes") > max(i for i, line in enumerate(lines) if line == "core.removals")
    twins = {key for key, other in images.items() if other["sha256"] == row["sha256"]}
    assert fresh.rows("select count(*) from core.image_requests where is_removed") == [(len(twins),)]
    assert fresh.project.run(select=select) == 0 and fresh.project.made() == set()


@pytest.mark.parametrize("is_newer", [False, True], ids=["part-is-there", "part-is-newer-than-the-list"])
def test_a_sample_is_removed_with_its_address_before_anything_is_fetched(
    fresh: Stage, fetched: Path, tmp_path: Path, is_newer: bool
) -> None:
    """Named by its number alone, and nothing is known of its picture: nobody may fetch its address."""
    images = stage_on(fetched, tmp_path / "other").images()
    key, row = next((key, row) for key, row in images.items() if row["status"] == "success")
    part = PartKey(row["source"], row["part"])
    listed = tmp_path / "removals.csv"
    listed.write_text(f"kind,value,reason\nsample,web/{key},wrong label\n")
    fresh.set_images(f"{{removals: {listed}}}")
    candidates = fresh.project.warehouse / "core" / "candidates" / part.folder
    if is_newer:
        candidates.rename(tmp_path / "later")
    fresh.make(["core.removals"])
    if is_newer:
        (tmp_path / "later").rename(candidates)
    fresh.make()
    tombstones = {(each.kind, each.value) for each in read_tombstones(fresh.store.lake)}
    assert tombstones == {("sample", f"web/{key}"), ("url_hash", url_hash(row["url"]))}
    assert [other for other, each in fresh.images().items() if each["status"] == "removed"] == [key]
    assert not fresh.store.contains(row["sha256"])


def test_a_leftover_fails_the_check(stage: Stage, tmp_path: Path) -> None:
    """A table that still holds the address: as if it had been restored from a copy."""
    row = next(row for row in stage.images().values() if row["status"] == "success")
    path = stage.project.warehouse / "core" / "images" / PARTS[0].folder / "data.parquet"
    copy = path.read_bytes()
    listed = tmp_path / "removals.csv"
    listed.write_text(f"kind,value,reason\nsample,web/{row['sample_id']},wrong label\n")
    stage.set_images(f"{{removals: {listed}}}")
    stage.make(WITH_MARTS)
    path.write_bytes(copy)
    stage.make(["marts.removal_leftovers"])
    (published,) = stage.published.values()
    assert not published.is_published and published.rows >= 2
    assert [o.expectation.name for o in published.outcomes if o.blocks] == ["nothing_removed_is_left"]


def test_block_lists_reach_what_is_there_and_what_is_to_come(stage: Stage, tmp_path: Path) -> None:
    images = stage.images()
    pictures = [row for row in images.values() if row["status"] == "success"]
    by_url, by_md5 = pictures[0], pictures[-1]
    urls, contents = tmp_path / "urls.txt", tmp_path / "contents.txt"
    urls.write_text(f"# addresses\n{hashlib.md5(by_url['url'].encode()).hexdigest()}\n")
    contents.write_text(f"{by_md5['md5'].upper()}\n")
    stage.set_images(f"{{fetch: {{blocked_urls: {urls}, blocked_contents: {contents}}}}}")
    stage.make()
    after = stage.images()
    blocked = {key for key, row in images.items() if row["url"] == by_url["url"] or row["md5"] == by_md5["md5"]}
    assert {key for key, row in after.items() if row["status"] == "blocked"} == blocked
    assert all(after[key]["url"] is after[key]["sha256"] is after[key]["final_url_host"] is None for key in blocked)
    assert after[by_md5["sample_id"]]["blocked_hash"] == by_md5["md5"]
    assert not stage.store.contains(by_md5["sha256"]) and not stage.store.contains(by_url["sha256"])
    assert stage.make() == []
    shutil.rmtree(stage.project.warehouse / "core" / "images")
    stage.make()
    assert {key for key, row in stage.images().items() if row["status"] == "blocked"} == blocked
    contents.write_text("")
    stage.make()
    assert stage.images()[by_md5["sample_id"]]["status"] == "success", "off the list, fetched again"


def test_a_full_store_keeps_what_it_has_and_goes_on_when_there_is_room(fresh: Stage) -> None:
    fresh.set_images("{quota: 200kB}")
    fresh.make()
    counts = fresh.counts()
    assert counts.keys() >= {"success", "not_fetched"}, (counts, fresh.log)
    assert fresh.store.used_bytes() <= 200_000
    warned = {
        outcome.expectation.name
        for published in fresh.published.values()
        for outcome in published.outcomes
        if not outcome.passed
    }
    assert "the_store_had_room" in warned and all(each.is_published for each in fresh.published.values())
    full = [row for row in fresh.images().values() if row["status"] == "not_fetched"]
    assert {row["error_class"] for row in full} == {"store_full"} and "images.quota" in full[0]["detail"]
    before = fresh.images()
    fresh.set_images("{quota: 1GB}")
    fresh.make()
    assert fresh.fetched() == len({row["url_hash"] for row in full})
    after = fresh.images()
    assert "not_fetched" not in fresh.counts()
    kept = {key: row for key, row in before.items() if row["status"] != "not_fetched"}
    assert {key: after[key] for key in kept} == kept


def test_nothing_is_fetched_of_a_real_source_unless_it_is_enabled_and_cleared(fresh: Stage, tmp_path: Path) -> None:
    """The same parts as a folder of somebody's own: LAION-400M rows of the real web, for all that the project knows."""
    fresh.project.edit(WEB, str(fresh.web))
    fresh.make()
    assert fresh.counts().keys() <= {"not_fetched", "failed"}
    (why,) = fresh.rows("select distinct error_class, detail from core.images where status = 'not_fetched'")
    assert why[0] == "not_enabled" and "images.fetch.enabled" in why[1]
    assert not (fresh.project.warehouse / "images").exists() or len(fresh.store) == 0

    with SampleWebServer(fresh.web, cache=fresh.project.warehouse / "sample" / "pictures") as server:
        hosts = {host: f"{ip}:{port}" for host, (ip, port) in server.hosts().items()}
        fetch = f"enabled: true, contact: mailto:me@example.org, min_interval: 0, allow_hosts: {json.dumps(hosts)}"
        fresh.set_images(f"{{fetch: {{{fetch}}}}}")
        fresh.make()
        assert fresh.rows("select distinct error_class from core.images where status = 'not_fetched'") == [
            ("not_cleared",)
        ]
        assert fresh.fetched() == 0

        urls = sorted({row["url"] for row in fresh.images().values() if row["url"]})
        cleared = [url for url in urls if server.expected_outcome(url) == "success"][:5]
        listed = tmp_path / "relaion.parquet"
        with duckdb.connect() as connection:
            connection.execute(
                f"copy (select unnest($1) as url, '' as caption, 0.1 as punsafe) to '{listed}' (format parquet)",
                [cleared],
            )
        fresh.set_images(f"{{fetch: {{{fetch}, cleared_by: {listed}}}}}")
        fresh.make()
        assert fresh.fetched() == len(cleared)
        assert {row["url"] for row in fresh.images().values() if row["status"] == "success"} == set(cleared)
        assert fresh.rows("select count(*) from core.images where is_uncleared") == [(0,)]

        fresh.set_images(f"{{fetch: {{{fetch}, uncleared: true}}}}")
        fresh.make(parts=PARTS[:1])
        rows = [row for row in fresh.images().values() if row["part"] == "part-00000" and row["url"]]
        assert not any(row["status"] == "not_fetched" for row in rows)
        assert {row["is_uncleared"] for row in rows if row["url"] not in cleared} == {True}
        assert any("override images.fetch.uncleared" in line for line in fresh.log)
    fresh.set_images("{}")
    before = fresh.images()
    fresh.make(parts=PARTS[:1])
    assert fresh.images() == before, "what was fetched stays when fetching is switched off"


def download(folder: Path, pictures: dict[str, bytes], shard: int = 0) -> None:
    """A shard as img2dataset writes it: a row for each address and one that failed, the tar in another order."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(exist_ok=True)
    keys = {url: f"{shard:05d}{number:04d}" for number, url in enumerate(pictures)}
    rows = [{"url": url, "key": key, "status": "success", "error_message": None} for url, key in keys.items()]
    error = "HTTP Error 404: Not Found"
    rows.append({"url": "http://x", "key": f"{shard:05d}9999", "status": "failed_to_download", "error_message": error})
    pq.write_table(pa.Table.from_pylist(rows), folder / f"{shard:05d}.parquet")
    members = [(f"{keys[url]}.jpg", data) for url, data in reversed(pictures.items())]
    write_tar(folder / f"{shard:05d}.tar", members)


@pytest.mark.slow
def test_what_is_downloaded_already_is_taken_over_without_a_request(
    fresh: Stage, fetched: Path, tmp_path: Path
) -> None:
    """The parts as a folder of somebody's own, fetching disabled; the folder of img2dataset grows by a shard."""
    known = stage_on(fetched, tmp_path / "known")
    content = {row["url"]: row["sha256"] for row in known.images().values() if row["status"] == "success"}
    pictures = {url: known.store.read(content[url]) for url in sorted(content)}
    once = [url for url, sha256 in content.items() if list(content.values()).count(sha256) == 1]
    damaged, blocked, removed, late = once[:4]
    contents, removals = tmp_path / "contents.txt", tmp_path / "removals.csv"
    contents.write_text(f"{content[blocked]}\n")
    removals.write_text(f"kind,value,reason\nsha256,{content[removed]},copyright\n")
    download(
        fresh.project.folder / "mine", {u: d for u, d in pictures.items() if u != late} | {damaged: b"\xff\xd8\xff"}
    )
    fresh.project.edit(WEB, str(fresh.web))
    addresses = dict(known.rows("select sample_id, url from core.image_requests"))

    def outcomes() -> dict[str, tuple[str, str | None]]:
        """Status and content by address as it was asked for."""
        rows = fresh.images().items()
        return {addresses[key]: (row["status"], row["sha256"]) for key, row in rows if addresses[key] in pictures}

    options = f"downloaded: [mine], removals: {removals}"
    fresh.set_images(f"{{{options}, fetch: {{blocked_contents: {contents}}}}}")
    fresh.make()
    assert {status for status, _ in outcomes().values()} == {"not_fetched"}
    assert set(fresh.rows("select distinct error_class from core.images where status = 'not_fetched'")) == {
        ("not_cleared",)
    }

    fresh.set_images(f"{{{options}, fetch: {{uncleared: true, blocked_contents: {contents}}}}}")
    fresh.make()
    assert all(published.is_published for published in fresh.published.values())
    expected: dict[str, tuple[str, str | None]] = {url: ("success", sha256) for url, sha256 in content.items()}
    expected |= dict.fromkeys((damaged, late), ("not_fetched", None))
    expected |= {blocked: ("blocked", None), removed: ("removed", None)}
    assert outcomes() == expected
    assert fresh.fetched() == 0
    assert sum("taken over from images.downloaded" in line for line in fresh.log) == len(PARTS)
    taken = [row for row in fresh.images().values() if row["status"] == "success"]
    assert {(row["attempts"], row["http_status"], row["is_uncleared"]) for row in taken} == {(0, None, True)}
    fetched_before = known.images()
    for row in taken:
        before = fetched_before[row["sample_id"]]
        same = ("sha256", "md5", "phash", "width", "height", "mode", "mime_type", "size_bytes", "is_animated")
        assert [row[name] for name in same] == [before[name] for name in same]
        assert fresh.store.read(row["sha256"]) == pictures[row["url"]]
    assert not fresh.store.contains(content[blocked]) and not fresh.store.contains(content[removed])

    fresh.make(WITH_MARTS)
    assert outcomes() == expected
    assert fresh.rows("select * from marts.removal_leftovers") == []
    files = fresh.project.files()
    assert fresh.make(WITH_MARTS) == [] and fresh.project.files() == files

    before = fresh.images()
    download(fresh.project.folder / "mine", {late: pictures[late]}, shard=1)
    assert Task("core.images", PARTS[0]) in fresh.make()
    assert outcomes() == expected | {late: ("success", content[late])}
    assert {k: row for k, row in fresh.images().items() if addresses[k] != late} == {
        k: row for k, row in before.items() if addresses[k] != late
    }


def test_a_list_that_cannot_be_read_is_one_clear_error(stage: Stage, tmp_path: Path) -> None:
    stage.project.edit(WEB, str(stage.web))
    listed = tmp_path / "relaion.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"copy (select 1 as a) to '{listed}' (format parquet)")
    stage.set_images(f"{{fetch: {{enabled: true, contact: 'mailto:a@example.org', cleared_by: {listed}}}}}")
    with pytest.raises(UserError, match="has the columns a; expected one called url"):
        stage.make()
