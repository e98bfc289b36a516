"""The code location: loads fast, and its graph changes only on purpose."""

import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import dagster as dg
import pytest

from laionet_assets.assets.named_models import named_models
from laionet_assets.assets.predictions import predictor_specs
from laionet_assets.assets.similarity import encoder_specs
from laionet_assets.definitions import build_defs
from laionet_assets.models.spec import IMAGE_ENCODER
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


def test_the_default_profile_makes_a_graph() -> None:
    dg.Definitions.validate_loadable(build_defs(load_settings(ROOT / "laionet.yaml")))


def test_the_whole_paper_is_one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its graph is planned without a network, a model or any of the files that it names."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("planning the graph asks the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    settings = load_settings(ROOT / "docs/laionet.laion400m.yaml", check_files=False)
    defs = build_defs(settings)
    dg.Definitions.validate_loadable(defs)
    assert defs.resolve_asset_graph().get_all_asset_keys() >= {
        dg.AssetKey(name.split(".")) for name in ("marts.claims", "core.image_predictions", "marts.similarity_shares")
    }
    classifiers = [spec for _, spec in predictor_specs(settings) if spec.provider == "transformers"]
    zero_shot = [spec for _, spec in predictor_specs(settings) if spec.provider == "open_clip"]
    assert len({spec.model for spec in classifiers}) == 29 and len(zero_shot) == 1
    families = Counter(spec.name.split("-")[0] for spec in classifiers)
    assert families == {"resnet": 5, "vit": 6, "convnext": 12, "beit": 6}
    encoders = named_models(settings, "image_encoders", IMAGE_ENCODER)
    assert [spec.name.split("-")[0] for spec in encoders] == ["clip", "vit", "beit", "convnext"]
    texts = {spec.name: spec.revision for spec in encoder_specs(settings)}
    assert texts.keys() == {"clip", "mpnet"} and all(texts.values()), "pinned revisions"
    points = [(r.text_threshold, r.image_threshold) for r in settings.recipes if r.image_threshold is not None]
    assert points == [(0.81, 0.2579), (0.79, 0.2828), (0.76, 0.2959), (0.72, 0.3037)]
    frequencies = [each.selection_frequency for each in settings.image_sets if each.layout == "imagenetv2"]
    assert frequencies == [0.73, 0.85, 0.93]
    assert {each.layout for each in settings.image_sets} == {"ilsvrc2012-val", "imagenetv2", "imagefolder"}
    assert [each.name for each in settings.image_sets if each.captions] == ["imagenet-captions"]
    assert settings.neighbours is not None and settings.neighbours.over == "all"
