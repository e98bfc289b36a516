"""What of Python source counts for the rows that it makes, and which names it takes from elsewhere.

Belongs here: one definition. Does not belong here: what the names of a module stand for (`source_module`), following
them from definition to definition (`source_code`).

Of a definition its syntax tree counts, so that formatting and comments do not. Left out are also docstrings,
annotations (but where a class reads those of its fields when it runs), imports (what a name stands for counts, not
where it was imported), what is said while work goes on (calls of `log` and `progress`), and the text of messages to
people.
"""

import ast
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from laionet_assets.assets.source_module import SAID, Import, SourceModule, imports_of, is_for_types, says_nothing

_FIELD_MARKERS = ("ClassVar", "InitVar", "KW_ONLY")
"""Annotations that mean something to a dataclass when it runs."""
_LAYOUT = frozenset({"ctx", "kind", "type_comment", "type_ignores"})


@dataclass(frozen=True)
class Choice:
    """The provider at hand, and all there are.

    Of a dictionary by provider, and of an `if` on `.provider`, what is for other providers does not count.
    """

    provider: str
    among: frozenset[str]


@dataclass(frozen=True)
class Use:
    """A name that a definition takes from elsewhere, with the attributes looked up in it: `origin` is what it is
    imported as, None for a definition of the same module.
    """

    origin: Import | None
    path: tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """What counts of a definition: a digest of its own syntax, and the names that it takes from this package.

    `is_chosen` says that it is so for the choice at hand alone.
    """

    digest: str
    uses: tuple[Use, ...]
    is_chosen: bool = False


def read_definition(
    module: SourceModule,
    statements: Sequence[ast.stmt],
    *,
    package: str,
    is_told: Callable[[Use], bool],
    choice: Choice | None = None,
) -> Reading:
    """What counts of statements of a module. `is_told` says whether a name is an error that is a message to people."""
    reader = _Reader(module, package, is_told, choice)
    for statement in statements:
        reader.visit(statement)
    text = "\x1f".join([*reader.tokens, *sorted(reader.foreign)])
    uses = tuple(sorted(reader.uses, key=repr))
    return Reading(hashlib.blake2b(text.encode(), digest_size=8).hexdigest(), uses, reader.is_chosen)


@dataclass
class _Scope:
    """A function being read: the names that it binds, what it imports, and the names (with attributes) that it uses.

    What a name stands for is known at the end of the function.
    """

    names: set[str]
    outside: set[str] = field(default_factory=set)
    imports: dict[str, Import] = field(default_factory=dict)
    used: list[tuple[str, ...]] = field(default_factory=list)


