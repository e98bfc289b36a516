"""Data quality: expectations in a table's yml, run by Great Expectations, shown as Dagster checks and as Data Docs.

    expectations.py    the yml list -> frozen `Expectation`s; every mistake named
    validate.py        expectations + a relation of a DuckDB connection -> `Outcome`s
    gx_backend.py      the only module that imports Great Expectations; itself imported when a check runs
    duckdb_dialect.py  SQLAlchemy over a DuckDB connection that this process already holds
    data_docs.py       pages on disk: one site a table, an index over all of them
    asset_checks.py    outcomes -> Dagster check results, and a text for the terminal

What a table means belongs in its yml, and when checks run belongs to the assets: neither is decided here.
"""
