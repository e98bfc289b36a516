"""Sources: from a path and the name of an adapter to parts, and to SQL that reads them in one shape.

Belongs here: metadata formats of web image-text data, finding files, what a part is, which rows are out of bounds. Does
not belong here: Dagster, the lake, anything about what a caption says. No part is ever copied: its rows are read from
its file, streaming.

    files = discover("laion", "auto", "s3://bucket/laion400m").files
    ordinals, refused = assign_ordinals({}, [file.part for file in files])
    record = inspect_part(connection, files[0], adapter="auto", ordinal=..., fingerprint=fingerprint(files[0]))
    connection.execute(f"create view raw.pairs as {pairs_view_sql([record])}")
"""

from laionet_assets.sources.adapters import AUTO, adapter_module, adapter_named, adapters
from laionet_assets.sources.adapters.base import COLUMN_TYPES as READ_COLUMNS
from laionet_assets.sources.discovery import (
    Discovery,
    PartFile,
    discover,
    filesystem_of,
    fingerprint,
    look_at,
    part_name,
    resolve_path,
)
from laionet_assets.sources.errors import NoPartsError, SourceError
from laionet_assets.sources.parts import (
    Breach,
    Mapped,
    PartRecord,
    assign_ordinals,
    detect_adapter,
    inspect_part,
    read_records,
)
from laionet_assets.sources.reading import pairs_sql, pairs_view_sql, quarantine_sql

__all__ = [
    "AUTO",
    "READ_COLUMNS",
    "Breach",
    "Discovery",
    "Mapped",
    "NoPartsError",
    "PartFile",
    "PartRecord",
    "SourceError",
    "adapter_module",
    "adapter_named",
    "adapters",
    "assign_ordinals",
    "detect_adapter",
    "discover",
    "filesystem_of",
    "fingerprint",
    "inspect_part",
    "look_at",
    "pairs_sql",
    "pairs_view_sql",
    "part_name",
    "quarantine_sql",
    "read_records",
    "resolve_path",
]
