"""The memory that there is: of the machine or of the container, whichever is less; and where more is spilled to."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from laionet_assets.warehouse import memory
from laionet_assets.warehouse.lake import HOST
from laionet_assets.warehouse.memory import MOST, available_bytes, default_memory_limit, spill_folder
from laionet_assets.warehouse.resource import WarehouseResource

GIB = 2**30
TOTAL = psutil.virtual_memory().total


def groups(folder: Path, line: str, **limits: str) -> dict[str, Path]:
    """A tree of control groups, and the file that says which one a process is in."""
    own = folder / "cgroup"
    own.write_text(line)
    for path, text in limits.items():
        file = folder / "groups" / path.replace("__", "/").replace("_dot_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return {"cgroups": folder / "groups", "own": own}


def test_a_machine_has_what_it_has(tmp_path: Path) -> None:
    assert available_bytes(cgroups=tmp_path, own=tmp_path / "none") == TOTAL
    assert available_bytes(**groups(tmp_path, "0::/a\n", a__memory_dot_max="max\n")) == TOTAL


def test_a_container_has_what_its_group_or_one_above_allows(tmp_path: Path) -> None:
    inner = {"a__memory_dot_max": f"{2 * GIB}\n", "a__b__memory_dot_max": f"{3 * GIB}\n"}
    assert available_bytes(**groups(tmp_path, "0::/a/b\n", **inner)) == 2 * GIB
    assert available_bytes(**groups(tmp_path, "0::/\n", memory_dot_max=f"{GIB}\n")) == GIB


def test_the_first_version_of_control_groups(tmp_path: Path) -> None:
    lines = "5:cpu,cpuacct:/d\n4:memory:/d/x\n"
    limits = {"memory__d__memory_dot_limit_in_bytes": f"{GIB}\n", "cpu__d__memory_dot_limit_in_bytes": "1\n"}
    assert available_bytes(**groups(tmp_path, lines, **limits)) == GIB
    unlimited = {"memory__d__memory_dot_limit_in_bytes": "9223372036854771712\n"}
    assert available_bytes(**groups(tmp_path, lines, **unlimited)) == TOTAL


def test_runs_share_it_and_each_gets_enough_to_spill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 24 * GIB)
    assert default_memory_limit(1) == "3072MiB"
    assert default_memory_limit(2) == "1536MiB"
    assert default_memory_limit(2, share=MOST) == "6144MiB"
    assert default_memory_limit(1000) == "1024MiB"


def test_connections_keep_to_it_and_leave_nothing_where_they_spill(tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    resource = WarehouseResource(root=str(tmp_path / "lake"), docs=str(tmp_path), runs_at_once=2)
    with resource.get_connection() as connection:
        limit, place = connection.execute(
            "select current_setting('memory_limit'), current_setting('temp_directory')"
        ).fetchone()  # type: ignore[misc]
        assert abs(_bytes(limit) - TOTAL / 16) < 0.01 * TOTAL
        assert not Path(place).exists() and Path(place).parent == tmp_path / "lake" / ".unfinished" / "spill"
        connection.execute("set memory_limit = '40MB'")
        connection.execute("set threads = 1")
        connection.execute("create table t as select i, hash(i) as h from range(8_000_000) r(i)")
        assert any(Path(place).iterdir())
    assert not Path(place).exists()
    with WarehouseResource(
        root=str(tmp_path), docs="", connection_config={"memory_limit": "1GiB"}
    ).get_connection() as c:
        assert c.execute("select current_setting('memory_limit')").fetchone() == ("1.0 GiB",)


def _bytes(text: str) -> float:
    number, unit = text.split()
    return float(number) * 1024 ** ["KiB", "MiB", "GiB", "TiB"].index(unit) * 1024


def test_what_a_killed_process_spilled_is_swept(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as ended:
        ended.wait()
    left = [tmp_path / "spill" / name for name in (f"{HOST}.{ended.pid}.0123abcd", "elsewhere.1.0123abcd", "mine")]
    for folder in left:
        folder.mkdir(parents=True)
    with spill_folder(tmp_path) as mine:
        assert not mine.exists() and mine.parent == tmp_path / "spill"
    assert [folder.exists() for folder in left] == [False, True, True]


def test_a_warehouse_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with spill_folder(tmp_path / "nowhere" / ".unfinished") as mine:
        assert mine.parent.name == "laionet-spill"
    assert not (tmp_path / "nowhere").exists()
