"""Small parts made together: the same files as one by one, and a part that fails is taken out alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from laionet_assets.assets.audits import kept_audit
from laionet_assets.assets.batches import FEWEST_PARTS, MOST_BYTES, MOST_PARTS, SMALL_PART_BYTES, batches, range_tags
from laionet_assets.assets.failures import user_errors_shown
from laionet_assets.assets.parts import load_register, sync_parts
from laionet_assets.assets.pipeline import Pipeline, build_pipeline
from laionet_assets.assets.planning import stale_tasks
from laionet_assets.assets.publishing import OutOfMemoryError, Published, make
from laionet_assets.assets.steps import Step, sql_step
from laionet_assets.assets.together import make_together
from laionet_assets.errors import UserError
from laionet_assets.quality.expectations import Expectation
from laionet_assets.settings import load_settings
from laionet_assets.warehouse.lake import Staged
from laionet_assets.warehouse.table import PartKey, Table
from laionet_assets.warehouse.warehouse import memory_connection

CONFIG = """
warehouse: {warehouse}
sources: [{{name: s, path: ./data}}]
taxonomy: classes.txt
text_encoders: [{{name: minilm, model: "sentence-transformers:all-MiniLM-L6-v2"}}]
recipes:
  - {{name: paper, matching: paper, encoder: minilm, text_threshold: 0.3, nsfw: [UNLIKELY, UNKNOWN], top_k: 2}}
  - {{name: corrected, matching: corrected, encoder: minilm, text_threshold: 0.3, nsfw: [UNLIKELY, UNKNOWN]}}
ocr: null
"""
CAPTIONS = ("a tench on a plate", "red goldfish", "Goldfish and tench", "the great white shark", "a house", "Tench!")
COUNT = 5


def write_web(folder: Path) -> None:
    """Five parts; the last of them names no class."""
    (folder / "data").mkdir(parents=True)
    (folder / "classes.txt").write_text("n01440764\nn01443537\nn01484850\n")
    for part in range(COUNT):
        lines = [
            f"{'a house' if part == COUNT - 1 else CAPTIONS[(part + i) % len(CAPTIONS)]}\thttp://images.invalid/{part}-{i}"
            for i in range(9)
        ]
        (folder / "data" / f"part-{part}.tsv").write_text("\n".join([*lines, "no address"]) + "\n")


def open_pipeline(folder: Path, warehouse: str) -> tuple[Pipeline, list[PartKey]]:
    config = folder / f"{warehouse}.yaml"
    config.write_text(CONFIG.format(warehouse=warehouse))
    pipeline = build_pipeline(load_settings(config))
    return pipeline, list(sync_parts(pipeline.settings, pipeline.warehouse).present)


def by_part(pipeline: Pipeline) -> list[Step]:
    return [step for step in pipeline.steps if step.is_partitioned]


def quiet(message: str) -> None:
    """Log nothing."""


def needed(pipeline: Pipeline) -> Iterator[Step]:
    """Tables that are made by part, and those that they read."""
    wanted: set[str] = set()
    for step in reversed(pipeline.steps):
        if step.is_partitioned or step.name in wanted:
            wanted |= {step.name, *step.model.dependencies}
    return (step for step in pipeline.steps if step.name in wanted)


TOLD: dict[str, dict[tuple[str, PartKey], set[str]]] = {"alone": {}, "together": {}}
"""Of tables and parts of `made`, both ways: the models of which it was told how they ran."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pipeline, Pipeline, list[PartKey]]:
    """All tables of five parts made together in one warehouse; in the other, two of the parts made one by one: one in
    the middle, and the last, which names no class.
    """
    folder = tmp_path_factory.mktemp("together")
    write_web(folder)
    (alone, parts), (together, _) = open_pipeline(folder, "alone"), open_pipeline(folder, "together")
    for pipeline in (alone, together):
        for step in needed(pipeline):
            if not step.is_partitioned:
                make(pipeline.warehouse, step, None, log=quiet)
            elif pipeline is together:
                for part, result in make_together(pipeline.warehouse, step, parts, log=quiet).items():
                    assert isinstance(result, Published) and result.is_published, result
                    TOLD["together"][step.name, part] = set(result.told)
            else:
                for part in some(parts):
                    published = make(pipeline.warehouse, step, part, log=quiet)
                    assert published.is_published
                    TOLD["alone"][step.name, part] = set(published.told)
    return alone, together, parts


