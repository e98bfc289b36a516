import duckdb
import pytest
import sqlalchemy as sa

from laionet_assets.quality.duckdb_dialect import shared, sql_type, types


@pytest.fixture
def connection() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("create schema audit")
    connection.execute(
        """create view audit.staged as
        select 1 as id, 'Bee' as "order", [1.0]::float[1] as vector, ['x'] as tags, {'a': 1} as pair,
            uuid() as key, 1::uhugeint as hash, 1.5::decimal(18, 3) as price"""
    )
    return connection


def test_a_result_can_be_read_after_its_connection_is_closed(connection: duckdb.DuckDBPyConnection) -> None:
    with shared(connection) as url:
        with sa.create_engine(url).connect() as session:
            result = session.execute(sa.text("select range from range(3)"))
        assert result.fetchall() == [(0,), (1,), (2,)]


def test_the_shared_connection_survives_its_engines(connection: duckdb.DuckDBPyConnection) -> None:
    with shared(connection) as url:
        engine = sa.create_engine(url)
        with engine.connect() as session:
            assert session.execute(sa.text("select count(*) from audit.staged")).scalar_one() == 1
            session.rollback()
        engine.dispose()
    assert connection.execute("select id from audit.staged").fetchall() == [(1,)]
    with pytest.raises(sa.exc.OperationalError, match="no connection is shared"):
        engine.connect()


def test_a_token_serves_one_connection_after_another(connection: duckdb.DuckDBPyConnection) -> None:
    other = duckdb.connect()
    with shared(connection, token="one") as url:
        engine = sa.create_engine(url)
        with pytest.raises(ValueError, match="already"), shared(other, token="one"):
            pass
    with shared(other, token="one"), engine.connect() as session:
        assert session.execute(sa.text("select count(*) from duckdb_views() where schema_name = 'audit'")).scalar() == 0


def test_columns_are_reflected_with_duckdbs_types(connection: duckdb.DuckDBPyConnection) -> None:
    with shared(connection) as url:
        inspector = sa.inspect(sa.create_engine(url))
        columns = {column["name"]: type(column["type"]).__name__ for column in inspector.get_columns("staged", "AUDIT")}
        assert inspector.has_table("staged", "audit") and not inspector.has_table("staged", "main")
        assert "audit" in inspector.get_schema_names()
        with pytest.raises(sa.exc.NoSuchTableError):
            inspector.get_columns("nothing", "audit")
    assert columns == {
        "id": "INTEGER",
        "order": "VARCHAR",
        "vector": "FLOAT[1]",
        "tags": "VARCHAR[]",
        "pair": "STRUCT(a INTEGER)",
        "key": "UUID",
        "hash": "UHUGEINT",
        "price": "DECIMAL(18,3)",
    }


def test_expressions_mean_what_they_say(connection: duckdb.DuckDBPyConnection) -> None:
    table = sa.table("staged", sa.column("id"), sa.column("order"), schema="audit")
    expressions = {
        "found anywhere": table.c.order.regexp_match("e+"),
        "case counts": ~table.c.order.regexp_match("^b"),
        "true division": table.c.id / sa.literal(2) == 0.5,
        "double precision": sa.cast(sa.literal("0.1234567891234"), sa.Float) == 0.1234567891234,
        "decimals kept": sa.cast(sa.literal("0.123456"), sa.Numeric) == 0.123456,
        "reserved word": table.c.order.in_(["Bee", "Ant"]),
        "boolean": sa.true(),
    }
    with shared(connection) as url, sa.create_engine(url).connect() as session:
        row = session.execute(sa.select(*(each.label(name) for name, each in expressions.items())).limit(1)).one()
    assert row._mapping == dict.fromkeys(expressions, True)


def test_types_by_name() -> None:
    assert issubclass(sql_type("FLOAT[384]"), types.ARRAY)
    assert issubclass(sql_type("VARCHAR[]"), types.LIST)
    assert issubclass(sql_type("DECIMAL(18,3)"), types.DECIMAL)
    assert issubclass(types.HUGEINT, sa.Integer) and not issubclass(types.HUGEINT, types.BIGINT)
    assert not hasattr(types, "BigQueryDialect")
