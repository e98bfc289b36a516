"""Reads `sql/**` into models: every table of the warehouse, documented once.

sql/macros/*.sql            create macro ...;
sql/<schema>/<table>.yml    description, group, grain, columns, expectations, unit tests, owners
sql/<schema>/<table>.sql    one bare SELECT (absent where Python makes the table)
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import duckdb
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from laionet_assets.errors import UserError
from laionet_assets.quality.expectations import (
    BATCH,
    UNEXPECTED_ROWS,
    Expectation,
    Severity,
    grain_expectations,
    parse_expectations,
    with_severities,
)
from laionet_assets.sqlmodels.parse import Reads, Saying, SqlModelError, reads, saying
from laionet_assets.warehouse.table import Column, Table
from laionet_assets.warehouse.warehouse import digest
from laionet_assets.yaml_file import YamlFileError, read_yaml

_MACRO = re.compile(
    r"create\s+(?:or\s+replace\s+)?macro\s+(?P<name>\w+)\s*\((?P<parameters>(?:[^()]|\([^()]*\))*)\)\s+as\s+"
    r"(?P<table>table\s+)?(?P<body>.*?);?\s*",
    re.IGNORECASE | re.DOTALL,
)
_COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)
_BATCH_TABLE = "audit.batch"
_HALVES = ("FLOAT", "FLOAT[]")
"""Types that files may hold in half precision."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _ColumnYml(_Strict):
    type: str
    description: str = Field(min_length=1)
    precision: Literal["half"] | None = None


class UnitTest(_Strict):
    """Rows in, rows out: `given` and `expect` name only the columns that matter, the others are null or not compared.

    `where` keeps the rows of the result that are compared.
    """

    name: str
    description: str = ""
    given: dict[str, list[dict[str, Any]]]
    where: str = "true"
    expect: list[dict[str, Any]]


class _TableYml(_Strict):
    description: str = Field(min_length=1)
    group: str
    grain: list[str]
    columns: dict[str, _ColumnYml] = Field(min_length=1)
    partitioned: bool = False
    materialized: Literal["table", "view"] = "table"
    in_snapshot: bool = True
    reads: list[str] = []
    protects: str = ""
    expectations: list[dict[str, Any]] = []
    unit_tests: list[UnitTest] = []
    owners: list[str] = ["team:laionet"]


@dataclass(frozen=True)
class Macro:
    """A `create macro` statement."""

    name: str
    statement: str


@dataclass(frozen=True)
class Model:
    """A table of the warehouse with everything its files say. `select` is None where Python makes the table.

    `reads` is what its rows are made from, `checks_read` what the queries of its expectations look at besides them.
    """

    table: Table
    group: str
    path: Path
    select: str | None
    reads: Reads
    checks_read: Reads
    check_macros: tuple[Macro, ...]
    expectations: tuple[Expectation, ...]
    unit_tests: tuple[UnitTest, ...]
    owners: tuple[str, ...]
    documentation: str

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def dependencies(self) -> frozenset[str]:
        """Tables that must be there before it is made and audited."""
        return self.reads.tables | self.checks_read.tables


@dataclass(frozen=True)
class Project:
    """All models and macros of a `sql` folder."""

    folder: Path
    models: Mapping[str, Model]
    macros: Mapping[str, Macro]

    @cached_property
    def tables(self) -> dict[str, Table]:
        """Tables by name."""
        return {name: model.table for name, model in self.models.items()}

    def macros_of(self, model: Model) -> list[Macro]:
        """Macros that a model's SELECT uses, directly or through other macros, in the order to create them in."""
        return _used_macros(model.reads.functions, self.macros)

    def code_version(self, model: Model) -> str:
        """What the rows depend on besides the tables read: what the SQL and its macros say, grain and columns.

        Two digests with a slash between them, of the two forms of `Saying`: SQL says the same as other SQL if one of
        them is equal.
        """
        said = [saying(model.select or "", where=model.documentation)]
        said += [each for macro in self.macros_of(model) for each in _macro_says(macro)]
        return _digest(said, *model.table.layout)

    def macros_version(self, names: Sequence[str]) -> str:
        """What macros say that Python uses, as `code_version` has it."""
        return _digest([each for name in names for each in _macro_says(self.macros[name])])

    def with_severities(self, chosen: Mapping[str, Mapping[str, Severity]]) -> "Project":
        """The project with severities that a user chose, by table and name of the check.

        Raises SqlModelError listing every table or check that there is not, and every check whose severity is fixed.
        """
        models, problems = dict(self.models), []
        for name, severities in chosen.items():
            if name not in models:
                problems.append(f"{name}: no such table; expected one of: {', '.join(sorted(models))}")
                continue
            expectations, mistakes = with_severities(models[name].expectations, severities)
            problems += [f"{name}.{mistake}" for mistake in mistakes]
            models[name] = replace(models[name], expectations=expectations)
        if problems:
            raise SqlModelError("\n".join(problems))
        return replace(self, models=models)

    def in_order(self) -> list[Model]:
        """Models, each after those that it reads. Raises SqlModelError on a cycle."""
        done: dict[str, Model] = {}

        def visit(name: str, path: tuple[str, ...]) -> None:
            if name in path:
                raise SqlModelError(f"tables that read each other: {' -> '.join((*path[path.index(name) :], name))}")
            if name not in done:
                for dependency in sorted(self.models[name].dependencies):
                    visit(dependency, (*path, name))
                done[name] = self.models[name]

        for name in sorted(self.models):
            visit(name, ())
        return list(done.values())


