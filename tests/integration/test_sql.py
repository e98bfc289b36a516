"""`laionet sql` as its user calls it: answers that programs read back, and a warehouse that no query can touch."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path

import duckdb
import pytest

from laionet_assets.commands import sql
from laionet_assets.commands.asking import report
from laionet_assets.commands.snapshot import snapshot
from laionet_assets.errors import UserError
from tests.integration.conftest import Project

pytestmark = pytest.mark.integration

LAIONET = str(Path(sys.executable).with_name("laionet"))


@pytest.fixture(scope="module")
def warehouse(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A warehouse with one part of raw.parts, besides the tables that depend on no part."""
    made = Project(folder=tmp_path_factory.mktemp("project"), parts=tmp_path_factory.mktemp("web"))
    made.configure()
    made.add_part(0, rows=100)
    for schema in ("raw", "staging", "core"):
        shutil.copytree(base / schema, made.warehouse / schema)
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("DAGSTER_HOME", raising=False)
        assert made.run(select='key:"raw/parts" or key:"raw/pairs"') == 0, made.printed[-1]
    yield made


@dataclass(frozen=True)
class Answer:
    """What `laionet sql` printed, or the message that it ended with."""

    stdout: str
    stderr: str
    returncode: int


def ask(project: Project, query: str, *options: str) -> Answer:
    """`laionet sql` in this process."""
    printed = TextIOWrapper(BytesIO(), encoding="utf-8")
    formats = [option for option in options if not option.startswith("--")]
    with redirect_stdout(printed):
        try:
            sql.ask(query, config=project.config, format=(*formats, "table")[0], allow_files="--allow-files" in options)
            code, message = 0, ""
        except UserError as error:
            code, message = 2, f"laionet: {error}"
    printed.flush()
    return Answer(printed.buffer.getvalue().decode(), message, code)


