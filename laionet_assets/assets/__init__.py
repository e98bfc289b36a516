"""The Dagster layer: what becomes an asset, a partition, a check, a sensor, a schedule.

Belongs here: one module a stage, each thin: it asks a domain room for rows and `publishing` to put them in place.
Does not belong here: how rows are made.
"""
