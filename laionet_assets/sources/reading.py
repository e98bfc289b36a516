"""Reading: the SELECTs over source files behind raw.pairs and raw.quarantine.

Belongs here: SQL text made of part records. Does not belong here: where a value comes from (`resolution`), how a file
is opened (`formats`).

Nothing is copied. A part's rows are tested only for the bounds that its record says are broken in it, so that a scan
reads the columns asked for and, of the others, only those needed to leave the quarantined rows out. raw.pairs and the
samples of raw.quarantine are each other's complement for the content that the record was made of.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from laionet_assets.sources.adapters.base import COLUMN_TYPES
from laionet_assets.sources.bounds import Bound
from laionet_assets.sources.file_format import ROW
from laionet_assets.sources.formats import PARQUET
from laionet_assets.sources.parquet import FILE
from laionet_assets.sources.parts import PartRecord
from laionet_assets.sources.resolution import Resolution
from laionet_assets.warehouse.sql import literal

PAIR_TYPES = {"source": "VARCHAR", "part": "VARCHAR", "sample_id": "BIGINT", **COLUMN_TYPES}
"""What a reader of the sources gets: the columns that a row of any format becomes."""

SHOWN_CHARACTERS = 200
_PLACE = "laionet_place"


def pairs_sql(record: PartRecord) -> str:
    """A SELECT of the pairs of one part, in the columns of raw.pairs."""
    resolution = record.resolution
    relation = resolution.relation(record.path)
    sample_id = f"{record.first_sample_id} + {ROW}"
    return _pairs(record, resolution, part=literal(record.part), sample_id=sample_id, relation=relation)


def quarantine_sql(record: PartRecord) -> str | None:
    """A SELECT of one row a quarantined sample of the part and reason, in the columns of raw.quarantine; texts are cut
    to 200 characters. None if no sample is.
    """
    selects = [each for each in (_broken_rows_sql(record), _rejected_sql(record)) if each is not None]
    return " union all ".join(selects) or None


def _broken_rows_sql(record: PartRecord) -> str | None:
    """Of rows that break a bound."""
    resolution = record.resolution
    broken = _broken(record, resolution)
    if not broken:
        return None
    breaches = ", ".join(
        f"case when not {bound.holds(resolution)} then "
        f"{{'reason': {literal(bound.reason)}, 'value': {_cut(bound.value(resolution))}}} end"
        for bound in broken
    )
    relation = resolution.relation(record.path)
    return (
        f"select {literal(record.source)} as source, {literal(record.part)} as part, sample_id, "
        "breach.reason as reason, breach.value as value, null::bigint as line, caption, url from ("
        f"select {record.first_sample_id} + {ROW} as sample_id, {_cut(resolution.value('caption'))} as caption, "
        f"{_cut(resolution.value('url'))} as url, unnest([{breaches}]) as breach from {relation} "
        f"where not ({_within(broken, resolution)})) where breach is not null"
    )


def _rejected_sql(record: PartRecord) -> str | None:
    """Of lines that are no rows: their numbers come after those of the rows."""
    if not record.rejected:
        return None
    first = record.first_sample_id + record.rows - len(record.rejected)
    lines = ", ".join(
        f"({first + i}, {literal(each.reason)}, {literal(each.text)}, {each.line})"
        for i, each in enumerate(record.rejected)
    )
    return (
        f"select {literal(record.source)} as source, {literal(record.part)} as part, sample_id::bigint as sample_id, "
        "reason, value, line::bigint as line, null::varchar as caption, null::varchar as url "
        f"from (values {lines}) lines(sample_id, reason, value, line)"
    )


def pairs_view_sql(records: Iterable[PartRecord]) -> str:
    """A SELECT of the pairs of all these parts: what raw.pairs is a view of.

    Parquet parts with the same source, adapter, columns and broken bounds are one scan; a condition on `source` or
    `part` leaves the files of other parts unopened. Without records it is an empty SELECT of the right types.
    """
    ordered = sorted(records, key=_kind)
    selects = [select for _, kin in groupby(ordered, key=_kind) for select in _selects(list(kin))]
    return "\nunion all\n".join(selects) or (
        f"select {', '.join(f'null::{kind} as {name}' for name, kind in PAIR_TYPES.items())} where false"
    )


def _kind(record: PartRecord) -> tuple[Any, ...]:
    columns = tuple((column.name, column.type) for column in record.source_columns)
    mapping = tuple((each.column, each.origin) for each in record.mapping)
    apart = "" if _can_be_scanned_with_others(record) else record.part
    return record.source, record.adapter, columns, mapping, tuple(breach.reason for breach in record.breaches), apart


def _can_be_scanned_with_others(record: PartRecord) -> bool:
    is_strict = record.reading.mode == "strict"
    return is_strict and PARQUET.has_row_numbers(record.source_columns)


def _selects(kin: Sequence[PartRecord]) -> list[str]:
    kin = sorted(kin, key=lambda record: record.part)
    first, resolution = kin[0], kin[0].resolution
    if len(kin) == 1 or resolution.format is not PARQUET:
        return [pairs_sql(record) for record in kin]
    places = ", ".join(
        f"{literal(each.path)}: {{'part': {literal(each.part)}, 'first_sample_id': {each.first_sample_id}::bigint}}"
        for each in kin
    )
    scan = PARQUET.relation_of_many([record.path for record in kin], resolution.columns, used=resolution.used)
    relation = f"(select *, map {{{places}}}[{FILE}] as {_PLACE} from {scan})"
    sample_id = f"{_PLACE}.first_sample_id + {ROW}"
    return [_pairs(first, resolution, part=f"{_PLACE}.part", sample_id=sample_id, relation=relation)]


def _pairs(record: PartRecord, resolution: Resolution, *, part: str, sample_id: str, relation: str) -> str:
    keys = f"{literal(record.source)} as source, {part} as part, {sample_id} as sample_id"
    values = ", ".join(f"{resolution.value(column)} as {column}" for column in COLUMN_TYPES)
    broken = _broken(record, resolution)
    where = f" where {_within(broken, resolution)}" if broken else ""
    return f"select {keys}, {values} from {relation}{where}"


def _broken(record: PartRecord, resolution: Resolution) -> list[Bound]:
    reasons = {breach.reason for breach in record.breaches}
    return [bound for bound in resolution.bounds if bound.reason in reasons]


def _within(bounds: Sequence[Bound], resolution: Resolution) -> str:
    return " and ".join(bound.holds(resolution) for bound in bounds)


def _cut(text: str) -> str:
    return f"left({text}, {SHOWN_CHARACTERS})"