def sql_folder() -> Path:
    """The `sql` folder of this installation: of the checkout, or inside the installed package."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package.parent / "sql", package / "_sql"):
        if (folder / "core").is_dir():
            return folder
    raise SqlModelError(
        f"no sql folder beside {package} nor in it; expected sql/core and others: reinstall laionet-assets"
    )


def load_project(folder: Path | None = None) -> Project:
    """Read every model and macro. Raises SqlModelError with all problems, each with its file."""
    folder = folder or sql_folder()
    problems: list[str] = []
    macros: dict[str, Macro] = {}
    for path in sorted((folder / "macros").glob("*.sql")):
        for macro in _read_macros(path, problems):
            if macro.name in macros:
                problems.append(f"{path}: the macro {macro.name} is defined twice")
            macros[macro.name] = macro
    models: dict[str, Model] = {}
    for path in sorted(folder.glob("*/*.yml")):
        try:
            model = _read_model(path, macros)
        except UserError as error:
            problems.append(str(error))
            continue
        models[model.name] = model
    problems += [
        f"{path}: no {path.with_suffix('.yml').name} beside it"
        for path in sorted(folder.glob("*/*.sql"))
        if path.parent.name != "macros" and not path.with_suffix(".yml").exists()
    ]
    problems += [
        f"{model.path}: reads {dependency}, which is no table of this project"
        for model in models.values()
        for dependency in sorted(model.dependencies - models.keys())
        if not problems
    ]
    if problems:
        raise SqlModelError("\n".join(problems))
    project = Project(folder=folder, models=models, macros=macros)
    project.in_order()
    return project


def _read_model(path: Path, macros: Mapping[str, Macro]) -> Model:
    where = f"{path.parent.name}/{path.name}"
    try:
        yml = _TableYml.model_validate(read_yaml(path) or {})
    except YamlFileError as error:
        raise SqlModelError(f"{where}: {error}") from None
    except ValidationError as error:
        found = [f"{'.'.join(str(step) for step in item['loc'])}: {item['msg']}" for item in error.errors()]
        raise SqlModelError("\n".join(f"{where}: {problem}" for problem in found)) from None
    halves = [name for name, column in yml.columns.items() if column.precision and column.type not in _HALVES]
    if halves:
        raise SqlModelError(f"{where}: precision: {', '.join(halves)}: half is for {' and '.join(_HALVES)} alone")
    strangers = [name for name in yml.grain if name not in yml.columns]
    if strangers:
        raise SqlModelError(f"{where}: grain: {', '.join(strangers)} is not among the columns")
    if not yml.grain and yml.materialized == "table":
        raise SqlModelError(f"{where}: grain: empty; name the columns that make a row unique")
    sql_path = path.with_suffix(".sql")
    select = sql_path.read_text(encoding="utf-8").strip() if sql_path.exists() else None
    if select is not None and yml.reads:
        raise SqlModelError(f"{where}: reads: only for tables made by Python; the SQL says what it reads")
    if select is None:
        found = Reads(tables=frozenset(yml.reads), functions=frozenset())
    else:
        found = _with_macros(reads(select, where=f"{path.parent.name}/{sql_path.name}"), macros)
    name = f"{path.parent.name}.{path.stem}"
    expectations = _expectations(yml, where=where)
    checks_read = _with_macros(_checks_read(name, expectations), macros)
    return Model(
        table=Table(
            name=name,
            description=yml.description.strip(),
            grain=tuple(yml.grain),
            columns=tuple(
                Column(key, column.type, column.description.strip(), is_half=column.precision == "half")
                for key, column in yml.columns.items()
            ),
            is_partitioned=yml.partitioned,
            is_view=yml.materialized == "view",
            is_in_snapshot=yml.in_snapshot,
        ),
        group=yml.group,
        path=path,
        select=select,
        reads=found,
        checks_read=checks_read,
        check_macros=tuple(_used_macros(checks_read.functions, macros)),
        expectations=expectations,
        unit_tests=tuple(yml.unit_tests),
        owners=tuple(yml.owners),
        documentation=where,
    )


def _expectations(yml: _TableYml, *, where: str) -> tuple[Expectation, ...]:
    """All expectations of a table: of its grain and those written.

    The grain of a view over the sources is not checked: row numbers of a file are unique, and counting them costs as
    much as the matching.
    """
    written = parse_expectations(yml.expectations, columns=yml.columns, where=where)
    grain = grain_expectations(yml.grain, where=where) if yml.materialized == "table" else ()
    return tuple(replace(each, protects=each.protects or yml.protects) for each in (*grain, *written))


def _used_macros(functions: Collection[str], macros: Mapping[str, Macro]) -> list[Macro]:
    """Macros among functions, and those that they use in turn, each after what it uses."""
    used: dict[str, Macro] = {}

    def visit(names: Collection[str]) -> None:
        for name in sorted(set(names) & macros.keys() - used.keys()):
            visit(_macro_reads(macros[name]).functions)
            used.setdefault(name, macros[name])

    visit(functions)
    return list(used.values())


def _with_macros(found: Reads, macros: Mapping[str, Macro]) -> Reads:
    """With the tables that the macros read."""
    inside = [_macro_reads(macro).tables for macro in _used_macros(found.functions, macros)]
    return Reads(tables=found.tables.union(*inside), functions=found.functions)


def _checks_read(name: str, expectations: Sequence[Expectation]) -> Reads:
    """What the queries of a table's expectations read, besides the table itself."""
    tables: set[str] = set()
    functions: set[str] = set()
    for expectation in expectations:
        if expectation.type == UNEXPECTED_ROWS:
            where = f"{expectation.where} ({expectation.name})"
            found = reads(expectation.kwargs["query"].replace(BATCH, _BATCH_TABLE), where=where)
            if name in found.tables:
                raise SqlModelError(f"{where}: reads {name}; call the table under audit {BATCH}")
            tables |= found.tables - {_BATCH_TABLE}
            functions |= found.functions
    return Reads(tables=frozenset(tables), functions=frozenset(functions))