class _Reader:
    def __init__(
        self, module: SourceModule, package: str, is_told: Callable[[Use], bool], choice: Choice | None
    ) -> None:
        self.tokens: list[str] = []
        self.foreign: set[str] = set()
        """Names of other packages, and what they stand for."""
        self.uses: set[Use] = set()
        self.is_chosen = False
        self._module = module
        self._package = package
        self._is_told = is_told
        self._choice = choice
        self._scopes: list[_Scope] = []

    def visit(self, node: ast.AST) -> None:
        special = _SPECIAL.get(type(node))
        if special is not None:
            special(self, node)
        else:
            self._plain(node)

    def _plain(self, node: ast.AST) -> None:
        """Kind and fields of a node. What is empty does not count, so that a new Python's new fields change nothing."""
        self.tokens.append(type(node).__name__)
        for name in node._fields:
            value = getattr(node, name, None)
            if value is None or value == [] or name in _LAYOUT:
                continue
            self.tokens.append(name)
            if isinstance(value, list):
                self._all(value)
            elif isinstance(value, ast.AST):
                self.visit(value)
            else:
                self.tokens.append(repr(value))

    def _all(self, nodes: Sequence[object]) -> None:
        """A list of nodes; of statements, those after an end that the choice makes sure of do not count."""
        self.tokens.append("[")
        for node in nodes:
            if not isinstance(node, ast.AST):
                self.tokens.append(repr(node))
                continue
            self.visit(node)
            if isinstance(node, ast.If) and (taken := self._taken(node.test)) is not None:
                branch = node.body if taken else node.orelse
                if branch and isinstance(branch[-1], ast.Return | ast.Raise):
                    break
        self.tokens.append("]")

    def _expression(self, node: ast.Expr) -> None:
        if not says_nothing(node):
            self._plain(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        if isinstance(node, ast.Lambda):
            self.tokens.append("Lambda")
        else:
            self.tokens += [type(node).__name__, node.name]
            self._bind(node.name)
            self._all(node.decorator_list)
        self._scopes.append(_Scope(set()))
        self.visit(node.args)
        if isinstance(node, ast.Lambda):
            self.visit(node.body)
        else:
            self._all(node.body)
        self._leave(self._scopes.pop())

    def _leave(self, scope: _Scope) -> None:
        for path in scope.used:
            if path[0] in scope.imports:
                self._record(Use(scope.imports[path[0]], path))
            elif path[0] not in scope.names or path[0] in scope.outside:
                self._take(path)

    def _bind(self, *names: str) -> None:
        if self._scopes:
            self._scopes[-1].names.update(names)

    def _argument(self, node: ast.arg) -> None:
        self.tokens += ["arg", node.arg]
        self._bind(node.arg)

    def _handler(self, node: ast.ExceptHandler | ast.MatchAs | ast.MatchStar | ast.MatchMapping) -> None:
        name = node.rest if isinstance(node, ast.MatchMapping) else node.name
        self._bind(*([name] if name else []))
        self._plain(node)

    def _outside(self, node: ast.Global | ast.Nonlocal) -> None:
        self._scopes[-1].outside.update(node.names)
        self._plain(node)

    def _class(self, node: ast.ClassDef) -> None:
        self.tokens += ["ClassDef", node.name]
        self._bind(node.name)
        for parts in (node.decorator_list, node.bases, node.keywords):
            self._all(parts)
        reads_annotations = bool(node.bases) and not any(_is_dataclass(each) for each in node.decorator_list)
        self.tokens.append("[")
        for statement in node.body:
            if isinstance(statement, ast.AnnAssign):
                self._field(statement, reads_annotations=reads_annotations)
            else:
                self.visit(statement)
        self.tokens.append("]")

    def _field(self, node: ast.AnnAssign, *, reads_annotations: bool) -> None:
        self.tokens.append("field")
        self.visit(node.target)
        if reads_annotations:
            self.visit(node.annotation)
        else:
            self.tokens += [marker for marker in _FIELD_MARKERS if marker in ast.dump(node.annotation)]
        if node.value is not None:
            self.visit(node.value)

    def _annotated(self, node: ast.AnnAssign) -> None:
        """Outside classes, `a: int = b` is `a = b`, and `a: int` is nothing."""
        if node.value is not None:
            self.tokens += ["Assign", "targets", "["]
            self.visit(node.target)
            self.tokens += ["]", "value"]
            self.visit(node.value)

    def _if(self, node: ast.If | ast.IfExp) -> None:
        taken = self._taken(node.test)
        if taken is None:
            if isinstance(node, ast.If) and is_for_types(node):
                self._all(node.orelse)
            else:
                self._plain(node)
            return
        self.is_chosen = True
        branch = node.body if taken else node.orelse
        self._all(branch if isinstance(branch, list) else [branch])

    def _taken(self, test: ast.expr) -> bool | None:
        """Whether a condition on the provider holds; None for other conditions."""
        if self._choice is None or not (isinstance(test, ast.Compare) and len(test.ops) == 1):
            return None
        left, right, operator = test.left, test.comparators[0], test.ops[0]
        is_of_provider = isinstance(left, ast.Attribute) and left.attr == "provider"
        if not (is_of_provider and isinstance(right, ast.Constant) and right.value in self._choice.among):
            return None
        if not isinstance(operator, ast.Eq | ast.NotEq):
            return None
        return (right.value == self._choice.provider) == isinstance(operator, ast.Eq)

    def _dictionary(self, node: ast.Dict) -> None:
        keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
        if self._choice is None or not keys or len(keys) < len(node.keys) or not self._choice.among.issuperset(keys):
            self._plain(node)
            return
        self.is_chosen = True
        self.tokens.append("by provider")
        for key, value in zip(keys, node.values, strict=True):
            if key == self._choice.provider:
                self.visit(value)

    def _call(self, node: ast.Call) -> None:
        function = self._now(node.func)
        if function is not None and function.origin == Import("typing", "cast") and len(node.args) == 2:
            self.visit(node.args[1])
            return
        self.tokens.append("Call")
        self.visit(node.func)
        self._all(node.args)
        said = [each for each in node.keywords if each.arg in SAID and not isinstance(each.value, ast.Constant)]
        self._all([each for each in node.keywords if each not in said])

    def _raise(self, node: ast.Raise) -> None:
        """Of a message to people, which error it is."""
        if isinstance(node.exc, ast.Call) and self._tells(node.exc.func):
            self.tokens += ["Raise", ast.dump(node.exc.func)]
        else:
            self._plain(node)

    def _tells(self, function: ast.expr) -> bool:
        if isinstance(function, ast.Attribute):
            return function.attr == "error"
        use = self._now(function)
        return use is not None and self._is_told(use)

    def _assert(self, node: ast.Assert) -> None:
        self.tokens.append("Assert")
        self.visit(node.test)

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        """In a function, an import counts by the names used of it; in an `if` or `try` of the module, as it stands."""
        if self._scopes:
            self._scopes[-1].imports |= imports_of(node)
            return
        for name, origin in imports_of(node).items():
            self._record(Use(origin, (name,)))

    def _pass(self, node: ast.Pass) -> None:
        return None

    def _name(self, node: ast.Name) -> None:
        self.tokens += ["Name", node.id]
        if isinstance(node.ctx, ast.Load):
            self._take((node.id,))
        else:
            self._bind(node.id)

    def _attribute(self, node: ast.Attribute) -> None:
        path: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            path.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name):
            path = [inner.id, *reversed(path)]
            self.tokens += ["Attribute", ".".join(path)]
            self._take(tuple(path))
        else:
            self._plain(node)

    def _take(self, path: tuple[str, ...]) -> None:
        """A name is used, with attributes."""
        if self._scopes:
            self._scopes[-1].used.append(path)
        elif path[0] in self._module.definitions:
            self.uses.add(Use(None, path))
        elif path[0] in self._module.imports:
            self._record(Use(self._module.imports[path[0]], path))

    def _record(self, use: Use) -> None:
        if use.origin is not None and use.origin.module.partition(".")[0] != self._package:
            self.foreign.add(f"{use.path[0]} is {use.origin.module} {use.origin.name or ''}")
        else:
            self.uses.add(use)

    def _now(self, node: ast.expr) -> Use | None:
        """What a name stands for as far as has been read: for names that nobody binds again."""
        if not isinstance(node, ast.Name):
            return None
        imports = [scope.imports for scope in reversed(self._scopes)]
        origin = next((each[node.id] for each in (*imports, self._module.imports) if node.id in each), None)
        return Use(origin, (node.id,)) if origin or node.id in self._module.definitions else None


