"""Predictors of the settings, and the chunks of a run that did not end."""

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from laionet_assets.assets.predictions import predictor_specs
from laionet_assets.settings import SettingsError
from laionet_assets.warehouse.checkpoint import Chunks
from tests.unit.settings.files import settings_with


def test_every_impossible_predictor_is_named_by_its_key(tmp_path: Path) -> None:
    predictors = [
        {"name": "good", "model": "timm:tf_efficientnet_lite0"},
        {"name": "nobody", "model": "keras:resnet50"},
        {"name": "half", "model": "open_clip:ViT-B-32"},
        {"name": "asked", "model": "timm:tf_efficientnet_lite1", "prompts": "templates"},
    ]
    with pytest.raises(SettingsError) as error:
        predictor_specs(settings_with(tmp_path, predictors=predictors))
    message = str(error.value)
    assert "3 problem(s)" in message
    assert "predictors[1].model: predictor 'nobody'" in message
    assert "predictors[2].model: predictor 'half'" in message
    assert "predictors[3].prompts: found templates, but timm:tf_efficientnet_lite1 is not asked" in message
    assert "predictors[0]" not in message


class TestChunks:
    def test_rows_come_back_in_order(self, tmp_path: Path) -> None:
        chunks = Chunks(tmp_path / "a", rows_version="1")
        assert chunks.select() is None
        for start in (0, 3):
            chunks.add(pa.table({"n": [start, start + 1, start + 2]}))
        found = Chunks(tmp_path / "a", rows_version="1").select()
        assert duckdb.sql(found).fetchall() == [(n,) for n in range(6)]

    def test_rows_of_another_meaning_are_not_seen(self, tmp_path: Path) -> None:
        Chunks(tmp_path, rows_version="1").add(pa.table({"n": [1]}))
        assert Chunks(tmp_path, rows_version="2").select() is None

    def test_what_was_being_written_is_not_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import pyarrow.parquet as pq

        chunks = Chunks(tmp_path, rows_version="1")
        chunks.add(pa.table({"n": [1]}))

        def cut(table: pa.Table, file: Any, **options: Any) -> None:
            file.write(b"PAR1")
            raise KeyboardInterrupt

        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(pq, "write_table", cut)
            chunks.add(pa.table({"n": [2]}))
        assert duckdb.sql(chunks.select()).fetchall() == [(1,)]
        chunks.add(pa.table({"n": [3]}))
        assert duckdb.sql(chunks.select()).fetchall() == [(1,), (3,)]
