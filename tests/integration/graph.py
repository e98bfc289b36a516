"""Who reads whom, from the SQL and the yml alone: what a change is expected to reach, whatever the planner says."""

from collections.abc import Set

from laionet_assets.sqlmodels.loader import load_project

_MODELS = load_project().models
BY_PART = {name for name, model in _MODELS.items() if model.table.is_partitioned}
"""Tables that are made one part at a time."""


def readers_of(names: Set[str]) -> Set[str]:
    """The tables that read one of these themselves."""
    return {name for name, model in _MODELS.items() if model.reads.tables & names}


def downstream(*names: str) -> Set[str]:
    """The tables named, and every table that reads one of these."""
    found = set(names)
    while more := readers_of(found) - found:
        found |= more
    return found


def upstream(*names: str) -> Set[str]:
    """The tables named, and every table that one of these reads."""
    found = set(names)
    while more := {read for name in found for read in _MODELS[name].reads.tables} - found:
        found |= more
    return found


AFTER_PARTS = downstream("raw.parts", "raw.pairs") - BY_PART
"""Tables over all parts."""
BASE = upstream(*BY_PART) - BY_PART
"""What parts read."""
OF_NO_PART = _MODELS.keys() - BY_PART - AFTER_PARTS - BASE
"""What has nothing to do with parts: they do not wait for it."""


def keys(names: Set[str]) -> set[str]:
    """Names of tables as Dagster's keys."""
    return {name.replace(".", "/") for name in names}
