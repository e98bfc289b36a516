"""What pyproject.toml says agrees with the files beside it."""

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from typer.testing import CliRunner

from laionet_assets.cli import app

ROOT = Path(__file__).parents[2]
AT_HAND = ("torch", "torchvision")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_there_is_one_version() -> None:
    version = PROJECT["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version
    released = re.findall(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert released[0] == version
    assert CliRunner().invoke(app, ["--version"]).output == f"laionet {version}\n"


def test_the_floors_are_those_that_are_tested() -> None:
    """`make test-floors` installs constraints-floors.txt: every lower bound of pyproject.toml as ==."""
    extras = [text for extra in PROJECT["optional-dependencies"].values() for text in extra]
    wanted = [Requirement(text) for text in (*PROJECT["dependencies"], *extras)]
    floors = {one.name: str(one.specifier).replace(">=", "==") for one in wanted if one.name not in AT_HAND}
    assert all(re.fullmatch(r"==[\w.]+", floor) for floor in floors.values()), floors
    lines = (ROOT / "constraints-floors.txt").read_text().splitlines()
    tested = [Requirement(line) for line in lines if not line.startswith("#")]
    assert {one.name: str(one.specifier) for one in tested} == floors


def test_the_constraints_cover_every_requirement() -> None:
    """`make constraints` pins the newest green run; versions of a build (+cpu) would not install elsewhere."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {re.sub(r"[-_.]+", "-", line.split("==")[0]).lower(): line for line in lines}
    extras = [text for extra in PROJECT["optional-dependencies"].values() for text in extra]
    for text in (*PROJECT["dependencies"], *extras):
        one = Requirement(text)
        line = pinned[re.sub(r"[-_.]+", "-", one.name).lower()]
        assert "+" not in line and one.specifier.contains(line.split("==")[1]), f"{line} is not {text}"
