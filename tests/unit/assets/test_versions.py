"""What an edit makes stale, what is declared to make the same rows, and what commit cd80978 made."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from laionet_assets.assets import same_rows
from laionet_assets.assets.planning import stale_tasks
from laionet_assets.assets.publishing import make, standing
from laionet_assets.assets.same_rows import Accepted, Shipped, accept, accepted_list
from laionet_assets.assets.steps import Computation, Step, Work, sql_step
from laionet_assets.assets.versions import Edit, Versions
from laionet_assets.sqlmodels.loader import load_project
from laionet_assets.warehouse.lake import Lake
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Stamp, Warehouse, digest, memory_connection

A, B = PartKey("s", "a"), PartKey("s", "b")
YML = """
description: One row per n.
group: g
grain: [n]
partitioned: {partitioned}
columns: {{n: {{type: INTEGER, description: A number.}}, l: {{type: VARCHAR, description: A label.}}}}
"""
MACROS = "create macro doubled(x) as x * 2;\ncreate macro tripled(x) as x * 3;\n"
MODELS = {
    "raw/base": None,
    "core/part": "select (doubled(n))::int as n, l from raw.base",
    "core/after": "select n + 1 as n, l from core.part",
    "marts/total": "select sum(n)::int as n, any_value(l) as l from core.after",
    "marts/other": "select (tripled(n))::int as n, l from raw.base",
}
AFTER_PART = {"core.part", "core.after", "marts.total"}


@dataclass(frozen=True)
class Given(Computation):
    """A computation of a digest that a test chooses."""

    given: str = ""

    @property
    def digest(self) -> str:
        return self.given


class World:
    """A project on disk of five tables, and a warehouse."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.sql = folder, folder / "sql"
        if not self.sql.exists():
            self._write()
        self.warehouse = Warehouse(
            lake=Lake(str(folder / "lake")),
            tables=load_project(self.sql).tables,
            connect=memory_connection,
            docs=folder / "docs",
        )
        self.base_code, self.counting, self.base_settings = "base-1", "counting-1", ("a setting",)

    def _write(self) -> None:
        for name, select in MODELS.items():
            path = self.sql / f"{name}.yml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(YML.format(partitioned=str(name.startswith("core")).lower()))
            if select:
                path.with_suffix(".sql").write_text(select)
        (self.sql / "macros").mkdir()
        (self.sql / "macros/all.sql").write_text(MACROS)

    @property
    def steps(self) -> Sequence[Step]:
        project = load_project(self.sql)

        def write(work: Work) -> None:
            work.write_rows(f"select 1 as n, '{work.labels['counting']}' as l")

        return [
            sql_step(project, model)
            if model.select is not None
            else Step(
                model=model,
                write=write,
                sql_code=self.base_code,
                settings=self.base_settings,
                computations=(Given("counting", None, given=self.counting),),
            )
            for model in project.in_order()
        ]

    def step(self, name: str) -> Step:
        return next(step for step in self.steps if step.name == name)

    def stale(self) -> set[str]:
        return {task.name for task in stale_tasks(self.warehouse, self.steps, [A, B]) if not task.is_audit}

    def make(self) -> None:
        steps = {step.name: step for step in self.steps}
        for task in stale_tasks(self.warehouse, list(steps.values()), [A, B]):
            assert make(self.warehouse, steps[task.name], task.part, log=lambda text: None).is_published

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.sql / name).read_text()
        assert old in text
        (self.sql / name).write_text(text.replace(old, new))

    def accept(self, name: str, part: PartKey | None = None, *, because: str = "it is so") -> list[Accepted]:
        edits = Versions(self.warehouse).edits(self.step(name), part)
        made = [Accepted(name, edit.code, edit.before, edit.after, because, "now", "me") for edit in edits or []]
        accept(self.warehouse, made)
        return made

    def label(self) -> str:
        return Versions(self.warehouse).labels(self.step("raw.base"), None)["counting"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world with all tables; not to be changed."""
    made = World(tmp_path_factory.mktemp("made"))
    made.make()
    return made


@pytest.fixture
def world(made: World, tmp_path: Path) -> World:
    shutil.copytree(made.folder, tmp_path / "world", symlinks=True)
    return World(tmp_path / "world")


@pytest.mark.parametrize(
    ("file", "old", "new", "stale"),
    [
        ("core/part.sql", "select", "-- the doubles\nSELECT", set()),
        ("core/part.sql", " from", "\n\n  from /* all */", set()),
        (
            "macros/all.sql",
            "create macro doubled(x) as x * 2;",
            "-- twice\ncreate macro doubled(x) as\n  x * 2;",
            set(),
        ),
        ("core/part.yml", "A number.", "A number of the wild.", set()),
        ("core/part.yml", "One row per n.", "One row per n, by part.", set()),
        ("core/after.sql", "1 as n", "2 as n", {"core.after", "marts.total"}),
        ("marts/total.sql", "any_value(l)", "max(l)", {"marts.total"}),
        ("macros/all.sql", "x * 2", "x * 4", AFTER_PART),
        ("macros/all.sql", "x * 3", "x * 5", {"marts.other"}),
        ("core/after.yml", "grain: [n]", "grain: [n, l]", {"core.after", "marts.total"}),
        ("marts/other.yml", "type: INTEGER", "type: BIGINT", {"marts.other"}),
    ],
)
def test_an_edit_of_sql_makes_stale_what_it_may_change(
    world: World, file: str, old: str, new: str, stale: set[str]
) -> None:
    world.edit(file, old, new)
    assert world.stale() == stale


@pytest.mark.parametrize("what", ["base_code", "counting", "base_settings"])
def test_an_edit_of_python_or_settings_makes_stale_what_it_may_change(world: World, what: str) -> None:
    setattr(world, what, ("another",) if what == "base_settings" else "another")
    assert world.stale() == {step.name for step in world.steps}
    is_code = what != "base_settings"
    assert (Versions(world.warehouse).edits(world.step("raw.base"), None) is not None) == is_code


def test_an_accepted_edit_is_current_and_what_reads_it_too(world: World) -> None:
    before = world.warehouse.stamps("core.after")
    world.edit("core/after.sql", "n + 1", "1 + n")
    assert world.stale() == {"core.after", "marts.total"}
    (made,) = world.accept("core.after", A, because="a sum, the other way round")
    assert world.stale() == set(), "both parts were made by the same code"
    assert world.warehouse.stamps("core.after") == before, "nothing was written"
    assert accepted_list(world.warehouse) == [made]
    assert Versions(world.warehouse).accepted(world.step("core.after")) == [made]
    assert Versions(world.warehouse).accepted(world.step("core.part")) == []


def test_accepting_never_covers_a_later_edit(world: World) -> None:
    world.edit("core/after.sql", "n + 1", "1 + n")
    world.accept("core.after", A)
    world.edit("core/after.sql", "1 + n", "2 + n")
    assert world.stale() == {"core.after", "marts.total"}
    world.edit("core/after.sql", "2 + n", "1 + n")
    assert world.stale() == set()
    world.edit("core/after.sql", "1 + n", "n + 1 + 0")
    assert world.stale() == {"core.after", "marts.total"}
    world.accept("core.after", A)
    assert world.stale() == set()
    assert len(Versions(world.warehouse).accepted(world.step("core.after"))) == 1, "the one that counts today"


def test_a_table_that_was_made_again_needs_no_declaration(world: World) -> None:
    world.edit("core/after.sql", "n + 1", "1 + n")
    world.accept("core.after", A)
    for part in (A, B):
        assert make(world.warehouse, world.step("core.after"), part, log=lambda text: None).is_published
    assert Versions(world.warehouse).accepted(world.step("core.after")) == []
    world.edit("core/after.sql", "1 + n", "n + 1")
    assert world.stale() == {"marts.total"}, "the code of before makes the same; the version of the files is new"


def test_accepting_holds_for_its_table_alone(world: World) -> None:
    world.edit("macros/all.sql", "x * 2", "2 * x")
    world.edit("macros/all.sql", "x * 3", "3 * x")
    world.accept("core.part", A)
    assert world.stale() == {"marts.other"}


def test_what_is_made_from_something_else_cannot_be_accepted(world: World) -> None:
    world.edit("core/after.sql", "1 as n", "2 as n")
    world.base_settings = ("another",)
    versions = Versions(world.warehouse)
    assert versions.edits(world.step("raw.base"), None) is None
    (edit,) = versions.edits(world.step("core.after"), A) or []
    assert isinstance(edit, Edit) and edit.code == "core.after"
    assert Versions(world.warehouse).edits(world.step("core.after"), PartKey("s", "new")) is None


def test_an_upgrade_of_duckdb_makes_nothing_stale(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from laionet_assets.sqlmodels import parse

    tree_of = parse._tree
    monkeypatch.setattr(parse, "_tree", lambda select, *, where: tree_of(select, where=where) + " of a later DuckDB")
    parse.saying.cache_clear()
    try:
        world.edit("core/part.sql", "select", "-- and a comment at once\nselect")
        assert world.stale() == set()
        world.edit("core/after.sql", "1 as n", "2 as n")
        assert world.stale() == {"core.after", "marts.total"}
    finally:
        parse.saying.cache_clear()


def test_rows_are_labelled_by_the_code_that_computed_them(world: World) -> None:
    """A label that is in published rows stays, as long as the code makes the same: they are found again."""
    assert world.label() == "counting-1"
    assert known_labels(world) == {"counting": "counting-1"}
    world.counting = "counting-2"
    assert world.label() == "counting-2", "other code does not find the rows"
    assert known_labels(world) == {"counting": "counting-1"}
    world.accept("raw.base")
    assert world.label() == "counting-1"
    world.base_settings = ("another",)
    world.make()
    assert dict(world.warehouse.stamps("raw.base")[None].codes)["counting"].label == "counting-1"
    world.counting = "counting-3"
    world.accept("raw.base")
    assert world.label() == "counting-1"
    world.counting = "counting-4"
    assert world.label() == "counting-4"


def known_labels(world: World) -> Mapping[str, str]:
    return Versions(world.warehouse).known_labels(world.step("raw.base"), None)


def test_work_knows_whether_other_code_computed_what_is_published(world: World) -> None:
    seen: list[bool] = []

    def make_base() -> None:
        step = world.step("raw.base")
        write = step.write
        assert write is not None

        def watched(work: Work) -> None:
            seen.append(work.was_edited("counting"))
            write(work)

        assert make(world.warehouse, replace(step, write=watched), None, log=lambda text: None).is_published

    make_base()
    world.counting = "counting-2"
    make_base()
    make_base()
    world.counting = "counting-3"
    world.accept("raw.base")
    make_base()
    assert seen == [False, True, False, False]


SHIPPED = {
    "raw.base": Shipped("raw.base", ("1",), {"base-1": ""}),
    "counting": Shipped("counting", ("one",), {"counting-1": ""}),
}


@pytest.fixture
def old_world(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A warehouse with the stamps of cd80978, which had another digest of SQL and "1" for Python."""
    shipped = dict(SHIPPED)
    for step in world.steps:
        if step.name not in shipped:
            shipped[step.name] = Shipped(step.name, (f"sql of {step.name}",), {step.code: "as it was"})
    monkeypatch.setattr(same_rows, "shipped_list", lambda: shipped)
    versions: dict[str, str] = {}

    def stamp_of_before(step: Step, part: PartKey | None) -> Stamp:
        code = digest("1", *step.settings) if step.name == "raw.base" else shipped[step.name].was[0]
        reads = [f"{name}={versions_of(name, part)}" for name in sorted(step.model.dependencies)]
        return Stamp(*[digest(code, "", *reads)] * 2)

    def versions_of(name: str, part: PartKey | None) -> str:
        if f"{name} {part}" in versions:
            return versions[f"{name} {part}"]
        if f"{name} None" in versions:
            return versions[f"{name} None"]
        return digest(*(f"{key.key}={versions[f'{name} {key}']}" for key in (A, B)))

    for step in world.steps:
        for part in [A, B] if step.is_partitioned else [None]:
            stamp = stamp_of_before(step, part)
            versions[f"{step.name} {part}"] = stamp.version
            restamp(world.warehouse, step.name, part, stamp)
            assert standing(world.warehouse, step, part, log=lambda text: None), "the audit is kept under the new stamp"
    return world


def restamp(warehouse: Warehouse, name: str, part: PartKey | None, stamp: Stamp) -> None:
    """Publish the rows of a file again, with another stamp."""
    import pyarrow.parquet as pq

    table = warehouse.table(name)
    rows = pq.read_table(warehouse.lake.current(table, part), partitioning=None)
    with warehouse.lake.stage(table, part) as staged:
        pq.write_table(rows.replace_schema_metadata(stamp.metadata), staged.path)
        warehouse.lake.publish(staged)


def test_what_was_made_before_there_were_digests_is_adopted(old_world: World) -> None:
    assert all(stamp.codes == () for stamp in old_world.warehouse.stamps("core.part").values())
    assert old_world.stale() == set()
    assert old_world.label() == "one", "rows go by the name that they had"


@pytest.mark.parametrize(
    ("what", "stale"),
    [
        ("a comment", set()),
        ("a literal", {"core.after", "marts.total"}),
        ("the code of Python", set(MODELS)),
        ("a computation", set(MODELS)),
        ("a setting", set(MODELS)),
    ],
)
def test_what_was_adopted_is_stale_after_an_edit(old_world: World, what: str, stale: set[str]) -> None:
    if what == "a comment":
        old_world.edit("core/after.sql", "select", "-- more\nselect")
    elif what == "a literal":
        old_world.edit("core/after.sql", "1 as n", "2 as n")
    elif what == "the code of Python":
        old_world.base_code = "base-2"
    elif what == "a computation":
        old_world.counting = "counting-2"
    else:
        old_world.base_settings = ("another",)
    assert old_world.stale() == {name.replace("/", ".") for name in stale}


def test_an_edit_is_accepted_of_what_was_adopted_too(old_world: World) -> None:
    old_world.edit("core/after.sql", "n + 1", "1 + n")
    old_world.counting = "counting-2"
    old_world.accept("core.after", A)
    made = old_world.accept("raw.base")
    assert [(one.code, one.before) for one in made] == [("counting", same_rows.BEFORE_DIGESTS)]
    assert old_world.stale() == set()
    assert old_world.label() == "one"
    assert Versions(old_world.warehouse).accepted(old_world.step("raw.base")) == made


@pytest.fixture
def ship_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A list of the package that knows one code, made as cd80978 made it by `counting-0`."""
    target = tmp_path / "same_rows.json"
    target.write_text('[\n{"code": "counting", "was": ["one"], "same": {"counting-0": "x"}}\n]\n')
    monkeypatch.setattr(same_rows, "SHIPPED_FILE", target)
    same_rows.shipped_list.cache_clear()
    yield
    same_rows.shipped_list.cache_clear()


@pytest.mark.usefixtures("ship_list")
def test_shipped_declarations_are_kept_in_order_and_add_up(world: World) -> None:
    same_rows.ship({"counting": "counting-1"}, because="as it was")
    same_rows.ship({"counting": "counting-2"}, because="moved")
    same_rows.ship({"counting": "counting-2"}, because="again")
    shipped: Mapping[str, Shipped] = same_rows.shipped_list()
    assert shipped["counting"].same == {"counting-0": "x", "counting-1": "as it was", "counting-2": "moved"}
    world.counting = "counting-2"
    assert world.stale() == set(), "made by counting-1, which makes the same"
    assert world.label() == "counting-1", "as the published rows are labelled"
    with pytest.raises(KeyError):
        same_rows.ship({"nothing": "x"}, because="y")


@pytest.mark.usefixtures("ship_list")
def test_what_makes_other_rows_than_before_is_declared_alike_too(world: World) -> None:
    """Rewritten since cd80978, or of a table that it did not have: an edit of today's code can keep its rows."""
    world.counting, world.base_code = "counting-2", "base-2"
    assert world.stale() != set()
    like = {"counting": "counting-1", "raw.base": "base-1"}
    same_rows.ship({"counting": "counting-2", "raw.base": "base-2"}, because="moved", like=like)
    assert world.stale() == set()
    assert world.label() == "counting-1", "as the published rows are labelled"
    same_rows.ship({"counting": "counting-3"}, because="moved", like={"counting": "counting-2"})
    found = same_rows.shipped_list()["counting"]
    assert found.same == {"counting-0": "x"}
    assert found.later == ({"counting-1": "As first made.", "counting-2": "moved", "counting-3": "moved"},)
    same = same_rows.SameRows(same_rows.shipped_list(), ())
    assert same.first_label("counting", "counting-3") == "counting-1"
    assert not same.holds("raw.base", "counting", "counting-3", same_rows.BEFORE_DIGESTS)
    assert not same.holds("raw.base", "raw.base", "base-2", same_rows.BEFORE_DIGESTS)
    assert same.before_digests(["counting", "raw.base"]).keys() == {"counting"}
    with pytest.raises(KeyError):
        same_rows.ship({"counting": "counting-4"}, because="moved", like={})
    with pytest.raises(KeyError):
        same_rows.ship({"raw.base": "base-3"}, because="cd80978 had no such code")


def test_stamps_survive_their_metadata() -> None:
    from laionet_assets.warehouse.warehouse import Code

    stamp = Stamp.of("inputs", {"b": Code("2", 'label "x"'), "a": Code("1")}, content="c")
    as_read = {key.encode(): value.encode() for key, value in stamp.metadata.items()}
    assert Stamp.of_metadata(as_read) == stamp
    assert Stamp.of_metadata({}) is None
    plain = Stamp.of("inputs")
    assert Stamp.of_metadata({k.encode(): v.encode() for k, v in plain.metadata.items()}) == plain
    assert plain.version == "inputs"
    assert replace(stamp, version="x").with_content("c") == stamp
    assert len({stamp.version, stamp.with_content("d").version, stamp.with_content(None).version}) == 3
    assert Stamp.of("inputs", {"a": Code("2")}).version != Stamp.of("inputs", {"a": Code("1")}).version
