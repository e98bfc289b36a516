"""Which source makes which table: the boundary of what counts, on the real package."""

import ast
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

import pytest

import laionet_assets
from laionet_assets.assets.pipeline import build_pipeline
from laionet_assets.assets.same_rows import shipped_list
from laionet_assets.assets.source_code import UNCOUNTED, Key, SourceCode, this_package
from laionet_assets.settings import load_settings
from laionet_assets.sources import pairs_view_sql
from tests.integration.codes import ROOT, describe, every_code

SOURCE = Path(__file__).with_name("source.txt")
FOLDER = Path(laionet_assets.__file__).parent
GIVEN = {
    "Adapter": "the adapter that reads a part is a code of its own",
    "ClassPrompts": "a digest of the prompts stands in the rows",
    "DrawnMeans": "marts.claims passes none; who will builds it where it is followed",
}
"""Classes with methods of which objects come in from outside, and why they need not count."""


def file_of(module: str) -> Path:
    inner = FOLDER.joinpath(*module.split(".")[1:])
    return inner / "__init__.py" if (inner / "__init__.py").is_file() else inner.with_suffix(".py")


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(file_of(module).read_text())


def test_the_source_of_each_table_is_the_one_on_record() -> None:
    """Which modules count for which table: an edit there may make it again, an edit elsewhere does not."""
    text = describe(every_code())
    if SOURCE.read_text() != text:
        SOURCE.with_suffix(".new").write_text(text)
    assert SOURCE.read_text() == text, f"other source counts; if it was meant, move {SOURCE.with_suffix('.new')} there"
    SOURCE.with_suffix(".new").unlink(missing_ok=True)


@pytest.mark.parametrize("module", UNCOUNTED)
def test_the_boundary_names_modules_that_there_are(module: str) -> None:
    assert file_of(module).is_file(), "it was moved or removed: say in source_code.UNCOUNTED where it is now"


def test_what_asks_the_web_and_what_runs_the_house_makes_no_rows() -> None:
    every = [
        ".".join(("laionet_assets", *path.relative_to(FOLDER).with_suffix("").parts)) for path in FOLDER.rglob("*.py")
    ]
    counted = {module for _, modules in every_code().values() for module in modules}
    houses = ("warehouse", "quality", "sqlmodels", "commands", "settings", "errors", "cli", "definitions", "sample")
    for module in every:
        room = module.split(".")[1]
        assert not (room in houses and module in counted), module
    stages = {"build", "publishing", "planning", "refresh", "versions", "steps", "pipeline", "partitions", "progress"}
    assert not {f"laionet_assets.assets.{name}" for name in stages} & counted
    assert "laionet_assets.images.fetch.hosts" in every and "laionet_assets.images.fetch.hosts" not in counted


def test_every_code_that_is_declared_is_one() -> None:
    assert set(shipped_list()) <= set(every_code()), "an entry of same_rows.json is of a table that there is no more"


def test_objects_that_come_in_are_of_classes_that_count() -> None:
    """A function follows names. The methods of an object that it is given must be reached by another way, or the class
    be outside the boundary: else an edit of them would keep old rows.
    """
    source = this_package()
    strangers: dict[str, set[str]] = {}
    for step in build_pipeline(load_settings(ROOT / "laionet.yaml")).steps:
        if step.sql_code is not None:
            continue
        every = set(source.reached(*step.roots))
        for module, name in strange_classes(source, every):
            strangers.setdefault(name, set()).add(f"{step.name} ({module})")
    assert strangers.keys() <= GIVEN.keys(), strangers
    assert "PartRecord" in {name for _, name in strange_classes(source, set(source.reached(pairs_view_sql)))}


def strange_classes(source: SourceCode, reached: Collection[Key]) -> Iterator[Key]:
    """Classes with methods that annotations of what is reached name, and that are not reached."""
    for module, name in sorted(reached):
        for statement in tree_of(module).body:
            if name not in {getattr(statement, "name", None), *targets_of(statement)}:
                continue
            for annotation in annotations_of(statement):
                for named in names_in(annotation):
                    found = class_of(module, named)
                    if found is None or not source.counts(found[0]) or (found[0], found[1].name) in reached:
                        continue
                    if any(isinstance(each, ast.FunctionDef) for each in found[1].body) and not is_protocol(found[1]):
                        yield found[0], found[1].name


def targets_of(statement: ast.stmt) -> set[str]:
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def annotations_of(statement: ast.stmt) -> Iterator[ast.expr]:
    for node in ast.walk(statement):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            yield node.annotation


def names_in(annotation: ast.expr) -> Iterator[str]:
    for node in ast.walk(annotation):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from names_in(ast.parse(node.value, mode="eval").body)


@cache
def class_of(module: str, name: str) -> tuple[str, ast.ClassDef] | None:
    """Where a name of a module is defined as a class, and how."""
    tree = tree_of(module)
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return module, node
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("laionet_assets."):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return class_of(node.module or "", alias.name)
    return None


def is_protocol(definition: ast.ClassDef) -> bool:
    bases = [base.value if isinstance(base, ast.Subscript) else base for base in definition.bases]
    return any(isinstance(base, ast.Name) and base.id == "Protocol" for base in bases)