def ask_as_a_user(project: Project, query: str, *options: str) -> Answer:
    """`laionet sql` in a process of its own."""
    environment = {key: value for key, value in os.environ.items() if key not in ("DAGSTER_HOME", "LAIONET_CONFIG")}
    ended = subprocess.run(
        [LAIONET, "sql", query, *options],
        cwd=project.folder, env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return Answer(ended.stdout, ended.stderr, ended.returncode)


EVERY_TYPE = """
    select 'nan'::double as n, '-infinity'::double as i, ['nan'::float, 1] as l,
        12345678901234567.89::decimal(38, 2) as w, 1 as a, 2 as a, [1.50::decimal(4, 2)] as d, '\\xAA'::blob as b,
        {'k': null, 'NaN': 'NaN, "Infinity"'} as s,
        interval 3 days as t, null::varchar as z, '' as e, true as y, map {'m': 1} as m
"""


def test_json_is_json_whatever_the_types(warehouse: Project) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    answered = ask(warehouse, EVERY_TYPE, "--format", "json")
    assert answered.returncode == 0, answered.stderr
    (row,) = json.loads(answered.stdout, parse_constant=refuse, parse_float=str)
    assert (row["n"], row["i"], row["l"]) == (None, None, [None, "1.0"])
    assert row["w"] == "12345678901234567.89"
    assert [row["a"], row["a_1"]] == [1, 2]
    assert row["s"] == {"k": None, "NaN": 'NaN, "Infinity"'}
    assert (row["z"], row["e"], row["y"]) == (None, "", True)
    assert json.loads(ask(warehouse, "select 1 as a where false", "--format", "json").stdout) == []


def test_csv_is_read_back_by_duckdb_value_for_value(warehouse: Project, tmp_path: Path) -> None:
    answered = ask(warehouse, EVERY_TYPE, "--format", "csv")
    path = tmp_path / "answer.csv"
    path.write_text(answered.stdout)
    connection = duckdb.connect()
    original = connection.execute(EVERY_TYPE)
    names = [f"{column[0]}" for column in original.description or []]
    types = [str(column[1]) for column in original.description or []]
    wanted = connection.execute(f"select columns(*)::varchar from ({EVERY_TYPE})").fetchall()
    read = connection.execute(
        f"select * from read_csv('{path}', header = true, all_varchar = true, allow_quoted_nulls = false)"
    ).fetchall()
    assert len(names) == len(types) and read == wanted
    assert next(csv.reader(io.StringIO(answered.stdout)))[4:6] == ["a", "a_1"]


def test_null_and_empty_text_are_told_apart_in_a_table(warehouse: Project) -> None:
    shown = ask(warehouse, "select null::varchar as a, '' as b").stdout
    assert shown.count("NULL") == 1


@pytest.mark.parametrize(
    "query",
    [
        "-- how many\nselect count(*) as n from raw.synsets",
        "/* how many */ select count(*) as n from raw.synsets;",
        "with s as (from raw.synsets) select count(*) as n from s",
        "select n from (pivot (select 'n' as k, 1000 as v) on k in ('n') using any_value(v))",
    ],
)
def test_a_query_may_begin_in_any_way(warehouse: Project, query: str) -> None:
    answered = ask(warehouse, query, "--format", "json")
    assert answered.returncode == 0, answered.stderr
    assert json.loads(answered.stdout) == [{"n": 1000}]


def test_a_query_that_begins_with_a_comment_is_no_option(warehouse: Project) -> None:
    answered = ask_as_a_user(warehouse, "-- how many\nselect count(*) as n from raw.synsets", "--format", "json")
    assert json.loads(answered.stdout) == [{"n": 1000}], answered.stderr
    refused = ask_as_a_user(warehouse, "select 1; select 2")
    assert refused.returncode == 2 and refused.stderr.startswith("laionet: found 2 statements")


def test_plans_and_descriptions_can_be_asked_for(warehouse: Project) -> None:
    assert "wnid" in ask(warehouse, "describe raw.synsets").stdout
    assert (
        "raw.synsets" in ask(warehouse, "show all tables").stdout
        or "synsets" in ask(warehouse, "show all tables").stdout
    )
    for plan in ("explain", "explain analyze", "explain (format json)", "explain (analyze)"):
        for query in ("from raw.synsets", "(select 1)", "((select 1)) union (select 2)", "with a as (select 1) from a"):
            assert ask(warehouse, f"{plan} {query}").returncode == 0, (plan, query)
    for query in (
        "pivot (select 1 as a, 2 as b) on a using sum(b)",
        "pivot_wider (select 1 as a, 2 as b) on a using sum(b)",
        "values (1)",
        "((select 1))",
        "summarize select 1",
    ):
        assert ask(warehouse, query).returncode == 0, query


@pytest.mark.parametrize("query", ["select 1; select 2", "", "-- nothing", "select from where"])
def test_no_question_or_several_are_refused(warehouse: Project, query: str) -> None:
    refused = ask(warehouse, query)
    assert refused.returncode == 2 and refused.stdout == ""
    assert refused.stderr.startswith("laionet: ") and "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("from raw.synset", "there is no table raw.synset; did you mean raw.synsets?"),
        ("from synsets", "there is no table synsets; did you mean raw.synsets?"),
        ("from core.synsets", "there is no table core.synsets; did you mean raw.synsets?"),
        ("select 1 from raw.synsets s join RAW.Synzets t on true", "there is no table RAW.Synzets; did you mean raw.s"),
        ("from core.laoinet", "there is no table core.laoinet; did you mean core.laionet (documented, but not there"),
        ("from mart.accuracy", "there is no table mart.accuracy; did you mean marts.accuracy (documented, but"),
        ("from core.laionet", "core.laionet is not there yet; run first: laionet run (it is documented, and nothing "),
        ("pivot core.laoinet on a using sum(b)", "there is no table "),
        ("from nothing_like_it", 'there is no table nothing_like_it; the tables there are: laionet sql "show all tab'),
        ('from "core.\x1b[2J"', "there is no table core.\\x1b[2J; the tables there are: "),
    ],
)
def test_an_unknown_table_is_answered_with_those_of_the_project(warehouse: Project, query: str, expected: str) -> None:
    for options in ((), ("--allow-files",), ("csv",)):
        refused = ask(warehouse, query, *options)
        assert refused.returncode == 2 and refused.stderr.startswith(f"laionet: {expected}"), refused.stderr
        assert "pg_" not in refused.stderr and "Catalog Error" not in refused.stderr


def test_who_reads_no_further_is_no_error(warehouse: Project) -> None:
    for format in ("csv", "json", "table"):
        command = f"{LAIONET} sql \"select repeat('x', 50) as x from range(200000)\" --format {format} | head -1"
        ended = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command], cwd=warehouse.folder, capture_output=True, text=True, check=False
        )
        assert ended.stderr == "" and ended.returncode == 0


