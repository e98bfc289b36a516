"""Modules of Python source: what their names stand for.

Belongs here: one module at its top level, and what its statements bind. Does not belong here: what of a definition
counts (`source_reading`), following names from module to module (`source_code`).
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

SAID = ("log", "progress")
"""Functions and arguments of these names say how work goes on; they make no rows."""
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@dataclass(frozen=True)
class Import:
    """What a name is imported as: a module, or `name` of a module."""

    module: str
    name: str | None = None


@dataclass
class SourceModule:
    """A module: what its names stand for. `loose` are statements that define nothing: they count for all who use it."""

    name: str
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, Import] = field(default_factory=dict)
    loose: list[ast.stmt] = field(default_factory=list)


def read_module(name: str, text: str) -> SourceModule:
    """A module by its source. Its imports are absolute. Raises SyntaxError."""
    module = SourceModule(name)
    for statement in ast.parse(text).body:
        _add(module, statement)
    return module


def _add(module: SourceModule, statement: ast.stmt) -> None:
    if isinstance(statement, ast.Import | ast.ImportFrom):
        module.imports |= imports_of(statement)
        return
    if isinstance(statement, ast.If) and is_for_types(statement):
        for alternative in statement.orelse:
            _add(module, alternative)
        return
    names = _bound(statement)
    for name in names:
        module.definitions.setdefault(name, []).append(statement)
    if not names and not says_nothing(statement):
        module.loose.append(statement)


def _bound(statement: ast.stmt) -> list[str]:
    """Names that a statement at the top level of a module defines, in order."""
    parts = statement.targets if isinstance(statement, ast.Assign) else [statement]
    names = [name for part in parts for node in _of_the_scope(part) for name in sorted(_names_bound_by(node))]
    return list(dict.fromkeys(names))


def _of_the_scope(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all inside it, but for what is inside functions and classes."""
    yield node
    if not isinstance(node, (*_SCOPES, ast.ClassDef)):
        for child in ast.iter_child_nodes(node):
            yield from _of_the_scope(child)


def _names_bound_by(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Name):
        return {node.id} if isinstance(node.ctx, ast.Store | ast.Del) else set()
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
        return {node.name} if node.name else set()
    if isinstance(node, ast.MatchMapping):
        return {node.rest} if node.rest else set()
    if isinstance(node, ast.Import | ast.ImportFrom):
        return set(imports_of(node))
    return set()


def imports_of(node: ast.Import | ast.ImportFrom) -> dict[str, Import]:
    """What the names that a statement imports stand for."""
    if isinstance(node, ast.ImportFrom):
        if node.level or any(alias.name == "*" for alias in node.names):
            raise SyntaxError(f"line {node.lineno}: imports are absolute, name by name")
        return {alias.asname or alias.name: Import(node.module or "", alias.name) for alias in node.names}
    return {
        alias.asname or alias.name.partition(".")[0]: Import(
            alias.name if alias.asname else alias.name.partition(".")[0]
        )
        for alias in node.names
    }


def is_for_types(node: ast.If) -> bool:
    """Whether it is `if TYPE_CHECKING:`, whose body never runs."""
    test = node.test
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def says_nothing(statement: ast.stmt) -> bool:
    """Whether a statement is a docstring, or says how work goes on."""
    if not isinstance(statement, ast.Expr):
        return isinstance(statement, ast.Pass)
    value = statement.value
    if isinstance(value, ast.Constant):
        return isinstance(value.value, str)
    if not isinstance(value, ast.Call):
        return False
    function = value.func
    name = (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )
    return name.lstrip("_") in SAID
