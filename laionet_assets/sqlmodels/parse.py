"""What a SELECT reads and what it says, by DuckDB's own parser."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import duckdb

from laionet_assets.errors import UserError

_PIECE = re.compile(
    r"""
    (?P<kept> '(?:[^']|'')*' | "(?:[^"]|"")*" | \$(?P<tag>\w*)\$ .*? \$(?P=tag)\$ )
    | (?: --[^\n]* | /\* .*? \*/ | \s )+
    """,
    re.DOTALL | re.VERBOSE,
)


_PLACE = re.compile(r'"query_location(?:_length)?":\s*\d+,?')
"""Where a node stands, in the JSON of a syntax tree. In a string of the statement the quotes have backslashes."""


class SqlModelError(UserError):
    """A model's SQL or yml is wrong. The message names the file."""


@dataclass(frozen=True)
class Reads:
    """What a SELECT names: schema-qualified tables, functions (macros among them)."""

    tables: frozenset[str]
    functions: frozenset[str]


@dataclass(frozen=True)
class Saying:
    """What a SELECT says, however it is laid out. Two say the same if they are equal in one of the two.

    `tree` is the syntax tree of DuckDB's parser: comments, line breaks, the case of keywords and other ways of writing
    the same do not show in it. Another DuckDB may write another tree. `text` is the statement as it is written, without
    comments and line breaks: no DuckDB changes it.
    """

    tree: str
    text: str


@lru_cache(maxsize=1)
def _parser() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(":memory:")


@lru_cache(maxsize=512)
def reads(select: str, *, where: str) -> Reads:
    """Tables and functions that one SELECT names.

    Raises SqlModelError if it does not parse, is not exactly one SELECT, names a table without its schema, or has a
    parameter; `where` is the file.
    """
    statements = json.loads(_serialized(select, where=where))["statements"]
    if len(statements) != 1:
        raise SqlModelError(f"{where}: found {len(statements)} statements, expected one bare SELECT")
    nodes = list(_walk(statements[0]["node"]))
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


@lru_cache(maxsize=512)
def saying(select: str, *, where: str) -> Saying:
    """What one SELECT says. Raises SqlModelError as `reads`."""
    tree = _tree(select, where=where)
    text = _in_one_line(select)
    try:
        is_the_same = _tree(text, where=where) == tree
    except SqlModelError:
        is_the_same = False
    return Saying(tree, text if is_the_same else select)


def _in_one_line(select: str) -> str:
    """Without comments, and with one space for any white space outside quotes. Not for what only a line break parts
    (two strings on two lines are one): `saying` finds out.
    """
    return _PIECE.sub(lambda piece: piece["kept"] or " ", select).strip()


def _tree(select: str, *, where: str) -> str:
    """The syntax tree of one SELECT, without where in the text its nodes stand."""
    return _PLACE.sub("", _serialized(select, where=where))


@lru_cache(maxsize=512)
def _serialized(select: str, *, where: str) -> str:
    (text,) = _parser().execute("select json_serialize_sql(?::varchar)", [select]).fetchone() or ("{}",)
    if not text.startswith('{"error":false') and (tree := json.loads(text)).get("error"):
        raise SqlModelError(f"{where}: {tree.get('error_message')}; expected one bare SELECT")
    return str(text)


def _walk(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from _walk(value)
