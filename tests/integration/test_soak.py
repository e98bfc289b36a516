"""The short form of `make soak`: a warehouse of captions alone is killed, read, filled up and locked for a minute."""

import os

import pytest

from tests.integration.conftest import Project
from tests.soak import scenarios
from tests.soak.content import content, differences
from tests.soak.project import Disturbed

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

TABLES = ("raw.parts", "raw.quarantine", "core.caption_matches", "core.candidates", "staging.lemmas", "marts.funnel")


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


def test_what_was_lost_or_changed_is_found(project: Project) -> None:
    """The comparison itself: a row less, a file more, a table gone."""
    before = content(project.warehouse / "laionet.duckdb")
    rows, hashes = before["staging.lemmas"][""]
    assert differences(before, before) == []
    assert len(differences({**before, "staging.lemmas": {"": (rows - 1, hashes)}}, before)) == 1
    assert differences({**before, "core.candidates": {"web/part-00000": (1, "1")}}, before) == [
        "core.candidates web/part-00000: is too much"
    ]
    assert differences({name: before[name] for name in before if name != "staging.queries"}, before) == [
        "staging.queries is missing"
    ]
