"""What a SELECT reads, by DuckDB's own parser: tables and functions."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import duckdb

from laionet_assets.errors import UserError


class SqlModelError(UserError):
    """A model's SQL or yml is wrong. The message names the file."""


@dataclass(frozen=True)
class Reads:
    """What a SELECT names: schema-qualified tables, functions (macros among them)."""

    tables: frozenset[str]
    functions: frozenset[str]


@lru_cache(maxsize=1)
def _parser() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(":memory:")


@lru_cache(maxsize=512)
def reads(select: str, *, where: str) -> Reads:
    """Tables and functions that one SELECT names.

    Raises SqlModelError if it does not parse, is not exactly one SELECT, names a table without its schema, or has a
    parameter; `where` is the file.
    """
    (text,) = _parser().execute("select json_serialize_sql(?::varchar)", [select]).fetchone() or ("{}",)
    tree = json.loads(text)
    if tree.get("error"):
        raise SqlModelError(f"{where}: {tree.get('error_message')}; expected one bare SELECT")
    if len(tree["statements"]) != 1:
        raise SqlModelError(f"{where}: found {len(tree['statements'])} statements, expected one bare SELECT")
    nodes = list(_walk(tree["statements"][0]["node"]))
    names = {entry["key"] for node in nodes for entry in (node.get("cte_map") or {}).get("map", [])}
    tables, bare = set(), set()
    for node in nodes:
        if node.get("type") == "BASE_TABLE":
            if node.get("schema_name"):
                tables.add(f"{node['schema_name']}.{node['table_name']}")
            elif node["table_name"] not in names:
                bare.add(node["table_name"])
    if bare:
        raise SqlModelError(f"{where}: tables without a schema: {', '.join(sorted(bare))}; write <schema>.<table>")
    if parameters := {f"${node['identifier']}" for node in nodes if node.get("class") == "PARAMETER"}:
        raise SqlModelError(
            f"{where}: parameters: {', '.join(sorted(parameters))}; nothing gives them a value: read it from a table"
        )
    return Reads(
        tables=frozenset(tables),
        functions=frozenset(node["function_name"] for node in nodes if node.get("class") == "FUNCTION"),
    )


def _walk(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from _walk(value)
