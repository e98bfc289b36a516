"""The whole pipeline on a small synthetic web: what a change costs, what bad input does."""

import io
import json
import os
import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from laionet_assets.commands.asking import report
from laionet_assets.errors import UserError
from tests.integration.conftest import Project
from tests.integration.graph import AFTER_PARTS, BY_PART, downstream

pytestmark = pytest.mark.integration

AFTER_RECIPES = downstream("raw.recipes") - BY_PART
OF_RECIPES = downstream("raw.recipes") & BY_PART
UNOPENED = (
    '{name: secret, path: "s3://nowhere/x", storage_options: {secret: "${NOT_SET_ANYWHERE}"}}, '
    '{name: odd, path: "odd://nowhere/x"}, {name: connecting, path: "ftp://127.0.0.1:1/x"}'
)


@pytest.mark.slow
def test_a_life_of_changes_each_costs_only_its_own_work(project: Project) -> None:
    project.add_part(0)
    project.add_part(1)
    assert project.run() == 0, project.printed[-1]
    assert project.count("select count(distinct recipe) from core.laionet") == 2
    console = Console(width=200, record=True, file=io.StringIO())
    report(project.config, console=console)
    told = console.export_text()
    assert "corrected" in told and told.strip() in project.printed[-1], "what ends a run, at any time"

    assert project.run() == 0
    assert project.made() == set()
    assert "up to date" in project.printed[-1]

    os.utime(project.parts / "part-00000.snappy.parquet")
    assert project.run() == 0
    assert project.made() == set()

    project.edit(
        "encoder: minilm, text_threshold: 0.5}\n  - {name: corrected",
        "encoder: minilm, text_threshold: 0.7}\n  - {name: corrected",
    )
    assert project.run() == 0
    assert project.made() == AFTER_RECIPES | {f"{name} web/part-0000{n}" for name in OF_RECIPES for n in (0, 1)}
    assert project.count("select count(*) from core.laionet where recipe = 'paper' and similarity <= 0.7") == 0

    before = project.files()
    project.add_part(2)
    assert project.run() == 0
    assert project.made() == {f"{name} web/part-00002" for name in BY_PART} | AFTER_PARTS
    unchanged = {name for name in before if "part=part-0000" in name}
    assert {name: project.files()[name] for name in unchanged} == {name: before[name] for name in unchanged}

    (project.parts / "part-00001.snappy.parquet").unlink()
    rows = project.count("select count(*) from core.laionet")
    assert project.run() == 0
    assert project.made() == set()
    assert "web/part-00001: its file is gone" in project.printed[-1]
    assert project.count("select count(*) from core.laionet") == rows


def test_selection_and_parts(bare_project: Project) -> None:
    project = bare_project
    project.add_part(0)
    project.add_part(1)
    assert project.run(select='+key:"core/caption_matches"', parts=["part-00001"]) == 0
    assert project.made() == {
        "raw.synsets",
        "staging.lemmas",
        "raw.parts web/part-00001",
        "raw.pairs web/part-00001",
        "core.caption_matches web/part-00001",
    }
    with pytest.raises(UserError, match="--parts 'part-9' matches no part; expected some of: web/part-00000"):
        project.run(parts=["part-9"])
    with pytest.raises(UserError, match="selects nothing"):
        project.run(select='key:"core/nothing"')
    assert project.run(select='key:"core/laionet"') == 1
    assert "core.laionet reads" in project.printed[-1]
    assert "not there yet" in project.printed[-1]


@pytest.mark.slow
def test_whole_tables_are_not_made_of_tables_of_different_parts(project: Project) -> None:
    project.add_part(0, rows=100)
    project.add_part(1, rows=100)
    assert project.run(select='key:"raw/parts" or key:"raw/recipes" or key:"core/removals"') == 0
    assert project.run(select='+key:"core/selection_counts"', parts=["part-00001"]) == 0
    whole = 'key:"core/duplicate_samples" or key:"core/laionet" or key:"marts/funnel"'
    assert project.run(select=whole) == 1
    assert "core.selection_counts lacks web/part-00000" in project.printed[-1]
    assert "marts/funnel/data.parquet" not in project.files()


@pytest.mark.slow
def test_a_source_that_cannot_be_opened_costs_itself(project: Project) -> None:
    """A variable of its secret is not set, or its filesystem is not installed: others are read, and so is the rest."""
    project.add_part(0, rows=100)
    project.edit("sources: [", f"sources: [{UNOPENED}, ")
    assert project.run(select='+key:"core/candidates"') == 1
    assert "core.candidates web/part-00000" in project.made()
    for problem in (
        "the environment variable NOT_SET_ANYWHERE is not set",
        "odd://nowhere/x: this kind of path",
        "Connection refused",
    ):
        assert problem in " ".join(project.printed[-1].split())
    assert "1 failed" not in project.printed[-1] and "3 sources or parts that cannot be used" in project.printed[-1]
    assert project.count("select count(*) from raw.pairs") > 50


