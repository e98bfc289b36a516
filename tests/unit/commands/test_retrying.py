import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from laionet_assets.assets.images import IMAGES, open_store
from laionet_assets.assets.pipeline import Pipeline, build_pipeline
from laionet_assets.assets.planning import is_stale
from laionet_assets.commands.retrying import retry_failures
from laionet_assets.errors import UserError
from laionet_assets.images.again import take_wishes, wished_parts
from laionet_assets.images.outcomes import Result, removed, result_columns
from laionet_assets.settings import load_settings
from laionet_assets.warehouse.rows import write_table
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Stamp

OWN, OTHER = PartKey("own", "part-0"), PartKey("own", "part-1")
THEN = datetime(2026, 1, 1, tzinfo=UTC)
CONFIG = """
sources: [{name: own, path: "sample://web"}]
text_encoders: [{name: e, model: "sentence-transformers:all-MiniLM-L6-v2"}]
recipes: [{name: r, encoder: e, text_threshold: 0.5}]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "laionet.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def pipeline(config: Path) -> Pipeline:
    """Two parts with failures that are not due, and outcomes that always stand."""
    pipeline = build_pipeline(load_settings(config))
    for part, error in ((OWN, "http_404"), (OTHER, "dns")):
        results = [
            failed(error, "a"),
            failed(error, "b"),
            Result(status="opted_out", error_class="opted_out", url_hash="c", started_at=THEN),
            Result(status="blocked", error_class="blocked", url_hash="d", started_at=THEN),
            removed("a wish"),
        ]
        table = pipeline.warehouse.table(IMAGES)
        rows = result_columns(part.source, part.part, [(i, f"http://h{i}.test/x", r) for i, r in enumerate(results)])
        with pipeline.warehouse.lake.stage(table, part) as staged:
            write_table(staged.path, table, rows, stamps=Stamp.of("v").metadata)
            pipeline.warehouse.lake.publish(staged)
    return pipeline


def failed(error: str, url_hash: str) -> Result:
    later = datetime.now(UTC) + timedelta(days=9)
    return Result(status="failed", error_class=error, url_hash=url_hash, started_at=THEN, next_attempt_at=later)


def retry(config: Path, **options: object) -> tuple[int, str]:
    """How many, and what was printed."""
    console = Console(file=io.StringIO(), width=120)
    return retry_failures(config, console=console, **options), console.file.getvalue()


def test_the_parts_of_what_is_asked_again_are_due(config: Path, pipeline: Pipeline) -> None:
    step = next(step for step in pipeline.steps if step.name == IMAGES)
    assert step.due(pipeline.warehouse, [OWN, OTHER]) == set()
    count, printed = retry(config, error_classes=["dns"])
    assert count == 2 and "own/part-1" in printed and "own/part-0" not in printed
    assert "2 pictures in 1 part of core.images are out of date" in printed
    assert step.due(pipeline.warehouse, [OWN, OTHER]) == {OTHER}
    assert is_stale(pipeline.warehouse, step, OTHER)


def test_without_a_choice_every_failure_is_asked_again_and_nothing_else(config: Path, pipeline: Pipeline) -> None:
    assert retry(config)[0] == 4
    store = open_store(load_settings(config), pipeline.warehouse)
    assert wished_parts(store.lake) == {OWN, OTHER}
    assert [len(take_wishes(store.lake, part)) for part in (OWN, OTHER)] == [1, 1]


def test_hosts_and_dates_are_a_choice_too(config: Path, pipeline: Pipeline) -> None:
    assert retry(config, hosts=["H0.test."])[0] == 2
    assert retry(config, since="2025-12-31")[0] == 4
    count, printed = retry(config, since="2026-01-02", error_classes=["dns"])
    assert count == 0 and "nothing is asked again" in printed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"error_classes": ["dsn"]}, "--class: found dsn; expected some of: bad_url, connect"),
        ({"error_classes": ["opted_out"]}, "opt-outs and blocks always stand"),
        ({"hosts": ["http://h.test/"]}, "--host: found 'http://h.test/'; expected the name of a host"),
        ({"since": "yesterday"}, "--since: found 'yesterday'; expected a date"),
    ],
)
def test_what_cannot_be_chosen_is_named(config: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message.replace("(", r"\(")):
        retry(config, **options)


def test_before_the_first_run_there_is_nothing_to_ask_again(config: Path) -> None:
    with pytest.raises(UserError, match=r"core\.images is not there yet"):
        retry(config)
