"""Adapters, one declaration a metadata format. A new one is a new module here with `ADAPTERS`, and nothing else
changes.
"""

import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType, ModuleType

from laionet_assets.sources.adapters.base import Adapter
from laionet_assets.sources.errors import SourceError

AUTO = "auto"
GENERIC = "captions"
"""The adapter of files that no other is for, where the settings say which columns are read."""


@cache
def adapters() -> Mapping[str, Adapter]:
    """All adapters by name, in the order of their names."""
    return MappingProxyType({name: adapter for name, (adapter, _) in _declared().items()})


def adapter_module(name: str) -> ModuleType:
    """The module that declares an adapter. Raises SourceError as `adapter_named`."""
    return _declared()[adapter_named(name).name][1]


@cache
def _declared() -> Mapping[str, tuple[Adapter, ModuleType]]:
    found: dict[str, tuple[Adapter, ModuleType]] = {}
    for inner in pkgutil.iter_modules(__path__):
        module = import_module(f"{__name__}.{inner.name}")
        for adapter in getattr(module, "ADAPTERS", ()):
            if adapter.name in found:
                raise ValueError(f"two adapters are called {adapter.name}")
            found[adapter.name] = adapter, module
    return dict(sorted(found.items()))


def adapter_named(name: str) -> Adapter:
    """The adapter of that name. Raises SourceError that lists the known ones."""
    try:
        return adapters()[name]
    except KeyError:
        known = "\n".join(f"  {adapter.name}: {adapter.description}" for adapter in adapters().values())
        raise SourceError(f"found adapter {name!r}, expected {AUTO} or one of:\n{known}") from None