@pytest.mark.slow
def test_a_source_taken_out_of_the_settings_is_set_aside(project: Project) -> None:
    project.add_part(0, rows=100)
    assert project.run(select='+key:"core/candidates"') == 0
    rows = project.count("select count(*) from core.candidates")
    project.edit("{name: web,", "{name: laion,")
    assert project.run(select='+key:"core/candidates"') == 0
    assert "source web is not in the settings" in project.printed[-1]
    assert project.count("select count(*) from core.candidates") == rows
    assert project.count("select count(*) from core.candidates where source = 'web'") == 0


def test_tables_of_a_part_whose_file_is_gone_follow_the_settings(project: Project) -> None:
    project.add_part(0, rows=100)
    gone = project.add_part(1, rows=100)
    assert project.run(select='+key:"core/caption_similarity"') == 0
    gone.unlink()
    project.edit("text_encoders: [{name: minilm,", "text_encoders: [{name: other,")
    project.edit("encoder: minilm", "encoder: other")
    assert project.run(select='+key:"core/caption_similarity"') == 0
    assert project.count("select count(distinct part) from core.caption_similarity where encoder = 'other'") == 2


def test_a_lost_register_of_a_table_is_made_again(project: Project) -> None:
    project.add_part(0, rows=100)
    assert project.run(select='+key:"core/caption_matches"') == 0
    shutil.rmtree(project.warehouse / "raw" / "parts")
    assert project.run(select='+key:"core/caption_matches"') == 0
    assert project.count("select count(*) from raw.parts") == 1


