"""A warehouse of the benchmark's own, in a temporary folder, and the timing of one step of its pipeline.

Belongs here: what several stages need to run the product's own code. Does not belong here: what a stage measures.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from laionet_assets.assets import publishing
from laionet_assets.assets.parts import sync_parts
from laionet_assets.assets.pipeline import Pipeline, build_pipeline
from laionet_assets.assets.steps import Step
from laionet_assets.quality.asset_checks import describe_failures
from laionet_assets.settings import load_settings
from laionet_assets.warehouse.rows import write_select
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Stamp
from tests.bench.measure import Cost, stopwatch

SOURCE = "bench"
MINILM = "sentence-transformers:all-MiniLM-L6-v2"
TAXONOMY = ("raw.synsets", "staging.lemmas")
INGESTION = ("raw.parts", "raw.quarantine", "raw.pairs")

RECIPES: tuple[Mapping[str, Any], ...] = (
    {"name": "paper", "matching": "paper", "encoder": "minilm", "text_threshold": 0.5, "nsfw": ["UNLIKELY"]},
    {"name": "corrected", "matching": "corrected", "encoder": "minilm", "text_threshold": 0.5, "nsfw": ["UNLIKELY"]},
)


@dataclass(frozen=True)
class Made:
    """A step that was made and published: what it cost without its checks, what the checks cost, and its rows."""

    path: Cost
    checks: Cost
    rows: int


def write_config(
    folder: Path, pattern: str, *, adapter: str = "auto", recipes: Sequence[Mapping[str, Any]] = RECIPES
) -> Path:
    """Write `folder/laionet.yaml`: one source, the bundled encoder, these recipes. Returns its path."""
    settings = {
        "warehouse": "./warehouse",
        "sources": [{"name": SOURCE, "adapter": adapter, "path": pattern}],
        "taxonomy": "imagenet-1k",
        "text_encoders": [{"name": "minilm", "model": MINILM}],
        "recipes": [dict(recipe) for recipe in recipes],
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "laionet.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return path


def open_pipeline(config: Path) -> Pipeline:
    """The pipeline of a configuration, with the parts of its sources registered."""
    pipeline = build_pipeline(load_settings(config))
    sync_parts(pipeline.settings, pipeline.warehouse)
    return pipeline


def parts_of(pipeline: Pipeline) -> list[PartKey]:
    """The parts that are there."""
    return list(sync_parts(pipeline.settings, pipeline.warehouse).present)


def step_of(pipeline: Pipeline, name: str) -> Step:
    """The step of a table."""
    return next(step for step in pipeline.steps if step.name == name)


def prepare(pipeline: Pipeline, names: Sequence[str], part: PartKey | None) -> None:
    """Make these tables, unmeasured."""
    for name in names:
        step = step_of(pipeline, name)
        make(pipeline, step, part if step.is_partitioned else None)


def make(pipeline: Pipeline, step: Step, part: PartKey | None = None) -> Made:
    """Make a table, or one part of it, as a run does, with the time of its checks taken apart.

    Raises RuntimeError with the failed checks if it was not published.
    """
    from laionet_assets.quality import gx_backend  # noqa: F401  (its import is not the step's work)

    with _checks_timed() as checks, stopwatch() as whole:
        published = publishing.make(pipeline.warehouse, step, part, log=lambda message: None)
    if not published.is_published:
        raise RuntimeError(describe_failures(published.outcomes, table=step.name))
    return Made(whole - checks, checks, published.rows)


def publish_unchecked(pipeline: Pipeline, name: str, select: str, part: PartKey | None = None) -> None:
    """Publish the rows of a SELECT as a table's, without its checks: the input of a later step, made for a benchmark."""
    warehouse, table = pipeline.warehouse, pipeline.project.tables[name]
    with warehouse.connect() as connection, warehouse.lake.stage(table, part) as staged:
        write_select(connection, staged.path, table, select, stamps=Stamp.of("bench").metadata)
        warehouse.lake.publish(staged)


@contextmanager
def _checks_timed() -> Iterator[Cost]:
    """The cost of what `make` spends in `validate`, inside this block."""
    total = Cost()
    validate = publishing.validate

    def timed(*arguments: Any, **options: Any) -> Any:
        nonlocal total
        with stopwatch() as cost:
            outcomes = validate(*arguments, **options)
        total.cpu_seconds += cost.cpu_seconds
        total.wall_seconds += cost.wall_seconds
        return outcomes

    publishing.validate = timed
    try:
        yield total
    finally:
        publishing.validate = validate