def test_a_query_cannot_touch_anything_unless_asked(warehouse: Project, tmp_path: Path) -> None:
    outside = tmp_path / "secret.csv"
    outside.write_text("a\n1\n")
    target = warehouse.warehouse / "core" / "written.parquet"
    before = {path: path.read_bytes() for path in warehouse.warehouse.rglob("*.parquet")}
    for query in (
        f"copy (select 1) to '{target}'",
        f"copy (pivot (select 1 as a, 2 as b) on a using sum(b)) to '{target}'",
        f"explain analyze copy (select 1) to '{target}'",
        f"/* é /* so */ */ explain -- é\n (format json, analyze) copy (select 1) to '{target}'",
        f"explain (analyze) copy (pivot (select 1 as a, 2 as b) on a using sum(b)) to '{target}'",
        "create table memory.main.mine as pivot (select 1 as a, 2 as b) on a using sum(b)",
        f"import database '{warehouse.warehouse}'",
        "call checkpoint()",
        f"attach '{tmp_path}/other.duckdb'",
        "install httpfs",
        "load httpfs",
        "create table main.mine as select 1",
        "drop view raw.synsets",
        "set lock_configuration = false",
        "set enable_external_access = true",
        f"from '{outside}'",
        "from read_text('/etc/passwd')",
        "from glob('/etc/*')",
        f"from read_csv('{warehouse.warehouse}/../../../{outside}')",
    ):
        refused = ask(warehouse, query)
        assert refused.returncode == 2, query
        assert refused.stderr.startswith("laionet: ") and "Traceback" not in refused.stderr
    assert {path: path.read_bytes() for path in warehouse.warehouse.rglob("*.parquet")} == before  # `target` is none
    assert ask(warehouse, f"from '{outside}'", "--allow-files").returncode == 0
    assert ask(warehouse, f"copy (select 1 as a) to '{tmp_path}/mine.csv'", "--allow-files").returncode == 0
    assert (tmp_path / "mine.csv").read_text() == "a\n1\n"


def test_rows_that_stay_in_the_sources_can_be_asked_for(warehouse: Project) -> None:
    answered = ask(warehouse, "select count(*) as n from raw.pairs", "--format", "json")
    assert json.loads(answered.stdout)[0]["n"] > 50, answered.stderr


def test_escape_sequences_are_shown_in_tables_and_errors(warehouse: Project) -> None:
    shown = ask(warehouse, "select chr(27) || '[31mred' as caption, chr(8238) || 'x' as \"a\x1b[2J\"")
    assert "\x1b" not in shown.stdout and "\\x1b[31mred" in shown.stdout and "\u202e" not in shown.stdout
    wrong = ask(warehouse, 'select "\x1b[2J" from raw.synsets')
    assert wrong.returncode == 2 and "\x1b" not in wrong.stderr


def test_a_long_answer_says_that_it_was_cut(warehouse: Project) -> None:
    shown = ask(warehouse, "from range(5000)").stdout
    assert "the first 1,000 rows of more" in shown


def test_the_warehouse_alone_is_needed(warehouse: Project, tmp_path: Path) -> None:
    """Not the image sets that the settings name."""
    elsewhere = Project(folder=tmp_path / "elsewhere", parts=warehouse.parts)
    elsewhere.folder.mkdir()
    text = warehouse.config.read_text().replace('L6-v2"', 'L6-v2", weights: /not/mounted/weights')
    elsewhere.config.write_text(text + "image_sets: [{name: val, layout: imagefolder, path: /not/mounted}]\n")
    assert "/not/mounted/weights" in elsewhere.config.read_text()
    answered = ask(elsewhere, "select count(*) as n from raw.synsets", "--format", "json")
    assert json.loads(answered.stdout) == [{"n": 1000}], answered.stderr
    reports_and_copies(elsewhere)


def reports_and_copies(project: Project) -> None:
    """`laionet report` and `laionet snapshot` find the tables: here, none that a report is made of."""
    with pytest.raises(UserError, match="holds nothing to report yet"):
        report(project.config)
    snapshot(str(project.folder / "copy.duckdb"), config=project.config)
    assert (project.folder / "copy.duckdb").is_file()


def test_a_read_only_mount_is_enough(warehouse: Project, tmp_path: Path) -> None:
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    bound = ["mount", "--bind", str(warehouse.warehouse), str(mounted)]
    if subprocess.run(bound, check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting wants root")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(mounted)], check=True)
        reader = Project(folder=tmp_path / "reader", parts=warehouse.parts)
        reader.folder.mkdir()
        reader.config.write_text(warehouse.config.read_text().replace(str(warehouse.warehouse), str(mounted)))
        answered = ask(reader, "select count(*) as n from raw.synsets", "--format", "json")
        assert json.loads(answered.stdout) == [{"n": 1000}], answered.stderr
        reports_and_copies(reader)
    finally:
        subprocess.run(["umount", str(mounted)], check=True)