_SPECIAL: dict[type[ast.AST], Callable[..., None]] = {
    ast.AnnAssign: _Reader._annotated,
    ast.Assert: _Reader._assert,
    ast.AsyncFunctionDef: _Reader._function,
    ast.Attribute: _Reader._attribute,
    ast.Call: _Reader._call,
    ast.ClassDef: _Reader._class,
    ast.Dict: _Reader._dictionary,
    ast.ExceptHandler: _Reader._handler,
    ast.Expr: _Reader._expression,
    ast.FunctionDef: _Reader._function,
    ast.Global: _Reader._outside,
    ast.If: _Reader._if,
    ast.IfExp: _Reader._if,
    ast.Import: _Reader._import,
    ast.ImportFrom: _Reader._import,
    ast.Lambda: _Reader._function,
    ast.MatchAs: _Reader._handler,
    ast.MatchMapping: _Reader._handler,
    ast.MatchStar: _Reader._handler,
    ast.Name: _Reader._name,
    ast.Nonlocal: _Reader._outside,
    ast.Pass: _Reader._pass,
    ast.Raise: _Reader._raise,
    ast.arg: _Reader._argument,
}


def _is_dataclass(decorator: ast.expr) -> bool:
    function = decorator.func if isinstance(decorator, ast.Call) else decorator
    return (isinstance(function, ast.Name) and function.id == "dataclass") or (
        isinstance(function, ast.Attribute) and function.attr == "dataclass"
    )
