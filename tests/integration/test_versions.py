"""Versions on the real tables: what an older commit made is adopted, an edit is accepted by command, labels in rows."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from laionet_assets.assets import same_rows
from laionet_assets.assets.same_rows import Accepted, Shipped, accepted_list
from laionet_assets.assets.steps import Computation, Step
from laionet_assets.assets.versions import Versions
from laionet_assets.commands.accepting import accept_edits
from laionet_assets.commands.asking import report
from laionet_assets.commands.instance import dagster_instance
from laionet_assets.errors import UserError
from laionet_assets.settings import load_settings
from laionet_assets.sqlmodels import loader
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Stamp, digest
from tests.integration.conftest import Project

pytestmark = pytest.mark.integration

SIMILARITY = '+key:"core/caption_similarity"'


def restamp_as_before(project: Project, was: Mapping[str, tuple[str, ...]]) -> None:
    """Give every published file the stamp that cd80978 gave it: `inputs` covers the code, and is the version."""
    pipeline = project.pipeline
    warehouse = pipeline.warehouse
    versions: dict[str, dict[PartKey | None, str]] = {}
    for step in pipeline.steps:
        if not warehouse.is_published(step.name):
            continue
        if step.name not in was:  # cd80978 had no such table
            shutil.rmtree(warehouse.lake.folder(warehouse.table(step.name)))
            continue
        versions[step.name] = {}
        for part in warehouse.parts(step.name) if step.is_partitioned else [None]:
            read = sorted(step.model.reads.tables & versions.keys())
            reads = [f"{name}={version_of(versions[name], part)}" for name in read]
            code = (*was[step.name], *step.settings)
            made_from = (digest(*code) if len(code) > 1 else code[0], step.outside(warehouse, part), *reads)
            versions[step.name][part] = inputs = digest(*made_from)
            table = warehouse.table(step.name)
            rows = pq.read_table(warehouse.lake.current(table, part), partitioning=None)
            with warehouse.lake.stage(table, part) as staged:
                pq.write_table(rows.replace_schema_metadata(Stamp(inputs, inputs).metadata), staged.path)
                warehouse.lake.publish(staged)


def version_of(known: Mapping[PartKey | None, str], part: PartKey | None) -> str:
    if None in known:
        return known[None]
    return known[part] if part else digest(*(f"{key.key}={version}" for key, version in sorted(known.items())))


def shipped_as_now(steps: list[Step], was: Mapping[str, tuple[str, ...]]) -> dict[str, Shipped]:
    """A list that declares today's code to be that of cd80978, whatever was edited since the list was written."""
    codes = {step.name: step.code for step in steps}
    codes |= {each.name: each.digest for step in steps for each in step.computations}
    codes |= {f"macros of {step.name}": step.macros for step in steps if step.macros is not None}
    codes |= {each.name: each.digest for each in (adapter("laion400m"),)}
    return {name: Shipped(name, was.get(name, ("",)), {code: "as now"}) for name, code in codes.items()}


def adapter(name: str) -> Computation:
    from laionet_assets.sources import adapter_module

    return Computation(f"adapter {name}", adapter_module(name))


@pytest.mark.slow
def test_what_was_made_before_there_were_digests_is_not_made_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.add_part(0, rows=200)
    assert project.run(select=SIMILARITY) == 0, project.printed[-1]
    was = {name: one.was for name, one in same_rows.shipped_list().items() if one.was}
    shipped = shipped_as_now(list(project.pipeline.steps), was)
    monkeypatch.setattr(same_rows, "shipped_list", lambda: shipped)
    restamp_as_before(project, was)
    assert all(stamp.codes == () for stamp in project.pipeline.warehouse.stamps("core.caption_embeddings").values())
    assert project.run(select=SIMILARITY) == 0
    assert "done 0 tables and parts made" in project.printed[-1] and "audited again" in project.printed[-1]

    old = project.count("select count(*) from core.caption_embeddings where model not like '%code:%'")
    assert old == project.count("select count(*) from core.caption_embeddings") > 0
    project.add_part(1, rows=200)
    assert project.run(select=SIMILARITY) == 0
    made = project.made()
    assert made and not any(name.endswith("part-00000") for name in made)
    assert project.count("select count(distinct model) from core.caption_embeddings") == 1, "as before"

    monkeypatch.setattr(Computation, "digest", property(lambda computation: f"edited {computation.name}"))
    assert project.run(select='key:"core/caption_embeddings"') == 0
    assert project.made() == {"core.caption_embeddings web/part-00000", "core.caption_embeddings web/part-00001"}
    edited = (
        "select count(*) from core.caption_embeddings where model like '%:edited text encoder sentence-transformers'"
    )
    assert project.count(edited) == project.count("select count(*) from core.caption_embeddings"), "embedded anew"