def some(parts: list[PartKey]) -> list[PartKey]:
    """The parts that are made one by one too."""
    return [parts[1], parts[-1]]


def rows(pipeline: Pipeline, name: str, part: PartKey) -> list[tuple[object, ...]]:
    volatile = {"raw.parts": "* exclude (signature)"}.get(name, "*")
    if name == "core.images":
        volatile = "source, part, sample_id, status"
    with pipeline.warehouse.connect() as connection:
        return connection.execute(f"select {volatile} from ({pipeline.warehouse.select(name, part)})").fetchall()


@pytest.mark.slow
def test_the_files_are_those_of_one_by_one(made: tuple[Pipeline, Pipeline, list[PartKey]]) -> None:
    alone, together, parts = made
    assert len(by_part(alone)) > 15
    for step in by_part(alone):
        for part in some(parts):
            assert rows(together, step.name, part) == rows(alone, step.name, part), step.name
    filled = [step for step in by_part(alone) if step.sql_code and rows(alone, step.name, parts[1])]
    assert len(filled) >= 8


def test_each_part_tells_which_models_ran(made: tuple[Pipeline, Pipeline, list[PartKey]]) -> None:
    alone, together = TOLD["alone"], TOLD["together"]
    assert {name for (name, _), models in alone.items() if models} == {"core.caption_embeddings"}
    assert {key: together[key] for key in alone} == alone


def test_each_part_has_its_version_and_audit(made: tuple[Pipeline, Pipeline, list[PartKey]]) -> None:
    alone, together, parts = made
    for step in by_part(alone):
        ours, theirs = (pipeline.warehouse.stamps(step.name) for pipeline in (together, alone))
        assert ours.keys() == set(parts) and theirs.keys() == set(some(parts))
        for part in some(parts):
            audits = [
                kept_audit(pipeline.warehouse, step.model, part, stamps[part].version)
                for pipeline, stamps in ((together, ours), (alone, theirs))
            ]
            assert audits[0] is not None and audits[1] is not None and audits[0].rows == audits[1].rows
            assert [each.passed for each in audits[0].outcomes] == [each.passed for each in audits[1].outcomes]


def test_nothing_is_left_to_do(made: tuple[Pipeline, Pipeline, list[PartKey]]) -> None:
    _, together, parts = made
    names = {step.name for step in needed(together)}
    assert stale_tasks(together.warehouse, together.steps, parts, names=names) == []


def spoilt(step: Step, query: str, severity: str = "critical") -> Step:
    """The step with one more check."""
    check = Expectation(
        name="spoilt", type="unexpected_rows", kwargs={"query": query}, severity=severity, description="", where="here"
    )
    return replace(step, model=replace(step.model, expectations=(*step.model.expectations, check)))


@pytest.mark.parametrize("name", ["core.candidates", "core.caption_matches"])
@pytest.mark.parametrize("severity", ["critical", "warning"])
def test_a_part_that_breaks_a_rule_is_found_and_taken_out(
    name: str, severity: str, made: tuple[Pipeline, Pipeline, list[PartKey]]
) -> None:
    _, together, parts = made
    step = next(step for step in together.steps if step.name == name)
    broken = spoilt(step, "select * from {batch} where part in ('part-1', 'part-3')", severity)
    results = make_together(together.warehouse, broken, parts, log=quiet)
    found = {part.part: each for part, each in results.items() if isinstance(each, Published)}
    assert found.keys() == {part.part for part in parts}
    for part, each in found.items():
        (spoilt_outcome,) = (outcome for outcome in each.outcomes if outcome.expectation.name == "spoilt")
        assert spoilt_outcome.passed == (part not in ("part-1", "part-3"))
        assert each.is_published == (severity == "warning" or part not in ("part-1", "part-3"))
        assert (each.rejected is not None) != each.is_published


