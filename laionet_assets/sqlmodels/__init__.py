"""The SQL layer: one bare SELECT and one yml a table, dbt-style, without dbt.

Belongs here: reading `sql/**`, dependencies from DuckDB's own parser, documented against produced columns,
given/expect unit tests. Does not belong here: Dagster (see `assets`), where tables are stored (see `warehouse`), what
a check does (see `quality`).
"""
