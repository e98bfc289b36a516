"""core.caption_embeddings: made piece by piece, so that a large part's vectors need no memory."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laionet_assets.assets import similarity
from laionet_assets.assets.pipeline import Pipeline
from laionet_assets.assets.publishing import make
from laionet_assets.encoders import embeddings
from laionet_assets.warehouse.table import PartKey
from tests.unit.assets.test_together import needed, open_pipeline, quiet, write_web

TABLE = "core.caption_embeddings"


def before(pipeline: Pipeline, part: PartKey) -> None:
    """Make all that the table reads."""
    for step in needed(pipeline):
        if step.name == TABLE:
            return
        make(pipeline.warehouse, step, part if step.is_partitioned else None, log=quiet)


def made(pipeline: Pipeline, part: PartKey) -> pa.Table:
    (step,) = (step for step in pipeline.steps if step.name == TABLE)
    make(pipeline.warehouse, step, part, log=quiet)
    return pq.read_table(pipeline.warehouse.lake.path(step.model.table, part), partitioning=None)


def test_pieces_are_what_the_whole_is_and_known_vectors_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_web(tmp_path)
    pipeline, parts = open_pipeline(tmp_path, "warehouse")
    before(pipeline, parts[0])
    whole = made(pipeline, parts[0])
    assert len(whole) >= 5 and whole["caption_id"].to_pylist() == sorted(whole["caption_id"].to_pylist())
    monkeypatch.setattr(similarity, "PIECE_TEXTS", 2)
    monkeypatch.setattr(similarity, "VECTOR_GROUP_ROWS", 1)
    monkeypatch.setattr(embeddings, "_embed", None)  # nothing is missing
    assert made(pipeline, parts[0]).equals(whole)
    monkeypatch.undo()
    monkeypatch.setattr(similarity, "PIECE_TEXTS", 2)
    monkeypatch.setattr(similarity, "VECTOR_GROUP_ROWS", 1)
    again, _ = open_pipeline(tmp_path, "another")
    before(again, parts[0])
    anew = made(again, parts[0])
    assert anew.drop_columns("embedding").equals(whole.drop_columns("embedding"))
    pairs = zip(anew["embedding"].to_pylist(), whole["embedding"].to_pylist(), strict=True)
    assert all(a == pytest.approx(b, abs=2e-3) for a, b in pairs)


def test_a_part_that_names_no_class_has_no_vectors(tmp_path: Path) -> None:
    write_web(tmp_path)
    pipeline, parts = open_pipeline(tmp_path, "warehouse")
    before(pipeline, parts[-1])
    assert len(made(pipeline, parts[-1])) == 0