def test_a_part_that_cannot_be_made_is_an_error_of_its_own(tmp_path: Path) -> None:
    write_web(tmp_path)
    (tmp_path / "data" / "part-2.tsv").write_text("a,b\n")
    pipeline, parts = open_pipeline(tmp_path, "w")
    wanted = ("raw.synsets", "staging.lemmas", "raw.parts", "raw.pairs", "core.caption_matches", "core.candidates")
    for step in pipeline.steps:
        if step.name not in wanted:
            continue
        if not step.is_partitioned:
            make(pipeline.warehouse, step, None, log=quiet)
            continue
        results = make_together(pipeline.warehouse, step, parts, log=quiet)
        failed = {part.part: each for part, each in results.items() if isinstance(each, Exception)}
        assert failed.keys() == {"part-2"} and isinstance(failed["part-2"], UserError)
        assert ("no adapter" if step.name == "raw.parts" else "not there yet") in str(failed["part-2"])
        assert len(pipeline.warehouse.parts(step.name)) == COUNT - 1


def test_files_are_looked_at_by_one_connection(tmp_path: Path) -> None:
    write_web(tmp_path)
    pipeline, parts = open_pipeline(tmp_path, "w")
    opened = []

    @contextmanager
    def connect() -> Iterator[duckdb.DuckDBPyConnection]:
        with pipeline.warehouse.connect() as connection:
            opened.append(connection)
            yield connection

    step = next(step for step in pipeline.steps if step.name == "raw.parts")
    results = make_together(replace(pipeline.warehouse, connect=connect), step, parts, log=quiet)
    assert all(isinstance(each, Published) for each in results.values())
    assert len(opened) < len(parts)


def test_a_file_that_is_gone_since_it_was_seen_costs_its_part(tmp_path: Path) -> None:
    write_web(tmp_path)
    pipeline, parts = open_pipeline(tmp_path, "w")
    (tmp_path / "data" / "part-2.tsv").unlink()
    step = next(step for step in pipeline.steps if step.name == "raw.parts")
    results = make_together(pipeline.warehouse, step, parts, log=quiet)
    assert {part.part for part, each in results.items() if isinstance(each, Exception)} == {"part-2"}
    assert len(pipeline.warehouse.parts(step.name)) == COUNT - 1


def test_a_file_that_breaks_a_shared_select_costs_its_part(made: tuple[Pipeline, Pipeline, list[PartKey]]) -> None:
    _, together, parts = made
    step = next(step for step in together.steps if step.name == "core.selection")
    path = Path(together.warehouse.lake.current(together.warehouse.table("core.caption_similarity"), parts[1]))
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\xff" * 60 + content[64:])
    try:
        results = make_together(together.warehouse, step, parts, log=quiet)
    finally:
        path.write_bytes(content)
    assert [part for part, each in results.items() if isinstance(each, Exception)] == [parts[1]]


def test_rows_of_no_part_cost_the_part_that_made_them(made: tuple[Pipeline, Pipeline, list[PartKey]]) -> None:
    _, together, parts = made
    step = next(step for step in together.steps if step.name == "core.image_requests")
    select = f"select * replace (nullif(part, 'part-1') as part) from ({step.model.select})"
    results = make_together(
        together.warehouse, replace(step, model=replace(step.model, select=select)), parts, log=quiet
    )
    found = {part.part: each for part, each in results.items() if isinstance(each, Published)}
    assert found.keys() == {part.part for part in parts}
    assert [name for name, each in found.items() if not each.is_published] == ["part-1"]
    broken = {each.expectation.name: each.unexpected for each in found["part-1"].outcomes if each.blocks}
    assert broken["part_values_to_not_be_null"] == found["part-1"].rows > 0


