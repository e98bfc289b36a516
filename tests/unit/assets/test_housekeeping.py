"""Keeping house: Dagster is told of what is published, and only where it does not know it so.

What happens to dead and old runs: tests/integration/test_unattended.py.
"""

from pathlib import Path

import pytest

from laionet_assets.assets.batches import FEWEST_PARTS
from laionet_assets.assets.housekeeping import report_published
from laionet_assets.commands.instance import dagster_instance
from laionet_assets.commands.running import run_pipeline
from tests.unit.assets.test_together import COUNT, open_pipeline, write_web

PARTS = 'key:"raw/parts"'


def test_parts_made_together_are_known_until_one_is_made_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert COUNT >= FEWEST_PARTS
    write_web(tmp_path)
    pipeline, parts = open_pipeline(tmp_path, "warehouse")
    config = pipeline.settings.config_path
    assert run_pipeline(config, select=PARTS, parts=[], force=False) == 0
    with dagster_instance(pipeline.settings) as instance:
        assert report_published(pipeline, instance) == 0
    assert run_pipeline(config, select=PARTS, parts=[parts[1].key], force=True) == 0
    with dagster_instance(pipeline.settings) as instance:
        assert report_published(pipeline, instance) == COUNT - 1
        assert report_published(pipeline, instance) == 0
