"""SQLAlchemy over a DuckDB connection that this process already holds: what Great Expectations needs, and no more.

Here: the dialect `duckdb+laionet://<token>`, where a token stands for a live connection (`shared`), and DuckDB's
types as SQLAlchemy classes. Not here: opening databases, writing, transactions, metadata of indexes and keys. Nothing
of Great Expectations either.

Why our own: duckdb-sqlalchemy 1.5 declares duckdb < 2, and with it as with duckdb-engine 0.17 every expectation fails:
Great Expectations reads a result after it has closed the connection, which there ends the result. Here every statement
runs on a cursor of its own, so a result outlives the connection and streams instead of being buffered.
Runs with DuckDB 1.5 and 2.0, SQLAlchemy 2.0 and 2.1.
"""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any

import duckdb
import sqlalchemy as sa
from sqlalchemy import pool
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.engine.interfaces import ReflectedColumn
from sqlalchemy.sql import compiler

_CONNECTIONS: dict[str, duckdb.DuckDBPyConnection] = {}


@contextmanager
def shared(connection: duckdb.DuckDBPyConnection, *, token: str | None = None) -> Iterator[str]:
    """URL for `sqlalchemy.create_engine` under which `connection` can be reached until the block ends.

    Engines of the URL use cursors of the connection: they see its tables, views and macros (not its temporary
    ones, nor what an open transaction has written) and never close it.
    token: in place of a random one, so that an engine can serve one connection after another.
    Raises ValueError if the token is in use.
    """
    token = token or secrets.token_hex(8)
    if token in _CONNECTIONS:
        raise ValueError(f"a connection is shared under {token!r} already")
    _CONNECTIONS[token] = connection
    try:
        yield f"duckdb+laionet://{token}"
    finally:
        del _CONNECTIONS[token]


