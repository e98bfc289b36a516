"""The short form of `make soak`: a warehouse of captions alone is killed, read, filled up and locked for a minute."""

import os
from pathlib import Path

import duckdb
import pytest

from tests.integration.conftest import Project
from tests.soak import scenarios
from tests.soak.content import content, differences
from tests.soak.project import Disturbed

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

TABLES = ("raw.parts", "raw.quarantine", "core.caption_matches", "core.candidates", "staging.lemmas", "marts.funnel")


@pytest.mark.slow
def test_whatever_happens_what_is_published_stays(project: Project) -> None:
    project.add_part(0, rows=100)
    project.add_part(1, rows=100)
    selected = '+key:"marts/funnel" or key:"raw/quarantine"'
    assert project.run(select=selected) == 0, project.printed[-1]
    disturbed = Disturbed(project.folder, seed=7, selected=selected)
    assert disturbed.expected["marts.funnel"] and "core.images" in disturbed.expected
    with disturbed.readers(1) as reads:
        told = scenarios.kills(disturbed, 8, tables=TABLES)
        two = scenarios.two_at_once(disturbed, 1, tables=TABLES)
        locked = scenarios.read_only(disturbed)
    full = scenarios.full_disk(disturbed)
    assert not disturbed.faults, "\n".join(disturbed.faults)
    assert told.startswith("8 kills of ") and two.startswith("1 pairs") and reads[0] > 50
    if os.geteuid() == 0:
        assert not locked.startswith("not tried") or not full.startswith("not tried")


def test_rows_of_no_part_stand_under_a_text(tmp_path: Path) -> None:
    """As pictures of local sets beside those of the web: the readers get what is expected as JSON."""
    with duckdb.connect(str(tmp_path / "catalog")) as connection:
        connection.execute("create schema core")
        connection.execute("create table core.rows (source varchar, part varchar, n int)")
        connection.execute("insert into core.rows values ('s', 'a', 1), (null, null, 2)")
        connection.execute("create view core.images as select * from core.rows")
    found = content(tmp_path / "catalog")
    assert found["core.images"].keys() == {"", "s/a"}


def test_what_was_lost_or_changed_is_found() -> None:
    """The comparison itself: a row less, another hash, a part more, a table gone."""
    before = {"staging.lemmas": {"": (9, "1")}, "core.candidates": {"s/a": (3, "7"), "s/b": (0, "0")}}
    assert differences(before, before) == []
    for changed in ((8, "1"), (9, "2")):
        assert len(differences({**before, "staging.lemmas": {"": changed}}, before)) == 1
    more = {**before["core.candidates"], "s/c": (1, "1")}
    assert differences({**before, "core.candidates": more}, before) == ["core.candidates s/c: is too much"]
    assert differences({"staging.lemmas": before["staging.lemmas"]}, before) == ["core.candidates is missing"]
