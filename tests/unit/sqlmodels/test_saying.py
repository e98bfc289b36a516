"""What a SELECT says: everything that can change its rows, and nothing of how it is laid out."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laionet_assets.sqlmodels import parse
from laionet_assets.sqlmodels.loader import load_project, sql_folder
from laionet_assets.sqlmodels.parse import saying

OTHERS = """
select 'a' | select 'b'
select 1 as a | select 1 as A
select a, b from s.t | select b, a from s.t
select a from s.t | select a from s.u
select a from s.t | select a from r.t
select * from s.t join s.u using (x) | select * from s.t left join s.u using (x)
select * from s.t semi join s.u using (x) | select * from s.t anti join s.u using (x)
select * from s.t asof join s.u on t.a >= u.a | select * from s.t join s.u on t.a >= u.a
select * from s.t positional join s.u | select * from s.t cross join s.u
select a::int from s.t | select a::bigint from s.t
select cast(a as int) from s.t | select try_cast(a as int) from s.t
select a::decimal(10, 2) from s.t | select a::decimal(10, 3) from s.t
select a::struct(x int) from s.t | select a::struct(y int) from s.t
select 1.0 | select 1.00
select 1e0 | select 1.0
select 10000000000000000000000000000001 | select 10000000000000000000000000000002
select * from s.t using sample 10% | select * from s.t using sample 11%
select * from s.t using sample 10% (bernoulli) | select * from s.t using sample 10% (system)
from s.t using sample reservoir(9 rows) repeatable (1) | from s.t using sample reservoir(9 rows) repeatable (2)
select * from s.t tablesample 10% | select * from s.t tablesample 20%
select a from s.t order by a | select a from s.t order by a desc
select a from s.t order by a nulls first | select a from s.t order by a nulls last
select a from s.t order by a collate nocase | select a from s.t order by a
select * exclude (a) from s.t | select * exclude (b) from s.t
select * replace (a + 1 as a) from s.t | select * replace (a + 2 as a) from s.t
select * rename (a as b) from s.t | select * rename (a as c) from s.t
select columns('a.*') from s.t | select columns('b.*') from s.t
select distinct a from s.t | select a from s.t
select distinct on (a) a, b from s.t | select distinct on (b) a, b from s.t
select sum(a) filter (where b) from s.t | select sum(a) filter (where c) from s.t
select sum(distinct a) from s.t | select sum(a) from s.t
select list(a order by b) from s.t | select list(a order by b desc) from s.t
select sum(a) over (partition by b) from s.t | select sum(a) over (partition by c) from s.t
select sum(a) over (order by b rows 1 preceding) from s.t | select sum(a) over (order by b rows 2 preceding) from s.t
select sum(a) over (order by b rows 1 preceding) from s.t | select sum(a) over (order by b range 1 preceding) from s.t
select sum(a) over w from s.t window w as (order by b) | select sum(a) over w from s.t window w as (order by c)
select first_value(a ignore nulls) over () from s.t | select first_value(a) over () from s.t
select a from s.t limit 1 | select a from s.t limit 2
select a from s.t limit 10% | select a from s.t limit 10
select a from s.t union select a from s.u | select a from s.t union all select a from s.u
select a from s.t union all select a from s.u | select a from s.t union all by name select a from s.u
select a from s.t except all select a from s.u | select a from s.t except select a from s.u
with x as (select 1) from x | with x as materialized (select 1) from x
with recursive x as (select 1 union all select 2) from x | with x as (select 1 union all select 2) from x
with x(a) as (select 1) from x | with x(b) as (select 1) from x
select a from s.t group by a | select a from s.t group by all
select count(*) from s.t group by rollup (a, b) | select count(*) from s.t group by cube (a, b)
select a from s.t having count(*) > 1 | select a from s.t having count(*) > 2
select a from s.t qualify row_number() over () = 1 | select a from s.t qualify row_number() over () = 2
select a between 1 and 2 from s.t | select a not between 1 and 2 from s.t
select a in (1, 2) from s.t | select a not in (1, 2) from s.t
select a like 'x' from s.t | select a ilike 'x' from s.t
select a is distinct from b from s.t | select a is not distinct from b from s.t
select a = any (select 1) from s.t | select a = all (select 1) from s.t
select case a when 1 then 2 end from s.t | select case a when 1 then 2 else 3 end from s.t
select {'a': 1} | select {'A': 1}
select {a: 1} | select {A: 1}
select x[1:2] from s.t | select x[1:3] from s.t
select list_filter(x, lambda y: y > 1) from s.t | select list_filter(x, lambda y: y > 2) from s.t
select $a | select $b
select f(x := 1) | select f(y := 1)
select f(1) | select g(1)
select unnest(x) from s.t | select unnest(x, recursive := true) from s.t
select a from (values (1), (2)) v(a) | select a from (values (2), (1)) v(a)
select a // b from s.t | select a / b from s.t
select a or b and c from s.t | select (a or b) and c from s.t
select a - (b - c) from s.t | select a - b - c from s.t
select a from s.t at (version => 1) | select a from s.t at (version => 2)
select '-- a' | select '-- b'
select '  ' | select ' '
select "x y" from s.t | select "x  y" from s.t
select '/* a */' | select ''
"""
PAIRS = [tuple(each.strip() for each in line.split(" | ")) for line in OTHERS.strip().splitlines()]
SAME = [
    ("select a from s.t", "SELECT a FROM s.t"),
    ("select a from s.t", "select a -- the a\nfrom s.t /* of\n t */"),
    ("select a, b from s.t", "\n\tselect\r\n  a,\n  b,\nfrom s.t\n"),
    ("select a from s.t", "select a from s.t;"),
    ("select a b from s.t", "select a as b from s.t"),
    ("select a from s.t", "select (a) from s.t"),
    ("select cast(a as integer) from s.t", "select a::int from s.t"),
    ("select 'it''s -- one' from s.t", "select 'it''s -- one' /* two */ from s.t"),
]


def says_the_same(one: str, other: str) -> bool:
    left, right = saying(one, where="one"), saying(other, where="other")
    return left.tree == right.tree or left.text == right.text


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=[one for one, _ in PAIRS])
def test_what_changes_rows_is_said(one: str, other: str) -> None:
    assert not says_the_same(one, other)
    assert saying(one, where="t").text != saying(other, where="t").text, "also where another DuckDB reads it"


@pytest.mark.parametrize(("one", "other"), SAME, ids=[other for _, other in SAME])
def test_layout_is_not_said(one: str, other: str) -> None:
    assert says_the_same(one, other)


def test_strings_that_a_line_break_joins_keep_it() -> None:
    joined = saying("select 'a'\n'b'", where="t")
    assert joined.text == "select 'a'\n'b'"
    assert joined.tree == saying("select 'ab'", where="t").tree


def relaid(select: str) -> str:
    """The same statement with comments, tabs and line breaks, in capitals where they say nothing."""
    lines = [
        f'{line.replace("  ", chr(9))}  -- it\'s "{number}" (\n' for number, line in enumerate(select.splitlines())
    ]
    text = "/* every ' line */\n" + "\n".join(lines)
    return re.sub(r"\b(select|from|where|group by|order by|join|using|with|as|union all)\b(?=[^']*$)", str.upper, text)


def test_every_model_says_the_same_when_it_is_laid_out_otherwise(tmp_path: Path) -> None:
    before = load_project()
    for path in sorted(sql_folder().glob("*/*")):
        target = tmp_path / path.parent.name / path.name
        target.parent.mkdir(exist_ok=True)
        text = path.read_text()
        is_model = path.suffix == ".sql" and path.parent.name != "macros"
        target.write_text(relaid(text) if is_model else text.replace("create macro", "-- here\n\ncreate  macro"))
    after = load_project(tmp_path)
    for name, model in before.models.items():
        if model.select is not None:
            assert before.code_version(model).split("/")[0] == (after.code_version(after.models[name]).split("/")[0]), (
                name
            )
    assert sum(model.select is not None for model in before.models.values()) > 15


BLANKS = st.sampled_from([" ", "\n", "\t \n", " -- it's\n", '/* " */', " /* a\nb */ ", "\n--\n"])
TOKENS = [
    "select",
    "a",
    ",",
    "'x -- y'",
    "as",
    '"q /* r"',
    ",",
    "$$z ' z$$",
    "from",
    "s.t",
    "where",
    "a",
    "<>",
    "'it''s'",
]


@settings(max_examples=60, deadline=None)
@given(st.lists(BLANKS, min_size=len(TOKENS), max_size=len(TOKENS)))
def test_any_blanks_between_tokens_say_nothing(blanks: list[str]) -> None:
    plain = saying(" ".join(TOKENS), where="plain")
    laid_out = saying("".join(token + blank for token, blank in zip(TOKENS, blanks, strict=True)), where="laid out")
    assert laid_out == plain


MACROS = {
    "body": ("create macro f(x) as x * 2;", "create macro f(x) as x * 3;"),
    "default": ("create macro f(x, y := 1) as x * y;", "create macro f(x, y := 2) as x * y;"),
    "default in brackets": ("create macro f(x, y := (1)) as x * y;", "create macro f(x, y := (2)) as x * y;"),
    "parameters": ("create macro f(x, y := 2) as x;", "create macro f(x, z := 2) as x;"),
    "order of parameters": ("create macro f(x, y := 2) as x;", "create macro f(y := 2, x := 1) as x;"),
}


def code_of_macro(folder: Path, statement: str) -> str:
    (folder / "macros/zoo.sql").write_text(statement)
    (folder / "core/legs.sql").write_text("select animal, f(legs) as twice from raw.animals where legs >= 1")
    project = load_project(folder)
    return project.code_version(project.models["core.legs"])


@pytest.mark.parametrize("case", MACROS)
def test_all_of_a_macro_is_said(folder: Path, case: str) -> None:
    one, other = (code_of_macro(folder, statement) for statement in MACROS[case])
    assert not {*one.split("/")} & {*other.split("/")}


def test_the_layout_of_a_macro_is_not_said(folder: Path) -> None:
    one = code_of_macro(folder, "create macro f(x, y := 2) as x * y;")
    other = code_of_macro(folder, "-- two\ncreate or replace MACRO f( x,\n y := 2 ) AS -- here\n x\n  * y;")
    assert {*one.split("/")} & {*other.split("/")}


def test_another_parser_leaves_the_text(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a DuckDB that writes its trees otherwise would."""

    def code() -> set[str]:
        for cached in (parse.saying, parse.reads):
            cached.cache_clear()
        project = load_project(folder)
        return {*project.code_version(project.models["core.legs"]).split("/")}

    before, tree_of = code(), parse._tree
    monkeypatch.setattr(
        parse, "_tree", lambda select, *, where: tree_of(select, where=where).replace('"class"', '"kind"')
    )
    assert len(before & code()) == 1, "the text alone is what it was"
    path = folder / "core/legs.sql"
    path.write_text("-- at least\n" + path.read_text().replace(" where", "\nwhere"))
    assert len(before & code()) == 1, "an upgrade and a comment at once"
    path.write_text(path.read_text().replace(">=", ">"))
    assert not before & code(), "an upgrade and an edit at once"
    parse.saying.cache_clear()