class _Borrowed:
    """A DBAPI connection that hands out cursors of a connection it does not own. Each statement commits itself."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def cursor(self) -> duckdb.DuckDBPyConnection:
        return self._connection.cursor()

    def close(self) -> None: ...

    def commit(self) -> None: ...

    def rollback(self) -> None: ...


class _Identifiers(compiler.IdentifierPreparer):
    """Quotes every name: DuckDB ignores case within quotes too, and its reserved words change with its versions."""

    def _requires_quotes(self, value: str) -> bool:
        return True


class _Compiler(compiler.SQLCompiler):
    def visit_regexp_match_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        return f"regexp_matches({self.process(binary.left, **kw)}, {self.process(binary.right, **kw)})"

    def visit_not_regexp_match_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        return f"(not {self.visit_regexp_match_op_binary(binary, operator, **kw)})"


class _TypeCompiler(compiler.GenericTypeCompiler):
    """In DuckDB FLOAT has 32 bits, and a DECIMAL without a size keeps three decimals: casts mean double precision."""

    def visit_FLOAT(self, type_: Any, **kw: Any) -> str:
        return "DOUBLE"

    def visit_NUMERIC(self, type_: Any, **kw: Any) -> str:
        return "DOUBLE" if type_.precision is None else super().visit_NUMERIC(type_, **kw)

    def visit_DECIMAL(self, type_: Any, **kw: Any) -> str:
        return "DOUBLE" if type_.precision is None else super().visit_DECIMAL(type_, **kw)


class DuckDBDialect(DefaultDialect):
    """Reading dialect. `DefaultDialect` speaks standard SQL, which is what DuckDB speaks; only the differences are
    stated.
    """

    name = "duckdb"
    driver = "laionet"
    default_paramstyle = "qmark"
    preparer = _Identifiers
    statement_compiler = _Compiler
    type_compiler_cls = _TypeCompiler
    supports_statement_cache = True
    supports_native_boolean = True
    div_is_floordiv = False

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        return duckdb

    @classmethod
    def get_pool_class(cls, url: sa.URL) -> type[pool.Pool]:
        return pool.NullPool

    def create_connect_args(self, url: sa.URL) -> tuple[list[Any], dict[str, Any]]:
        return [url.host], {}

    def connect(self, *args: Any, **kwargs: Any) -> Any:
        (token,) = args
        if token not in _CONNECTIONS:
            raise duckdb.ConnectionException(f"no connection is shared under {token!r} (any more)")
        return _Borrowed(_CONNECTIONS[token])

    def initialize(self, connection: sa.Connection) -> None:
        self.default_schema_name = "main"

    def get_schema_names(self, connection: sa.Connection, **kw: Any) -> list[str]:
        rows = connection.exec_driver_sql("select distinct schema_name from duckdb_schemas() order by all")
        return [name for (name,) in rows.fetchall()]

    def has_table(self, connection: sa.Connection, table_name: str, schema: str | None = None, **kw: Any) -> bool:
        return bool(self._columns(connection, table_name, schema))

    def get_columns(
        self, connection: sa.Connection, table_name: str, schema: str | None = None, **kw: Any
    ) -> list[ReflectedColumn]:
        columns = self._columns(connection, table_name, schema)
        if not columns:
            raise sa.exc.NoSuchTableError(f"{schema or self.default_schema_name}.{table_name}")
        return [
            {"name": name, "type": sql_type(data_type)(), "nullable": True, "default": None}
            for name, data_type in columns
        ]

    def get_pk_constraint(
        self, connection: sa.Connection, table_name: str, schema: str | None = None, **kw: Any
    ) -> Any:
        return {"constrained_columns": [], "name": None}

    def _columns(self, connection: sa.Connection, table: str, schema: str | None) -> list[tuple[str, str]]:
        rows = connection.exec_driver_sql(
            "select column_name, data_type from duckdb_columns() where database_name = current_database() "
            "and lower(schema_name) = lower(?) and lower(table_name) = lower(?) order by column_index",
            (schema or self.default_schema_name, str(table)),
        )
        return [(name, data_type) for name, data_type in rows.fetchall()]


sa.dialects.registry.register("duckdb.laionet", __name__, "DuckDBDialect")


_TYPES: dict[str, type[sa.types.TypeEngine[Any]]] = {
    "BOOLEAN": sa.Boolean,
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"), sa.Integer),
    **dict.fromkeys(("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT", "BIGNUM"), sa.Integer),
    **dict.fromkeys(("FLOAT", "DOUBLE"), sa.Float),
    "DECIMAL": sa.Numeric,
    **dict.fromkeys(("VARCHAR", "ENUM"), sa.String),
    **dict.fromkeys(("BLOB", "BIT"), sa.LargeBinary),
    **dict.fromkeys(("UUID", "JSON", "STRUCT", "MAP", "UNION", "LIST", "ARRAY"), sa.types.NullType),
    "DATE": sa.Date,
    **dict.fromkeys(("TIME", "TIME_NS", "TIME WITH TIME ZONE"), sa.Time),
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"), sa.DateTime),
    "TIMESTAMP WITH TIME ZONE": sa.DateTime,
    "INTERVAL": sa.Interval,
}


@cache
def sql_type(name: str) -> type[sa.types.TypeEngine[Any]]:
    """SQLAlchemy class for a DuckDB type such as `VARCHAR`, `DECIMAL(18,3)`, `FLOAT[384]` or `STRUCT(a INTEGER)`.

    One class a spelling, called as DuckDB spells it; a base name (`DECIMAL`, `LIST`, `ARRAY`) is the parent of its
    sizes, so `isinstance` holds for the base as well as for the full spelling. Unknown types are accepted: DuckDB has
    more with every version.
    """
    if name in _TYPES:
        return type(name, (_TYPES[name],), {})
    if re.search(r"\[\d*\]$", name):
        parent = sql_type("LIST" if name.endswith("[]") else "ARRAY")
    else:
        base = name.partition("(")[0].strip()
        parent = sql_type(base) if base in _TYPES else sa.types.NullType
    return type(name, (parent,), {})


class _Types(ModuleType):
    """What Great Expectations calls a dialect module: DuckDB's types by name.

    `dialect` answers its question how to write a regular expression or LIKE: as for SQLite, by SQLAlchemy's own
    operators, which `_Compiler` turns into DuckDB's functions. (It asks by class, and knows no DuckDB.)
    """

    dialect = sa.dialects.registry.load("sqlite")

    def __getattr__(self, name: str) -> type[sa.types.TypeEngine[Any]]:
        if re.split(r"[(\[]", name, maxsplit=1)[0].strip() in _TYPES:
            return sql_type(name)
        raise AttributeError(f"DuckDB has no type {name!r}")


types = _Types(f"{__name__}.types")