@pytest.mark.parametrize("name", ["core.candidates", "core.caption_matches"])
def test_a_full_disk_stops_the_lot_at_once(
    name: str, made: tuple[Pipeline, Pipeline, list[PartKey]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """/dev/full refuses as a full disk does."""
    _, together, parts = made
    step = next(step for step in together.steps if step.name == name)
    staged = []
    stage = together.warehouse.lake.stage

    @contextmanager
    def stage_in_no_room(table: Table, part: PartKey) -> Iterator[Staged]:
        with stage(table, part) as file:
            staged.append(part)
            if part == parts[2]:
                file.path.symlink_to("/dev/full")
            yield file

    monkeypatch.setattr(together.warehouse.lake, "stage", stage_in_no_room)
    with pytest.raises(dg.Failure) as caught, user_errors_shown(together.warehouse.lake.root):
        make_together(together.warehouse, step, parts, log=quiet)
    assert staged == parts
    assert "a disk is full: " in str(caught.value.description) and "free of" in str(caught.value.description)


def test_a_lot_that_spills_too_much_is_made_by_halves(made: tuple[Pipeline, Pipeline, list[PartKey]]) -> None:
    _, together, parts = made
    step = next(step for step in together.steps if step.name == "core.candidates")
    select = (
        "select * exclude (parts) from (select *, (select count(distinct part) from core.caption_matches) as parts "
        f"from ({step.model.select})) where parts < 2 or error('failed to offload data: max_temp_directory_size')"
    )
    results = make_together(
        together.warehouse, replace(step, model=replace(step.model, select=select)), parts, log=quiet
    )
    assert all(isinstance(each, Published) and each.is_published for each in results.values())


def test_a_lot_that_does_not_fit_into_memory_is_made_one_by_one_with_more(
    made: tuple[Pipeline, Pipeline, list[PartKey]],
) -> None:
    _, together, parts = made
    step = next(step for step in together.steps if step.name == "core.candidates")
    big = "select len(list(i::varchar || repeat('x', 50))) from range(600_000) r(i)"
    step = sql_step(together.project, replace(step.model, select=f"from ({step.model.select}) where ({big}) > 0"))
    little = replace(together.warehouse, connect=partial(memory_connection, {"memory_limit": "20MB"}))
    said: list[str] = []
    with_more = replace(little, connect_with_more=together.warehouse.connect)
    results = make_together(with_more, step, parts[:2], log=said.append)
    assert all(isinstance(each, Published) and each.is_published for each in results.values())
    assert len(said) == 2 and all("once more, with more" in line for line in said)
    without = make_together(replace(little, connect_with_more=None), step, parts[:1], log=quiet)
    assert isinstance(without[parts[0]], OutOfMemoryError)


def test_small_parts_of_the_same_tables_are_put_together(tmp_path: Path) -> None:
    write_web(tmp_path)
    pipeline, parts = open_pipeline(tmp_path, "w")
    known = [part.key for part in parts]
    names = ["raw.parts", "raw.pairs"]
    whole = (None, ["raw.synsets"])
    phase = [whole, *((part, names) for part in parts)]
    assert batches(phase, pipeline.warehouse, known) == [([None], ["raw.synsets"]), (parts, names)]
    assert range_tags(parts) == {
        "dagster/asset_partition_range_start": parts[0].key,
        "dagster/asset_partition_range_end": parts[-1].key,
    }
    assert range_tags([None]) == range_tags(parts[:1]) == {}
    few = phase[1:FEWEST_PARTS]
    assert batches(few, pipeline.warehouse, known) == [([part], names) for part, _ in few]
    apart = [*known[:2], "s/other", *known[2:]]
    assert [len(each) for each, _ in batches(phase, pipeline.warehouse, apart)] == [1] * (1 + COUNT)
    other = [whole, *((part, names[: 1 + (part is parts[0])]) for part in parts)]
    assert sorted(len(each) for each, _ in batches(other, pipeline.warehouse, known)) == [1, 1, COUNT - 1]
    assert MOST_PARTS >= 1_000 and MOST_BYTES > SMALL_PART_BYTES


def test_a_large_part_is_made_alone(tmp_path: Path) -> None:
    write_web(tmp_path)
    with open(tmp_path / "data" / "part-0.tsv", "ab") as file:
        file.truncate(SMALL_PART_BYTES + 1)
    pipeline, parts = open_pipeline(tmp_path, "w")
    assert load_register(pipeline.warehouse)[parts[0]].size_bytes > SMALL_PART_BYTES
    found = batches([(part, ["raw.parts"]) for part in parts], pipeline.warehouse, [part.key for part in parts])
    assert [list(each) for each, _ in found] == [[parts[0]], parts[1:]]
