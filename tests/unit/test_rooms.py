"""What rooms may import, and that no files import each other in a circle (docs/architecture.md, "Rooms and arrows")."""

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

import laionet_assets

PACKAGE = "laionet_assets"
ROOT = Path(laionet_assets.__file__).parent
BASE_ROOMS = ("models", "pictures")
ROOMS = (
    "taxonomy",
    "sources",
    "matching",
    "encoders",
    "sample",
    "images",
    "ocr",
    "predictors",
    "published_results",
    "stats",
    "neighbours",
    "judging",
)
LAYERS_ABOVE = ("assets", "commands", "definitions", "cli", "sqlmodels", "quality")


def modules_in(folder: Path, package: str) -> dict[str, str]:
    """Every module below a package's folder, by its dotted name: its source."""
    modules = {}
    for path in sorted(folder.rglob("*.py")):
        parts = (package, *path.relative_to(folder).with_suffix("").parts)
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text()
    return modules


def imports_of(source: str) -> Iterator[tuple[str, str]]:
    """Every (module, name) that a source imports, inside functions too; the name is empty for `import module`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)


def graph_of(modules: Mapping[str, str]) -> dict[str, set[str]]:
    """The modules that each module imports.

    A name that a package's `__init__` hands on is imported from that `__init__`, which imports it from its file in
    turn: a file that asks its own package for something is in a circle with it. That Python runs the `__init__` of a
    package before any file in it is no import of the file.
    """
    graph: dict[str, set[str]] = {}
    for module, source in modules.items():
        targets = {f"{found}.{name}" if f"{found}.{name}" in modules else found for found, name in imports_of(source)}
        graph[module] = targets & modules.keys() - {module}
    return graph


def room_of(module: str) -> str:
    """The first name below the package."""
    return module.removeprefix(PACKAGE).strip(".").partition(".")[0]


def circle_in(graph: Mapping[str, set[str]]) -> list[str]:
    """A circle of modules, each importing the next; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def test_rooms_use_of_each_other_the_two_base_rooms_alone() -> None:
    for module, source in modules_in(ROOT, PACKAGE).items():
        room = room_of(module)
        if room not in (*ROOMS, *BASE_ROOMS):
            continue
        allowed = {room, *BASE_ROOMS} if room in ROOMS else {room}
        for found, name in imports_of(source):
            other = room_of(found)
            if found.startswith(f"{PACKAGE}.") and other in (*ROOMS, *BASE_ROOMS):
                assert other in allowed, f"{module} imports {found}"
                assert other == room or not name.startswith("_"), f"{module} imports {name} of {found}"


def test_rooms_do_not_know_dagster_nor_the_layers_above() -> None:
    above = {f"{PACKAGE}.{layer}" for layer in LAYERS_ABOVE}
    for module, source in modules_in(ROOT, PACKAGE).items():
        if room_of(module) in (*ROOMS, *BASE_ROOMS):
            for found, _ in imports_of(source):
                assert found.partition(".")[0] not in ("dagster", "dagster_duckdb"), f"{module} imports {found}"
                assert ".".join(found.split(".")[:2]) not in above, f"{module} imports {found}"


def test_every_room_is_there() -> None:
    rooms = {room_of(module) for module in modules_in(ROOT, PACKAGE)}
    assert rooms >= {*ROOMS, *BASE_ROOMS, *LAYERS_ABOVE}


def test_no_files_import_each_other_in_a_circle() -> None:
    graph = graph_of(modules_in(ROOT, PACKAGE))
    assert sum(map(len, graph.values())) > len(graph) > 100
    assert circle_in(graph) == []


@pytest.mark.parametrize(
    ("modules", "circle"),
    [
        ({"p.a": "import p.b", "p.b": "from p.c import x", "p.c": "x = 1"}, set()),
        ({"p.a": "import p.b", "p.b": "def f():\n    from p.a import x"}, {"p.a", "p.b"}),
        ({"p.a": "from p import b", "p.b": "if TYPE_CHECKING:\n    from p import a", "p": ""}, {"p.a", "p.b"}),
        ({"p": "from p.a import x", "p.a": "x = 1", "q": "from p import x"}, set()),
        ({"p": "from p.a import x\nfrom p.b import y", "p.a": "from p import y", "p.b": "y = 1"}, {"p", "p.a"}),
        ({"p.a": "import p.b", "p.b": "import p.c", "p.c": "import p.a"}, {"p.a", "p.b", "p.c"}),
        ({"p.a": "import os, numpy as np"}, set()),
    ],
)
def test_a_circle_is_found_wherever_the_import_stands(modules: dict[str, str], circle: set[str]) -> None:
    found = circle_in(graph_of(modules))
    assert set(found) == circle
    assert all(later in graph_of(modules)[earlier] for earlier, later in pairwise(found))
