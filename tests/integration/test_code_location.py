"""The code location: loads fast, and its graph changes only on purpose."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from laionet_assets.definitions import build_defs
from laionet_assets.settings import load_settings

ROOT = Path(__file__).parents[2]
GRAPH = Path(__file__).parent / "graph.txt"


def test_heavy_libraries_are_not_imported_by_loading_it() -> None:
    code = (
        "import sys\n"
        "import laionet_assets.definitions as location\n"
        "location.defs.load_fn() if hasattr(location.defs, 'load_fn') else location.defs()\n"
        "heavy = {'torch', 'transformers', 'great_expectations', 'sentence_transformers', 'open_clip', 'timm'}\n"
        "print(sorted(heavy & sys.modules.keys()))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip().splitlines()[-1] == "[]"


def test_the_graph_is_the_one_on_record() -> None:
    """Assets, dependencies, partitions, checks, jobs, sensors and schedules. After a wanted change: see the message."""
    defs = build_defs(load_settings(ROOT / "laionet.yaml"))
    text = describe(defs)
    if GRAPH.read_text() != text:
        GRAPH.with_suffix(".new").write_text(text)
    assert GRAPH.read_text() == text, f"the graph changed; if it was meant to, move {GRAPH.with_suffix('.new')} there"
    GRAPH.with_suffix(".new").unlink(missing_ok=True)


def describe(defs: dg.Definitions) -> str:
    graph = defs.resolve_asset_graph()
    lines = []
    for key in sorted(graph.get_all_asset_keys(), key=lambda key: key.path):
        node = graph.get(key)
        parts = " by part" if node.partitions_def else ""
        lines.append(f"{'.'.join(key.path)} ({node.group_name}){parts}")
        lines += [f"    reads {'.'.join(parent.path)}" for parent in sorted(node.parent_keys, key=lambda key: key.path)]
        checks = sorted(graph.get_check_keys_for_assets({key}), key=lambda check: check.name)
        lines += [f"    {'blocks on' if graph.get(check).blocking else 'warns of'} {check.name}" for check in checks]
    repository = defs.get_repository_def()
    lines += [f"job {name}" for name in sorted(repository.job_names) if not name.startswith("__")]
    lines += [f"sensor {sensor.name}" for sensor in sorted(repository.sensor_defs, key=lambda sensor: sensor.name)]
    lines += [f"schedule {schedule.name}" for schedule in repository.schedule_defs]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", ["laionet.yaml", "docs/laionet.laion400m.yaml"])
def test_the_profiles_of_this_repository_make_a_graph(name: str, tmp_path: Path) -> None:
    defs = build_defs(load_settings(ROOT / name, check_files=name == "laionet.yaml"))
    dg.Definitions.validate_loadable(defs)
