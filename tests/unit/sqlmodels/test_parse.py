"""Dependencies by DuckDB's own parser."""

import pytest

from laionet_assets.sqlmodels.parse import SqlModelError, reads


def test_tables_and_functions_at_any_depth() -> None:
    found = reads(
        """
        with a as (select * from core.x), b as (select f(i) from a where exists (from raw.y where k = 1))
        select g(h(1)) from b left join marts.z using (i) where n in (select m from my_macro(2))
        union all by name select 1
        """,
        where="t",
    )
    assert found.tables == {"core.x", "raw.y", "marts.z"}
    assert {"f", "g", "h", "my_macro"} <= found.functions


@pytest.mark.parametrize(
    ("select", "message"),
    [
        ("selec 1", r"core/x\.sql: syntax error.*one bare SELECT"),
        ("select 1; select 2", r"core/x\.sql: found 2 statements"),
        ("create table t (i int)", r"core/x\.sql: .*SELECT"),
        ("select i from core.y where i = $p and j = $q", r"core/x\.sql: parameters: \$p, \$q; nothing gives"),
        ("select * from animals join core.y using (i)", r"core/x\.sql: tables without a schema: animals"),
    ],
)
def test_what_is_no_model(select: str, message: str) -> None:
    with pytest.raises(SqlModelError, match=message):
        reads(select, where="core/x.sql")
