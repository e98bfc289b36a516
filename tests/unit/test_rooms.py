"""What domain rooms may import (docs/design.md, "Rooms and arrows")."""

import ast
from collections.abc import Iterator
from pathlib import Path

import laionet_assets

PACKAGE = "laionet_assets"
ROOMS = ("taxonomy", "sources", "encoders", "sample", "images", "ocr", "predictors", "stats", "neighbours")
SHARED = {
    "ocr": {"encoders.spec", "encoders.towers", "encoders.weights", "predictors.pictures", "predictors.stream"},
    "predictors": {
        "encoders.packed", "encoders.spec", "encoders.text", "encoders.towers", "encoders.weights",
        "images.sets.admission", "taxonomy",
    },
}  # fmt: skip


def imports_of(room: str) -> Iterator[tuple[str, str]]:
    """Every (module, name) that a room imports, inside functions too; the name is empty for `import module`."""
    for path in (Path(laionet_assets.__file__).parent / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: imports are absolute"
                yield from ((node.module or "", alias.name) for alias in node.names)
            elif isinstance(node, ast.Import):
                yield from ((alias.name, "") for alias in node.names)


def test_rooms_use_of_each_other_only_what_is_on_record() -> None:
    found: dict[str, set[str]] = {}
    for room in ROOMS:
        for module, name in imports_of(room):
            package, _, inner = module.partition(".")
            other = inner.partition(".")[0]
            if package == PACKAGE and other in ROOMS and other != room:
                found.setdefault(room, set()).add(inner)
                assert not name.startswith("_"), f"{room} imports {name} of {inner}"
    assert found == SHARED


def test_rooms_do_not_know_dagster_nor_the_layers_above() -> None:
    above = {f"{PACKAGE}.{layer}" for layer in ("assets", "commands", "definitions", "cli", "sqlmodels", "quality")}
    for room in ROOMS:
        for module, _ in imports_of(room):
            assert module.partition(".")[0] not in ("dagster", "dagster_duckdb"), f"{room} imports {module}"
            assert ".".join(module.split(".")[:2]) not in above, f"{room} imports {module}"
