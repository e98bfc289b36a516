"""Digests of the Python source that makes rows (docs/versions.md).

Belongs here: which definitions of this package a function reaches, and which modules make no rows. Does not belong
here: what counts of a definition (`source_reading`), which function makes which table (`steps`), what follows from a
digest (`versions`).

A definition is a function, a class or a constant at the top level of a module. From the functions asked for, every
name that a definition uses is followed to the definition behind it, through imports at the top of modules and inside
functions. Where a definition stands does not count: moving it to another file changes no digest. Source is read once
a process, as the process found it.
"""

import ast
import gc
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from inspect import unwrap
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any

import laionet_assets
from laionet_assets.assets.source_module import Import, SourceModule, read_module
from laionet_assets.assets.source_reading import Choice, Reading, Use, read_definition
from laionet_assets.models.spec import IMAGE_ENCODER, PREDICTOR, RECOGNIZER, TEXT_ENCODER

UNCOUNTED: Mapping[str, str] = {
    "laionet_assets.assets.parts": "the register of parts: what it says of a part is part of the digest of its input",
    "laionet_assets.assets.progress": "what is said while work goes on",
    "laionet_assets.assets.steps": "how a step hands over its rows",
    "laionet_assets.errors": "what is said to people",
    "laionet_assets.images.fetch": "how a picture is asked for: an answer is a record, asked for once",
    "laionet_assets.images.part_folder": "where pictures are kept, by their content",
    "laionet_assets.images.shard_writer": "where pictures are kept, by their content",
    "laionet_assets.images.shards": "where pictures are kept, by their content",
    "laionet_assets.images.store": "where pictures are kept, by their content",
    "laionet_assets.models.bundled": "where weights are: their content stands in the rows",
    "laionet_assets.models.checkpoints": "how weights are read: their content stands in the rows",
    "laionet_assets.models.identity": "what results depend on: it stands in the rows",
    "laionet_assets.models.spec": "which model is meant: its name stands in the rows",
    "laionet_assets.models.weights": "where weights are: their content stands in the rows",
    "laionet_assets.pictures.processes": "in which process pictures are decoded: what is made of them is the same",
    "laionet_assets.quality": "checks look at rows and make none",
    "laionet_assets.sample": "what a sample source holds is its content, which has a version of its own",
    "laionet_assets.settings": "settings count by their values",
    "laionet_assets.sqlmodels": "SQL has a digest of its own",
    "laionet_assets.warehouse": "where and how rows are kept",
}
"""Modules, and packages with all that is in them, that make no rows, and why: an edit there remakes nothing.

The boundary is here and nowhere else; tests/integration/source.txt lists what is inside it, table by table.
"""
TOLD = ("laionet_assets.errors", "UserError")
"""Errors of this class and those derived from it are messages to people."""

Key = tuple[str, str]
"""Module and name of a definition; without a name, the statements of the module that define nothing."""


class SourceCodeError(Exception):
    """Source that cannot be followed: a mistake in the package."""


