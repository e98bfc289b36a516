"""Kill -9 in the middle of any stage, run again: the same bytes as undisturbed; who reads meanwhile sees no error."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.conftest import Project

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
LAIONET = str(Path(sys.executable).with_name("laionet"))

# A run is killed as soon as a path matches: while something is staged, right after a publish, between stages.
MOMENTS = (
    "raw/parts/*/part=part-00000/data.parquet",
    "core/caption_matches/*/*/.data.parquet.*.staged",
    "core/caption_embeddings/*/*/.data.parquet.*.staged",
    "core/caption_similarity/*/part=part-00000/data.parquet",
    "core/laionet/data.parquet",
    ".laionet.duckdb.*.building",
)

READER = """
import json, os, sys, time, duckdb
catalog, stop, counts = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
reads = 0
while not os.path.exists(stop):
    if not os.path.exists(catalog):
        time.sleep(0.01)
        continue
    connection = duckdb.connect(catalog, read_only=True)
    views = [row[0] for row in connection.execute(
        "select schema_name || '.' || view_name from duckdb_views() where not internal").fetchall()]
    for view in views:
        has_parts = view in counts and isinstance(counts[view], dict)
        found = connection.execute(
            f"select part, count(*) from {view} group by part" if has_parts else f"select count(*) from {view}"
        ).fetchall()
        if has_parts:
            torn = {part: n for part, n in found if n != counts[view][part]}
            assert not torn, (view, torn)
        elif view in counts:
            assert found == [(counts[view],)], (view, found)
        reads += 1
    connection.close()
    time.sleep(0.6)
print(reads)
"""


def run_and_kill(project: Project, moment: str) -> bool:
    """Run `laionet run` and kill it at a moment. Returns whether the moment came before the run was over."""
    environment = {key: value for key, value in os.environ.items() if key not in ("DAGSTER_HOME", "LAIONET_CONFIG")}
    with (project.folder / "killed.log").open("a") as log:
        process = subprocess.Popen(
            [LAIONET, "run", "--config", str(project.config)],
            stdout=log, stderr=log, env=environment, start_new_session=True,
        )  # fmt: skip
        try:
            while process.poll() is None:
                if any(project.warehouse.glob(moment)):
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                    return True
                time.sleep(0.002)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return False


@pytest.mark.slow
def test_killed_anywhere_and_run_again(project: Project, base: Path, tmp_path: Path) -> None:
    project.add_part(0, rows=100)
    project.add_part(1, rows=100)
    assert project.run() == 0, project.printed[-1]
    counts: dict[str, object] = {}
    for name, table in project.pipeline.project.tables.items():
        if table.is_partitioned and not table.is_view:
            counts[name] = {
                part.part: project.count(f"select count(*) from {name} where part = '{part.part}'")
                for part in project.pipeline.warehouse.parts(name)
            }
    counts["raw.synsets"] = 1000

    again = Project(folder=tmp_path / "again", parts=project.parts)
    again.configure()
    shutil.copytree(base / "core", again.warehouse / "core")  # the queries' embeddings; everything else is made here
    stop = tmp_path / "stop"
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(again.warehouse / "laionet.duckdb"), str(stop), json.dumps(counts)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    try:
        killed = [moment for moment in MOMENTS if run_and_kill(again, moment)]
        assert again.run() == 0, again.printed[-1]
    finally:
        stop.touch()
        out, err = reader.communicate(timeout=60)
    assert killed == list(MOMENTS)
    assert reader.returncode == 0, err
    assert int(out) > 20
    assert again.files() == project.files()
    leftovers = [str(path) for path in again.warehouse.rglob("*.staged")] + [
        str(path) for path in again.warehouse.rglob("*.building")
    ]
    assert leftovers == []
