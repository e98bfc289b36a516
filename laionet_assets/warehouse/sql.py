"""Quoting: the only place where a value or a name is written into SQL text."""

from collections.abc import Iterable


def literal(value: str) -> str:
    """`value` as a SQL string."""
    return "'" + value.replace("'", "''") + "'"


def literals(values: Iterable[str]) -> str:
    """A SQL list of strings."""
    return "[" + ", ".join(literal(value) for value in values) + "]"


def identifier(name: str) -> str:
    """`name` as a quoted SQL identifier; a dot separates schema and table."""
    return ".".join('"' + step.replace('"', '""') + '"' for step in name.split("."))