def test_bad_parts_publish_nothing_and_lose_nothing(project: Project) -> None:
    project.add_part(0)
    until_parts = '+key:"core/candidates"'
    assert project.run(select=until_parts) == 0
    before = project.files()

    good = project.add_part(1)
    content = good.read_bytes()
    good.write_bytes(content[: len(content) // 2])
    assert project.run(select=until_parts) == 1
    assert "part-00001.snappy.parquet" in project.printed[-1]
    assert "1 failed" in project.printed[-1]
    assert project.files() == before

    table = pq.read_table(project.parts / "part-00000.snappy.parquet").drop_columns(["TEXT"])
    pq.write_table(table, good)
    assert project.run(select=until_parts) == 1
    assert "TEXT" in project.printed[-1]
    assert "SAMPLE_ID" in project.printed[-1]
    assert project.files() == before

    good.write_bytes(content)
    assert project.run(select=until_parts) == 0
    assert {name: project.files()[name] for name in before} == before
    assert len(project.files()) > len(before)


def test_bad_settings_are_one_clear_error(project: Project, tmp_path: Path) -> None:
    project.add_part(0)
    project.edit(
        "encoder: minilm, text_threshold: 0.5}\n  - {name: corrected",
        "encoder: clip, text_threshold: 0.5}\n  - {name: corrected",
    )
    with pytest.raises(UserError, match=r"recipes\[0\]\.encoder: found 'clip', expected one of text_encoders: minilm"):
        project.run()
    project.configure()
    project.edit("sentence-transformers:all", "word2vec:all")
    with pytest.raises(UserError, match=r"text_encoders\[0\]\.model: .*unknown provider 'word2vec'"):
        project.run()
    project.configure()
    wnids = tmp_path / "wnids.txt"
    wnids.write_text("n02708093\nn00000001\n")
    project.config.write_text(project.config.read_text() + f"taxonomy: {wnids}\n")
    assert project.run() == 1
    assert "n00000001" in project.printed[-1]
    project.configure()
    project.edit(f"path: {project.parts}", f"path: {tmp_path}/nowhere/*.parquet")
    assert project.run() == 1
    told = " ".join(project.printed[-1].split())
    assert re.search(r"failed source web: \S+/nowhere/\S+: there is nothing there, expected .* correct the path", told)
    assert "its parts stay as they are" in told


@pytest.mark.slow
def test_what_fails_keeps_back_what_reads_it_and_nothing_else(project: Project, tmp_path: Path) -> None:
    """A hub that is down: captions are matched and counted all the same, and the summary says what is missing."""
    project.add_part(0, rows=100)
    broken = project.add_part(1, rows=100)
    content = broken.read_bytes()
    broken.write_bytes(b"PAR1 not at all")
    weights = tmp_path / "no model"
    weights.mkdir()
    project.edit("MiniLM-L6-v2", f'MiniLM-L6-v2", weights: "{weights}')
    wanted = '+key:"core/caption_similarity" or +key:"marts/class_frequency" or key:"raw/image_sets"'
    assert project.run(select=wanted) == 1
    printed = project.printed[-1]
    made = project.files()
    for name in ("raw.image_sets", "core.candidates web/part-00000", "core.caption_matches web/part-00000"):
        assert name in project.made(), printed
    assert "core/candidates/source=web/part=part-00000/data.parquet" in made
    failed = {line.split(":")[0] for line in printed.splitlines() if line.startswith("failed ")}
    embeddings = {"failed core.query_embeddings", "failed core.caption_embeddings web/part-00000"}
    assert failed == {*embeddings, "failed raw.parts web/part-00001"}
    told = " ".join(printed.split())
    similar = r"not made .*core\.caption_similarity \(2 parts\), .*core\.laionet, marts\.class_frequency"
    assert re.search(similar + r": read core\.query_embeddings, which failed", told), told
    assert re.search(r"not made raw\.pairs \(1 part\), .*: read raw\.parts, which failed", told), told
    assert re.search(r"3 failed, \d+ not made because of that, \d+ made", told)
    assert "core.laionet" not in project.made() and not (project.warehouse / "core/laionet").exists()

    broken.write_bytes(content)
    project.configure()
    assert project.run(select=wanted) == 0, project.printed[-1]
    lacking = downstream("core.query_embeddings", "core.caption_embeddings") & BY_PART
    assert {name for name in project.made() if name.endswith("part-00000")} <= {
        f"{name} web/part-00000" for name in lacking
    }


@pytest.mark.slow
def test_a_bad_new_file_costs_its_part_alone(project: Project) -> None:
    wanted = '+key:"marts/class_frequency"'
    project.add_part(0, rows=100)
    broken = project.add_part(1, rows=100)
    content = broken.read_bytes()
    broken.write_bytes(content[: len(content) // 2])
    assert project.run(select=wanted) == 1
    assert {"core.laionet", "marts.class_frequency"} <= project.made()
    told = " ".join(project.printed[-1].split())
    assert "tables over all parts are made without web/part-00001, of which nothing could be made" in told
    assert project.count("select count(distinct part) from core.laionet") == 1
    before = project.files()
    assert project.run(select=wanted) == 1
    assert "1 failed" in project.printed[-1] and " 0 made in" in project.printed[-1]
    assert project.files() == before
    broken.write_bytes(content)
    assert project.run(select=wanted) == 0, project.printed[-1]
    assert project.count("select count(distinct part) from core.laionet") == 2


def test_force_makes_what_is_up_to_date(project: Project) -> None:
    project.add_part(0, rows=100)
    assert project.run(select='+key:"core/caption_matches"') == 0
    assert project.run(select='+key:"core/caption_matches"') == 0
    assert project.made() == set()
    assert project.run(select='+key:"core/caption_matches"', force=True) == 0
    assert {"raw.synsets", "core.caption_matches web/part-00000"} <= project.made()
    assert "done 5 tables and parts made" in project.printed[-1]


def forbid_all(monkeypatch: pytest.MonkeyPatch, documentation: str) -> None:
    """Add a check that no row passes to a table."""
    from laionet_assets.sqlmodels import loader

    broken = [{"type": "unexpected_rows", "name": "nothing_is_allowed", "query": "select * from {batch} limit 3"}]
    read = loader.parse_expectations
    monkeypatch.setattr(
        loader,
        "parse_expectations",
        lambda raw, *, columns, where: read(
            [*raw, *(broken if where == documentation else [])], columns=columns, where=where
        ),
    )


@pytest.mark.slow
def test_a_failed_blocking_check_publishes_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    funnel = '+key:"marts/funnel"'
    project.add_part(0)
    assert project.run(select='+key:"core/laionet"') == 0
    before = project.files()
    project.edit("text_threshold: 0.5", "text_threshold: 0.6")
    forbid_all(monkeypatch, "core/laionet.yml")
    assert project.run(select=funnel) == 1
    printed = project.printed[-1]
    assert "nothing_is_allowed" in printed
    assert "was not published" in printed
    after = project.files()
    assert after["core/laionet/data.parquet"] == before["core/laionet/data.parquet"]
    assert (project.warehouse / "core/laionet/.rejected.parquet").exists()
    assert "marts/funnel/data.parquet" not in after
    monkeypatch.undo()
    assert project.run(select=funnel) == 0, project.printed[-1]
    assert not (project.warehouse / "core/laionet/.rejected.parquet").exists()
    assert "marts/funnel/data.parquet" in project.files()


def test_what_a_check_rejected_is_published_once_the_settings_make_it_a_warning(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    matches = '+key:"core/caption_matches"'
    project.add_part(0)
    forbid_all(monkeypatch, "core/caption_matches.yml")
    assert project.run(select=matches) == 1
    assert "nothing_is_allowed" in project.printed[-1] and "was not published" in project.printed[-1]
    text = project.config.read_text()
    project.config.write_text(text + "checks: {core.caption_matches: {nothing_is_allowed: warning}}\n")
    assert project.run(select=matches) == 0, project.printed[-1]
    assert project.made() == {"core.caption_matches web/part-00000"}
    assert "warning core.caption_matches web/part-00000: nothing_is_allowed" in project.printed[-1]
    console = Console(width=200, record=True, file=io.StringIO())
    report(project.config, console=console)
    (line,) = [line for line in console.export_text().splitlines() if "nothing_is_allowed" in line]
    assert [cell.strip() for cell in line.strip("│").split("│")] == [
        "core.caption_matches", "nothing_is_allowed", "warning (laionet.yaml; was critical)", "1", "3"
    ]  # fmt: skip
    before = project.files()
    assert project.run(select=matches) == 0
    assert project.made() == set() and project.files() == before

    project.config.write_text(text + "checks: {core.caption_matches: {matches_are_of_matchable_lemmas: warning}}\n")
    (step,) = [step for step in project.pipeline.steps if step.name == "core.caption_matches"]
    severities = {check.name: check.severity_in_words for check in step.model.expectations}
    assert severities["matches_are_of_matchable_lemmas"] == "warning (laionet.yaml; was critical)"
    assert severities["nothing_is_allowed"] == "critical"


def test_a_check_that_is_new_is_asked_of_what_is_published(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    matches = '+key:"core/candidates"'
    project.add_part(0)
    assert project.run(select=matches) == 0, project.printed[-1]
    before = project.files()
    forbid_all(monkeypatch, "core/caption_matches.yml")
    assert project.run(select=matches) == 1
    assert "core.caption_matches [web/part-00000] stays published as it is" in project.printed[-1]
    assert project.made() == {"core.caption_matches web/part-00000"}
    text = project.config.read_text()
    project.config.write_text(text + "checks: {core.caption_matches: {nothing_is_allowed: warning}}\n")
    assert project.run(select=matches) == 0
    assert project.made() == {"core.caption_matches web/part-00000"}
    assert "0 tables and parts made, 1 audited again" in project.printed[-1]
    assert project.run(select=matches) == 0
    assert project.made() == set() and "up to date" in project.printed[-1]
    assert project.files() == before


def test_severities_that_cannot_be_are_one_message(project: Project) -> None:
    checks = {
        "core.matches": {"grain_is_unique": "warning"},
        "core.candidates": {"grain_is_unik": "warning"},
        "core.removals": {"grain_is_unique": "warning"},
    }
    project.config.write_text(project.config.read_text() + f"checks: {json.dumps(checks)}\n")
    with pytest.raises(UserError) as error:
        project.run()
    problems = str(error.value).splitlines()[1:]
    assert [problem.partition(":")[0].strip() for problem in problems] == [
        "checks.core.matches",
        "checks.core.candidates.grain_is_unik",
        "checks.core.removals.grain_is_unique",
    ]
    assert "it stays critical: it protects removals" in problems[2]


def test_retired_parts_leave_empty_tables(project: Project) -> None:
    from laionet_assets.assets.parts import retire_parts, sync_parts
    from laionet_assets.settings import load_settings

    project.edit("adapter: laion400m,", "adapter: laion400m, when_removed: drop,")
    project.add_part(0)
    lost = project.add_part(1)
    assert project.run(select='+key:"core/candidates"') == 0
    lost.unlink()
    settings, warehouse = load_settings(project.config), project.pipeline.warehouse
    synced = sync_parts(settings, warehouse)
    assert [part.key.key for part in synced.to_retire] == ["web/part-00001"]
    emptied = retire_parts(warehouse, [part.key for part in synced.to_retire])
    assert {name for names in emptied.values() for name in names} >= {"core.candidates", "core.caption_matches"}
    assert project.count("select count(distinct part) from core.candidates") == 1
    assert sync_parts(settings, warehouse).to_retire == ()
    register = json.loads((project.warehouse / "parts.json").read_text())["parts"]
    assert [(part["part"], part["ordinal"], part["is_retired"]) for part in register] == [
        ("part-00000", 0, False),
        ("part-00001", 1, True),
    ]
