"""The lake of Parquet, the DuckDB connections over it, and the catalog of views.

Belongs here: where a table's files lie, how a file is staged and published, how a connection sees the tables, the
catalog and snapshots. Does not belong here: what any table means. Nobody in this room knows Dagster but
`resource`.
"""
