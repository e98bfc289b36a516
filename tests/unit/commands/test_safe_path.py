"""What a process that `laionet` starts takes for a library."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from laionet_assets.commands.safe_path import safe_path

LOAD = """
from dagster._core.code_pointer import load_python_module
assert load_python_module("mine", working_directory=None).NAME == "as PYTHONPATH says"
import gql
"""


@pytest.mark.parametrize("how", ["-c", "-m"])
def test_code_comes_from_where_it_is_installed_and_from_pythonpath(tmp_path: Path, how: str) -> None:
    """Through Dagster too, which drops the first entry of the path. The working directory is no such place."""
    here, named = tmp_path / "here", tmp_path / "named"
    for folder in (here, named):
        folder.mkdir()
    (here / "gql.py").write_text("raise SystemExit('taken for a library')")
    (here / "mine.py").write_text("NAME = 'a file of the working directory'")
    (named / "mine.py").write_text("NAME = 'as PYTHONPATH says'")
    (named / "loads.py").write_text(LOAD)
    environment = {**os.environ, "PYTHONPATH": f"{named}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    environment.update(safe_path(environment))
    command = [sys.executable, how, LOAD if how == "-c" else "loads"]
    ended = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert safe_path(environment) == {key: environment[key] for key in ("PYTHONSAFEPATH", "PYTHONPATH")}
