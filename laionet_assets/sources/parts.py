"""Parts: one file of a source as one row of raw.parts, and the numbers that make its sample ids.

Belongs here: ordinals, inspecting a file, the rows of raw.parts. Does not belong here: the SELECTs over the rows of a
part (`reading`).
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import duckdb

from laionet_assets.sources.adapters import adapter_named
from laionet_assets.sources.adapters.base import Adapter
from laionet_assets.sources.discovery import PartFile
from laionet_assets.sources.errors import SourceError
from laionet_assets.sources.formats import PARQUET, SourceColumn, format_of, reading
from laionet_assets.sources.resolution import Resolution, choose, resolve
from laionet_assets.warehouse.sql import identifier

SAMPLES_PER_PART = 100_000_000
MAX_ORDINAL = 2**63 // SAMPLES_PER_PART - 1
_NUMBERED = re.compile(r"^(?P<kind>(?:part|train|metadata)[-_])?(?P<number>\d{1,11})(?P<rest>$|[-_.].*$)", re.DOTALL)
_MORE_NUMBERS = re.compile(r"^[-_.]\d+(?:$|[-_.])")
_FURTHER_FILE = re.compile(r"-c0*[1-9]\d*$")


@dataclass(frozen=True)
class Breach:
    """How many samples of a part break a bound."""

    reason: str
    samples: int


@dataclass(frozen=True)
class PartRecord:
    """One row of raw.parts: all that is needed to read the part again without opening it first.

    rows = pairs + quarantined. A sample that breaks several bounds counts once in `quarantined` and once in each of its
    `breaches`.
    """

    source: str
    part: str
    ordinal: int
    path: str
    adapter: str
    source_columns: tuple[SourceColumn, ...]
    size_bytes: int
    signature: str
    fingerprint: str
    rows: int
    pairs: int
    quarantined: int
    captions_missing: int
    breaches: tuple[Breach, ...]

    @property
    def resolution(self) -> Resolution:
        """How the normalised columns are read from the file."""
        return resolve(adapter_named(self.adapter), self.source_columns, path=self.path)

    @property
    def first_sample_id(self) -> int:
        return self.ordinal * SAMPLES_PER_PART


def number_in_name(part: str) -> int | None:
    """The number that the name of a part gives it: of `part-00007`, `train_00007-of-00128`, `00007`; None without one.

    A date is no number, nor is the name of a file in hive folders (`lang=en/part-0`), nor of a further file that the
    same task of a cluster wrote (`part-00007-...-c001`).
    """
    match = _NUMBERED.match(part)
    if match is None or _FURTHER_FILE.search(part) or (not match["kind"] and _MORE_NUMBERS.match(match["rest"])):
        return None
    return int(match["number"])


def assign_ordinals(existing: Mapping[str, int], new: Sequence[str]) -> tuple[dict[str, int], dict[str, str]]:
    """Ordinals of the parts of a source: the ones there are, unchanged, and one for every new part; and by name why a
    part gets none.

    A new part's ordinal is the number in its name. Where there is none, or another part has it, it is the first 35 bits
    of the sha256 of the name, so that it does not depend on what was seen before. Ordinals of parts that are gone
    belong in `existing`: none is ever given twice.
    """
    ordinals = dict(existing)
    holders = {ordinal: part for part, ordinal in existing.items()}
    refused: dict[str, str] = {}
    for part in sorted(set(new) - existing.keys(), key=lambda part: (number_in_name(part) is None, part)):
        number = number_in_name(part)
        ordinal = number if number is not None and number <= MAX_ORDINAL and number not in holders else _hashed(part)
        if ordinal in holders:
            refused[part] = f"its number {ordinal} is taken by {holders[ordinal]}; rename the file"
        else:
            ordinals[part], holders[ordinal] = ordinal, part
    return ordinals, refused


def _hashed(part: str) -> int:
    return int.from_bytes(hashlib.sha256(part.encode()).digest()[:5], "big") >> 5


def detect_adapter(connection: duckdb.DuckDBPyConnection, file: PartFile, *, adapter: str = "auto") -> Adapter:
    """The adapter of that name, or for `auto` the one that the columns of the file identify. Raises SourceError."""
    return choose(adapter, _columns(connection, file.path), path=file.path)


def inspect_part(
    connection: duckdb.DuckDBPyConnection, file: PartFile, *, adapter: str, ordinal: int, fingerprint: str
) -> PartRecord:
    """Read a file once, streaming, and say what is in it. `adapter` is a name or `auto`.

    Raises SourceError if the file is empty, damaged, has more rows than a part may have, or columns that the adapter
    cannot read.
    """
    columns = _columns(connection, file.path)
    resolution = resolve(choose(adapter, columns, path=file.path), columns, path=file.path)
    holds = {bound.reason: bound.holds(resolution) for bound in resolution.bounds}
    counts = [f"count(*) filter (where not {condition})" for condition in holds.values()]
    with reading(file.path):
        row = connection.execute(
            f"select count(*), count(*) filter (where {' and '.join(holds.values())}), {', '.join(counts)} "
            f"from {resolution.format.relation(file.path, resolution.columns)}"
        ).fetchall()[0]
    rows, pairs, *broken = row
    check_row_count(rows, path=file.path)
    breaches = tuple(Breach(reason, samples) for reason, samples in zip(holds, broken, strict=True) if samples)
    return PartRecord(
        source=file.source,
        part=file.part,
        ordinal=ordinal,
        path=PARQUET.path_in_relations(connection, file.path) if resolution.format is PARQUET else file.path,
        adapter=resolution.adapter.name,
        source_columns=resolution.columns,
        size_bytes=file.size_bytes,
        signature=file.signature,
        fingerprint=fingerprint,
        rows=rows,
        pairs=pairs,
        quarantined=rows - pairs,
        captions_missing=next((each.samples for each in breaches if each.reason == "caption_missing"), 0),
        breaches=breaches,
    )


def check_row_count(rows: int, *, path: str) -> None:
    """Raises SourceError unless a part may have so many rows: at least one, and few enough that sample ids of parts
    stay apart.
    """
    if rows == 0:
        raise SourceError(f"{path}: found no rows, expected at least one; take the file out of the source")
    if rows >= SAMPLES_PER_PART:
        raise SourceError(
            f"{path}: found {rows:,} rows, expected fewer than {SAMPLES_PER_PART:,} a part; split the file"
        )


def read_records(connection: duckdb.DuckDBPyConnection, relation: str = "raw.parts") -> list[PartRecord]:
    """Rows of raw.parts, or of another relation (a table, a view, a table function) with its columns, sorted by source
    and part.
    """
    names = [field.name for field in fields(PartRecord)]
    columns = ", ".join(map(identifier, names))
    rows = connection.execute(f"select {columns} from {relation} order by source, part").fetchall()
    return [_record(dict(zip(names, row, strict=True))) for row in rows]


def _record(row: Mapping[str, object]) -> PartRecord:
    values = dict(row)
    values["source_columns"] = tuple(SourceColumn(**each) for each in row["source_columns"] or ())  # type: ignore[attr-defined]
    values["breaches"] = tuple(Breach(**each) for each in row["breaches"] or ())  # type: ignore[attr-defined]
    return PartRecord(**values)  # type: ignore[arg-type]


def _columns(connection: duckdb.DuckDBPyConnection, path: str) -> tuple[SourceColumn, ...]:
    form = format_of(path)
    if form is None:
        raise SourceError(f"{path}: found a file of another format, expected .parquet, .tsv or .csv")
    return form.describe(connection, path)
