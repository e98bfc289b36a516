"""`laionet` as its user calls it."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from tests.integration.conftest import Project

pytestmark = pytest.mark.integration


def laionet(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("DAGSTER_HOME", "LAIONET_CONFIG")}
    command = [str(Path(sys.executable).with_name("laionet")), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_run_sql_and_snapshot(bare_project: Project, tmp_path: Path) -> None:
    project = bare_project
    project.add_part(0, rows=100)
    assert laionet("sql", "select 1", folder=project.folder).stderr.startswith("laionet: ")
    done = laionet("run", "--select", '+key:"core/candidates"', folder=project.folder)
    assert done.returncode == 0, done.stderr
    assert "core.candidates" in done.stdout
    assert "done" in done.stdout
    assert done.stderr == ""

    query = "select matching, count(*) as n from core.candidates group by all order by all"
    rows = json.loads(laionet("sql", "--format", "json", query, folder=project.folder).stdout)
    assert [row["matching"] for row in rows] == ["corrected", "paper"]
    text = laionet("sql", "--format", "csv", query, folder=project.folder).stdout
    assert [row["n"] for row in csv.DictReader(io.StringIO(text))] == [str(row["n"]) for row in rows]
    assert "2 rows" in laionet("sql", query, folder=project.folder).stdout

    wrong = laionet("sql", "from marts.funnel", folder=project.folder)
    assert wrong.returncode == 2
    assert "marts.funnel is not there yet; run first: laionet run" in wrong.stderr

    early = laionet("report", folder=project.folder)
    assert early.returncode == 2 and early.stdout == ""
    assert "holds nothing to report yet" in early.stderr and "Run first: laionet run" in early.stderr

    target = tmp_path / "copy.duckdb"
    assert laionet("snapshot", str(target), folder=project.folder).returncode == 0
    with duckdb.connect(str(target), read_only=True) as connection:
        assert connection.execute("select count(*) from raw.synsets").fetchall() == [(1000,)]
        assert connection.execute("select count(*) from core.candidates").fetchone()[0] > 0
    told = laionet(
        "snapshot", str(target), "--tables", "raw.*,staging.lemmas", "--tables", "raw.parts", folder=project.folder
    )
    assert told.returncode == 0, told.stderr
    with duckdb.connect(str(target), read_only=True) as connection:
        names = [row[0] for row in connection.execute("select table_name from snapshot order by all").fetchall()]
    assert names == ["raw.parts", "raw.synsets", "staging.lemmas"]
    (tmp_path / "notes.txt").write_text("my notes")
    refusals = {
        str(tmp_path / "notes.txt"): "is there and is no snapshot",
        "s3://bucket/x.duckdb": "found the URL s3://bucket/x.duckdb, expected a local file",
        "/proc/x": "/proc/x cannot be written",
        "/dev/null": "/dev/null is there and is no snapshot",
    }
    for file, message in refusals.items():
        refused = laionet("snapshot", file, folder=project.folder)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert message in refused.stderr and "Traceback" not in refused.stderr
    assert (tmp_path / "notes.txt").read_text() == "my notes"
    assert not (project.folder / "s3:").exists()
    unknown = laionet("snapshot", str(target), "--tables", "core.*,nowhere", folder=project.folder)
    assert unknown.returncode == 2 and "--tables 'nowhere' matches no table of a snapshot" in unknown.stderr


@pytest.mark.slow
def test_failures_are_told_by_exit_code_and_one_message(project: Project) -> None:
    project.add_part(0, rows=100).write_bytes(b"PAR1 not at all")
    failed = laionet("run", "--select", 'key:"raw/parts"', folder=project.folder)
    assert failed.returncode == 1
    assert "part-00000" in failed.stdout
    assert "Traceback" not in failed.stdout + failed.stderr

    project.config.write_text("sources: 3\n")
    refused = laionet("run", folder=project.folder)
    assert refused.returncode == 2
    assert "sources" in refused.stderr
    assert "Traceback" not in refused.stderr
    nowhere = laionet("run", "--config", "nowhere.yaml", folder=project.folder)
    assert nowhere.returncode == 2
    assert "nowhere.yaml (from --config) is not a file" in nowhere.stderr


@pytest.mark.slow
def test_check_names_its_steps(project: Project) -> None:
    checked = laionet("check", folder=project.folder)
    assert checked.returncode == 0, checked.stdout
    for step in ("settings", "models", "columns", "expectations", "documentation", "unit tests", "pipeline"):
        assert f"ok   {step}" in checked.stdout
    project.edit("sentence-transformers:", "nobody:")
    broken = laionet("check", folder=project.folder)
    assert broken.returncode == 1
    assert "unknown provider 'nobody'" in broken.stdout