class SourceCode:
    """The source of a package.

    `uncounted` are modules, as `UNCOUNTED`; `told` is the class of errors that are messages
    to people; `providers` are all that code may choose by.
    """

    def __init__(
        self,
        package: str,
        folder: Path,
        *,
        uncounted: Collection[str] = (),
        told: Key | None = None,
        providers: Collection[str] = (),
    ) -> None:
        self._package = package
        self._folder = folder
        self._uncounted = frozenset(uncounted)
        self._told = told
        self._providers = frozenset(providers)
        self._modules: dict[str, SourceModule] = {}
        self._paths: dict[str, Path | None] = {}
        self._readings: dict[tuple[Key, Choice | None], Reading] = {}
        self._unchosen: dict[Key, Reading] = {}
        """Readings that are the same whatever the choice."""

    def digest(self, *roots: Any, without: Collection[Any] = (), provider: str | None = None) -> str:
        """Digest of all that functions, classes or modules reach. A `partial` reaches its function and arguments.

        What is reached through `without` alone does not count. Where code chooses by a provider, only what it chooses
        for `provider` counts.
        Raises SourceCodeError for a function that is not at the top level of a module, and for a name that is not
        where it is imported from.
        """
        found = self.reached(*roots, without=without, provider=provider)
        lines = {f"{key[1]} {reading.digest}" for key, reading in found.items()}
        for (module, _), reading in found.items():
            for use in reading.uses:
                targets = sorted(found[key].digest for key in self._targets(module, use) if key in found)
                lines |= {f"{reading.digest} {'.'.join(use.path)} {target}" for target in targets}
        return hashlib.blake2b("\n".join(sorted(lines)).encode(), digest_size=8).hexdigest()

    def modules(self, *roots: Any, without: Collection[Any] = (), provider: str | None = None) -> list[str]:
        """Names of the modules that the digest covers something of, sorted."""
        return sorted({module for module, _ in self.reached(*roots, without=without, provider=provider)})

    def counts(self, module: str) -> bool:
        """Whether a module makes rows: neither it nor a package that it is in is left out."""
        steps = module.split(".")
        return not any(".".join(steps[:length]) in self._uncounted for length in range(1, len(steps) + 1))

    def reached(self, *roots: Any, without: Collection[Any] = (), provider: str | None = None) -> Mapping[Key, Reading]:
        """The definitions that the digest covers, and what counts of each."""
        choice = Choice(provider, self._providers) if provider is not None else None
        found: dict[Key, Reading] = {}
        with _no_garbage_collection():
            left_out = {key for root in without for key in self._keys_of(root)}
            waiting = [key for root in roots for key in self._keys_of(root)]
            while waiting:
                key = waiting.pop()
                if key in found or key in left_out or not self.counts(key[0]):
                    continue
                found[key] = self._read(key, choice)
                waiting += [target for use in found[key].uses for target in self._targets(key[0], use)]
                if self._module(key[0]).loose:
                    waiting.append((key[0], ""))
        return found

    def _keys_of(self, root: Any) -> Iterator[Key]:
        """Definitions that an object stands for."""
        if isinstance(root, ModuleType):
            yield from self._all_of(root.__name__)
        elif isinstance(root, partial):
            yield from self._keys_of(root.func)
            for argument in (*root.args, *root.keywords.values()):
                is_code = isinstance(argument, partial | FunctionType | MethodType)
                yield from self._keys_of(argument) if is_code else self._keys_of_class(type(argument))
        elif isinstance(root, type):
            yield from self._keys_of_class(root)
        else:
            function = unwrap(root)
            name = function.__qualname__.partition(".")[0]
            if name not in self._module(function.__module__).definitions or "<" in function.__qualname__:
                raise SourceCodeError(
                    f"{function.__module__}.{function.__qualname__} is not at the top level of a module: its source "
                    "cannot be told from that around it"
                )
            yield function.__module__, name

    def _keys_of_class(self, kind: type) -> Iterator[Key]:
        if kind.__module__.partition(".")[0] == self._package and self.counts(kind.__module__):
            yield kind.__module__, kind.__qualname__.partition(".")[0]

    def _all_of(self, module: str) -> Iterator[Key]:
        yield from ((module, name) for name in self._module(module).definitions)

    def _read(self, key: Key, choice: Choice | None) -> Reading:
        known = self._unchosen.get(key) or self._readings.get((key, choice))
        if known is not None:
            return known
        module = self._module(key[0])
        reading = read_definition(
            module,
            module.definitions[key[1]] if key[1] else module.loose,
            package=self._package,
            is_told=lambda use: self._is_told(module.name, use),
            choice=choice,
        )
        if choice is None or reading.is_chosen:
            self._readings[key, choice] = reading
        else:
            self._unchosen[key] = reading
        return reading

    def _targets(self, module: str, use: Use) -> Collection[Key]:
        """Definitions inside the boundary behind a name: one, or all of a module that is used as a whole."""
        if use.origin is None:
            return [(module, use.path[0])]
        return [key for key in self._resolve(use.origin, use.path[1:]) if self.counts(key[0])]

    def _resolve(self, origin: Import, path: Sequence[str], *, is_everywhere: bool = False) -> Collection[Key]:
        """Definitions behind what is imported and the attributes looked up in it; those outside the boundary, and
        their modules, are looked at only with `is_everywhere`.
        """
        place, path = origin.module, (*([origin.name] if origin.name else []), *path)
        if place.partition(".")[0] != self._package:
            return []
        if not path:
            return list(self._all_of(place))
        name, rest = path[0], path[1:]
        if self._is_module(f"{place}.{name}"):
            return self._resolve(Import(f"{place}.{name}"), rest, is_everywhere=is_everywhere)
        if not (is_everywhere or self.counts(place)) or name.startswith("__"):
            return []
        module = self._module(place)
        if name in module.definitions:
            return [(place, name)]
        if name in module.imports:
            return self._resolve(module.imports[name], rest, is_everywhere=is_everywhere)
        raise SourceCodeError(f"{place} has no {name}, which is imported from there or looked up in it")

    def _is_told(self, module: str, use: Use) -> bool:
        """Whether a name is an error that is a message to people, by the classes that it is derived from."""
        keys = [(module, use.path[0])] if use.origin is None else self._resolve(use.origin, (), is_everywhere=True)
        return any(self._is_told_class(key) for key in keys)

    def _is_told_class(self, key: Key) -> bool:
        if key == self._told:
            return True
        module = self._module(key[0])
        bases = [base for each in module.definitions[key[1]] if isinstance(each, ast.ClassDef) for base in each.bases]
        names = [base.id for base in bases if isinstance(base, ast.Name)]
        return any(
            self._is_told(key[0], Use(module.imports.get(name), (name,)))
            for name in names
            if self._stands(module, name)
        )

    @staticmethod
    def _stands(module: SourceModule, name: str) -> bool:
        return name in module.definitions or name in module.imports

    def _is_module(self, name: str) -> bool:
        return self._path_of(name) is not None

    def _module(self, name: str) -> SourceModule:
        if name not in self._modules:
            path = self._path_of(name)
            if path is None:
                raise SourceCodeError(f"found no module {name} in {self._folder}")
            self._modules[name] = read_module(name, path.read_text(encoding="utf-8"))
        return self._modules[name]

    def _path_of(self, name: str) -> Path | None:
        """The file of a module."""
        if name not in self._paths:
            inner = self._folder.joinpath(*name.split(".")[1:])
            candidates = (inner / "__init__.py", inner.with_suffix(".py"))
            self._paths[name] = next((path for path in candidates if path.is_file()), None)
        return self._paths[name]


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Syntax trees are many objects that all stay: looking for garbage among them takes twice as long as reading."""
    is_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_enabled:
            gc.enable()


@cache
def this_package() -> SourceCode:
    """The source of this package, as this process found it."""
    folder = Path(laionet_assets.__file__).parent
    roles = (TEXT_ENCODER, IMAGE_ENCODER, PREDICTOR, RECOGNIZER)
    providers = {provider for role in roles for provider in role.providers}
    return SourceCode("laionet_assets", folder, uncounted=UNCOUNTED, told=TOLD, providers=providers)