def _read_macros(path: Path, problems: list[str]) -> Sequence[Macro]:
    try:
        statements = duckdb.extract_statements(path.read_text(encoding="utf-8"))
    except duckdb.ParserException as error:
        problems.append(f"{path}: {error}")
        return []
    macros = []
    for statement in statements:
        text = _COMMENT.sub("", statement.query).strip()
        match = _MACRO.fullmatch(text)
        if match is None:
            problems.append(f"{path}: expected `create macro name(...) as ...;`, found {text[:60]!r}")
            continue
        macros.append(Macro(match["name"], text))
    return macros


def _macro_reads(macro: Macro) -> Reads:
    """What the body of a macro names."""
    return reads(_macro_select(macro), where=f"macro {macro.name}")


def _digest(said: Sequence[Saying], *rest: str) -> str:
    return f"{digest(*(each.tree for each in said), *rest)}/{digest(*(each.text for each in said), *rest)}"


def _macro_says(macro: Macro) -> list[Saying]:
    """What a macro says: its name, kind, parameters with their defaults, and body."""
    where, match = f"macro {macro.name}", _MACRO.fullmatch(macro.statement)
    assert match is not None
    head = f"{macro.name} {'table' if match['table'] else 'scalar'}"
    try:
        parameters = saying(f"select {macro.name}({match['parameters']})", where=where)
    except SqlModelError:  # what no call can have, such as types
        parameters = Saying(match["parameters"], match["parameters"])
    return [Saying(head, head), parameters, saying(_macro_select(macro), where=where)]


def _macro_select(macro: Macro) -> str:
    """The body of a macro as a SELECT: that of a scalar macro is an expression."""
    match = _MACRO.fullmatch(macro.statement)
    assert match is not None
    return match["body"] if match["table"] else f"select {match['body']}"