@pytest.fixture
def sql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The SQL of this project, to be edited."""
    folder = tmp_path / "sql"
    shutil.copytree(loader.sql_folder(), folder)
    monkeypatch.setattr(loader, "sql_folder", lambda: folder)
    return folder


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.slow
def test_an_edit_is_accepted_shown_and_kept(project: Project, sql: Path, tmp_path: Path) -> None:
    project.add_part(0, rows=100)
    tables = '+key:"staging/queries"'
    assert project.run(select=tables) == 0
    edit(sql / "staging/queries.sql", "from raw.synsets", "from (from raw.synsets)")
    for table, message in (
        ("staging.lemmas", r"staging\.lemmas is current: there is nothing to accept"),
        ("core.laionet", r"core\.laionet is not there yet; run first: laionet run"),
        ("staging.query", r"found table 'staging\.query', expected one of: core\..*staging\.queries"),
    ):
        with pytest.raises(UserError, match=message):
            accept_edits(table, because="no reason", config=project.config)
    with pytest.raises(UserError, match="--because: found no reason"):
        accept_edits("staging.queries", because=" ", config=project.config)
    assert accepted_list(project.pipeline.warehouse) == []

    (made,) = accept_edits("staging/queries", because="[red]the same rows[/]", config=project.config)
    assert (made.table, made.code) == ("staging.queries", "staging.queries")
    assert project.run(select=tables) == 0
    assert "nothing to make" in project.printed[-1]
    console = Console(width=200, record=True, file=(tmp_path / "report.txt").open("w"))
    report(project.config, console=console)
    told = console.export_text()
    assert "[red]the same rows[/]" in told and "staging.queries" in told and made.by in told
    with dagster_instance(load_settings(project.config)) as instance:
        records = instance.fetch_observations(dg.AssetKey(["staging", "queries"]), limit=1).records
    (shown,) = [record.event_log_entry.asset_observation for record in records]
    assert shown is not None and shown.metadata["accepted_because"].value == "[red]the same rows[/]"

    assert project.run(select=tables, force=True) == 0, "the declaration survives"
    assert accepted_list(project.pipeline.warehouse) == [made]
    edit(sql / "staging/queries.sql", "from (from raw.synsets)", "from (from raw.synsets) where true")
    assert "staging.queries" in stale(project), "a later edit is another matter"


def test_what_changed_otherwise_is_not_accepted(project: Project, sql: Path) -> None:
    edit(sql / "core/candidates.sql", "from", "from ")
    project.edit("text_threshold: 0.5", "text_threshold: 0.4")
    with pytest.raises(UserError, match=r"raw\.recipes is out of date because what it is made from changed"):
        accept_edits("raw.recipes", because="no reason", config=project.config)


def stale(project: Project) -> set[str]:
    versions = Versions(project.pipeline.warehouse)
    published = [step for step in project.pipeline.steps if not step.is_partitioned]
    return {
        step.name
        for step in published
        if project.pipeline.warehouse.is_published(step.name) and not versions.is_current(step, None)
    }


def test_declarations_of_processes_side_by_side_are_all_kept(project: Project) -> None:
    from concurrent.futures import ThreadPoolExecutor

    warehouse = project.pipeline.warehouse
    every = [Accepted("t", "c", str(number), "x", "b", "now", "me") for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: same_rows.accept(warehouse, [one]), every))
    assert sorted(accepted_list(warehouse), key=lambda one: one.before) == every
