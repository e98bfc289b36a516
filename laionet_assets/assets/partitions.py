"""The one partitioning: a part of a source."""

import dagster as dg

PARTS = dg.DynamicPartitionsDefinition(name="parts")
