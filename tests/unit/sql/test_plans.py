"""How DuckDB carries out the models: what it keeps in memory on the way.

A CTE that is read twice is kept whole, unless it is `not materialized`. What tables of all samples have would fill the
memory, or the disk: of LAION-400M some 100 million rows with captions and addresses.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.unit.sql.models import Database, project, queries

LARGE = {
    "core.candidates",
    "core.caption_embeddings",
    "core.caption_matches",
    "core.caption_similarity",
    "core.correctness",
    "core.image_predictions",
    "core.images",
    "core.predictions",
    "core.selection",
    "core.selection_seen",
    "core.set_predictions",
    "raw.pairs",
}
"""Tables of a row, or several, for each sample that is found, or each picture and model."""
WIDE = {"caption", "url", "embedding"}
MAY_KEEP = {
    ("core.caption_similarity", "queries"): "one a class",
    ("core.image_requests", "__aggregate_cte"): "addresses that one part asks for",
    ("core.matching_counts", "compared"): "of one part, and every caption may be asked for",
}
MAY_COMPARE = {
    "core.neighbour_requests": "there is one search",
    "core.similarity_counts": "201 thresholds",
    "marts.funnel": "10 stages",
}
Node = Mapping[str, Any]


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    """Empty tables, that DuckDB does not see to be empty."""
    made = Database()
    made.connection.execute("set disabled_optimizers = 'empty_result_pullup, statistics_propagation'")
    yield made
    made.connection.close()


def nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node["children"]:
        yield from nodes(child)


def kept(database: Database, select: str) -> Iterator[tuple[str, Node]]:
    """CTEs that are kept: name, and what is kept."""
    ((_, plan),) = database.rows(f"explain (format json) {select}")
    for root in json.loads(plan):
        for node in nodes(root):
            if node["name"] == "CTE":
                yield node["extra_info"]["CTE Name"], node["children"][0]


def columns(node: Node) -> set[str]:
    """Columns of the rows of a node, as far as they have names."""
    found = node["extra_info"].get("Projections")
    if found is None:
        return {name for child in node["children"] for name in columns(child)}
    return {found} if isinstance(found, str) else set(found)


def nested_loops(database: Database, select: str) -> Iterator[Node]:
    """Joins that compare every row of one side with every row of the other, where both may have several."""
    ((_, plan),) = database.rows(f"explain (format json) {select}")
    for root in json.loads(plan):
        for node in nodes(root):
            if node["name"] in ("BLOCKWISE_NL_JOIN", "NESTED_LOOP_JOIN") and not any(map(is_one_row, node["children"])):
                yield node


def is_one_row(node: Node) -> bool:
    return node["name"] == "UNGROUPED_AGGREGATE" or (len(node["children"]) == 1 and is_one_row(node["children"][0]))


MODELS = [model.name for model in project().in_order()]
SELECTS = {name: select for name in MODELS if (select := project().models[name].select) is not None}


@pytest.mark.parametrize("name", SELECTS)
def test_no_model_keeps_what_fills_memory(name: str, database: Database) -> None:
    assert_keeps_little(database, name, SELECTS[name])


@pytest.mark.parametrize("name", MODELS)
def test_no_check_keeps_what_fills_memory(name: str, database: Database) -> None:
    for query in queries(name).values():
        assert_keeps_little(database, name, query)


def assert_keeps_little(database: Database, name: str, select: str) -> None:
    for cte, what in kept(database, select):
        if (name, re.sub(r"_\d+$", "", cte)) not in MAY_KEEP:
            table = what["extra_info"].get("Table", "").removeprefix("memory.")
            assert table not in LARGE and not columns(what) & WIDE, f"{name}: {cte} is kept in memory: {select}"


@pytest.mark.parametrize("name", MODELS)
def test_nothing_compares_every_row_with_every_other(name: str, database: Database) -> None:
    selects = [select for select in (SELECTS.get(name), *queries(name).values()) if select is not None]
    found = [f"{node} in {select}" for select in selects for node in nested_loops(database, select)]
    assert bool(found) == (name in MAY_COMPARE), found


def test_what_is_read_twice_is_kept(database: Database) -> None:
    """Else the test above could not fail."""
    select = "with c as (from core.candidates) select count(*) from c as a join c as b using (caption)"
    ((name, what),) = kept(database, select)
    assert (name, what["extra_info"]["Table"].removeprefix("memory.")) == ("c", "core.candidates")
    assert "caption" in columns(what)
